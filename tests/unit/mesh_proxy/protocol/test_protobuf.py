"""The encoding of protobuf, beside the library."""

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.protocol import protobuf

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_structs_are_read_as_the_library_writes_them(value: dict[str, object]) -> None:
    made = json_format.ParseDict(value, struct_pb2.Struct())
    assert protobuf.struct(made.SerializeToString()) == json_format.MessageToDict(made)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_fields_are_read_as_they_were_written(number: int, content: bytes) -> None:
    data = protobuf.number(3, number) + protobuf.text(200, content) + protobuf.message(1, b"")
    found = protobuf.read(data)
    assert (protobuf.number_of(found, 3), protobuf.bytes_of(found, 200)) == (number, content)
    assert protobuf.messages(found, 1) == [b""]


@given(st.binary(max_size=60))
def test_anything_may_come(data: bytes) -> None:
    try:
        protobuf.struct(data)
    except protobuf.BadProtobuf:
        return


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x08\xff", b"\x0a\x05abc", b"\x0b", b"\x02\x00", b"\x0d\x00\x00", b"\x80" * 11],
    ids=["no value", "cut number", "cut bytes", "group", "field 0", "cut 32 bits", "endless number"],
)
def test_what_is_no_message_is_told(data: bytes) -> None:
    with pytest.raises(protobuf.BadProtobuf):
        protobuf.read(data)


def test_a_field_of_another_kind_is_told() -> None:
    found = protobuf.read(protobuf.number(1, 5) + protobuf.text(2, b"a"))
    with pytest.raises(protobuf.BadProtobuf, match="field 1 is a number"):
        protobuf.bytes_of(found, 1)
    with pytest.raises(protobuf.BadProtobuf, match="field 2 is no number"):
        protobuf.number_of(found, 2)
    with pytest.raises(protobuf.BadProtobuf, match="field 1 is a number"):
        protobuf.messages(found, 1)


def test_a_struct_within_structs_without_end_is_told() -> None:
    value = b""
    for _ in range(300):
        entry = protobuf.text(1, b"a") + protobuf.message(2, protobuf.message(5, value))
        value = protobuf.message(1, entry)
    with pytest.raises(protobuf.BadProtobuf, match="no end"):
        protobuf.struct(value)
