"""Sessions: which frames may come when, what is answered to those that may not, and how connections end."""

import pytest

from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    frame,
)
from mesh_proxy.protocol.http2.settings import Settings
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
OPEN = headers(1, BLOCK, end=False)
WHOLE = headers(1, BLOCK)


def test_a_server_begins_as_envoy_does() -> None:
    """Measured on Envoy 1.40."""
    found = End(greeted=False).take()
    assert found == [
        (SETTINGS, 0, 0, bytes.fromhex("000100001000000800000000000300000400000401000000")),
        (WINDOW_UPDATE, 0, 0, bytes.fromhex("017f0001")),
    ]


def test_a_client_begins_as_envoy_does() -> None:
    output = End(client=True, greeted=False).output()
    assert output.startswith(PREFACE)
    (_, _, _, payload), _ = split(output[len(PREFACE) :])
    assert payload == bytes.fromhex("000200000000000100001000000800000000000300000400000401000000")


def test_settings_are_acknowledged_and_told_of() -> None:
    end = End(greeted=False)
    end.give(PREFACE, settings((3, 7)))
    assert end.take()[-1] == (SETTINGS, ACK, 0, b"")
    assert end.recorder.events == [(0, "settings")]


WRONG = [
    ("a frame before the settings", [frame(PING, 0, 0, b"12345678")], PROTOCOL_ERROR, False),
    ("an acknowledgement before the settings", [ACKNOWLEDGEMENT], PROTOCOL_ERROR, False),
    ("settings acknowledged twice", [ACKNOWLEDGEMENT], PROTOCOL_ERROR, True),
    ("content of an idle stream", [data(1, b"a")], PROTOCOL_ERROR, True),
    ("reset of an idle stream", [rst(1)], PROTOCOL_ERROR, True),
    ("window of an idle stream", [window_update(1, 1)], PROTOCOL_ERROR, True),
    ("a stream with an even number", [headers(2, BLOCK)], PROTOCOL_ERROR, True),
    ("a stream with a lower number", [headers(5, BLOCK), headers(3, BLOCK)], STREAM_CLOSED, True),
    ("content behind the end", [WHOLE, data(1, b"a")], STREAM_CLOSED, True),
    ("a head behind the end", [WHOLE, WHOLE], STREAM_CLOSED, True),
    ("content behind a reset", [OPEN, rst(1), data(1, b"a")], STREAM_CLOSED, True),
    ("a head behind a reset", [OPEN, rst(1), WHOLE], STREAM_CLOSED, True),
    ("a push to a server", [frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + BLOCK)], PROTOCOL_ERROR, True),
    ("a continuation of nothing", [frame(CONTINUATION, END_HEADERS, 1, BLOCK)], PROTOCOL_ERROR, True),
    ("a frame within a block", [frame(HEADERS, 1, 1, BLOCK), frame(PING, 0, 0, b"12345678")], PROTOCOL_ERROR, True),
    ("an unknown frame within a block", [frame(HEADERS, 1, 1, BLOCK), frame(99, 0, 0, b"")], PROTOCOL_ERROR, True),
    ("content within a block", [OPEN, frame(HEADERS, 1, 3, BLOCK), data(1, b"a")], PROTOCOL_ERROR, True),
    ("a continuation of another block", [frame(HEADERS, 1, 1, b""), frame(CONTINUATION, 4, 3, BLOCK)], PROTOCOL_ERROR, True),
    ("a frame that is too long", [b"\0\x40\x01\0\0\0\0\0\1"], FRAME_SIZE_ERROR, True),
    ("more padding than content", [OPEN, frame(DATA, PADDED, 1, b"\x04abc")], PROTOCOL_ERROR, True),
    ("padding that is not there", [OPEN, frame(DATA, PADDED, 1, b"")], PROTOCOL_ERROR, True),
    ("more padding than head", [frame(HEADERS, 5 | PADDED, 1, b"\xff" + BLOCK)], PROTOCOL_ERROR, True),
    ("padding of a head that is not there", [frame(HEADERS, 5 | PADDED, 1, b"")], PROTOCOL_ERROR, True),
    ("half a priority", [frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0")], PROTOCOL_ERROR, True),
    ("a head that depends on itself", [frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0\1\0" + BLOCK)], PROTOCOL_ERROR, True),
    ("a priority on itself", [frame(PRIORITY, 0, 1, b"\0\0\0\1\0")], PROTOCOL_ERROR, True),
    ("a priority of the connection", [frame(PRIORITY, 0, 0, b"\0\0\0\1\0")], PROTOCOL_ERROR, True),
    ("a head of the connection", [headers(0, BLOCK)], PROTOCOL_ERROR, True),
    ("content of the connection", [data(0, b"a")], PROTOCOL_ERROR, True),
    ("a reset of the connection", [rst(0)], PROTOCOL_ERROR, True),
    ("settings of a stream", [frame(SETTINGS, 0, 1, b"")], PROTOCOL_ERROR, True),
    ("a ping of a stream", [frame(PING, 0, 1, b"12345678")], PROTOCOL_ERROR, True),
    ("goaway of a stream", [frame(GOAWAY, 0, 1, b"\0" * 8)], PROTOCOL_ERROR, True),
    *(
        (f"{frames.NAMES[kind]} of seven bytes", [OPEN, frame(kind, flags, number, b"1234567")], FRAME_SIZE_ERROR, True)
        for kind, flags, number in (
            (PRIORITY, 0, 1), (RST_STREAM, 0, 1), (PING, 0, 0), (WINDOW_UPDATE, 0, 0), (SETTINGS, 0, 0), (SETTINGS, ACK, 0),
            (GOAWAY, 0, 0),
        )
    ),
    ("push that is neither on nor off", [settings((2, 2))], PROTOCOL_ERROR, True),
    ("a window above the highest", [settings((4, 1 << 31))], FLOW_CONTROL_ERROR, True),
    ("frames too short", [settings((5, 16383))], PROTOCOL_ERROR, True),
    ("frames too long", [settings((5, 1 << 24))], PROTOCOL_ERROR, True),
    ("connect that is neither on nor off", [settings((8, 2))], PROTOCOL_ERROR, True),
    ("connect that is taken back", [settings((8, 1)), settings((8, 0))], PROTOCOL_ERROR, True),
    ("no more window", [window_update(0, 0)], PROTOCOL_ERROR, True),
    ("more window than the highest", [window_update(0, 0x7FFFFFFF)], FLOW_CONTROL_ERROR, True),
    ("a window that becomes too high with the settings", [OPEN, window_update(1, 0x7FFF0000), settings((4, 0x20000))],
     FLOW_CONTROL_ERROR, True),
    ("a block that cannot be decoded", [headers(1, b"\x80")], COMPRESSION_ERROR, True),
    ("trailers that cannot be decoded", [OPEN, headers(1, b"\x80")], COMPRESSION_ERROR, True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "code", "greeted"), WRONG, ids=[row[0] for row in WRONG])
def test_what_ends_the_connection(name: str, sent: list[bytes], code: int, greeted: bool) -> None:
    end = End(greeted=greeted)
    if not greeted:
        end.give(PREFACE)
    end.give(*sent)
    assert end.recorder.failure is not None
    assert end.recorder.failure[0] == code
    kind, _, _, payload = end.take()[-1]
    assert (kind, payload[4:8], payload[8:]) == (GOAWAY, bytes([0, 0, 0, code]), end.recorder.failure[1].encode())
    end.give(headers(99, BLOCK))
    assert end.output() == b""
    assert 99 not in end.recorder.heads


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", b"\0", PREFACE[:-1] + b"\r"])
def test_what_does_not_begin_as_http_2_is_told_at_once(sent: bytes) -> None:
    end = End(greeted=False)
    end.give(sent)
    assert end.recorder.failure == (PROTOCOL_ERROR, "bad client magic byte string")


RIGHT = [
    ("an unknown frame", [frame(99, 0xFF, 0, b"abc"), frame(98, 0xFF, 7, b"abc")]),
    ("unknown settings", [settings((0x99, 5), (9, 1))]),
    ("a priority of an idle stream", [frame(PRIORITY, 0, 9, b"\0\0\0\1\0")]),
    ("a reset of a closed stream", [OPEN, rst(1), rst(1)]),
    ("a window of a closed stream", [OPEN, rst(1), window_update(1, 5)]),
    ("a priority of a closed stream", [OPEN, rst(1), frame(PRIORITY, 0, 1, b"\0\0\0\3\0")]),
    (
        "padding",
        [frame(HEADERS, END_HEADERS | PADDED, 1, b"\x03" + BLOCK + b"\0\0\0"), frame(DATA, 9, 1, b"\x02ab\0\0")],
    ),
    ("nothing but padding", [OPEN, frame(DATA, PADDED | END_STREAM, 1, b"\x02\0\0")]),
    ("a head with a priority", [frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0\3\x10" + BLOCK)]),
    ("a block in pieces", [frame(HEADERS, 1, 1, BLOCK[:5]), frame(9, 0, 1, BLOCK[5:9]), frame(9, 4, 1, BLOCK[9:])]),
    ("the reserved bit", [WHOLE[:5] + b"\x80" + WHOLE[6:]]),
    ("goaway of a client", [frame(GOAWAY, 0, 0, b"\0" * 8), WHOLE]),
]


@pytest.mark.parametrize(("name", "sent"), RIGHT, ids=[row[0] for row in RIGHT])
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
def test_what_is_taken(name: str, sent: list[bytes], bytewise: bool) -> None:
    end = End()
    whole = b"".join(sent)
    for piece in [whole[at : at + 1] for at in range(len(whole))] if bytewise else [whole]:
        end.give(piece)
    assert end.recorder.failure is None
    end.give(headers(11, BLOCK))
    assert end.recorder.heads[11].host == b"a"


def test_pings_are_answered() -> None:
    end = End()
    end.give(frame(PING, 0, 0, b"12345678"))
    assert end.take() == [(PING, ACK, 0, b"12345678")]
    end.session.ping(b"abcdefgh")
    assert end.take() == [(PING, 0, 0, b"abcdefgh")]
    end.give(frame(PING, ACK, 0, b"abcdefgh"))
    assert end.recorder.events == [(0, "pong", b"abcdefgh")]


def test_a_request_and_its_answer() -> None:
    end = End()
    end.give(OPEN, data(1, b"abc"), data(1, b"d", end=True))
    assert end.recorder.events == [(1, "head", False), (1, "data", b"abc", False), (1, "data", b"d", True)]
    stream = end.recorder.streams[1]
    end.session.interim(stream, 103, [field_of(b"link", b"x")])
    end.session.respond(stream, 200, [field_of(b"a", b"b")], False)
    end.session.data(stream, b"efg", False)
    end.session.trailers(stream, [field_of(b"c", b"d")])
    assert [(kind, flags) for kind, flags, _, _ in end.take()] == [
        (HEADERS, END_HEADERS),
        (HEADERS, END_HEADERS),
        (DATA, 0),
        (HEADERS, END_HEADERS | END_STREAM),
    ]
    assert not end.session.streams


def test_what_is_sent_on_a_stream_that_is_over_is_dropped() -> None:
    end = End()
    end.give(OPEN)
    stream = end.recorder.streams[1]
    end.session.respond(stream, 200, [], True)
    end.session.data(stream, b"abc", True)
    end.session.trailers(stream, [])
    end.session.respond(stream, 200, [], True)
    assert len(end.take()) == 1
    end.session.reset(stream, frames.NO_ERROR)
    assert end.take() == [(RST_STREAM, 0, 1, b"\0\0\0\0")]
    end.session.reset(stream, frames.NO_ERROR)
    end.session.data(stream, b"abc", True)
    assert end.output() == b""


def test_frames_on_a_stream_that_we_gave_up_are_ignored_but_counted() -> None:
    end = End()
    end.give(OPEN)
    end.session.reset(end.recorder.streams[1], frames.CANCEL)
    window = end.session._receive_window + end.session._credit
    insert = b"\x40" + literals((b"x", b"y"))[1:]
    end.give(data(1, b"abc"), window_update(1, 5), headers(1, insert), rst(1), headers(3, BLOCK + b"\xbe"))
    assert end.recorder.failure is None
    assert end.recorder.heads[3].get(b"x") == b"y"
    assert end.session._receive_window + end.session._credit == window
    assert 1 not in end.recorder.content


def test_more_streams_than_allowed_are_refused() -> None:
    end = End(Settings(max_concurrent_streams=2))
    insert = b"\x40" + literals((b"x", b"y"))[1:]
    end.give(*(headers(number, BLOCK + insert, end=False) for number in (1, 3, 5)))
    assert list(end.recorder.heads) == [1, 3]
    assert end.take() == [(RST_STREAM, 0, 5, bytes([0, 0, 0, REFUSED_STREAM]))]
    end.session.respond(end.recorder.streams[1], 200, [], True)
    end.give(data(1, b"", end=True), data(5, b"abc"), headers(7, BLOCK + b"\xbe"))
    assert end.recorder.failure is None
    assert end.recorder.heads[7].get(b"x") == b"y"


def test_a_client_opens_as_many_streams_as_the_server_takes() -> None:
    end = End(Settings(max_concurrent_streams=3), client=True, greeted=False)
    assert end.session.can_open
    end.give(settings((3, 2)))
    for _ in range(2):
        end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    assert not end.session.can_open
    end.give(headers(1, literals((b":status", b"200"))))
    assert end.session.can_open
    end.give(settings((3, 1000)))
    assert end.session.peer_streams == 3


def test_reset_by_the_peer_is_told_with_envoys_words() -> None:
    end = End(client=True)
    for code in (REFUSED_STREAM, frames.CANCEL):
        stream = end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
        end.give(rst(stream.id, code))
    assert end.recorder.events == [
        (1, "reset", REFUSED_STREAM, "http2.remote_refuse"),
        (3, "reset", frames.CANCEL, "http2.remote_reset"),
    ]
    assert not end.session.streams


def test_goaway_of_a_server_gives_back_the_streams_that_it_did_not_take() -> None:
    end = End(client=True)
    for _ in range(3):
        end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    end.give(frame(GOAWAY, 0, 0, frames.TWO_NUMBERS.pack(0x7FFFFFFF, 0)))
    assert not end.session.can_open
    assert end.recorder.events == [(0, "goaway", 0x7FFFFFFF, 0)]
    end.give(frame(GOAWAY, 0, 0, frames.TWO_NUMBERS.pack(3, 0) + b"text"))
    assert end.recorder.events[1:] == [(0, "goaway", 3, 0), (5, "reset", REFUSED_STREAM, "http2.remote_refuse")]
    end.give(headers(1, literals((b":status", b"200"))), headers(3, literals((b":status", b"200"))))
    assert end.recorder.ended == {1, 3}


def test_a_graceful_end_takes_what_is_on_its_way_and_ignores_what_comes_later() -> None:
    end = End()
    end.give(OPEN)
    end.session.shutdown_notice()
    end.give(headers(3, BLOCK))
    end.session.goaway()
    assert [payload for kind, _, _, payload in end.take() if kind == GOAWAY] == [
        frames.TWO_NUMBERS.pack(0x7FFFFFFF, 0),
        frames.TWO_NUMBERS.pack(3, 0),
    ]
    insert = b"\x40" + literals((b"x", b"y"))[1:]
    end.give(headers(5, BLOCK + insert, end=False), data(5, b"abc"), window_update(5, 1), headers(5, BLOCK), rst(5))
    assert end.recorder.failure is None
    assert list(end.recorder.heads) == [1, 3]
    end.give(headers(1, b"\xbe"))  # the table has what was ignored
    assert end.recorder.trailers[1] == [(b"x", b"y")]
    for number in (1, 3):
        end.session.respond(end.recorder.streams[number], 200, [], True)
    assert not end.session.streams


def test_a_long_head_is_sent_in_several_frames() -> None:
    end = End(client=True)
    end.session.request(b"GET", b"http", b"a", b"/", [field_of(b"x", b"y" * 40000)], True, 0.0)
    found = end.take()
    assert [(kind, flags) for kind, flags, _, _ in found] == [
        (HEADERS, END_STREAM),
        (CONTINUATION, 0),
        (CONTINUATION, END_HEADERS),
    ]
    other = End()
    other.give(b"".join(frame(kind, flags, number, payload) for kind, flags, number, payload in found))
    assert other.recorder.heads[1].get(b"x") == b"y" * 40000


def test_an_extended_connect_carries_bytes() -> None:
    end, server = End(client=True, greeted=False), End(Settings(allow_connect=True), greeted=False)
    end.give(server.output())
    assert end.session.peer_connects
    stream = end.session.connect(b"websocket", b"http", b"a", b"/chat", [], 0.0)
    server.give(end.output())
    assert server.recorder.heads[1].upgrade == b"websocket"
    server.session.respond(server.recorder.streams[1], 200, [], False)
    end.session.data(stream, b"abc", False)
    server.give(end.output())
    end.give(server.output())
    assert (end.recorder.heads[1].chunked, server.recorder.content[1]) == (False, b"abc")


def test_a_client_refuses_what_only_a_client_may_do() -> None:
    for sent in (headers(2, literals((b":status", b"200"))), headers(1, literals((b":status", b"200")))):
        end = End(client=True)
        end.give(sent)
        assert end.recorder.failure is not None
    end = End(client=True)
    end.give(settings((2, 1)))
    assert end.recorder.failure is not None
    end = End(client=True)
    end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    end.give(data(1, b"content before a head"))
    assert end.recorder.events == [(1, "reset", PROTOCOL_ERROR, "http2.violation.of.messaging.rule")]


def test_nothing_is_sent_after_a_failure_but_its_reason() -> None:
    end = End()
    end.give(OPEN)
    end.session.data(end.recorder.streams[1], b"", False)
    end.give(window_update(0, 0))
    stream = end.recorder.streams[1]
    end.session.respond(stream, 200, [], False)
    end.session.data(stream, b"abc", True)
    end.session.trailers(stream, [])
    end.session.reset(stream, 0)
    end.session.ping(b"12345678")
    end.session.goaway()
    assert [kind for kind, _, _, _ in end.take()] == [GOAWAY]
