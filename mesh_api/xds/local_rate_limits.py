"""Local rate limits of requests (``local_ratelimit.v3.LocalRateLimit``), the same message for the filter and for routes."""

from typing import Any, Final

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.type.v3 import http_status_pb2, token_bucket_pb2

from mesh_api.config.routes import MILLION, LocalRateLimit
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_edits import decode_headers, encode_headers
from mesh_api.xds.values import duration, read_runtime_fraction, runtime_fraction, uint32

MESSAGE: Final = local_rate_limit_pb2.LocalRateLimit
_STATUS: Final = 429
_TELLS: Final = "DRAFT_VERSION_03"


def encode_rate_limit(limit: LocalRateLimit) -> Any:
    """``LocalRateLimit``."""
    message = MESSAGE(
        stat_prefix=limit.name,
        filter_enabled=runtime_fraction(limit.enabled),
        filter_enforced=runtime_fraction(limit.enforced),
        response_headers_to_add=encode_headers(limit.answer_headers),
        request_headers_to_add_when_not_enforced=encode_headers(limit.request_headers),
        local_rate_limit_per_downstream_connection=limit.per_connection,
        rate_limited_as_resource_exhausted=limit.resource_exhausted,
    )
    if limit.most:
        message.token_bucket.CopyFrom(
            token_bucket_pb2.TokenBucket(
                max_tokens=limit.most,
                tokens_per_fill=uint32(limit.fill, unless=1),
                fill_interval=duration(limit.interval),
            )
        )
    if limit.status != _STATUS:
        message.status.code = http_status_pb2.StatusCode.Value(http_status_pb2.StatusCode.Name(limit.status))
    if limit.tells:
        message.enable_x_ratelimit_headers = ratelimit_pb2.XRateLimitHeadersRFCVersion.Value(_TELLS)
    return message


def decode_rate_limit(fields: Fields) -> LocalRateLimit:
    """From ``LocalRateLimit``."""
    with fields as f:
        most, fill, interval = 0, 1, 1.0
        if (bucket := f.optional("token_bucket")) is not None:
            with bucket as b:
                most, fill = b.number("max_tokens"), b.wrapped_number("tokens_per_fill", 1)
                interval = b.duration("fill_interval") or 1.0
        status = _STATUS
        if (wire_status := f.optional("status")) is not None:
            with wire_status as s:
                status = s.number("code")
        return LocalRateLimit(
            name=f.text("stat_prefix"),
            most=most,
            fill=fill,
            interval=interval,
            # As in Envoy, a status that is no error is none.
            status=status if status >= 400 else _STATUS,
            enabled=min(read_runtime_fraction(f.optional("filter_enabled"), 0), MILLION),
            enforced=min(read_runtime_fraction(f.optional("filter_enforced"), 0), MILLION),
            answer_headers=decode_headers(f.children("response_headers_to_add")),
            request_headers=decode_headers(f.children("request_headers_to_add_when_not_enforced")),
            per_connection=f.flag("local_rate_limit_per_downstream_connection"),
            tells=f.enum("enable_x_ratelimit_headers") == _TELLS,
            resource_exhausted=f.flag("rate_limited_as_resource_exhausted"),
        )
