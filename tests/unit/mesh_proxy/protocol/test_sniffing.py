"""What a connection begins with, from its first bytes: hellos made by OpenSSL, in pieces, broken, and at random."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.protocol.sniffing import PREFACE, client_hello, http_version, may_be_tls


def hello(name: str | None = None, protocols: tuple[str, ...] = ()) -> bytes:
    """As OpenSSL's client says it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def in_records(data: bytes, size: int) -> bytes:
    """The handshake of one record in several."""
    content = data[5:]
    pieces = [content[place : place + size] for place in range(0, len(content), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        (None, ()),
        ("example.com", ()),
        ("A.Example.COM", ("h2", "http/1.1")),
        ("outbound_.80_._.reviews.default.svc.cluster.local", ("istio-peer-exchange", "istio")),
    ],
)
@pytest.mark.parametrize("size", [0, 7, 100])
def test_a_hello_says_the_name_and_the_protocols(name: str | None, protocols: tuple[str, ...], size: int) -> None:
    whole = hello(name, protocols)
    data = in_records(whole, size) if size else whole
    found = client_hello(data)
    assert found is not None
    assert found.server_name == (name or "").lower().encode()
    assert found.protocols == tuple(protocol.encode() for protocol in protocols)


def test_more_is_needed_until_it_is_complete() -> None:
    data = hello("example.com", ("h2",))
    for length in range(1, len(data)):
        assert may_be_tls(data[:length])
        assert client_hello(data[:length]) is None


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1", b"\x16\x02\x01", b"\x17\x03\x03", b"\x16\x03\x01\x00\x05\x02", b"\x00"]
)
def test_what_is_no_hello(data: bytes) -> None:
    assert not may_be_tls(data)


@given(st.binary(max_size=200))
def test_broken_hellos_ask_for_nothing_that_is_not_there(tail: bytes) -> None:
    data = b"\x16\x03\x01" + len(tail).to_bytes(2, "big") + tail
    found = client_hello(data)
    assert found is None or len(found.server_name) <= len(tail)


@given(st.data())
def test_a_hello_with_wrong_bytes_never_fails(data: st.DataObject) -> None:
    whole = bytearray(hello("example.com", ("h2", "http/1.1")))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(5, len(whole) - 1))] = data.draw(st.integers(0, 255))
    client_hello(bytes(whole))


HTTP: list[tuple[bytes, bytes | None]] = [
    (b"GET / HTTP/1.1\r\n", b"http/1.1"),
    (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"http/1.1"),
    (b"\r\nPOST /a?b HTTP/1.0\r\n", b"http/1.0"),
    (b"GET / HTTP/1.1\n", b"http/1.1"),
    (PREFACE, b"h2c"),
    (PREFACE + b"more", b"h2c"),
    (b"", None),
    (b"G", None),
    (b"GET /", None),
    (b"PRI * HTTP/2.0\r\n", None),
    (PREFACE[:-1], None),
    (b"PRI * HTTP/2.0\r\n\r\nXX", b""),
    (b"GET / HTTP/3.0\r\n", b""),
    (b"GET /\r\n", b""),
    (b"SSH-2.0-OpenSSH\r\n", b""),
    (b"HELLO / HTTP/1.1\r\n", b""),
    (b"\x00\x01", b""),
    (b"A" * 17, b""),
    (b"GET " + b"/" * 20_000, b""),
]


@pytest.mark.parametrize(("data", "version"), HTTP)
def test_http_is_known_by_its_first_line(data: bytes, version: bytes | None) -> None:
    assert http_version(data) == version


@given(st.binary(max_size=64))
def test_bytes_are_http_or_not(data: bytes) -> None:
    assert http_version(data) in (None, b"", b"h2c", b"http/1.1", b"http/1.0")
