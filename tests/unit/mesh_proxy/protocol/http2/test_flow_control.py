"""Windows: what may be sent waits for them, in turns; and the peer gets more when what it sent has been consumed."""

import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.frames import DATA, END_STREAM, FLOW_CONTROL_ERROR, HEADERS, WINDOW_UPDATE, frame
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import Stream
from tests.support.http2_recorder import (
    ACKNOWLEDGEMENT,
    GET,
    End,
    data,
    headers,
    literals,
    rst,
    settings,
    split,
    window_update,
)

BLOCK = literals(*GET)
SMALL = Settings(initial_stream_window_size=1000, initial_connection_window_size=100000)


def opened(end: End, *numbers: int) -> list[Stream]:
    """Requests whose answers have begun."""
    for number in numbers:
        end.give(headers(number, BLOCK))
        end.session.respond(end.recorder.streams[number], 200, [], False)
    end.take()
    end.recorder.events.clear()
    return [end.recorder.streams[number] for number in numbers]


def sent(end: End) -> list[tuple[int, int, bool]]:
    """Stream, size and whether it is the last, of each frame of content."""
    return [
        (number, len(payload), flags & END_STREAM != 0) for kind, flags, number, payload in end.take() if kind == DATA
    ]


def test_content_waits_for_the_window_of_its_stream() -> None:
    end = End()
    end.give(settings((4, 10)))
    (stream,) = opened(end, 1)
    end.session.data(stream, b"0123456789abc", True)
    assert sent(end) == [(1, 10, False)]
    assert stream.queued == 3
    end.give(window_update(1, 2))
    assert sent(end) == [(1, 2, False)]
    end.give(window_update(1, 100))
    assert sent(end) == [(1, 1, True)]
    assert end.recorder.events == [(1, "window")]
    assert not end.session.streams


def test_content_waits_for_the_window_of_the_connection() -> None:
    end = End()
    end.give(settings((4, 1 << 20)))
    first, second = opened(end, 1, 3)
    end.session.data(first, b"x" * 65530, False)
    end.session.data(second, b"y" * 10, True)
    assert sum(size for _, size, _ in sent(end)) == 65535
    end.give(window_update(0, 5))
    assert sum(size for _, size, _ in sent(end)) == 5
    assert (first.queued, second.queued) == (0, 0)


def test_streams_take_turns() -> None:
    end = End()
    end.give(settings((4, 1 << 20)), window_update(0, 1 << 20))
    streams = opened(end, 1, 3, 5)
    for stream in streams:
        end.session.data(stream, b"x" * 40000, True)
    assert [number for number, _, _ in sent(end)] == [1, 3, 5] * 3


def test_what_comes_later_overtakes_what_waits_for_room_in_the_output() -> None:
    end = End()
    end.give(settings((4, 1 << 22)), window_update(0, 1 << 22))
    first, second = opened(end, 1, 3)
    end.session.data(first, b"x" * (1 << 20), True)
    part = end.session.take_output()
    assert len(part) < 300000
    end.session.data(second, b"y", True)
    rest = split(end.output())
    place = [number for _, _, number, _ in rest].index(3)
    assert place <= 1
    assert len(part) + sum(len(payload) + 9 for _, _, _, payload in rest) == (1 << 20) + 64 * 9 + 1 + 9


def test_small_pieces_that_waited_leave_in_one_frame() -> None:
    end = End()
    end.give(settings((4, 0)))
    (stream,) = opened(end, 1)
    for _ in range(100):
        end.session.data(stream, b"abc", False)
    end.give(window_update(1, 1000))
    assert sent(end) == [(1, 300, False)]


def test_trailers_follow_the_content_that_waits() -> None:
    end = End()
    end.give(settings((4, 0)))
    (stream,) = opened(end, 1)
    end.session.data(stream, b"abc", False)
    end.session.trailers(stream, [field_of(b"a", b"b")])
    assert end.take() == []
    end.give(window_update(1, 3))
    assert [(kind, flags) for kind, flags, _, _ in end.take()] == [(DATA, 0), (HEADERS, 5)]


def test_the_end_alone_needs_no_window() -> None:
    end = End()
    end.give(settings((4, 0)))
    (stream,) = opened(end, 1)
    end.session.data(stream, b"", True)
    assert sent(end) == [(1, 0, True)]


def test_other_settings_change_the_windows_of_streams_under_way_even_below_zero() -> None:
    end = End()
    end.give(settings((4, 100)))
    (stream,) = opened(end, 1)
    end.session.data(stream, b"x" * 80, False)
    assert sent(end) == [(1, 80, False)]
    end.give(settings((4, 30)))
    assert stream.send_window == -50
    end.session.data(stream, b"y" * 10, True)
    end.give(window_update(1, 50))
    assert sent(end) == []
    end.give(settings((4, 35)))
    assert sent(end) == [(1, 5, False)]
    end.give(window_update(1, 1000))
    assert sent(end) == [(1, 5, True)]


def test_a_window_that_becomes_too_large_ends_its_stream() -> None:
    end = End()
    opened(end, 1)
    end.give(window_update(1, 0x7FFFFFFF))
    assert end.recorder.events == [(1, "reset", FLOW_CONTROL_ERROR, "http2.unknown.nghttp2.error")]
    assert end.recorder.failure is None


def test_content_that_waits_is_dropped_with_its_stream() -> None:
    end = End()
    end.give(settings((4, 0)))
    (stream,) = opened(end, 1)
    end.session.data(stream, b"abc", False)
    end.give(rst(1), window_update(0, 10))
    assert (stream.queued, sent(end)) == (0, [])


def test_the_peer_gets_more_only_for_what_was_consumed_and_in_large_steps() -> None:
    end = End(SMALL)
    end.give(headers(1, BLOCK, end=False), data(1, b"x" * 600))
    stream = end.recorder.streams[1]
    assert end.take() == []
    end.session.consumed(stream, 400)
    assert end.take() == []
    end.session.consumed(stream, 200)
    assert end.take() == [(WINDOW_UPDATE, 0, 1, frames.NUMBER.pack(600))]
    end.session.consumed(stream, 200)  # more than there was
    assert (stream.unconsumed, stream.credit) == (0, 0)


def test_padding_is_consumed_by_itself() -> None:
    end = End(SMALL)
    end.give(headers(1, BLOCK, end=False), frame(DATA, 8, 1, b"\xff" + b"a" + b"\0" * 255))
    stream = end.recorder.streams[1]
    assert (stream.unconsumed, stream.credit) == (1, 256)


@pytest.mark.parametrize("pieces", [(1001,), (600, 401)])
def test_more_than_the_window_of_a_stream_ends_it(pieces: tuple[int, ...]) -> None:
    end = End(SMALL)
    end.give(headers(1, BLOCK, end=False), *(data(1, b"x" * size) for size in pieces))
    assert end.recorder.events[-1] == (1, "reset", FLOW_CONTROL_ERROR, "http2.unknown.nghttp2.error")
    assert end.recorder.failure is None


def test_more_than_the_window_of_the_connection_ends_it() -> None:
    end = End(Settings(initial_connection_window_size=65535))
    end.give(headers(1, BLOCK, end=False), *[data(1, b"x" * 16384)] * 4)
    assert end.recorder.failure is not None
    assert end.recorder.failure[0] == FLOW_CONTROL_ERROR


def test_a_smaller_window_counts_from_the_acknowledgement_on() -> None:
    end = End(SMALL, greeted=False)
    end.give(frames.PREFACE, settings(), headers(1, BLOCK, end=False), data(1, b"x" * 5000))
    stream = end.recorder.streams[1]
    end.give(ACKNOWLEDGEMENT)
    assert stream.receive_window == 1000 - 5000
    end.session.consumed(stream, 5000)
    end.give(data(1, b"x" * 1000))
    assert end.recorder.failure is None
    assert len(end.recorder.content[1]) == 6000


def test_content_of_streams_that_were_given_up_goes_back_to_the_connection() -> None:
    end = End(Settings(initial_connection_window_size=65535))
    for number in range(1, 201, 2):
        end.give(headers(number, BLOCK, end=False), data(number, b"x" * 10000))
        end.session.reset(end.recorder.streams[number], frames.CANCEL) if number % 4 == 1 else end.give(rst(number))
    assert end.recorder.failure is None
    assert end.session._receive_window + end.session._credit == 65535


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.sampled_from([0, 1, 2]), st.integers(0, 40000)),
        st.tuples(st.just("stream"), st.sampled_from([0, 1, 2]), st.integers(1, 50000)),
        st.tuples(st.just("connection"), st.just(0), st.integers(1, 50000)),
        st.tuples(st.just("initial"), st.just(0), st.integers(0, 70000)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@runs(max_examples=60, deadline=None)
@given(ACTIONS)
def test_windows_are_kept_and_nothing_is_lost(actions: list[tuple[str, int, int]]) -> None:
    end = End(Settings(max_inbound_window_update_frames_per_data_frame_sent=1000))
    streams = opened(end, 1, 3, 5)
    connection, initial = 65535, 65535
    windows, given, got = [65535] * 3, [0] * 3, [0] * 3
    # Each frame of data allows the peer a thousand updates of windows; before the first, a few are a flood.
    for action, which, size in [("data", 0, 1), *actions, ("take", 0, 0)]:
        if action == "data":
            end.session.data(streams[which], b"x" * size, False)
            given[which] += size
        elif action == "stream":
            windows[which] += size
            end.give(window_update(streams[which].id, size))
        elif action == "connection":
            connection += size
            end.give(window_update(0, size))
        elif action == "initial" and not end.session._size:  # else frames that were made before come out after it
            windows = [window + size - initial for window in windows]
            initial = size
            end.give(settings((4, size)))
        elif action == "take":
            for number, length, _ in sent(end):
                place = (1, 3, 5).index(number)
                assert 0 < length <= min(16384, windows[place], connection)
                windows[place] -= length
                connection -= length
                got[place] += length
            for place, stream in enumerate(streams):
                assert stream.queued == given[place] - got[place]
                assert stream.queued == 0 or windows[place] <= 0 or connection == 0
    assert end.recorder.failure is None
