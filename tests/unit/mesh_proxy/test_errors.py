"""The answers that the proxy gives by itself, as measured on Envoy 1.40."""

import pytest

from mesh_proxy import errors
from mesh_proxy.errors import LocalReply

BEFORE = "upstream_reset_before_response_started"
RESET = b"upstream connect error or disconnect/reset before headers. "
REFUSED = "Connection refused"

REPLIES = [
    (errors.ROUTE_NOT_FOUND, 404, "NR", "route_not_found", b""),
    (errors.CLUSTER_NOT_FOUND, 503, "NC", "cluster_not_found", b""),
    (errors.NO_HEALTHY_UPSTREAM, 503, "UH", "no_healthy_upstream", b"no healthy upstream"),
    (errors.RESPONSE_TIMEOUT, 504, "UT", "response_timeout", b"upstream request timeout"),
    (errors.PER_TRY_TIMEOUT, 504, "UT", "upstream_per_try_timeout", b"upstream request timeout"),
    (errors.OVERFLOW, 503, "UO", f"{BEFORE}{{overflow}}", RESET + b"reset reason: overflow"),
    (errors.HEADERS_TOO_LARGE, 431, "DPE", "http1.headers_too_large", b"Request Header Fields Too Large"),
    (errors.UPGRADE_REQUIRED, 426, "DPE", "low_version", b""),
    (errors.MISSING_HOST, 400, "DPE", "missing_host_header", b""),
    (errors.UPGRADE_FAILED, 403, "-", "upgrade_failed", b""),
    (errors.bad_request("http1.codec_error"), 400, "DPE", "http1.codec_error", b"Bad Request"),
    (
        errors.connect_failure(REFUSED, True),
        503,
        "UF",
        f"{BEFORE}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}",
        RESET + b"retried and the latest reset reason: remote connection failure",
    ),
    (
        errors.connect_failure(REFUSED, False),
        503,
        "UF",
        f"{BEFORE}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}",
        RESET + b"reset reason: remote connection failure",
    ),
    (
        errors.connection_timeout(False),
        503,
        "UF",
        f"{BEFORE}{{connection_timeout}}",
        RESET + b"reset reason: connection timeout",
    ),
    (
        errors.reset(errors.TERMINATION, False),
        503,
        "UC",
        f"{BEFORE}{{connection_termination}}",
        RESET + b"reset reason: connection termination",
    ),
    (
        errors.reset(errors.TERMINATION, True),
        503,
        "UC",
        f"{BEFORE}{{connection_termination}}",
        RESET + b"retried and the latest reset reason: connection termination",
    ),
    (
        errors.reset(errors.REMOTE_RESET, False),
        503,
        "UR",
        f"{BEFORE}{{remote_reset}}",
        RESET + b"reset reason: remote reset",
    ),
    (
        errors.protocol_error("http1.codec_error"),
        502,
        "UPE",
        f"{BEFORE}{{protocol_error|http1.codec_error}}",
        RESET + b"reset reason: protocol error",
    ),
]


@pytest.mark.parametrize(
    ("reply", "status", "flags", "details", "body"), REPLIES, ids=[f"{row[2]} {row[3]}" for row in REPLIES]
)
def test_a_failure_is_told_as_envoy_tells_it(
    reply: LocalReply, status: int, flags: str, details: str, body: bytes
) -> None:
    assert (reply.status, reply.flags, reply.details, reply.body) == (status, flags, details, body)
    assert reply.overloaded is (flags == "UO")
    assert " " not in reply.details


def test_why_a_connection_failed_is_one_word() -> None:
    assert errors.transport_failure(REFUSED) == "delayed_connect_error:_Connection_refused"
