"""Calls of gRPC, counted; ``tests/parity/cases/grpc/counted*.yaml`` ask Envoy, too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.filters.grpc_frames import Count, Frames
from mesh_proxy.protocol.http1 import Head, field_of
from mesh_proxy.telemetry.grpc_calls import Call, scope_of
from mesh_proxy.telemetry.stats import Counters

MESSAGES = st.lists(st.binary(max_size=20), max_size=6)


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@given(MESSAGES, st.lists(st.integers(1, 7), min_size=1), st.binary(max_size=4))
def test_messages_are_found_however_they_are_cut(messages: list[bytes], steps: list[int], rest: bytes) -> None:
    data, place, at = b"".join(map(framed, messages)) + rest, 0, 0
    frames, count, found = Frames(), Count(), []
    while place < len(data):
        part = data[place : place + steps[at % len(steps)]]
        found += frames.take(part)
        count.take(part)
        place, at = place + len(part), at + 1
    assert found == list(map(framed, messages))
    assert count.number == len(messages)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        (b"/a.B/c", "grpc.a.B.c."),
        (b"/c", ""),
        (b"/a/b/c", ""),
        (b"//c", ""),
        (b"/a/", ""),
        (b"a/b", ""),
    ],
)
def test_a_path_names_a_method_or_none(path: bytes, scope: str) -> None:
    assert scope_of(path) == scope


@pytest.mark.parametrize(
    ("in_head", "in_trailers", "counted"),
    [
        (None, b"0", {"grpc.0": 1, "grpc.success": 1, "grpc.total": 1}),
        (b"0", b"5", {"grpc.5": 1, "grpc.failure": 1, "grpc.total": 1}),
        (b"14", None, {"grpc.14": 1, "grpc.failure": 1, "grpc.total": 1}),
        (b"x", None, {"grpc.failure": 1, "grpc.total": 1}),
        (None, None, {}),
    ],
)
def test_how_a_call_ends(in_head: bytes | None, in_trailers: bytes | None, counted: dict[str, int]) -> None:
    counters = Counters("cluster.c")
    call, answer = Call(counters, b"/a.B/c", False), Head()
    if in_head is not None:
        answer.add(field_of(b"grpc-status", in_head))
    call.answers.take(framed(b"x") * 2)
    call.end(answer, [] if in_trailers is None else [field_of(b"grpc-status", in_trailers)])
    call.close()
    assert counters.values == counted | {"grpc.response_message_count": 2}
