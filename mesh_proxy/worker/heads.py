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
    named_by_connection,
)

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
CHUNKED: Final[Field] = (ENCODING, b"transfer-encoding", b"chunked", b"transfer-encoding: chunked\r\n")
_NO_CONTENT: Final[Field] = (LENGTH, b"content-length", b"0", b"content-length: 0\r\n")
_UPGRADE = field_of(b"connection", b"upgrade")
_OVERLOADED = field_of(b"x-envoy-overloaded", b"true")
_PLAIN_TEXT = field_of(b"content-type", b"text/plain")
CLOSE: Final = field_of(b"connection", b"close")
KEEP_ALIVE: Final = field_of(b"connection", b"keep-alive")
SCHEMES: Final[tuple[Field, Field]] = (
    (FORWARDED_PROTO, b"x-forwarded-proto", b"http", b"x-forwarded-proto: http\r\n"),
    (FORWARDED_PROTO, b"x-forwarded-proto", b"https", b"x-forwarded-proto: https\r\n"),
)
"""Of a request that came without TLS, and with it."""
_REASONS = {
    200: b"OK", 201: b"Created", 204: b"No Content", 301: b"Moved Permanently", 302: b"Found", 303: b"See Other",
    307: b"Temporary Redirect", 308: b"Permanent Redirect", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found",
    408: b"Request Timeout", 413: b"Payload Too Large", 426: b"Upgrade Required", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error", 502: b"Bad Gateway",
    503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip


def broken(buffer: bytearray) -> bool:
    """Whether a head that is not complete never will be: its lines end in bare line feeds."""
    return _BARE_LINE_FEED.search(buffer) is not None


def forwarded_request(head: Head, upgrade: bool) -> list[Field]:
    """The fields of a request that go on: all but those for this hop, and those only Envoy itself may set."""
    fields = [f for f in head.fields if f[0] < INTERNAL]
    if head.options and (dropped := named_by_connection(head)):
        fields = [f for f in fields if f[1] not in dropped]
    if upgrade:
        fields += [_UPGRADE, field_of(b"upgrade", head.upgrade)]
    return fields


def request(method: bytes, target: bytes, host: bytes, fields: list[Field]) -> bytes:
    """A request's head."""
    lines = [f[3] for f in fields]
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (method, target, host, b"".join(lines))


def forwarded_response(head: Head, upgrade: bool) -> list[Field]:
    """The fields of an answer that go on: all but those for this hop, and those that it writes anew."""
    fields = [f for f in head.fields if f[0] < REPLACED or REPLACED < f[0] < CONNECTION]
    if head.options and (dropped := named_by_connection(head)):
        fields = [f for f in fields if f[0] == LENGTH or f[1] not in dropped]
    if upgrade:
        fields += [_UPGRADE, field_of(b"upgrade", head.upgrade)]
    return fields


def response(status: int, reason: bytes, fields: list[Field]) -> bytes:
    """An answer's head."""
    lines = [f[3] for f in fields]
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason or _REASONS.get(status, b"Unknown"), b"".join(lines))


def frame(head: Head, fields: list[Field], bodiless: bool, client_minor: int, end: bool) -> tuple[bool, bool]:
    """Completes the framing of an answer's body in ``fields``; returns whether to chunk, and whether the end must be a close.

    A length goes on as it stands, also that of an answer to HEAD, which is the length of the answer to GET. ``end``: there is
    no content, whether it was said or not.
    """
    if bodiless:
        if head.length >= 0 and (head.status == 204 or head.status < 200):
            fields[:] = [f for f in fields if f[0] != LENGTH]
        return False, False
    if head.length >= 0:
        return False, False
    if end:
        fields.append(_NO_CONTENT)
        return False, False
    if client_minor == 0:
        return False, True
    fields.append(CHUNKED)
    return True, False


def last_chunk(trailers: list[Field]) -> bytes:
    """What ends a body in chunks."""
    return b"0\r\n%b\r\n" % b"".join([field[3] for field in trailers])


def local(reply: LocalReply, more: list[Field], signature: list[Field], grpc: bool = False) -> list[Field]:
    """The fields of an answer of our own; ``signature`` says who answers, and when. ``grpc``: it has no body at all."""
    fields = list(more)
    if reply.overloaded:
        fields.append(_OVERLOADED)
    if reply.body and not any(f[1] == b"content-type" for f in fields):
        fields.insert(0, _PLAIN_TEXT)
    if reply.status not in (204, 304) and not grpc:
        fields.insert(
            0, (LENGTH, b"content-length", b"%d" % len(reply.body), b"content-length: %d\r\n" % len(reply.body))
        )
    fields += signature
    return fields


_SERVICE_TIMES = tuple(field_of(b"x-envoy-upstream-service-time", b"%d" % time) for time in range(1024))


def service_time(milliseconds: int) -> Field:
    """How long the host took."""
    if milliseconds < len(_SERVICE_TIMES):
        return _SERVICE_TIMES[milliseconds]
    return field_of(b"x-envoy-upstream-service-time", b"%d" % milliseconds)


FIRST_ATTEMPT = field_of(b"x-envoy-attempt-count", b"1")


def attempt_count(attempts: int) -> Field:
    """How often the request has been sent, this time included."""
    return FIRST_ATTEMPT if attempts <= 1 else field_of(b"x-envoy-attempt-count", b"%d" % attempts)
