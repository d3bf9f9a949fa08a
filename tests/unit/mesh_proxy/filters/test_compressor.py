"""Bodies in gzip; ``tests/parity/cases/compression`` asks Envoy, too."""

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.config import Compression, CompressorFilter, CompressorOverride, Gzip
from mesh_proxy.filters.bodies import BodyChange
from mesh_proxy.filters.compressor import Compressed, Compressor
from mesh_proxy.filters.encodings import has_token, preferred
from mesh_proxy.protocol.http1 import HOP, LENGTH, Field, Head, field_of
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import head, route, table

TEXT = b"the same again " * 100


def plain(data: bytes) -> bytes:
    work = zlib.decompressobj(zlib.MAX_WBITS + 16)
    made = work.decompress(data)
    assert work.eof
    return made


@given(st.lists(st.binary(min_size=1, max_size=500), max_size=8), st.booleans(), st.integers(-1, 9), st.integers(9, 15))
def test_what_goes_in_comes_out(parts: list[bytes], known: bool, level: int, window: int) -> None:
    counters = Counters("")
    length = sum(map(len, parts)) if known else -1
    work = Compressed(Gzip(level, 0, window), counters, "", length)
    made, reader = b"", zlib.decompressobj(zlib.MAX_WBITS + 16)
    seen = b""
    for place, part in enumerate(parts):
        made += (now := work.take(part))
        seen += reader.decompress(now)
        if place < len(parts) - 1:
            assert seen == b"".join(parts[: place + 1])  # nobody waits for what is still to come
    made += work.finish([])
    assert plain(made) == b"".join(parts)
    assert counters.values["total_uncompressed_bytes"] == sum(map(len, parts))
    assert counters.values["total_compressed_bytes"] == len(made)


def answered(accepts: str, **settings: Any) -> tuple[BodyChange | None, list[Field], Head]:
    answer = Head()
    answer.status, answer.length = 200, len(TEXT)
    fields = [Field(LENGTH, b"content-length", b"1500", b""), field_of(b"content-type", b"text/plain")]
    item = Compressor(CompressorFilter("gzip", **settings), Counters(""))
    asked = head("/", f"accept-encoding: {accepts}")
    change = item.change_response(asked, None, answer, fields, False)
    return change, fields, answer


def test_an_answer_in_another_form_has_no_length_and_says_so() -> None:
    change, fields, answer = answered("gzip")
    assert change is not None
    assert answer.length == -1
    assert {field.name: field.value for field in fields} == {
        b"content-type": b"text/plain",
        b"content-encoding": b"gzip",
        b"vary": b"Accept-Encoding",
    }
    assert plain(change.take(TEXT) + change.finish([])) == TEXT


@pytest.mark.parametrize(
    ("accepts", "settings"),
    [
        ("br", {}),
        ("gzip", {"response": Compression(False)}),
        ("gzip", {"response": Compression(min_content_length=1501)}),
        ("gzip", {"response": Compression(content_types=("text/html",))}),
        ("gzip", {"uncompressible_statuses": (200,)}),
    ],
)
def test_what_stays_as_it_is_has_its_length(accepts: str, settings: dict[str, Any]) -> None:
    change, fields, answer = answered(accepts, **settings)
    assert change is None
    assert answer.length == len(TEXT)
    assert fields[0].kind == LENGTH


def test_hosts_are_not_told_what_clients_take_where_that_is_wanted() -> None:
    item = Compressor(CompressorFilter("gzip", remove_accept_encoding=True), Counters(""))
    asked = head("/", "accept-encoding: gzip")
    assert item.change_request(asked, None, True) is None
    assert asked.get(b"accept-encoding") == b"gzip"  # for the answer
    assert not [field for field in asked.fields if field.name == b"accept-encoding" and field.kind == 0]


@pytest.mark.parametrize(
    ("accepted", "how"),
    [
        (None, "no_accept_header"),
        (b"", "header_not_valid"),
        (b"br", "header_not_valid"),
        (b"gzip", "header_compressor_used"),
        (b"gzip;q=0", "header_not_valid"),
        (b"gzip;q=x", "header_not_valid"),
        (b"gzip;q=.", "header_not_valid"),
        (b"gzip;q=", "header_not_valid"),
        (b"gzip;q=1.2.3", "header_not_valid"),
        (b"br, gzip ; Q = 0.5", "header_compressor_used"),
        (b"gzip;q=0.5, identity;q=0.5", "header_compressor_used"),
        (b"identity, gzip", "header_identity"),
        (b"*", "header_wildcard"),
        (b"gzip;q=0, *", "header_identity"),
        (b"*;q=0.1, gzip;q=0.2", "header_compressor_used"),
    ],
)
def test_what_clients_take(accepted: bytes | None, how: str) -> None:
    assert preferred(accepted) == how


@given(st.binary(max_size=60))
def test_nothing_that_clients_say_is_a_fault(accepted: bytes) -> None:
    assert preferred(accepted).startswith(("header_", "no_"))
    has_token(accepted, b"gzip")


@pytest.mark.parametrize(
    ("said", "by_itself", "compressed", "hidden"),
    [
        (None, True, True, False),
        (CompressorOverride(), True, True, False),
        (CompressorOverride(enabled=False), True, False, False),
        (CompressorOverride(enabled=True), False, True, False),
        (CompressorOverride(True, True), False, True, True),
        (CompressorOverride(name="own", gzip=Gzip(1, 0, 9)), True, True, False),
        (CompressorOverride(name="own", gzip=Gzip(1, 0, 9)), False, False, False),
    ],
)
def test_routes_have_the_last_word(
    said: CompressorOverride | None, by_itself: bool, compressed: bool, hidden: bool
) -> None:
    item = Compressor(CompressorFilter("gzip", response=Compression(by_itself)), Counters(""))
    host = table(route(compressor=said)).host(b"h")
    assert host is not None
    found, asked, answer = host.routes[0], head("/", "accept-encoding: gzip"), Head()
    item.change_request(asked, found, True)
    assert (HOP in [field.kind for field in asked.fields if field.name == b"accept-encoding"]) is hidden
    answer.status, answer.length = 200, len(TEXT)
    change = item.change_response(asked, found, answer, [field_of(b"content-type", b"text/plain")], False)
    assert (change is not None) is compressed
    if change is not None:
        assert plain(change.take(TEXT) + change.finish([])) == TEXT
