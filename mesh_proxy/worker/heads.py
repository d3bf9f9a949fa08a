"""Heads as they are sent on: the request's to a host, the answer's to the client."""

import re
from typing import Final

from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import (
    CONNECTION,
    ENCODING,
    FORWARDED_PROTO,
    INTERNAL,
    LENGTH,
    REPLACED,
    Field,
    Head,
    field_of,
)

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3,9})[ \r]")
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
CHUNKED: Final = Field(ENCODING, b"transfer-encoding", b"chunked", b"transfer-encoding: chunked\r\n")
NO_CONTENT: Final = Field(LENGTH, b"content-length", b"0", b"content-length: 0\r\n")
UPGRADE_OPTION: Final = field_of(b"connection", b"upgrade")
_OVERLOADED: Final = field_of(b"x-envoy-overloaded", b"true")
_PLAIN_TEXT: Final = field_of(b"content-type", b"text/plain")
CLOSE: Final = field_of(b"connection", b"close")
INSIDE: Final = field_of(b"x-envoy-internal", b"true")
"""Of requests that the proxy makes of its own accord."""
KEEP_ALIVE: Final = field_of(b"connection", b"keep-alive")
SCHEMES: Final[tuple[Field, ...]] = (
    Field(FORWARDED_PROTO, b"x-forwarded-proto", b"http", b"x-forwarded-proto: http\r\n"),
    Field(FORWARDED_PROTO, b"x-forwarded-proto", b"https", b"x-forwarded-proto: https\r\n"),
)
"""Of a request that came without TLS, and with it."""
_REASONS: Final = {
    100: "Continue", 101: "Switching Protocols", 103: "Early Hints", 200: "OK", 201: "Created", 202: "Accepted",
    203: "Non-Authoritative Information", 204: "No Content", 205: "Reset Content", 206: "Partial Content",
    207: "Multi-Status", 208: "Already Reported", 226: "IM Used", 300: "Multiple Choices", 301: "Moved Permanently",
    302: "Found", 303: "See Other", 304: "Not Modified", 305: "Use Proxy", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required",
    408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
    413: "Payload Too Large", 414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable",
    417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Entity", 423: "Locked",
    424: "Failed Dependency", 426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates", 507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended",
    511: "Network Authentication Required",
}  # fmt: skip
_STATUS_LINES: Final = tuple(
    f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n".encode() for status in range(1000)
)
"""A server's own words for a status are not passed on (Envoy)."""
_BEGINNINGS_OF_HEADS: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\r\n"


def broken(buffer: bytearray) -> bool:
    """Whether a head that is not complete never will be: its lines end in bare line feeds, or it does not begin like one."""
    return buffer[:1] not in _BEGINNINGS_OF_HEADS or _BARE_LINE_FEED.search(buffer) is not None


def status_said(buffer: bytearray) -> int:
    """The status of an answer whose head cannot be used otherwise, nor perhaps the status (``099``, ``1000``); -1: nothing
    says it."""
    found = _STATUS.match(buffer)
    return -1 if found is None else int(found[1])


def forwarded_request(head: Head, upgrade: bool) -> list[Field]:
    """The fields of a request that go on: all but those for this hop, and those only Envoy itself may set."""
    fields = [f for f in head.fields if f.kind < INTERNAL]
    if upgrade:
        fields += [UPGRADE_OPTION, field_of(b"upgrade", head.upgrade)]
    return fields


def request(method: bytes, target: bytes, host: bytes, fields: list[Field]) -> bytes:
    """A request's head."""
    lines = [f.line for f in fields]
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (method, target, host, b"".join(lines))


def forwarded_response(head: Head, upgrade: bool) -> list[Field]:
    """The fields of an answer that go on: all but those for this hop, and those that it writes anew."""
    fields = [f for f in head.fields if f.kind < REPLACED or REPLACED < f.kind < CONNECTION]
    if upgrade:
        fields = [f for f in fields if f.kind != LENGTH]
        if head.upgrade:
            fields += [UPGRADE_OPTION, field_of(b"upgrade", head.upgrade)]
    return fields


def response(status: int, fields: list[Field]) -> bytes:
    """An answer's head."""
    lines = [f.line for f in fields]
    return b"%b%b\r\n" % (_STATUS_LINES[status], b"".join(lines))


def first_line(status: int) -> int:
    """How long the first line of an answer's head is, without its end."""
    return len(_STATUS_LINES[status]) - 2


def frame(head: Head, fields: list[Field], bodiless: bool, client_minor: int, end: bool) -> tuple[bool, bool]:
    """Completes the framing of an answer's body in ``fields``; returns whether to chunk, and whether the end must be a close.

    A length goes on as it stands, also that of an answer to HEAD, which is the length of the answer to GET. ``end``: there is
    no content, whether it was said or not.
    """
    if bodiless:
        if head.length >= 0 and (head.status == 204 or head.status < 200):
            fields[:] = [f for f in fields if f.kind != LENGTH]
        return False, False
    if head.length >= 0:
        return False, False
    if end:
        fields.append(NO_CONTENT)
        return False, False
    if client_minor == 0:
        return False, True
    fields.append(CHUNKED)
    return True, False


def last_chunk(trailers: list[Field]) -> bytes:
    """What ends a body in chunks."""
    return b"0\r\n%b\r\n" % b"".join([field.line for field in trailers])


def local(reply: LocalReply, more: list[Field], signature: list[Field]) -> list[Field]:
    """The fields of an answer of our own; ``signature`` says who answers, and when. One without a body says nothing of its
    length: HTTP/1.1 has to, and adds it."""
    fields = list(more)
    if reply.overloaded:
        fields.append(_OVERLOADED)
    if reply.body:
        if not any(f.name == b"content-type" for f in fields):
            fields.insert(0, _PLAIN_TEXT)
        length = b"%d" % len(reply.body)
        fields.insert(0, Field(LENGTH, b"content-length", length, b"content-length: %b\r\n" % length))
    fields += signature
    return fields


_SERVICE_TIMES: Final = tuple(field_of(b"x-envoy-upstream-service-time", b"%d" % time) for time in range(1024))


def service_time(milliseconds: int) -> Field:
    """How long the host took."""
    if milliseconds < len(_SERVICE_TIMES):
        return _SERVICE_TIMES[milliseconds]
    return field_of(b"x-envoy-upstream-service-time", b"%d" % milliseconds)


FIRST_ATTEMPT: Final = field_of(b"x-envoy-attempt-count", b"1")


def attempt_count(attempts: int) -> Field:
    """How often the request has been sent, this time included."""
    return FIRST_ATTEMPT if attempts <= 1 else field_of(b"x-envoy-attempt-count", b"%d" % attempts)
