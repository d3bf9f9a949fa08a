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
    grpc: int = -1
    """Status of gRPC; -1: the one that stands for ``status``."""
    location: bytes = b""
    """Where else to ask."""


ROUTE_NOT_FOUND: Final = LocalReply(404, "NR", "route_not_found")
CLUSTER_NOT_FOUND: Final = LocalReply(503, "NC", "cluster_not_found")
NO_HEALTHY_UPSTREAM: Final = LocalReply(503, "UH", "no_healthy_upstream", b"no healthy upstream")
RESPONSE_TIMEOUT: Final = LocalReply(504, "UT", "response_timeout", b"upstream request timeout")
PER_TRY_TIMEOUT: Final = LocalReply(504, "UT", "upstream_per_try_timeout", b"upstream request timeout")
DROP_OVERLOAD: Final = LocalReply(503, "DO", "drop_overload", b"drop overload")
NAMES_OVERFLOW: Final = LocalReply(503, "", "dns_cache_overflow", b"DNS cache overflow")
PER_TRY_IDLE_TIMEOUT: Final = LocalReply(504, "SI", "upstream_per_try_idle_timeout", b"upstream request timeout")
REQUEST_TIMEOUT: Final = LocalReply(408, "", "request_overall_timeout", b"request timeout")
HEADERS_TIMEOUT: Final = LocalReply(408, "", "request_header_timeout", b"request header timeout")
OVERFLOW: Final = LocalReply(
    503,
    "UO",
    "upstream_reset_before_response_started{overflow}",
    CONNECT_ERROR.format(retried="", reason="overflow").encode(),
    overloaded=True,
)
HEADERS_TOO_LARGE: Final = LocalReply(431, "DPE", "http1.headers_too_large", b"Request Header Fields Too Large")
TOO_MANY_HEADERS: Final = LocalReply(431, "DPE", "http1.too_many_headers", b"Request Header Fields Too Large")
UPGRADE_REQUIRED: Final = LocalReply(426, "DPE", "low_version", b"")
NOT_RELATIVE: Final = LocalReply(404, "", "absolute_path_rejected")
MISSING_HOST: Final = LocalReply(400, "DPE", "missing_host_header")
BAD_PATH: Final = LocalReply(400, "", "path_normalization_failed")
UPGRADE_FAILED: Final = LocalReply(403, "-", "upgrade_failed")
TLS_REQUIRED: Final = LocalReply(301, "-", "direct_response")


_GRPC: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""Status of HTTP to that of gRPC, which is 2 (``UNKNOWN``) for others (Envoy ``Grpc::Utility::httpToGrpcStatus``)."""
_PRINTABLE: Final = "".join(chr(code) for code in range(32, 127) if code != 37)


def as_grpc(reply: LocalReply) -> tuple[LocalReply, list[tuple[bytes, bytes]]]:
    """The answer to a call of gRPC, whose clients read no status of HTTP and no body: everything stands in its fields."""
    status = _GRPC.get(reply.status, 2) if reply.grpc < 0 else reply.grpc
    fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % status)]
    if reply.body:
        text = reply.body.removesuffix(b"\n")  # which one in JSON ends with
        fields.append((b"grpc-message", quote(text, safe=_PRINTABLE).encode()))
    return reply._replace(status=200, body=b""), fields


def bad_request(details: str) -> LocalReply:
    """The request breaks the protocol; nothing of it was understood for sure, so nothing of it is answered with."""
    return LocalReply(400, "DPE", details, b"Bad Request")


def not_resolved(reason: str) -> LocalReply:
    """The host that the request names has no address; ``reason`` is why."""
    return LocalReply(503, "DF", resolution_failure(reason), b"DNS resolution failure")


def resolution_failure(reason: str) -> str:
    """The details of a name without an address."""
    return f"dns_resolution_failure{{{reason.replace(' ', '_')}}}"


def idle_timeout(complete: bool) -> LocalReply:
    """Nothing came and nothing went for long; ``complete``: the client has said everything, so it is not to blame."""
    return LocalReply(504 if complete else 408, "SI", "stream_idle_timeout", b"stream timeout")


def duration_timeout(complete: bool) -> LocalReply:
    """The longest time for a request is over."""
    return LocalReply(504 if complete else 408, "", "max_duration_timeout", b"downstream duration timeout", grpc=4)


def upstream_duration_timeout(complete: bool) -> LocalReply:
    """The longest time for a request at its cluster is over."""
    details = "upstream_max_stream_duration_reached"
    return LocalReply(504 if complete else 408, "UMSDR", details, b"upstream max stream duration reached")


def connect_failure(reason: str, retried: bool) -> LocalReply:
    """No connection to the host; ``reason`` is the system's own word."""
    detail = f"remote_connection_failure|delayed_connect_error:_{reason.replace(' ', '_')}"
    return LocalReply(503, "UF", _before_headers(detail), _told("remote connection failure", retried))


def connection_timeout(retried: bool) -> LocalReply:
    """The host did not take the connection in time."""
    return LocalReply(503, "UF", _before_headers("connection_timeout"), _told("connection timeout", retried))


TERMINATION: Final = "connection termination"
REMOTE_RESET: Final = "remote reset"
REMOTE_REFUSED: Final = "remote refused stream reset"
BROKEN: Final = "protocol error"
"""Why a host's answer does not come, or not to its end, in Envoy's words."""
_RESET_FLAGS: Final = {TERMINATION: "UC", REMOTE_RESET: "UR", REMOTE_REFUSED: "UR", BROKEN: "UPE"}


def reset(reason: str, retried: bool) -> LocalReply:
    """The host has ended the connection or the stream before it answered."""
    details = _before_headers(reason.replace(" ", "_"))
    return LocalReply(503, _RESET_FLAGS.get(reason, "UC"), details, _told(reason, retried))


def broken_off(reason: str) -> LocalReply:
    """The host's answer has begun and does not come to its end; only flags and details say so."""
    details = f"upstream_reset_after_response_started{{{reason.replace(' ', '_')}}}"
    return LocalReply(0, _RESET_FLAGS.get(reason, "UC"), details)


ANSWER_ENDED: Final = broken_off(TERMINATION)
ANSWER_RESET: Final = broken_off(REMOTE_RESET)
ANSWER_BROKEN: Final = broken_off(BROKEN)


def _told(reason: str, retried: bool) -> bytes:
    return CONNECT_ERROR.format(retried="retried and the latest " if retried else "", reason=reason).encode()


def protocol_error(details: str) -> LocalReply:
    """The host's answer breaks the protocol."""
    body = CONNECT_ERROR.format(retried="", reason="protocol error")
    return LocalReply(502, "UPE", _before_headers(f"protocol_error|{details}"), body.encode())


def _before_headers(reason: str) -> str:
    return f"upstream_reset_before_response_started{{{reason}}}"


def transport_failure(reason: str) -> str:
    """``%UPSTREAM_TRANSPORT_FAILURE_REASON%`` for a connection that failed."""
    return f"delayed_connect_error:_{reason.replace(' ', '_')}"
