"""What a route or a virtual host says to HTTP filters (``typed_per_filter_config``)."""

from dataclasses import dataclass
from typing import Any, Final

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2

from mesh_api.config.compression import BufferOverride, CompressorOverride
from mesh_api.config.routes import MILLION, CorsPolicy, FaultPolicy, LocalRateLimit
from mesh_api.xds import compression, local_rate_limits
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_string, encode_string
from mesh_api.xds.values import (
    boolean,
    duration,
    fraction,
    pack,
    read_fraction,
    read_runtime_fraction,
    runtime_fraction,
    unpack,
)

FAULT: Final = "envoy.filters.http.fault"
CORS: Final = "envoy.filters.http.cors"
RATE_LIMIT: Final = "envoy.filters.http.local_ratelimit"
COMPRESSOR: Final = "envoy.filters.http.compressor"
BUFFER: Final = "envoy.filters.http.buffer"
_MESSAGES: Final = (
    fault_pb2.HTTPFault,
    cors_pb2.CorsPolicy,
    local_rate_limits.MESSAGE,
    compression.COMPRESSOR_OVERRIDE,
    compression.BUFFER_OVERRIDE,
)


@dataclass(slots=True)
class Overrides:
    """One for each filter that takes any; ``None``: nothing is said to it."""

    fault: FaultPolicy | None = None
    cors: CorsPolicy | None = None
    rate_limit: LocalRateLimit | None = None
    compressor: CompressorOverride | None = None
    buffer: BufferOverride | None = None


def encode_overrides(said: Overrides) -> dict[str, Any]:
    """``typed_per_filter_config`` of a route or a virtual host."""
    overrides = {}
    if said.fault is not None:
        overrides[FAULT] = pack(_encode_fault(said.fault))
    if said.cors is not None:
        overrides[CORS] = pack(_encode_cors(said.cors))
    if said.rate_limit is not None:
        overrides[RATE_LIMIT] = pack(local_rate_limits.encode_rate_limit(said.rate_limit))
    if said.compressor is not None:
        overrides[COMPRESSOR] = pack(compression.encode_compressor_override(said.compressor))
    if said.buffer is not None:
        overrides[BUFFER] = pack(compression.encode_buffer_override(said.buffer))
    return overrides


def decode_overrides(fields: Fields) -> Overrides:
    """From ``typed_per_filter_config`` of a route or a virtual host; other filters' entries are errors."""
    entries = fields.take("typed_per_filter_config")
    said = Overrides()
    for key in sorted(entries):
        packed = fields.nested(entries[key], f'typed_per_filter_config["{key}"]')
        message, config = unpack(packed, _MESSAGES)
        if message is fault_pb2.HTTPFault:
            said.fault = _decode_fault(config)
        elif message is cors_pb2.CorsPolicy:
            said.cors = _decode_cors(config)
        elif message is local_rate_limits.MESSAGE:
            said.rate_limit = local_rate_limits.decode_rate_limit(config)
        elif message is compression.COMPRESSOR_OVERRIDE:
            said.compressor = compression.decode_compressor_override(config)
        else:
            said.buffer = compression.decode_buffer_override(config)
    return said


def _encode_fault(policy: FaultPolicy) -> Any:
    if policy.abort_http_status is not None and policy.abort_grpc_status is not None:
        raise EncodeError("a fault aborts with an HTTP status and with a gRPC status")
    message = fault_pb2.HTTPFault()
    if policy.delay is not None:
        delay = common_fault_pb2.FaultDelay(
            fixed_delay=duration(policy.delay), percentage=fraction(policy.delay_fraction)
        )
        message.delay.CopyFrom(delay)
    elif policy.delay_fraction:
        raise EncodeError("delay_fraction is set without a delay")
    if policy.abort_http_status is not None:
        message.abort.http_status = policy.abort_http_status
    elif policy.abort_grpc_status is not None:
        message.abort.grpc_status = policy.abort_grpc_status
    elif policy.abort_fraction:
        raise EncodeError("abort_fraction is set without a status")
    if message.HasField("abort") and policy.abort_fraction:
        message.abort.percentage.CopyFrom(fraction(policy.abort_fraction))
    return message


def _decode_fault(fields: Fields) -> FaultPolicy:
    with fields as f:
        delay, delay_fraction, http_status, grpc_status, abort_fraction = None, 0, None, None, 0
        if (wire_delay := f.optional("delay")) is not None:
            with wire_delay as d:
                delay, delay_fraction = d.duration("fixed_delay"), read_fraction(d.optional("percentage"))
        if (wire_abort := f.optional("abort")) is not None:
            with wire_abort as a:
                kind = a.oneof("error_type")
                http_status = a.number("http_status") if kind == "http_status" else None
                grpc_status = a.number("grpc_status") if kind == "grpc_status" else None
                abort_fraction = read_fraction(a.optional("percentage"))
        return FaultPolicy(delay, delay_fraction, http_status, grpc_status, abort_fraction)


def _encode_cors(policy: CorsPolicy) -> Any:
    return cors_pb2.CorsPolicy(
        allow_origin_string_match=[encode_string(match) for match in policy.allow_origins],
        allow_methods=policy.allow_methods,
        allow_headers=policy.allow_headers,
        expose_headers=policy.expose_headers,
        max_age=policy.max_age,
        allow_credentials=boolean(policy.allow_credentials),
        forward_not_matching_preflights=boolean(policy.forward_unmatched_preflights),
        filter_enabled=runtime_fraction(MILLION),
    )


def _decode_cors(fields: Fields) -> CorsPolicy:
    with fields as f:
        if read_runtime_fraction(f.optional("filter_enabled"), MILLION) != MILLION:
            raise f.error("filter_enabled", "only 100 % is supported")
        return CorsPolicy(
            allow_origins=tuple(decode_string(match) for match in f.children("allow_origin_string_match")),
            allow_methods=f.text("allow_methods"),
            allow_headers=f.text("allow_headers"),
            expose_headers=f.text("expose_headers"),
            max_age=f.text("max_age"),
            allow_credentials=f.wrapped("allow_credentials"),
            forward_unmatched_preflights=f.wrapped_flag("forward_not_matching_preflights", default=True),
        )
