"""HPACK: the examples of RFC 7541, and random blocks against the library `hpack` in both directions."""

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_proxy.protocol.http1 import PASS, Field, field_of
from mesh_proxy.protocol.http2.fields import INVALID, STATIC, Names
from mesh_proxy.protocol.http2.hpack_decoder import Decoder
from mesh_proxy.protocol.http2.hpack_encoder import Encoder, integer
from mesh_proxy.protocol.http2.huffman import Huffman
from tests.support.http2_recorder import literals, pairs

NAMES, HUFFMAN = Names(), Huffman()
Pairs = list[tuple[bytes, bytes]]


def decoder(max_size: int = 60 << 10, max_fields: int = 100) -> Decoder:
    return Decoder(NAMES, HUFFMAN, max_size, max_fields)


def decoded(decoder: Decoder, block: bytes) -> Pairs:
    fields = decoder.decode(block)
    assert fields is not None
    return pairs(fields)


def table(decoder: Decoder) -> Pairs:
    """The newest first, as the RFC prints it."""
    return pairs(decoder._table)[::-1]


FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECOND = [*FIRST, (b"cache-control", b"no-cache")]
THIRD = [FIRST[0], (b":scheme", b"https"), (b":path", b"/index.html"), FIRST[3], (b"custom-key", b"custom-value")]
PLAIN = (
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
)
CODED = (
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
)


@pytest.mark.parametrize("blocks", [PLAIN, CODED], ids=["C.3 without Huffman", "C.4 with Huffman"])
def test_requests_of_appendix_c(blocks: tuple[str, ...]) -> None:
    reader = decoder()
    assert [decoded(reader, bytes.fromhex(block)) for block in blocks] == [FIRST, SECOND, THIRD]
    assert table(reader) == [
        (b"custom-key", b"custom-value"),
        (b"cache-control", b"no-cache"),
        (b":authority", b"www.example.com"),
    ]
    assert reader._size == 164


@pytest.mark.parametrize(
    ("block", "expected", "inserted"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", (b"custom-key", b"custom-header"), True),
        ("040c2f73616d706c652f70617468", (b":path", b"/sample/path"), False),
        ("100870617373776f726406736563726574", (b"password", b"secret"), False),
        ("82", (b":method", b"GET"), False),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
)
def test_literals_and_indexes_of_appendix_c(block: str, expected: tuple[bytes, bytes], inserted: bool) -> None:
    reader = decoder()
    assert decoded(reader, bytes.fromhex(block)) == [expected]
    assert table(reader) == ([expected] if inserted else [])


RESPONSES = (
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e65"
    "78616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157"
    "454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
)
CODED_RESPONSES = (
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab27"
    "0fb5291f9587316065c003ed4ee5b1063d5007",
)


@pytest.mark.parametrize("blocks", [RESPONSES, CODED_RESPONSES], ids=["C.5", "C.6"])
def test_responses_of_appendix_c_evict_from_a_small_table(blocks: tuple[str, ...]) -> None:
    reader = decoder()
    reader.allow(256)
    assert decoded(reader, b"\x3f\xe1\x01" + bytes.fromhex(blocks[0]))[0] == (b":status", b"302")
    assert decoded(reader, bytes.fromhex(blocks[1]))[0] == (b":status", b"307")
    assert (
        decoded(reader, bytes.fromhex(blocks[2]))[-1][1] == b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
    )
    assert [name for name, _ in table(reader)] == [b"set-cookie", b"content-encoding", b"date"]
    assert reader._size == 215


@pytest.mark.parametrize(("value", "mask", "coded"), [(10, 31, "0a"), (1337, 31, "1f9a0a"), (42, 255, "2a")])
def test_integers_of_appendix_c(value: int, mask: int, coded: str) -> None:
    assert integer(value, mask, 0).hex() == coded


def test_the_static_table_is_that_of_the_oracle() -> None:
    assert pairs(STATIC[1:]) == list(hpack.table.HeaderTable.STATIC_TABLE)


BROKEN = [
    ("index 0", "80"),
    ("an index beyond the table", "be"),
    ("the name of an index beyond the table", "7e0161"),
    ("an integer without an end", "ff"),
    ("an integer that is too large", "ffffffffffffff7f"),
    ("an integer that is too long", "ff808080808000"),
    ("no name", "00"),
    ("a name without an end", "000561"),
    ("no value", "000161"),
    ("a value without an end", "0001610561"),
    ("a string longer than any", "00ffffffffffff7f"),
    ("bad Huffman", "0001618100"),
    ("a new size that is not at the beginning", "8220"),
    ("a new size above what was allowed", "3fe21f82"),
    ("a new size without an end", "3f"),
]


@pytest.mark.parametrize("block", [row[1] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_cannot_be_decoded_is_none(block: str) -> None:
    assert decoder().decode(bytes.fromhex(block)) is None


def test_a_smaller_table_must_be_confirmed_by_the_next_block() -> None:
    reader = decoder()
    reader.allow(100)
    assert reader.decode(b"\x82") is None
    reader = decoder()
    reader.allow(100)
    assert decoded(reader, b"\x3f\x45\x82") == [(b":method", b"GET")]
    assert decoded(reader, b"\x82") == [(b":method", b"GET")]


def test_a_list_that_is_too_long_is_read_for_its_table_alone() -> None:
    reader = decoder(max_size=21)
    assert decoded(reader, bytes.fromhex(PLAIN[0])) == FIRST[:2]
    assert reader.oversized
    assert decoded(reader, b"\xbe") == []  # ``:authority``, which has been inserted, is longer than allowed
    assert decoded(reader, b"\x82") == [(b":method", b"GET")]
    assert not reader.oversized


def test_indexes_of_a_large_entry_do_not_become_a_list_of_them() -> None:
    reader = decoder()
    bomb = b"\x40" + literals((b"a", b"x" * 4000))[1:] + b"\xbe" * 60000
    fields = reader.decode(bomb)
    assert fields is not None
    assert reader.oversized
    assert len(fields) <= 16
    reader = decoder()
    fields = reader.decode(b"\x82" * 60000)
    assert fields is not None
    assert reader.crowded
    assert len(fields) == 100


def test_space_around_a_value_counts_in_the_table_but_is_none_of_the_value() -> None:
    reader, oracle = decoder(), hpack.Encoder()
    reader.allow(75)
    oracle.header_table_size = 75
    for _ in range(3):
        block = oracle.encode([(b"a", b"  b  "), (b"c", b"d"), (b"e", b"f")])
        assert decoded(reader, block) == [(b"a", b"b"), (b"c", b"d"), (b"e", b"f")]
    assert reader._size == sum(len(name) + len(value) + 32 for name, value in oracle.header_table.dynamic_entries)


NAME = st.one_of(
    st.sampled_from(
        [b"x-request-id", b"date", b"cookie", b"content-type", b"accept", b"a", b"grpc-timeout", b"set-cookie"]
    ),
    st.text("abcdefg-_", min_size=1, max_size=12).map(str.encode),
)
VALUE = st.one_of(
    st.sampled_from([b"", b"text/plain", b"application/grpc", b"1", b"x" * 130, b"y" * 5000]),
    st.binary(max_size=30).map(lambda value: bytes(byte for byte in value if 32 < byte < 127 or byte > 127)),
)
FIELDS = st.lists(st.tuples(NAME, VALUE), max_size=12)
STEP = st.one_of(FIELDS, st.integers(0, 8192), st.sampled_from([0, 64, 4096]))


@settings(max_examples=80, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=12), st.booleans())
def test_what_the_oracle_encodes_is_decoded(steps: list[Pairs | int], huffman: bool) -> None:
    oracle, reader = hpack.Encoder(), decoder(max_size=1 << 20)
    reader.allow(8192)
    for step in steps:
        if isinstance(step, int):
            if step != oracle.header_table_size:  # it forgets a size that is set twice
                oracle.header_table_size = step
            continue
        assert decoded(reader, oracle.encode(step, huffman)) == step
        entries = [(bytes(name), bytes(value)) for name, value in oracle.header_table.dynamic_entries]
        assert table(reader) == entries


@settings(max_examples=80, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=12), st.sampled_from([b"/", b"/a", b"/b/c?d", b"*"]))
def test_what_is_encoded_the_oracle_decodes(steps: list[Pairs | int], path: bytes) -> None:
    writer, oracle, reader = Encoder(), hpack.Decoder(max_header_list_size=1 << 20), decoder(max_size=1 << 20)
    limit = 4096
    for step in steps:
        if isinstance(step, int):
            writer.resize(step)
            limit = min(step, 4096)
            continue
        block = writer.request(b"POST", b"http", b"a:80", path, [field_of(*field) for field in step])
        expected = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a:80"), (b":path", path), *step]
        assert [(bytes(name), bytes(value)) for name, value in oracle.decode(block, raw=True)] == expected
        assert decoded(reader, block) == expected
        assert oracle.header_table._current_size <= limit
    assert writer._size <= writer._capacity


def test_equal_fields_become_equal_bytes_and_soon_nothing_but_indexes() -> None:
    writer = Encoder()
    fields = [field_of(b"content-type", b"application/grpc"), field_of(b"user-agent", b"grpc-go/1.60.0")]
    blocks = [writer.request(b"POST", b"http", b"a", b"/pkg.Service/Get", fields) for _ in range(4)]
    assert len(blocks[0]) > 40
    assert blocks[1] == blocks[2] == blocks[3]
    assert len(blocks[1]) == 6


def test_a_name_with_ever_new_values_takes_few_places() -> None:
    writer, oracle = Encoder(), hpack.Decoder()
    for number in range(500):
        fields = [
            field_of(b"x-request-id", b"%d" % number),
            field_of(b"x-own", b"%d" % number),
            field_of(b"x-last", b"same"),
        ]
        block = writer.response(200, fields)
        assert oracle.decode(block, raw=True)[1:] == [(field.name, field.value) for field in fields]
    names = [name for name, _ in oracle.header_table.dynamic_entries]
    assert (names.count(b"x-request-id"), names.count(b"x-own"), names.count(b"x-last")) == (1, 4, 1)
    assert writer._size < 400


def test_secrets_are_never_indexed() -> None:
    fields = [field_of(b"authorization", b"Basic x"), field_of(b"cookie", b"a=b"), field_of(b"x-a", b"b")]
    found = hpack.Decoder().decode(Encoder().trailers(fields), raw=True)
    assert [isinstance(field, hpack.NeverIndexedHeaderTuple) for field in found] == [True, True, False]


def test_what_is_about_the_connection_is_not_sent() -> None:
    fields = [
        field_of(name, b"x") for name in (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"host", b"a")
    ]
    for _ in range(2):
        assert decoded(decoder(), Encoder().trailers(fields)) == [(b"a", b"x")]


def test_names_and_values_of_no_bound_do_not_grow_the_tables() -> None:
    writer, names = Encoder(), Names()
    for number in range(3000):
        name = b"n%d" % number
        writer.trailers([field_of(name, b"v" * 20)])
        names.field(name, b"v")
        writer.request(b"GET", b"http", b"h%d" % number, b"/%d" % number, [])
    assert writer._size <= 4096
    bounded = (writer._known, writer._prefixes, writer._values_of, writer._leads, writer._places)
    assert max(len(one) for one in bounded) <= 256
    assert len(names._known) <= 4096


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_decoded_or_refused(blocks: list[bytes]) -> None:
    reader = decoder()
    for block in blocks:
        if reader.decode(block) is None:
            break
        assert reader._size == sum(reader._sizes) <= 4096


def test_an_invalid_field_has_its_place_in_the_table() -> None:
    reader = decoder()
    first: list[Field] | None = reader.decode(b"\x40\x01a\x01b\x40\x01A\x01b")
    assert first is not None
    assert [field.kind for field in first] == [PASS, INVALID]
    assert reader.decode(b"\xbf\xbe") == first
