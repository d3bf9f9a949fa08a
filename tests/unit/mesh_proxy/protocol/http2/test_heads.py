"""Heads out of header blocks: what a good one says, and which are malformed, with Envoy's word for it.

`tests/integration/mesh_proxy/http2/test_like_envoy.py` asks a real Envoy about the same rows.
"""

import pytest

from mesh_proxy.protocol.http1 import HOST, PASS, Field, Head
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.heads import DROP_HEADER, REJECT_REQUEST
from mesh_proxy.protocol.http2.settings import Settings
from tests.support.http2_recorder import GET, GREETING, End, data, headers, literals, pairs
from tests.support.http2_rows import ACCEPTED, LARGE, MALFORMED, TRAILERS, Row

ALONE = Settings(stream_error_on_invalid_http_message=True)


def received(*fields: tuple[bytes, bytes], settings: Settings | None = None) -> Head:
    end = End(settings)
    end.give(headers(1, literals(*fields)))
    assert end.recorder.failure is None
    return end.recorder.heads[1]


def test_a_request_is_a_head_like_one_of_http_1() -> None:
    head = received(*GET[:2], (b":path", b"/a?b"), GET[3], (b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"0"))
    assert (head.method, head.scheme, head.target, head.host) == (b"GET", b"http", b"/a?b", b"a")
    assert (head.length, head.chunked, head.minor, head.close) == (0, False, 1, False)
    assert head.get(b"x-a") == b"1,2"
    assert pairs(head.fields)[0] == (b"host", b"a")
    assert head.fields[0].kind == HOST
    assert head.fields[1] == Field(PASS, b"x-a", b"1", b"x-a: 1\r\n")


def test_content_without_a_length_is_as_if_in_chunks() -> None:
    end = End()
    end.give(headers(1, literals(*GET), end=False))
    assert end.recorder.heads[1].chunked


def test_the_authority_counts_where_host_says_something_else() -> None:
    head = received(*GET, (b"host", b"b"))
    assert (head.host, head.values(b"host")) == (b"a", [b"a"])
    head = received(*GET[:3], (b"host", b"b"))
    assert (head.host, head.values(b"host")) == (b"b", [b"b"])


def test_the_crumbs_of_a_cookie_are_one_field_where_the_first_one_stood() -> None:
    head = received(*GET, (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f"))
    assert pairs(head.fields)[1:] == [(b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")]
    assert head.fields[1].line == b"cookie: a=b; c=d; e=f\r\n"
    assert received(*GET, (b"cookie", b"a=b")).fields[1] == Field(PASS, b"cookie", b"a=b", b"cookie: a=b\r\n")


def test_expectation_and_date_are_noted_and_te_goes_on() -> None:
    head = received(*GET, (b"expect", b"100-Continue"), (b"date", b"x"), (b"te", b"trailers"))
    assert (head.expect, head.dated) == (True, True)
    assert head.fields[-1] == Field(PASS, b"te", b"trailers", b"te: trailers\r\n")


def test_an_extended_connect_is_an_upgrade_where_it_is_allowed() -> None:
    fields = ((b":method", b"CONNECT"), *GET[1:], (b":protocol", b"WebSocket"))
    head = received(*fields, settings=Settings(allow_connect=True))
    assert (head.method, head.upgrade, head.target) == (b"CONNECT", b"websocket", b"/")


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_what_is_taken(row: Row) -> None:
    end = End()
    end.give(headers(1, literals(*row.fields)))
    assert end.recorder.failure is None
    assert 1 in end.recorder.heads


@pytest.mark.parametrize("row", MALFORMED, ids=lambda row: row.name)
@pytest.mark.parametrize("settings", [Settings(), ALONE], ids=["as by default", "streams alone"])
def test_what_is_malformed(row: Row, settings: Settings) -> None:
    end = End(settings)
    end.give(headers(1, literals(*row.fields)))
    recorder = end.recorder
    assert recorder.events == [(1, "reset", frames.PROTOCOL_ERROR, row.details)]
    assert 1 not in recorder.heads
    reset = frames.frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x01")
    if settings is ALONE:
        assert recorder.failure is None
        assert end.output() == reset
    else:
        assert recorder.failure == (frames.PROTOCOL_ERROR, row.details)
        assert end.output() == frames.goaway(1, frames.PROTOCOL_ERROR, row.details.encode())


@pytest.mark.parametrize("row", LARGE, ids=lambda row: row.name)
def test_what_is_too_much_ends_its_stream_alone(row: Row) -> None:
    end = End()
    end.give(headers(1, literals(*row.fields)))
    assert end.recorder.failure is None
    assert end.recorder.events == [(1, "reset", frames.INTERNAL_ERROR, row.details)]
    end.give(headers(3, literals(*GET)))
    assert 3 in end.recorder.heads


@pytest.mark.parametrize("row", TRAILERS, ids=lambda row: row.name)
def test_trailers(row: Row) -> None:
    end = End()
    end.give(headers(1, literals(*GET), end=False), headers(1, literals(*row.fields), end=row.end))
    if row.details:
        assert end.recorder.failure == (frames.PROTOCOL_ERROR, row.details)
    else:
        assert end.recorder.failure is None
        kept = [(name, value) for name, value in row.fields if name not in (b"host", b"x-forwarded-for", b"cookie")]
        assert end.recorder.trailers[1] == kept


@pytest.mark.parametrize(
    ("action", "details"),
    [(REJECT_REQUEST, "http2.unexpected_underscore"), (DROP_HEADER, "")],
    ids=["rejected", "dropped"],
)
def test_underscores(action: str, details: str) -> None:
    end = End(Settings(headers_with_underscores_action=action))
    end.give(headers(1, literals(*GET, (b"a_b", b"c"), (b"d", b"e"))))
    if details:
        assert end.recorder.events == [(1, "reset", frames.INTERNAL_ERROR, details)]
    else:
        assert pairs(end.recorder.heads[1].fields)[1:] == [(b"d", b"e")]


ANSWERS = [
    ("answer", ((b":status", b"200"), (b"a", b"b")), True, ""),
    ("no status", ((b"a", b"b"),), True, "http2.violation.of.messaging.rule"),
    ("two", ((b":status", b"200"), (b":status", b"200")), True, "http2.invalid.header.field"),
    ("status behind fields", ((b"a", b"b"), (b":status", b"200")), True, "http2.invalid.header.field"),
    ("status that is none", ((b":status", b"20"),), True, "http2.invalid.header.field"),
    ("status of words", ((b":status", b"abc"),), True, "http2.invalid.header.field"),
    ("a request's field", ((b":status", b"200"), (b":path", b"/")), True, "http2.invalid.header.field"),
    ("connection", ((b":status", b"200"), (b"connection", b"close")), True, "http2.invalid.header.field"),
    ("101", ((b":status", b"101"),), False, "http2.violation.of.messaging.rule"),
    ("interim at the end", ((b":status", b"103"),), True, "http2.violation.of.messaging.rule"),
    ("length of what does not come", ((b":status", b"200"), (b"content-length", b"3")), True,
     "http2.violation.of.messaging.rule"),
    ("304 with a length", ((b":status", b"304"), (b"content-length", b"3")), True, ""),
    ("204", ((b":status", b"204"),), True, ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "last", "details"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_answers(name: str, fields: tuple[tuple[bytes, bytes], ...], last: bool, details: str) -> None:
    end = End(ALONE, client=True)
    stream = end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    end.give(headers(stream.id, literals(*fields), end=last))
    if details:
        assert end.recorder.events == [(1, "reset", frames.PROTOCOL_ERROR, details)]
    else:
        assert end.recorder.heads[1].status == int(fields[0][1])
        assert not end.session.streams


def test_the_answer_to_head_has_a_length_and_no_content() -> None:
    end = End(ALONE, client=True)
    answer = literals((b":status", b"200"), (b"content-length", b"3"))
    stream = end.session.request(b"HEAD", b"http", b"a", b"/", [], True, 0.0)
    end.give(headers(stream.id, answer))
    assert end.recorder.heads[1].length == 3
    other = end.session.request(b"HEAD", b"http", b"a", b"/", [], True, 0.0)
    end.give(headers(other.id, answer, end=False), data(other.id, b"abc", end=True))
    assert end.recorder.events[-1] == (3, "reset", frames.PROTOCOL_ERROR, "http2.violation.of.messaging.rule")


def test_interim_answers_come_before_the_answer() -> None:
    end = End(client=True)
    stream = end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    for status in (b"100", b"103", b"200"):
        end.give(headers(stream.id, literals((b":status", status)), end=status == b"200"))
    assert end.recorder.events == [(1, "interim", 100), (1, "interim", 103), (1, "head", True)]


LENGTHS = [
    ("exact", [b"ab", b"c"], "3", True),
    ("short", [b"ab"], "3", False),
    ("long", [b"ab", b"cd"], "3", False),
    ("long at once", [b"abcd"], "3", False),
    ("none", [b""], "0", True),
]


@pytest.mark.parametrize(("name", "pieces", "length", "good"), LENGTHS, ids=[row[0] for row in LENGTHS])
@pytest.mark.parametrize("trailing", [False, True], ids=["ends with content", "ends with trailers"])
def test_content_is_as_long_as_was_said(
    name: str, pieces: list[bytes], length: str, good: bool, trailing: bool
) -> None:
    end = End()
    end.give(headers(1, literals(*GET, (b"content-length", length.encode())), end=False))
    for piece in pieces[:-1]:
        end.give(data(1, piece))
    end.give(data(1, pieces[-1], end=not trailing))
    if trailing and end.recorder.events[-1][1] != "reset":
        end.give(headers(1, literals((b"a", b"b"))))
    assert (1 in end.recorder.ended) == good
    broken = (1, "reset", frames.PROTOCOL_ERROR, "http2.violation.of.messaging.rule")
    assert (end.recorder.events[-1] == broken) == (not good)
    assert end.recorder.failure is None  # as in Envoy, whatever the settings say


def test_blocks_that_are_known_give_heads_of_their_own() -> None:
    end = End()
    block = literals(*GET, (b"x", b"y"))
    for number in (1, 3, 5):
        end.give(headers(number, block, end=number != 5))
        end.recorder.heads[number].fields.clear()
        end.recorder.heads[number].target = b"/changed"
    end.give(headers(7, block))
    head = end.recorder.heads[7]
    assert (head.target, pairs(head.fields)) == (b"/", [(b"host", b"a"), (b"x", b"y")])
    assert (end.recorder.heads[5].chunked, head.chunked) == (True, False)


def test_a_known_block_is_read_anew_when_the_table_has_changed() -> None:
    end = End()
    insert = b"\x40" + literals((b"x", b"1"))[1:]
    block = literals(*GET) + b"\xbe"
    end.give(headers(1, literals(*GET) + insert))
    end.give(headers(3, block), headers(5, block), headers(7, literals(*GET) + b"\x40" + literals((b"x", b"2"))[1:]))
    end.give(headers(9, block))
    assert [end.recorder.heads[number].get(b"x") for number in (1, 3, 5, 7, 9)] == [b"1", b"1", b"1", b"2", b"2"]


def test_a_table_that_must_shrink_makes_known_blocks_unknown() -> None:
    end = End(Settings(hpack_table_size=100), greeted=False)
    block = literals(*GET)
    end.give(frames.PREFACE, GREETING[:9], headers(1, block), headers(3, block))
    assert list(end.recorder.heads) == [1, 3]
    end.give(GREETING[9:], headers(5, b"\x3f\x45" + block), headers(7, block))
    assert list(end.recorder.heads) == [1, 3, 5, 7]
    end = End(Settings(hpack_table_size=100), greeted=False)
    end.give(frames.PREFACE, GREETING[:9], headers(1, block), GREETING[9:], headers(3, block))
    assert end.recorder.failure is not None
    assert end.recorder.failure[0] == frames.COMPRESSION_ERROR


def test_the_memo_is_bounded_and_rests_when_it_is_of_no_use() -> None:
    end = End()
    reader = end.session._reader
    for number in range(1, 4001, 2):
        end.give(headers(number, literals(*GET, (b"x", b"%d" % number))))
        end.session.respond(end.recorder.streams[number], 200, [], True)
        assert len(reader._heads) + len(reader._trailers) <= 256
    assert reader._rest > 0


def test_fields_of_an_answer_that_say_something_are_noted() -> None:
    end = End(client=True)
    end.session.request(b"GET", b"http", b"a", b"/", [], True, 0.0)
    end.give(
        headers(
            1, literals((b":status", b"200"), (b"content-length", b"3"), (b"date", b"x"), (b"set-cookie", b"a")), False
        )
    )
    head = end.recorder.heads[1]
    assert (head.length, head.dated, head.chunked) == (3, True, False)
    found: list[Field] = head.fields
    assert pairs(found) == [(b"content-length", b"3"), (b"date", b"x"), (b"set-cookie", b"a")]
