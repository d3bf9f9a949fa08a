"""HTTP filters: one row for each, with both directions; and what a route or a virtual host says to them."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from mesh_api.config.authorization import RbacFilter
from mesh_api.config.compression import BufferFilter, CompressorFilter
from mesh_api.config.external_authorization import ExtAuthzFilter
from mesh_api.config.filters import (
    CorsFilter,
    FaultFilter,
    GrpcStatsFilter,
    GrpcWebFilter,
    HttpFilter,
    LocalRateLimitFilter,
    RouterFilter,
)
from mesh_api.config.forward_proxy import ForwardProxyFilter
from mesh_api.config.routes import MILLION, CorsPolicy, FaultPolicy, LocalRateLimit
from mesh_api.config.service_metrics import ServiceMetrics
from mesh_api.config.tokens import JwtAuthnFilter
from mesh_api.xds import compression, external_authorization, forward_proxy, local_rate_limits, service_metrics, tokens
from mesh_api.xds.authorization import HTTP_MESSAGE, decode_http_rbac, encode_http_rbac
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.ignored import IGNORED_TYPES
from mesh_api.xds.matchers import decode_string, encode_string
from mesh_api.xds.values import (
    boolean,
    duration,
    fraction,
    pack,
    read_fraction,
    read_runtime_fraction,
    runtime_fraction,
    type_name,
    unpack,
)


class FilterRow(NamedTuple):
    """How one filter looks on the wire."""

    config: type
    name: str
    message: Any
    encode: Callable[[Any], Any]
    decode: Callable[[Fields], HttpFilter]


def _encode_router(router: RouterFilter) -> Any:
    return router_pb2.Router(suppress_envoy_headers=router.suppress_envoy_headers)


def _decode_router(fields: Fields) -> RouterFilter:
    with fields as f:
        return RouterFilter(suppress_envoy_headers=f.flag("suppress_envoy_headers"))


def _decode_fault_filter(fields: Fields) -> FaultFilter:
    with fields:
        return FaultFilter()


def _decode_cors_filter(fields: Fields) -> CorsFilter:
    with fields:
        return CorsFilter()


def _decode_grpc_web(fields: Fields) -> GrpcWebFilter:
    with fields:
        return GrpcWebFilter()


def _encode_grpc_stats(stats: GrpcStatsFilter) -> Any:
    return grpc_stats_pb2.FilterConfig(
        emit_filter_state=stats.emit_filter_state, stats_for_all_methods=boolean(stats.stats_for_all_methods)
    )


def _decode_grpc_stats(fields: Fields) -> GrpcStatsFilter:
    with fields as f:
        return GrpcStatsFilter(f.flag("emit_filter_state"), f.wrapped_flag("stats_for_all_methods", default=False))


HTTP_FILTERS: Final = (
    FilterRow(
        FaultFilter,
        "envoy.filters.http.fault",
        fault_pb2.HTTPFault,
        lambda _: fault_pb2.HTTPFault(),
        _decode_fault_filter,
    ),
    FilterRow(CorsFilter, "envoy.filters.http.cors", cors_pb2.Cors, lambda _: cors_pb2.Cors(), _decode_cors_filter),
    FilterRow(
        GrpcStatsFilter,
        "envoy.filters.http.grpc_stats",
        grpc_stats_pb2.FilterConfig,
        _encode_grpc_stats,
        _decode_grpc_stats,
    ),
    FilterRow(
        GrpcWebFilter,
        "envoy.filters.http.grpc_web",
        grpc_web_pb2.GrpcWeb,
        lambda _: grpc_web_pb2.GrpcWeb(),
        _decode_grpc_web,
    ),
    FilterRow(
        JwtAuthnFilter,
        "envoy.filters.http.jwt_authn",
        tokens.MESSAGE,
        tokens.encode_jwt_authn,
        tokens.decode_jwt_authn,
    ),
    FilterRow(
        ExtAuthzFilter,
        "envoy.filters.http.ext_authz",
        external_authorization.HTTP_MESSAGE,
        external_authorization.encode_http_ext_authz,
        external_authorization.decode_http_ext_authz,
    ),
    FilterRow(
        ForwardProxyFilter,
        "envoy.filters.http.dynamic_forward_proxy",
        forward_proxy.HTTP_MESSAGE,
        forward_proxy.encode_http_forward_proxy,
        forward_proxy.decode_http_forward_proxy,
    ),
    FilterRow(RbacFilter, "envoy.filters.http.rbac", HTTP_MESSAGE, encode_http_rbac, decode_http_rbac),
    FilterRow(
        LocalRateLimitFilter,
        "envoy.filters.http.local_ratelimit",
        local_rate_limits.MESSAGE,
        lambda filter_: local_rate_limits.encode_rate_limit(filter_.limit),
        lambda fields: LocalRateLimitFilter(local_rate_limits.decode_rate_limit(fields)),
    ),
    FilterRow(
        ServiceMetrics,
        service_metrics.NAME,
        service_metrics.MESSAGE,
        service_metrics.encode_service_metrics,
        service_metrics.decode_service_metrics,
    ),
    FilterRow(
        CompressorFilter,
        "envoy.filters.http.compressor",
        compression.COMPRESSOR,
        compression.encode_compressor,
        compression.decode_compressor,
    ),
    FilterRow(
        BufferFilter,
        "envoy.filters.http.buffer",
        compression.BUFFER,
        compression.encode_buffer,
        compression.decode_buffer,
    ),
    FilterRow(RouterFilter, "envoy.filters.http.router", router_pb2.Router, _encode_router, _decode_router),
)
"""Every HTTP filter that the mesh knows."""

FAULT, CORS = HTTP_FILTERS[0].name, HTTP_FILTERS[1].name
RATE_LIMIT: Final = "envoy.filters.http.local_ratelimit"


def encode_http_filter(http_filter: HttpFilter) -> Any:
    """``HttpFilter`` of a connection manager."""
    row = next(row for row in HTTP_FILTERS if row.config is type(http_filter))
    return hcm_pb2.HttpFilter(name=row.name, typed_config=pack(row.encode(http_filter)))


def decode_http_filters(fields: Fields, field: str) -> tuple[HttpFilter, ...]:
    """The filters listed in ``field``, without those that are ignored by type."""
    found = []
    for entry in fields.children(field):
        with entry as f:
            f.text("name")
            packed = f.child("typed_config")
            if type_name(packed.message) in IGNORED_TYPES:
                f.flag("is_optional")
                continue
            message, config = unpack(packed, tuple(row.message for row in HTTP_FILTERS))
            found.append(next(row for row in HTTP_FILTERS if row.message is message).decode(config))
    return tuple(found)


def encode_overrides(
    fault: FaultPolicy | None, cors: CorsPolicy | None, limit: LocalRateLimit | None = None
) -> dict[str, Any]:
    """``typed_per_filter_config`` of a route or a virtual host."""
    overrides = {}
    if fault is not None:
        overrides[FAULT] = pack(_encode_fault(fault))
    if cors is not None:
        overrides[CORS] = pack(_encode_cors(cors))
    if limit is not None:
        overrides[RATE_LIMIT] = pack(local_rate_limits.encode_rate_limit(limit))
    return overrides


def decode_overrides(fields: Fields) -> tuple[FaultPolicy | None, CorsPolicy | None, LocalRateLimit | None]:
    """From ``typed_per_filter_config`` of a route or a virtual host; other filters' entries are errors."""
    entries = fields.take("typed_per_filter_config")
    fault, cors, limit = None, None, None
    for key in sorted(entries):
        packed = fields.nested(entries[key], f'typed_per_filter_config["{key}"]')
        message, config = unpack(packed, (fault_pb2.HTTPFault, cors_pb2.CorsPolicy, local_rate_limits.MESSAGE))
        if message is fault_pb2.HTTPFault:
            fault = _decode_fault(config)
        elif message is cors_pb2.CorsPolicy:
            cors = _decode_cors(config)
        else:
            limit = local_rate_limits.decode_rate_limit(config)
    return fault, cors, limit


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
