"""Bodies that are read from gzip; ``tests/parity/cases/compression/gunzip*.yaml`` ask Envoy, too."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.config import Decompression, DecompressorFilter
from mesh_proxy.filters.decompressor import Decompressed, Decompressor, advertised
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import head

ERROR = "decompressor.plain.gzip.decompressor_library.zlib_data_error"


def reading(**settings: int) -> tuple[Decompressed, Counters]:
    counters = Counters("")
    return Decompressed(DecompressorFilter("Plain", **settings), counters, "response.", ERROR), counters


@given(st.binary(max_size=2000), st.lists(st.integers(1, 300), max_size=8))
def test_what_went_in_comes_out_however_it_is_cut(content: bytes, cuts: list[int]) -> None:
    work, counters = reading()
    left, made = gzip.compress(content), b""
    for cut in (*cuts, len(left)):
        part, left = left[:cut], left[cut:]
        made += work.take(part) if part else b""
    trailers: list[Field] = []
    assert made + work.finish(trailers) == content
    assert counters.values[ERROR] == 0
    assert [(field.name, field.value) for field in trailers] == [
        (b"x-envoy-decompressor-plain-compressed-bytes", b"%d" % counters.values["response.total_compressed_bytes"]),
        (b"x-envoy-decompressor-plain-uncompressed-bytes", b"%d" % len(content)),
    ]


@given(st.binary(max_size=200))
def test_whatever_comes_nothing_breaks(content: bytes) -> None:
    work, counters = reading()
    work.take(b"\x1f\x8b" + content)
    work.take(content or b"x")
    work.finish([])
    assert counters.values[ERROR] in (0, 1)


def test_what_becomes_far_too_large_is_cut_off() -> None:
    work, counters = reading(max_ratio=10)
    bomb = gzip.compress(b"x" * 1_000_000)
    made = work.take(bomb)
    assert 10 * len(bomb) < len(made) <= 10 * len(bomb) + 4096
    assert work.take(bomb) == b""
    assert counters.values[ERROR] == 1


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", b"gzip"),
        (b"br", b"br,gzip"),
        (b"gzip;q=0.1, br ,", b"br,gzip"),
        (b"GZIP", b"GZIP,gzip"),
        (b"gzip, gzip;q=0", b"gzip"),
    ],
)
def test_hosts_are_told_that_gzip_is_taken(accepted: bytes, expected: bytes) -> None:
    assert advertised(accepted) == expected


ANSWERS: list[tuple[dict[bytes, bytes], Decompression, bytes | None]] = [
    ({b"content-encoding": b"gzip"}, Decompression(), b""),
    ({b"content-encoding": b" GZip , br"}, Decompression(), b"br"),
    ({b"content-encoding": b"br, gzip"}, Decompression(), None),
    ({b"content-encoding": b"x-gzip"}, Decompression(), None),
    ({}, Decompression(), None),
    ({b"content-encoding": b"gzip"}, Decompression(enabled=False), None),
    ({b"content-encoding": b"gzip", b"cache-control": b"No-Transform"}, Decompression(), None),
    ({b"content-encoding": b"gzip", b"cache-control": b"no-transform"}, Decompression(ignore_no_transform=True), b""),
]


@pytest.mark.parametrize(("given", "direction", "left"), ANSWERS)
def test_which_answers_are_read(given: dict[bytes, bytes], direction: Decompression, left: bytes | None) -> None:
    counters = Counters("")
    item = Decompressor(DecompressorFilter("plain", response=direction), counters)
    answer, fields = Head(), [field_of(name, value) for name, value in given.items()]
    answer.status, answer.length = 200, 10
    change = item.change_response(head("/"), None, answer, fields, False)
    assert (change is None) is (left is None)
    if left is not None:
        assert answer.length == -1
        assert b",".join(field.value for field in fields if field.name == b"content-encoding") == left
    assert counters.values[f"decompressor.plain.gzip.response.{'not_' if left is None else ''}decompressed"] == 1
    assert item.change_response(head("/"), None, answer, fields, True) is None


def test_a_request_tells_what_is_taken_unless_answers_stay_as_they_are() -> None:
    for settings, expected in (
        (DecompressorFilter("plain"), b"gzip"),
        (DecompressorFilter("plain", advertise=False), None),
        (DecompressorFilter("plain", response=Decompression(False)), None),
    ):
        asked = head("/")
        assert Decompressor(settings, Counters("")).change_request(asked, None, True) is None
        assert asked.get(b"accept-encoding") == expected
