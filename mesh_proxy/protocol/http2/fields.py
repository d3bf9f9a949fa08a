"""Fields of HTTP/2 as the proxy's own, each judged once when it is made (RFC 9113 8.2 and 8.3; nghttp2 as Envoy has it).

A field of a dynamic table is made when it is inserted, so a block of indexes costs no look at any character. What breaks the
rules is no error of compression: it has a place in the table, and the message that uses it is malformed.
"""

import re
from typing import Final

from mesh_proxy.protocol.http1 import HOST, KINDS, LENGTH, PASS, VARYING, Field

METHOD: Final = -1
SCHEME: Final = -2
AUTHORITY: Final = -3
PATH: Final = -4
PROTOCOL: Final = -5
STATUS: Final = -6
COOKIE: Final = -7
INVALID: Final = -8
"""Kinds beside those of :mod:`~mesh_proxy.protocol.http1`: pseudo-header fields, crumbs of a cookie, and what no message may
hold."""

_PSEUDO: Final[dict[bytes, int]] = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":protocol": PROTOCOL,
    b":status": STATUS,
}
_ABOUT_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""RFC 9113 8.2.2."""
NOT_SENT: Final = _ABOUT_CONNECTION | {b"host"}
"""Names that are never sent: ``:authority`` stands for the last."""
NEVER_INDEXED: Final = frozenset({b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"})
"""What is worth guessing, and so is kept out of every table on the way (RFC 7541 7.1.3)."""
UNSTEADY: Final = VARYING | {b"content-length", b"grpc-timeout", b"x-envoy-upstream-service-time"}
"""Names whose values are not worth a place in a table."""

_TE: Final = -9
"""A name whose value decides; no field has this kind."""
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_SCHEME: Final = re.compile(rb"[A-Za-z][-+.0-9A-Za-z]*\Z")
_AUTHORITY: Final = re.compile(rb"[-._~!$&'()*+,;=:%\[\]0-9A-Za-z]+\Z")
"""Without ``@``: RFC 9113 8.3.1."""
_PATH: Final = re.compile(rb"[!-\x7e\x80-\xff]+\Z")
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]\Z")
_IF_ALLOWED: Final = bytes(i if i == 9 or 32 <= i < 127 or i > 127 else i ^ 128 for i in range(256))
"""Leaves as it is what consists of what is allowed in values."""
_MAX_DIGITS: Final = 18
_CACHE_LIMIT: Final = 4096
_NAME_LIMIT: Final = 64


def _kind_of(name: bytes) -> int:
    if name in _PSEUDO:
        return _PSEUDO[name]
    if _NAME.match(name) is None or name in _ABOUT_CONNECTION:
        return INVALID
    if name == b"te":
        return _TE
    return COOKIE if name == b"cookie" else KINDS.get(name, PASS)


def _make(kind: int, name: bytes, prefix: bytes, given: bytes) -> Field:
    # Space around a value is none of it (RFC 9113 8.2.1 forbids it). Envoy lets it through; taken away, a rule about the
    # value and a server of HTTP/1.1 behind it see the same.
    value = given.strip(b" \t")
    if kind == PASS:
        if value.translate(_IF_ALLOWED) != value:
            kind = INVALID
    elif kind < 0:
        kind = _judge(kind, given)
    elif kind in (HOST, LENGTH):
        kind = _judge(kind, value)
    elif value.translate(_IF_ALLOWED) != value:
        kind = INVALID
    return Field(kind, name, value, b"%b%b\r\n" % (prefix, value))


def _judge(kind: int, value: bytes) -> int:
    """The kind of a field that says something about the message, or what it is instead with this value."""
    good = True
    if kind == METHOD:
        good = _TOKEN.match(value) is not None
    elif kind == SCHEME:
        good = _SCHEME.match(value) is not None
    elif kind in (AUTHORITY, HOST):
        good = _AUTHORITY.match(value) is not None
    elif kind == PATH:
        good = _PATH.match(value) is not None
    elif kind == PROTOCOL:
        good = _TOKEN.match(value) is not None
    elif kind == STATUS:
        good = _STATUS.match(value) is not None
    elif kind == LENGTH:
        good = value.isdigit() and len(value) <= _MAX_DIGITS
    elif kind == _TE:
        kind = PASS if value.lower() == b"trailers" else INVALID
    else:
        good = value.translate(_IF_ALLOWED) == value
    return kind if good else INVALID


class Names:
    """Known names; one table serves all connections of a worker."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, bytes]] = {}

    def field(self, name: bytes, value: bytes) -> Field:
        """The field. Its value is without the space around it; its line is as HTTP/1.1 sends it."""
        known = self._known.get(name)
        if known is None:
            known = (_kind_of(name), name + b": ")
            if len(name) <= _NAME_LIMIT:
                if len(self._known) >= _CACHE_LIMIT:
                    self._known.clear()
                self._known[name] = known
        kind, prefix = known
        return _make(kind, name, prefix, value)


def _static(name: str, value: str = "") -> Field:
    kind = _kind_of(name.encode())
    return _make(kind, name.encode(), name.encode() + b": ", value.encode())


STATIC: Final[list[Field]] = [
    Field(INVALID, b"", b"", b""),
    _static(":authority"), _static(":method", "GET"), _static(":method", "POST"), _static(":path", "/"),
    _static(":path", "/index.html"), _static(":scheme", "http"), _static(":scheme", "https"), _static(":status", "200"),
    _static(":status", "204"), _static(":status", "206"), _static(":status", "304"), _static(":status", "400"),
    _static(":status", "404"), _static(":status", "500"), _static("accept-charset"),
    _static("accept-encoding", "gzip, deflate"), _static("accept-language"), _static("accept-ranges"), _static("accept"),
    _static("access-control-allow-origin"), _static("age"), _static("allow"), _static("authorization"),
    _static("cache-control"), _static("content-disposition"), _static("content-encoding"), _static("content-language"),
    _static("content-length"), _static("content-location"), _static("content-range"), _static("content-type"),
    _static("cookie"), _static("date"), _static("etag"), _static("expect"), _static("expires"), _static("from"),
    _static("host"), _static("if-match"), _static("if-modified-since"), _static("if-none-match"), _static("if-range"),
    _static("if-unmodified-since"), _static("last-modified"), _static("link"), _static("location"),
    _static("max-forwards"), _static("proxy-authenticate"), _static("proxy-authorization"), _static("range"),
    _static("referer"), _static("refresh"), _static("retry-after"), _static("server"), _static("set-cookie"),
    _static("strict-transport-security"), _static("transfer-encoding"), _static("user-agent"), _static("vary"),
    _static("via"), _static("www-authenticate"),
]  # fmt: skip
"""RFC 7541, appendix A; the place is the index."""
FIRST_DYNAMIC: Final = 62
