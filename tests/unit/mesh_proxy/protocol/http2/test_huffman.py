"""Huffman: the same strings as the library `hpack`, and the same verdicts."""

import hpack.huffman
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.protocol.http2.huffman import Huffman

ENCODER = hpack.huffman.HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
HUFFMAN = Huffman()


@given(st.one_of(st.binary(max_size=200), st.text("abcdefghijk0123456789-./ =", max_size=100).map(str.encode)))
def test_what_is_encoded_is_decoded(text: bytes) -> None:
    assert HUFFMAN.decode(ENCODER.encode(text)) == text


@pytest.mark.parametrize("symbol", range(256))
def test_every_symbol_is_known(symbol: int) -> None:
    text = bytes([symbol]) * 3
    assert HUFFMAN.decode(ENCODER.encode(text)) == text


@given(st.binary(max_size=40))
def test_any_bytes_are_judged_as_the_oracle_does(code: bytes) -> None:
    try:
        expected: bytes | None = decode_huffman(code)
    except hpack.HPACKDecodingError:
        expected = None
    assert HUFFMAN.decode(code) == expected
    assert HUFFMAN.decode(code) == expected  # from the cache, too


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (b"\xff", "eight ones are more than padding"),
        (b"\x1f\xff", "padding of a byte and more"),
        (b"\x00", "padding of zeros"),
        (b"\xff\xff\xff\xff", "the symbol that ends strings"),
        (b"\xff\xff\xff\xfc", "that symbol and padding"),
    ],
)
def test_what_is_no_string_is_refused(code: bytes, why: str) -> None:
    assert HUFFMAN.decode(code) is None


def test_the_cache_is_bounded() -> None:
    huffman = Huffman()
    for number in range(5000):
        text = b"%d" % number
        assert huffman.decode(ENCODER.encode(text)) == text
    assert len(huffman._known) <= 2048
