"""What a connection begins with: TLS and what its ClientHello asks for, or HTTP and which version of it.

Pure: bytes that were peeked at go in, and nothing is taken of them. (Envoy's listener filters ``tls_inspector`` and
``http_inspector``.)
"""

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 says first (RFC 9113 3.4)."""
LIMIT: Final = 16384 + 5
"""Bytes in which it must be seen; Envoy's inspectors look at 16 KiB (``max_client_hello_size``) and 8 KiB."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_OF_HOSTS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_TOLD: Final = bytes(byte if byte in _OF_HOSTS else 0x5F for byte in range(256))
_ALPN: Final = 16
_LONGEST_METHOD: Final = 17
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_METHODS: Final = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"MKCOL",
     b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"MKCALENDAR", b"REPORT", b"PROPPATCH", b"SEARCH", b"PURGE", b"MERGE",
     b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE", b"LINK", b"UNLINK", b"SOURCE", b"BIND", b"REBIND", b"UNBIND", b"ACL",
     b"MKACTIVITY", b"CHECKOUT", b"M-SEARCH"}
)  # fmt: skip


class Hello:
    """What a ClientHello asks for: the server's name in lower case, and application protocols (ALPN) in their order."""

    __slots__ = ("protocols", "server_name")

    def __init__(self, server_name: bytes = b"", protocols: tuple[bytes, ...] = ()) -> None:
        self.server_name = server_name
        self.protocols = protocols


def may_be_tls(data: bytes) -> bool:
    """Whether bytes, as far as they are there, are those of a TLS handshake's record (RFC 8446 5.1)."""
    if data[:1] != b"\x16" or (len(data) > 1 and data[1] != 3):
        return False
    return len(data) < 6 or data[5] == _CLIENT_HELLO


def client_hello(data: bytes) -> Hello | None:
    """The ClientHello at the beginning, for which :func:`may_be_tls` holds; ``None``: more bytes are needed.

    One that is malformed asks for nothing: the handshake itself is to refuse it.
    """
    message = bytearray()
    place = 0
    while True:  # the message may be cut into several records
        if len(data) < place + 5:
            return None
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        if data[place] != _HANDSHAKE or not size:
            return Hello()
        message += data[place + 5 : place + 5 + size]
        if len(message) >= 4:
            length = int.from_bytes(message[1:4], "big")
            if length > LIMIT:
                return Hello()
            if len(message) >= 4 + length:
                return _asked(bytes(message[4 : 4 + length]))
        if len(data) < place + 5 + size:
            return None
        place += 5 + size


def _asked(body: bytes) -> Hello:
    """RFC 8446 4.1.2: version, random, session, cipher suites, compression, extensions."""
    place = 34
    for width in (1, 2, 1):
        place += width + int.from_bytes(body[place : place + width], "big")
    hello = Hello()
    end = place + 2 + int.from_bytes(body[place : place + 2], "big")
    place += 2
    while place + 4 <= min(end, len(body)):
        kind = int.from_bytes(body[place : place + 2], "big")
        size = int.from_bytes(body[place + 2 : place + 4], "big")
        content = body[place + 4 : place + 4 + size]
        place += 4 + size
        if kind == _SERVER_NAME and len(content) == size:
            hello.server_name = _name(content)
        elif kind == _ALPN and len(content) == size:
            hello.protocols = _protocols(content)
    return hello


def _name(content: bytes) -> bytes:
    """The first host name of the list (RFC 6066 3); one that a zero cuts short is none."""
    size = int.from_bytes(content[3:5], "big")
    name = content[5 : 5 + size].lower() if content[2:3] == b"\0" else b""
    return b"" if b"\0" in name else name


def told_name(name: bytes) -> bytes:
    """A name that a client asked for as logs tell of it: what no name of a host has cannot begin a field or a line of its own
    (Envoy ``StringUtil::sanitizeInvalidHostname``)."""
    return name if not name.translate(None, _OF_HOSTS) else b"invalid:" + name.translate(_TOLD)


def _protocols(content: bytes) -> tuple[bytes, ...]:
    """RFC 7301 3.1."""
    found, place = [], 2
    while place < len(content):
        size = content[place]
        found.append(content[place + 1 : place + 1 + size])
        place += 1 + size
    return tuple(found)


def http_version(data: bytes) -> bytes | None:
    """``h2c``, ``http/1.1`` or ``http/1.0`` as the first bytes tell; empty: it is no HTTP; ``None``: more is needed."""
    if PREFACE.startswith(data[: len(PREFACE)]):
        return b"h2c" if len(data) >= len(PREFACE) else None
    method, space, rest = data.lstrip(b"\r\n").partition(b" ")
    if not space:
        return None if len(method) < _LONGEST_METHOD and _TOKEN.issuperset(method) else b""
    if method not in _METHODS:
        return b""
    line, end, _ = rest.partition(b"\n")
    if not end:
        return None if len(data) < LIMIT else b""
    version = line.rstrip(b"\r").rpartition(b" ")[2]
    return {b"HTTP/1.1": b"http/1.1", b"HTTP/1.0": b"http/1.0"}.get(version, b"")
