"""Anything may come: no exception, no unbounded memory, and the same is told however the bytes are cut."""

from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.frames import CONTINUATION, DATA, HEADERS, frame
from mesh_proxy.protocol.http2.settings import Settings
from tests.support.http2_recorder import GET, GREETING, End, data, headers, literals, rst, settings, window_update

SMALL = Settings(
    max_concurrent_streams=8,
    max_headers=2000,
    initial_stream_window_size=70000,
    initial_connection_window_size=100000,
    stream_error_on_invalid_http_message=True,
)
BLOCKS = st.one_of(
    st.just(literals(*GET)),
    st.just(literals((b":status", b"200"))),
    st.just(literals((b":status", b"103"))),
    st.just(literals((b"a", b"b"))),
    st.just(literals(*GET, (b"content-length", b"5"))),
    st.just(b"\x40" + literals((b"x", b"y"))[1:]),
    st.just(literals(*GET) + b"\xbe"),
    st.just(literals((b"a", b"x" * 3000))),
    st.binary(max_size=40),
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 11, 0x7FFFFFFF])
FLAGS = st.sampled_from([0, 1, 4, 5, 8, 9, 13, 0x20, 0x25, 0x2D, 255])
LARGE = st.sampled_from([b"", b"x" * 5, b"x" * 16384])
FRAMES = st.one_of(
    st.builds(lambda number, block, end: headers(number, block, end), NUMBERS, BLOCKS, st.booleans()),
    st.builds(lambda flags, number, block: frame(HEADERS, flags, number, block), FLAGS, NUMBERS, BLOCKS),
    st.builds(lambda flags, number, block: frame(CONTINUATION, flags, number, block), FLAGS, NUMBERS, BLOCKS),
    st.builds(data, NUMBERS, LARGE, st.booleans()),
    st.builds(
        lambda flags, number, content: frame(DATA, flags, number, content), FLAGS, NUMBERS, st.binary(max_size=20)
    ),
    st.builds(rst, NUMBERS, st.integers(0, 20)),
    st.builds(window_update, NUMBERS, st.sampled_from([0, 1, 100000, 0x7FFFFFFF])),
    st.builds(
        lambda name, value: settings((name, value)),
        st.integers(0, 9),
        st.sampled_from([0, 1, 100, 16384, 65535, 0x7FFFFFFF, 0xFFFFFFFF]),
    ),
    st.builds(frame, st.integers(0, 12), FLAGS, NUMBERS, st.binary(max_size=20)),
    st.binary(max_size=30),
)


def end_of(client: bool) -> End:
    """With requests under way where it is a client's."""
    end = End(SMALL, client)
    if client:
        for _ in range(4):
            end.session.request(b"GET", b"http", b"a", b"/", [], False, 0.0)
        end.take()
    return end


def use(end: End, place: int) -> None:
    """Do something with every stream, as whoever uses the session would."""
    session = end.session
    for stream in list(session.streams.values()):
        if stream.id % 4 == 1:
            session.consumed(stream, stream.unconsumed)
        if not session.client:
            session.respond(stream, 200, [], False)
        session.data(stream, b"x" * 3000, place % 3 == 0)
        if place % 5 == 0:
            session.reset(stream, frames.CANCEL)


def check(end: End) -> None:
    session = end.session
    assert len(session.streams) <= 8
    assert len(session._rest) <= 16384 + 9
    assert sum(map(len, session._block)) <= 2000 + 3 * 16384
    assert len(session._discarded) <= 16
    assert session._receive_window >= 0 or session.failed
    assert all(stream.unconsumed <= 100000 for stream in session.streams.values())
    assert not session.failed or end.recorder.failure is not None


@runs(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=25), st.booleans())
def test_no_frames_do_harm(sent: list[bytes], client: bool) -> None:
    end = end_of(client)
    for place, piece in enumerate(sent):
        end.give(piece)
        use(end, place)
        check(end)
        end.output()


@runs(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_harm(sent: bytes, greeted: bool) -> None:
    end = End(SMALL, greeted=greeted)
    end.give(sent)
    check(end)


@runs(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=8), st.booleans())
def test_it_does_not_matter_where_the_bytes_are_cut(sent: list[bytes], sizes: list[int], client: bool) -> None:
    whole, cut = end_of(client), end_of(client)
    everything = b"".join(sent)
    whole.give(everything)
    at = turn = 0
    while at < len(everything):
        size = sizes[turn % len(sizes)]
        cut.give(everything[at : at + size])
        at, turn = at + size, turn + 1
    assert cut.recorder.events == whole.recorder.events
    assert cut.recorder.failure == whole.recorder.failure
    assert cut.output() == whole.output()


@runs(max_examples=100, deadline=None)
@given(st.data())
def test_a_good_conversation_with_some_bytes_changed_does_no_harm(draw: st.DataObject) -> None:
    good = bytearray(
        frames.PREFACE + GREETING + headers(1, literals(*GET), False) + data(1, b"x" * 50) + headers(3, literals(*GET))
    )
    for _ in range(draw.draw(st.integers(1, 4))):
        good[draw.draw(st.integers(0, len(good) - 1))] = draw.draw(st.integers(0, 255))
    end = End(SMALL, greeted=False)
    end.give(bytes(good))
    use(end, 0)
    check(end)
