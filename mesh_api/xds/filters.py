"""HTTP filters: one row for each, with both directions."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from mesh_api.config.authorization import RbacFilter
from mesh_api.config.compression import BufferFilter, CompressorFilter, DecompressorFilter
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
from mesh_api.config.service_metrics import ServiceMetrics
from mesh_api.config.tokens import JwtAuthnFilter
from mesh_api.xds import compression, external_authorization, forward_proxy, local_rate_limits, service_metrics, tokens
from mesh_api.xds.authorization import HTTP_MESSAGE, decode_http_rbac, encode_http_rbac
from mesh_api.xds.fields import Fields
from mesh_api.xds.ignored import IGNORED_TYPES
from mesh_api.xds.values import (
    boolean,
    pack,
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
    FilterRow(
        DecompressorFilter,
        "envoy.filters.http.decompressor",
        compression.DECOMPRESSOR,
        compression.encode_decompressor,
        compression.decode_decompressor,
    ),
    FilterRow(RouterFilter, "envoy.filters.http.router", router_pb2.Router, _encode_router, _decode_router),
)
"""Every HTTP filter that the mesh knows."""


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
