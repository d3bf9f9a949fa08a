"""The messages of Istio's certificate service, against Istio's own definition where it can be had."""

import contextlib
import re

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh_api import identity_service as wire
from tests.support import go_programs

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(), st.integers(-(2**63), 2**63 - 1), st.dictionaries(st.text(), JSON, max_size=3))
def test_a_request_goes_there_and_back(csr: str, seconds: int, metadata: dict[str, object]) -> None:
    sent = wire.CertificateRequest(csr, seconds, metadata)
    assert wire.CertificateRequest.from_bytes(sent.to_bytes()) == sent


@given(st.lists(st.text()))
def test_a_response_goes_there_and_back(chain: list[str]) -> None:
    sent = wire.CertificateResponse(tuple(chain))
    assert wire.CertificateResponse.from_bytes(sent.to_bytes()) == sent


def test_the_bytes_are_protobufs_own() -> None:
    """Written out by hand: field 1, text; field 3, number; field 4, message."""
    metadata = struct_pb2.Struct(fields={"a": struct_pb2.Value(string_value="b")}).SerializeToString()
    expected = b"\x0a\x03csr" + b"\x18\x80\x1c" + b"\x22" + bytes([len(metadata)]) + metadata
    assert wire.CertificateRequest("csr", 3584, {"a": "b"}).to_bytes() == expected
    assert wire.CertificateResponse(("leaf", "root")).to_bytes() == b"\x0a\x04leaf\x0a\x04root"


@given(st.binary())
def test_no_bytes_surprise(data: bytes) -> None:
    for kind in (wire.CertificateRequest, wire.CertificateResponse):
        with contextlib.suppress(wire.MessageError):
            kind.from_bytes(data)


def test_a_field_that_is_unknown_is_passed_over() -> None:
    """As everywhere in protobuf: a newer agent may say more."""
    assert wire.CertificateRequest.from_bytes(b"\x0a\x01x\x2a\x03new").csr == "x"


def test_numbers_that_json_has_not() -> None:
    not_a_number = b"\x22\x10\x0a\x0e\x0a\x01x\x12\x09\x11\0\0\0\0\0\0\xf8\x7f"
    with pytest.raises(wire.MessageError, match="metadata"):
        wire.CertificateRequest.from_bytes(not_a_number)


KINDS = {"string": 9, "int64": 3, "google.protobuf.Struct": 11}


def test_istios_definition_says_the_same() -> None:
    module = go_programs.module("istio.io/api")
    if module is None:
        pytest.skip("Istio's ca.proto is in no module cache of Go here")
    text = (module / "security" / "v1alpha1" / "ca.proto").read_text()
    assert f"package {wire.SERVICE.rpartition('.')[0]};" in text
    assert f"rpc {wire.METHOD_NAME}(IstioCertificateRequest) returns (IstioCertificateResponse)" in text
    for name, fields in wire.FIELDS.items():
        [body] = re.findall(rf"message {name} {{(.*?)\n}}", text, re.DOTALL)
        found = re.findall(r"^\s*(repeated )?([\w.]+) (\w+) = (\d+);", body, re.MULTILINE)
        ours = {(field, number, label == 3, kind) for field, number, label, kind, _ in fields}
        assert {(n, int(number), bool(repeated), KINDS[kind]) for repeated, kind, n, number in found} == ours
