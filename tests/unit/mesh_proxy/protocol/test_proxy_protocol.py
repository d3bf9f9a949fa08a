"""The header of the PROXY protocol. What Envoy makes of one is compared in ``tests/parity/cases/proxy_protocol``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.protocol.proxy_protocol import SIGNATURE, header, may_begin, own_header, read

V4 = st.ip_addresses(v=4).filter(
    lambda one: not (one.is_multicast or one.is_unspecified or str(one) == "255.255.255.255")
)
V6 = st.ip_addresses(v=6).filter(lambda one: not (one.is_multicast or one.is_unspecified))
ENDS = st.sampled_from([V4, V6]).flatmap(lambda kind: st.tuples(kind, kind))
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535))
VERSIONS = st.sampled_from(["V1", "V2"])


@given(VERSIONS, ENDS, PORTS, st.binary(max_size=40))
def test_what_is_written_is_read(version: str, ends: tuple, ports: tuple, rest: bytes) -> None:  # type: ignore[type-arg]
    source, destination = [(str(address), port) for address, port in zip(ends, ports, strict=True)]
    written = header(version, source, destination)
    found = read(written + rest)
    assert (found.wrong, found.needed, found.version, found.length) == (False, 0, version, len(written))
    assert found.source is not None
    assert found.destination is not None
    assert (found.source[1], found.destination[1]) == ports
    assert header(version, found.source, found.destination) == written


@given(VERSIONS, ENDS, PORTS, st.data())
def test_a_part_of_a_header_waits_for_more(version: str, ends: tuple, ports: tuple, data: st.DataObject) -> None:  # type: ignore[type-arg]
    source, destination = [(str(address), port) for address, port in zip(ends, ports, strict=True)]
    written = header(version, source, destination)
    size = data.draw(st.integers(0, len(written) - 1))
    found = read(written[:size])
    assert may_begin(written[:size])
    assert not found.wrong
    assert size < found.needed <= len(written)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda rest: SIGNATURE + rest) | st.text().map(
    lambda rest: b"PROXY " + rest.encode()
))  # fmt: skip
def test_anything_is_a_header_or_none_or_not_all_of_one(data: bytes) -> None:
    found = read(data)
    if found.wrong:
        return
    if found.needed:
        assert len(data) < found.needed
    else:
        assert found.length <= len(data)
        assert (found.source is None) is (found.destination is None)


@pytest.mark.parametrize(
    ("source", "destination", "text"),
    [
        (("1.2.3.4", 1), ("5.6.7.8", 2), b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
        (("::1", 1), ("::2", 2), b"PROXY TCP6 ::1 ::2 1 2\r\n"),
        (("1.2.3.4", 1), ("::2", 2), b"PROXY TCP6 ::ffff:1.2.3.4 ::2 1 2\r\n"),
        (("unix", 0), ("5.6.7.8", 2), b"PROXY UNKNOWN\r\n"),
    ],
)
def test_version_1(source: tuple[str, int], destination: tuple[str, int], text: bytes) -> None:
    written = header("V1", source, destination)
    if b"ffff" in text:
        assert written.startswith(b"PROXY TCP6 ::ffff:")
    else:
        assert written == text
    assert not read(written).wrong


def test_a_connection_of_the_proxy_itself() -> None:
    ends = ("10.0.0.1", 1), ("10.0.0.2", 2)
    assert own_header("V1", *ends) == b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"
    told = read(own_header("V2", *ends))
    assert (told.wrong, told.source, told.length) == (False, None, 16)
    assert read(header("V2", ("unix", 0), ends[1])).source is None


def test_a_line_has_an_end() -> None:
    assert not read(b"PROXY TCP4 " + b"1" * 90).wrong
    assert read(b"PROXY TCP4 " + b"1" * 100).wrong
    assert read(b"PROXY TCP4 " + b"1" * 100 + b"\r\n").wrong
