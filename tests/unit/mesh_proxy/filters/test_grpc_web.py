"""Calls of gRPC from browsers; ``tests/parity/cases/grpc/web.yaml`` asks Envoy, too."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.filters.grpc_frames import Frames
from mesh_proxy.filters.grpc_web import BAD_SIZE, BAD_TEXT, FromText, GrpcWeb, ToWeb
from mesh_proxy.protocol.http1 import Head, field_of
from tests.unit.mesh_proxy.making import head


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(1, 9), min_size=1))
def test_text_becomes_bytes_however_it_is_cut(data: bytes, steps: list[int]) -> None:
    text, made, place, at, work = b64encode(data), b"", 0, 0, FromText()
    while place < len(text):
        made += work.take(text[place : place + steps[at % len(steps)]])
        place, at = place + steps[at % len(steps)], at + 1
    assert made + work.finish([]) == data
    assert work.refusal is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_is_no_text_is_refused(before: bytes, behind: bytes) -> None:
    work = FromText()
    work.take(before + b"\xff" + behind)
    work.finish([])
    assert work.refusal in (BAD_TEXT, BAD_SIZE)


def test_trailers_are_the_last_message() -> None:
    trailers = [field_of(b"grpc-status", b"0"), field_of(b"a", b"b")]
    work = ToWeb(None)
    assert work.take(b"as it is") == b"as it is"
    assert work.finish(trailers) == b"\x80\0\0\0\x14grpc-status:0\r\na:b\r\n"
    assert trailers == []
    assert work.finish([]) == b""


def test_each_message_is_a_text_for_itself() -> None:
    work, message = ToWeb(Frames()), b"\0\0\0\0\x01a"
    assert work.take(message + message[:3]) == b64encode(message)
    assert work.take(message[3:]) == b64encode(message)
    assert work.finish([field_of(b"x", b"y")]) == b64encode(b"\x80\0\0\0\x05x:y\r\n")


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc-web+json", "text/plain"])
def test_other_requests_stay_as_they_are(kind: str) -> None:
    asked = head("/", f"content-type: {kind}", method="POST")
    before = list(asked.fields)
    assert GrpcWeb().change_request(asked, None, False) is None
    assert asked.fields == before
    assert GrpcWeb().change_response(asked, None, Head(), [], False) is None
