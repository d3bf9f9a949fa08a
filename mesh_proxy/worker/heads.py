"""Heads as they are sent on: the request's to a host, the answer's to the client."""

from email.utils import formatdate

from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol import http1
from mesh_proxy.protocol.http1 import CONNECTION, ENCODING, HOP, HOST, INTERNAL, LENGTH, PASS, UPGRADE, Field, Head

_CHUNKED: Field = (ENCODING, b"transfer-encoding", b"chunked", b"transfer-encoding: chunked\r\n")
_REPLACED = frozenset({b"server", b"x-envoy-upstream-service-time"})
"""Fields of an answer that this hop writes anew."""
_REASONS = {
    200: b"OK", 201: b"Created", 204: b"No Content", 301: b"Moved Permanently", 302: b"Found", 303: b"See Other",
    307: b"Temporary Redirect", 308: b"Permanent Redirect", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found",
    408: b"Request Timeout", 413: b"Payload Too Large", 426: b"Upgrade Required", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error", 502: b"Bad Gateway",
    503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip


def field(name: bytes, value: bytes) -> Field:
    """A field as the proxy writes it."""
    return (PASS, name, value, name + b": " + value + b"\r\n")


def forwarded_request(head: Head, upgrade: bool) -> list[Field]:
    """The fields of a request that go on: all but those for this hop, and those only Envoy itself may set."""
    dropped = http1.named_by_connection(head)
    fields = [f for f in head.fields if f[0] not in (CONNECTION, HOP, INTERNAL, HOST, UPGRADE) and f[1] not in dropped]
    if upgrade:
        fields += [field(b"connection", b"upgrade"), field(b"upgrade", head.upgrade)]
    return fields


def request(method: bytes, target: bytes, host: bytes, fields: list[Field]) -> bytes:
    """A request's head."""
    lines = [f[3] for f in fields]
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (method, target, host, b"".join(lines))


def forwarded_response(head: Head, upgrade: bool) -> list[Field]:
    """The fields of an answer that go on."""
    dropped = http1.named_by_connection(head)
    kinds = (CONNECTION, HOP, LENGTH, ENCODING, UPGRADE)
    fields = [f for f in head.fields if f[0] not in kinds and f[1] not in dropped and f[1] not in _REPLACED]
    if upgrade:
        fields += [field(b"connection", b"upgrade"), field(b"upgrade", head.upgrade)]
    return fields


def response(status: int, reason: bytes, fields: list[Field]) -> bytes:
    """An answer's head."""
    lines = [f[3] for f in fields]
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason or _REASONS.get(status, b"Unknown"), b"".join(lines))


def framing(head: Head, fields: list[Field], bodiless: bool, client_minor: int) -> tuple[list[Field], bool, bool]:
    """Adds the framing of an answer's body; returns the fields, whether to chunk, and whether the end must be a close."""
    if bodiless:
        # The length of an answer to HEAD is that of the answer to GET; it is passed on as it stands.
        keep = [f for f in head.fields if f[0] == LENGTH] if head.status != 204 and head.status >= 200 else []
        return fields + keep[:1], False, False
    if head.length >= 0 and not head.chunked:
        return [*fields, field(b"content-length", b"%d" % head.length)], False, False
    if client_minor == 0:
        return fields, False, True
    return [*fields, _CHUNKED], True, False


def local(reply: LocalReply, server: bytes, more: list[Field], close: bool) -> tuple[bytes, bytes]:
    """Head and body of an answer of our own."""
    fields = list(more)
    if reply.overloaded:
        fields.append(field(b"x-envoy-overloaded", b"true"))
    if reply.body and not any(f[1] == b"content-type" for f in fields):
        fields.insert(0, field(b"content-type", b"text/plain"))
    if reply.status not in (204, 304):
        fields.insert(0, field(b"content-length", b"%d" % len(reply.body)))
    fields += [field(b"date", formatdate(usegmt=True).encode()), field(b"server", server)]
    if close:
        fields.append(field(b"connection", b"close"))
    return response(reply.status, b"", fields), reply.body
