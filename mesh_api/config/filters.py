"""HTTP filters in the order in which the control plane lists them (Envoy ``http_connection_manager.v3.HttpFilter``).

One class for one filter (those of authorization, of tokens and of hosts that requests
name stand in modules of their own). To add one: a class here, a
row in :mod:`mesh_api.xds.filters`, its implementation in :mod:`mesh_proxy.filters`. The router is always the last.
"""

from dataclasses import dataclass

from mesh_api.config.authorization import RbacFilter
from mesh_api.config.compression import BufferFilter, CompressorFilter, DecompressorFilter
from mesh_api.config.external_authorization import ExtAuthzFilter
from mesh_api.config.forward_proxy import ForwardProxyFilter
from mesh_api.config.routes import LocalRateLimit
from mesh_api.config.service_metrics import ServiceMetrics
from mesh_api.config.tokens import JwtAuthnFilter


@dataclass(frozen=True, slots=True)
class RouterFilter:
    """``envoy.filters.http.router``: sends the request to its cluster, with timeouts and retries."""

    suppress_envoy_headers: bool = False


@dataclass(frozen=True, slots=True)
class FaultFilter:
    """``envoy.filters.http.fault``: acts only where a route carries a :class:`~mesh_api.config.routes.FaultPolicy`."""


@dataclass(frozen=True, slots=True)
class CorsFilter:
    """``envoy.filters.http.cors``: acts only where a route carries a :class:`~mesh_api.config.routes.CorsPolicy`."""


@dataclass(frozen=True, slots=True)
class GrpcStatsFilter:
    """``envoy.filters.http.grpc_stats``: counts the messages of gRPC calls, and leaves the counts for telemetry."""

    emit_filter_state: bool = True
    stats_for_all_methods: bool = False


@dataclass(frozen=True, slots=True)
class GrpcWebFilter:
    """``envoy.filters.http.grpc_web``: calls of gRPC from browsers become calls of gRPC."""


@dataclass(frozen=True, slots=True)
class LocalRateLimitFilter:
    """``envoy.filters.http.local_ratelimit``: ``limit`` holds for every request whose route has no limit of its own."""

    limit: LocalRateLimit


HttpFilter = (
    RouterFilter
    | FaultFilter
    | CorsFilter
    | GrpcStatsFilter
    | GrpcWebFilter
    | RbacFilter
    | JwtAuthnFilter
    | ExtAuthzFilter
    | ForwardProxyFilter
    | LocalRateLimitFilter
    | ServiceMetrics
    | CompressorFilter
    | BufferFilter
    | DecompressorFilter
)
"""Any HTTP filter."""
