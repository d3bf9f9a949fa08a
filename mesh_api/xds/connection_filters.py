"""Limits of connections (``local_ratelimit.v3.LocalRateLimit``, ``connection_limit.v3.ConnectionLimit``)."""

from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.type.v3 import token_bucket_pb2
from google.protobuf import wrappers_pb2

from mesh_api.config.connection_filters import ConnectionGate, ConnectionLimit, ConnectionRateLimit
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration, uint32

RATE_LIMIT: Final = local_rate_limit_pb2.LocalRateLimit
LIMIT: Final = connection_limit_pb2.ConnectionLimit
RATE_LIMIT_NAME: Final = "envoy.filters.network.local_ratelimit"
LIMIT_NAME: Final = "envoy.filters.network.connection_limit"


def encode_gate(gate: ConnectionGate) -> tuple[str, Any]:
    """The filter's name and its message."""
    enabled = None
    if not gate.enabled:
        enabled = base_pb2.RuntimeFeatureFlag(
            default_value=wrappers_pb2.BoolValue(value=False), runtime_key=f"{gate.name}.enabled"
        )
    if isinstance(gate, ConnectionLimit):
        most = wrappers_pb2.UInt64Value(value=gate.most)
        limit = LIMIT(stat_prefix=gate.name, max_connections=most, delay=duration(gate.delay), runtime_enabled=enabled)
        return LIMIT_NAME, limit
    bucket = token_bucket_pb2.TokenBucket(
        max_tokens=gate.most, tokens_per_fill=uint32(gate.fill, unless=1), fill_interval=duration(gate.interval)
    )
    return RATE_LIMIT_NAME, RATE_LIMIT(stat_prefix=gate.name, token_bucket=bucket, runtime_enabled=enabled)


def decode_rate_limit(fields: Fields) -> ConnectionRateLimit:
    """From ``LocalRateLimit``."""
    with fields as f:
        with f.child("token_bucket") as bucket:
            most, fill = bucket.number("max_tokens"), bucket.wrapped_number("tokens_per_fill", 1)
            interval = bucket.duration("fill_interval") or 1.0
        return ConnectionRateLimit(f.text("stat_prefix"), most, fill, interval, _enabled(f))


def decode_limit(fields: Fields) -> ConnectionLimit:
    """From ``ConnectionLimit``."""
    with fields as f:
        return ConnectionLimit(
            f.text("stat_prefix"), f.wrapped_number("max_connections", 0), f.duration("delay"), _enabled(f)
        )


def _enabled(fields: Fields) -> bool:
    """There are no runtime keys here: the default holds."""
    flag = fields.optional("runtime_enabled")
    if flag is None:
        return True
    with flag as f:
        f.text("runtime_key")
        return f.wrapped_flag("default_value", default=True)
