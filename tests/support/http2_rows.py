"""Requests of HTTP/2 and what becomes of them; our sessions and a real Envoy are asked about the same rows."""

from typing import NamedTuple

INVALID = "http2.invalid.header.field"
BROKEN = "http2.violation.of.messaging.rule"
METHOD, SCHEME, PATH, AUTHORITY = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"a"),
)
GET = (METHOD, SCHEME, PATH, AUTHORITY)


class Row(NamedTuple):
    """``details`` are Envoy's; empty: it is taken. ``stricter`` says why we refuse what Envoy takes."""

    name: str
    fields: tuple[tuple[bytes, bytes], ...]
    details: str = ""
    end: bool = True
    stricter: str = ""


def _method(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b":method", value), SCHEME, PATH, AUTHORITY)


def _path(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (METHOD, SCHEME, (b":path", value), AUTHORITY)


def _authority(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (METHOD, SCHEME, PATH, (b":authority", value))


def _scheme(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (METHOD, (b":scheme", value), PATH, AUTHORITY)


def _with(name: bytes, value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (*GET, (name, value))


ACCEPTED = [
    Row("a plain request", GET),
    Row("pseudo-header fields in any order", (AUTHORITY, PATH, METHOD, SCHEME)),
    Row("te trailers", _with(b"te", b"trailers")),
    Row("te in capitals", _with(b"te", b"Trailers")),
    Row("host beside the authority", _with(b"host", b"b")),
    Row("host alone", (METHOD, SCHEME, PATH, (b"host", b"a"))),
    Row("another scheme", _scheme(b"ftp")),
    Row("a method of one's own", _method(b"FOO")),
    Row("OPTIONS *", ((b":method", b"OPTIONS"), SCHEME, (b":path", b"*"), AUTHORITY)),
    Row("CONNECT", ((b":method", b"CONNECT"), (b":authority", b"a:1"))),
    Row("an underscore", _with(b"a_b", b"c")),
    Row("a tab in a value", _with(b"a", b"b\tc")),
    Row("space around a value", _with(b"a", b" b ")),
    Row("bytes above ASCII in a value", _with(b"a", b"\xe9")),
    Row("an empty value", _with(b"a", b"")),
    Row("a length of zero", _with(b"content-length", b"0")),
    Row("100 fields", (*GET, *([(b"a", b"b")] * 96))),
    Row("a field of 59 KiB", _with(b"a", b"x" * (59 << 10))),
    Row("another expectation", _with(b"expect", b"something")),
]

MALFORMED = [
    Row("a name in capitals", _with(b"X-A", b"b"), INVALID),
    Row("connection", _with(b"connection", b"close"), INVALID),
    Row("keep-alive", _with(b"keep-alive", b"5"), INVALID),
    Row("proxy-connection", _with(b"proxy-connection", b"close"), INVALID),
    Row("transfer-encoding", _with(b"transfer-encoding", b"chunked"), INVALID),
    Row("upgrade", _with(b"upgrade", b"h2c"), INVALID),
    Row("te of something else", _with(b"te", b"gzip"), INVALID),
    Row("two hosts", (*GET, (b"host", b"b"), (b"host", b"c")), INVALID),
    Row("no authority", GET[:3], BROKEN),
    Row("an empty authority", _authority(b""), INVALID),
    Row("space in the authority", _authority(b"a b"), INVALID),
    Row("somebody in the authority", _authority(b"u@b"), INVALID),
    Row("no scheme", (METHOD, PATH, AUTHORITY), BROKEN),
    Row("a scheme that is none", _scheme(b"1 2"), INVALID),
    Row("no path", (METHOD, SCHEME, AUTHORITY), BROKEN),
    Row("no method", GET[1:], BROKEN),
    Row("an empty path", _path(b""), INVALID),
    Row("a path without a slash", _path(b"d"), BROKEN),
    Row("a star for GET", _path(b"*"), BROKEN),
    Row("a whole URL", _path(b"http://a/d"), BROKEN),
    Row("space in the path", _path(b"/d f"), INVALID),
    Row("control character in the path", _path(b"/d\x01"), INVALID),
    Row("space in the method", _method(b"F O"), INVALID),
    Row("an empty method", _method(b""), INVALID),
    *(Row(f"{name.decode()} twice", _with(name, value), INVALID) for name, value in GET),
    Row("an unknown pseudo-header field", _with(b":foo", b"/d"), INVALID),
    Row("a status in a request", _with(b":status", b"200"), INVALID),
    Row("a pseudo-header field behind others", (*GET[:3], (b"a", b"b"), AUTHORITY), INVALID),
    Row(
        "extended CONNECT that is not allowed",
        ((b":method", b"CONNECT"), *GET[1:], (b":protocol", b"websocket")),
        INVALID,
    ),
    Row("a protocol for GET", _with(b":protocol", b"websocket"), INVALID),
    Row("CONNECT with a path", ((b":method", b"CONNECT"), PATH, AUTHORITY), BROKEN),
    Row("CONNECT without an authority", ((b":method", b"CONNECT"),), BROKEN),
    *(
        Row(f"the name {name!r}", _with(name, b"b"), INVALID)
        for name in (b"", b"a b", b"a\xe9", b"a:b", b"a(b", b"a\x00", b"\x7f", b"a\r\nb", b":")
    ),
    *(
        Row(f"the value {value!r}", _with(b"a", value), INVALID)
        for value in (b"b\x00", b"b\r", b"b\nc", b"b\x01c", b"b\x7fc", b"b\r\nd: e")
    ),
    *(
        Row(f"the length {value!r}", _with(b"content-length", value), INVALID)
        for value in (b"x", b"+1", b"-1", b"", b"1,1", b"0x1")
    ),
    Row("one length twice", (*GET, (b"content-length", b"0"), (b"content-length", b"0")), INVALID),
    Row("two lengths", (*GET, (b"content-length", b"0"), (b"content-length", b"1")), INVALID),
    Row("a length of what does not come", _with(b"content-length", b"5"), BROKEN),
    Row("a fragment", _path(b"/d#f"), BROKEN, stricter="as in HTTP/1.1; Envoy answers 400 or sends it on"),
    Row("a path above ASCII", _path(b"/d\xe9"), BROKEN, stricter="as in HTTP/1.1, into which it may be translated"),
]

LARGE = [
    Row("101 fields", (*GET, *([(b"a", b"b")] * 97)), "http2.too_many_headers"),
    Row("101 crumbs of a cookie", (*GET, *([(b"cookie", b"b")] * 97)), "http2.too_many_headers"),
    Row("a field of 61 KiB", _with(b"a", b"x" * (61 << 10)), "http2.header_list_size_too_large"),
    Row("61 KiB of fields", (*GET, *((b"a%d" % i, b"x" * 800) for i in range(77))), "http2.header_list_size_too_large"),
]

TRAILERS = [
    Row("a field", ((b"a", b"b"),)),
    Row("none", ()),
    Row("gRPC's", ((b"grpc-status", b"0"), (b"grpc-message", b""))),
    Row("a host", ((b"host", b"b"), (b"a", b"b"))),
    Row("where it came from", ((b"x-forwarded-for", b"10.0.0.1"),)),
    Row("a cookie", ((b"cookie", b"a"),)),
    Row("no end", ((b"a", b"b"),), BROKEN, end=False),
    Row("a pseudo-header field", ((b":path", b"/"),), INVALID),
    Row("a length", ((b"content-length", b"5"),), INVALID),
    Row("connection", ((b"connection", b"close"),), INVALID),
    Row("a name in capitals", ((b"A", b"b"),), INVALID),
]
