"""Floods: a peer that makes us work, or keep, more than it does itself is left, at the numbers that Envoy has."""

import pytest

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.floods import (
    CONTROL_FRAMES,
    EMPTY_FRAMES,
    PREMATURE_RESETS,
    PRIORITY_FRAMES,
    WINDOW_UPDATES,
)
from mesh_proxy.protocol.http2.frames import CONTINUATION, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY, frame
from mesh_proxy.protocol.http2.settings import Settings
from tests.support.http2_recorder import GET, End, data, headers, literals, rst, settings, window_update

BLOCK = literals(*GET)
OPEN = headers(1, BLOCK, end=False)
PRIORITIES = frame(PRIORITY, 0, 1, b"\0\0\0\0\0")

FLOODS = [
    ("pings", frame(PING, 0, 0, b"12345678"), 1000, CONTROL_FRAMES),
    ("settings", settings(), 1000, CONTROL_FRAMES),
    ("priorities", PRIORITIES, 100, PRIORITY_FRAMES),
    ("windows", window_update(0, 1), 5, WINDOW_UPDATES),
]


@pytest.mark.parametrize(("name", "sent", "allowed", "details"), FLOODS, ids=[row[0] for row in FLOODS])
def test_so_many_and_not_one_more(name: str, sent: bytes, allowed: int, details: str) -> None:
    end = End()
    end.give(sent * allowed)
    assert end.recorder.failure is None
    end.give(sent)
    assert end.recorder.failure == (ENHANCE_YOUR_CALM, details)


def test_what_has_been_sent_does_not_count() -> None:
    end = End()
    for _ in range(5):
        end.give(frame(PING, 0, 0, b"12345678") * 1000)
        assert len(end.take()) == 1000
    assert end.recorder.failure is None


def test_streams_that_are_refused_count_as_well() -> None:
    end = End(Settings(max_concurrent_streams=1, premature_reset_total_stream_count=10**9))
    end.give(*(headers(number, BLOCK, end=False) for number in range(1, 2006, 2)))
    assert end.recorder.failure == (ENHANCE_YOUR_CALM, CONTROL_FRAMES)


def test_each_stream_allows_more_priorities_and_windows() -> None:
    end = End()
    end.give(OPEN, headers(3, BLOCK, end=False), PRIORITIES * 300, window_update(0, 1) * 9)
    assert end.recorder.failure is None
    end.give(PRIORITIES)
    assert end.recorder.failure == (ENHANCE_YOUR_CALM, PRIORITY_FRAMES)


def test_each_frame_of_content_allows_windows() -> None:
    end = End()
    end.give(OPEN)
    end.session.respond(end.recorder.streams[1], 200, [], False)
    for _ in range(3):
        end.session.data(end.recorder.streams[1], b"a", False)
    end.give(window_update(0, 1) * (5 + 2 * (1 + 30)))
    assert end.recorder.failure is None
    end.give(window_update(1, 1))
    assert end.recorder.failure == (ENHANCE_YOUR_CALM, WINDOW_UPDATES)


EMPTY = [
    ("content", [OPEN, data(1, b""), data(1, b"")], True),
    ("content of nothing but padding", [OPEN, frame(0, 8, 1, b"\0"), frame(0, 8, 1, b"\1\0")], True),
    (
        "continuations",
        [frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1, b""), frame(CONTINUATION, 0, 1, b"")],
        True,
    ),
    ("a head and a continuation", [frame(HEADERS, 0, 1, b""), frame(CONTINUATION, 0, 1, b"")], True),
    ("not in a row", [OPEN, data(1, b""), data(1, b"a"), data(1, b"")], False),
    ("the end", [OPEN, data(1, b""), data(1, b"", end=True)], False),
    ("a head that is empty alone", [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, 4, 1, BLOCK)], False),
]


@pytest.mark.parametrize(("name", "sent", "flood"), EMPTY, ids=[row[0] for row in EMPTY])
def test_frames_with_nothing_in_them(name: str, sent: list[bytes], flood: bool) -> None:
    end = End()
    end.give(*sent)
    assert (end.recorder.failure is not None) == flood
    if flood:
        assert end.recorder.failure is not None
        assert end.recorder.failure[1] == EMPTY_FRAMES
        assert 1 not in end.recorder.heads or (1, "reset", 1, EMPTY_FRAMES) in end.recorder.events


@pytest.mark.parametrize("size", [1, 16384])
def test_a_block_without_an_end_is_not_kept(size: int) -> None:
    end = End()
    end.give(frame(HEADERS, 0, 1, BLOCK))
    kept = 0
    for _ in range(100000):
        end.give(frame(CONTINUATION, 0, 1, b"a" * size))
        kept = max(kept, sum(map(len, end.session._block)))
        if end.recorder.failure:
            break
    assert end.recorder.failure == (frames.COMPRESSION_ERROR, "http2.header_list_size_too_large")
    assert kept <= 96 << 10


RESETS = Settings(premature_reset_total_stream_count=20)


def ask(end: End, first: int, count: int, lifetime: float = 0.0, answered: bool = False) -> int:
    """Requests that are given up; returns how many until the connection ended."""
    for place in range(count):
        number = first + 2 * place
        end.give(headers(number, BLOCK, end=False), now=100.0)
        if answered:
            end.session.respond(end.recorder.streams[number], 200, [], False)
        end.give(rst(number), now=100.0 + lifetime)
        if end.recorder.failure:
            return place + 1
    return count


def test_requests_that_are_given_up_at_once_end_the_connection() -> None:
    """When they are half of as many as are looked at, good ones can make up for them no more (Envoy)."""
    end = End(RESETS)
    assert ask(end, 1, 100) == 10
    assert end.recorder.failure == (ENHANCE_YOUR_CALM, PREMATURE_RESETS)


def test_by_default_it_takes_250_of_500() -> None:
    assert ask(End(), 1, 1000) == 250


@pytest.mark.parametrize(("lifetime", "answered"), [(2.0, False), (0.0, True)], ids=["old", "answered"])
def test_requests_that_were_served_may_be_given_up(lifetime: float, answered: bool) -> None:
    end = End(RESETS)
    ask(end, 1, 200, lifetime, answered)
    assert end.recorder.failure is None


def test_a_share_of_them_may_be_given_up() -> None:
    end = End(RESETS)
    number = 1
    for _ in range(100):
        for _ in range(3):
            end.give(headers(number, BLOCK))
            end.session.respond(end.recorder.streams[number], 200, [], True)
            number += 2
        ask(end, number, 1)
        number += 2
    assert end.recorder.failure is None


def test_memory_of_streams_that_were_given_up_is_bounded() -> None:
    end = End(Settings(max_concurrent_streams=8, premature_reset_total_stream_count=10**9))
    for number in range(1, 2001, 2):
        end.give(headers(number, BLOCK, end=False))
        end.session.reset(end.recorder.streams[number], frames.CANCEL)
        end.take()
    assert len(end.session._discarded) <= 16
    assert not end.session.streams
