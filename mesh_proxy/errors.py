"""Every answer that the proxy gives by itself: status, response flag, details, body, as Envoy 1.40 does (measured).

The one place where a failure becomes an answer. Flags and details are what the access log shows.
"""

from typing import Final, NamedTuple
from urllib.parse import quote

CONNECT_ERROR: Final = "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"


class LocalReply(NamedTuple):
    """An answer of our own."""

    status: int
    flags: str
    details: str
    body: bytes = b""
    overloaded: bool = False


ROUTE_NOT_FOUND: Final = LocalReply(404, "NR", "route_not_found")
CLUSTER_NOT_FOUND: Final = LocalReply(503, "NC", "cluster_not_found")
NO_HEALTHY_UPSTREAM: Final = LocalReply(503, "UH", "no_healthy_upstream", b"no healthy upstream")
RESPONSE_TIMEOUT: Final = LocalReply(504, "UT", "response_timeout", b"upstream request timeout")
PER_TRY_TIMEOUT: Final = LocalReply(504, "UT", "upstream_per_try_timeout", b"upstream request timeout")
DROP_OVERLOAD: Final = LocalReply(503, "DO", "drop_overload", b"drop overload")
PER_TRY_IDLE_TIMEOUT: Final = LocalReply(504, "SI", "upstream_per_try_idle_timeout", b"upstream request timeout")
OVERFLOW: Final = LocalReply(
    503,
    "UO",
    "upstream_reset_before_response_started{overflow}",
    CONNECT_ERROR.format(retried="", reason="overflow").encode(),
    overloaded=True,
)
HEADERS_TOO_LARGE: Final = LocalReply(431, "DPE", "http1.headers_too_large", b"")
TOO_MANY_HEADERS: Final = LocalReply(431, "DPE", "http1.too_many_headers", b"")
UPGRADE_REQUIRED: Final = LocalReply(426, "DPE", "low_version", b"")
MISSING_HOST: Final = LocalReply(400, "DPE", "missing_host_header")
UPGRADE_FAILED: Final = LocalReply(403, "-", "upgrade_failed")
TLS_REQUIRED: Final = LocalReply(301, "-", "direct_response")


_GRPC: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""Status of HTTP to that of gRPC, which is 2 (``UNKNOWN``) for others (Envoy ``Grpc::Utility::httpToGrpcStatus``)."""
_PRINTABLE: Final = "".join(chr(code) for code in range(32, 127) if code != 37)


def as_grpc(reply: LocalReply) -> tuple[LocalReply, list[tuple[bytes, bytes]]]:
    """The answer to a call of gRPC, whose clients read no status of HTTP and no body: everything stands in its fields."""
    fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % _GRPC.get(reply.status, 2))]
    if reply.body:
        fields.append((b"grpc-message", quote(reply.body, safe=_PRINTABLE).encode()))
    return reply._replace(status=200, body=b""), fields


def bad_request(details: str) -> LocalReply:
    """The request breaks the protocol; nothing of it was understood for sure, so nothing of it is answered with."""
    return LocalReply(400, "DPE", details, b"Bad Request")


def connect_failure(reason: str, retried: bool) -> LocalReply:
    """No connection to the host; ``reason`` is the system's own word."""
    detail = f"remote_connection_failure|delayed_connect_error:_{reason.replace(' ', '_')}"
    body = CONNECT_ERROR.format(
        retried="retried and the latest " if retried else "", reason="remote connection failure"
    )
    return LocalReply(503, "URX,UF" if retried else "UF", _before_headers(detail), body.encode())


def connection_timeout(retried: bool) -> LocalReply:
    """The host did not take the connection in time."""
    body = CONNECT_ERROR.format(retried="retried and the latest " if retried else "", reason="connection timeout")
    return LocalReply(503, "URX,UF" if retried else "UF", _before_headers("connection_timeout"), body.encode())


def connection_termination(retried: bool) -> LocalReply:
    """The host ended the connection before it answered."""
    body = CONNECT_ERROR.format(retried="retried and the latest " if retried else "", reason="connection termination")
    return LocalReply(503, "URX,UC" if retried else "UC", _before_headers("connection_termination"), body.encode())


def protocol_error(details: str) -> LocalReply:
    """The host's answer breaks the protocol."""
    body = CONNECT_ERROR.format(retried="", reason="protocol error")
    return LocalReply(502, "UPE", _before_headers(f"protocol_error|{details}"), body.encode())


def _before_headers(reason: str) -> str:
    return f"upstream_reset_before_response_started{{{reason}}}"


def transport_failure(reason: str) -> str:
    """``%UPSTREAM_TRANSPORT_FAILURE_REASON%`` for a connection that failed."""
    return f"delayed_connect_error:_{reason.replace(' ', '_')}"
