"""The typed configuration of one proxy: frozen, slotted, free of protobuf.

Every class mirrors one message of Envoy's xDS v3 API under the same name, restricted to the fields that this mesh
compiles and enforces. Durations are ``float`` seconds, ``None`` means "unset", sequences are tuples, fractions are
parts per million. :mod:`mesh_api.xds` converts to and from the wire; nothing else sees protobuf.
"""

from mesh_api.config.access_log import AccessLog
from mesh_api.config.authorization import NetworkRbac, Rbac, RbacAction, RbacFilter, RbacPolicy
from mesh_api.config.clusters import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterType,
    HttpProtocolOptions,
    LbPolicy,
    OutlierDetection,
    RingHashConfig,
    SlowStart,
)
from mesh_api.config.endpoints import ClusterLoadAssignment, Endpoint, HealthStatus, LocalityEndpoints
from mesh_api.config.filters import CorsFilter, FaultFilter, HttpFilter, RouterFilter
from mesh_api.config.listeners import (
    FilterChain,
    FilterChainMatch,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    ListenerFilterExemption,
    NetworkFilter,
    TcpProxy,
    TrafficDirection,
)
from mesh_api.config.matchers import HeaderMatch, QueryParameterMatch, StringMatch, StringMatchKind
from mesh_api.config.proxy_config import ProxyConfig
from mesh_api.config.routes import (
    CorsPolicy,
    DirectResponse,
    FaultPolicy,
    HashPolicy,
    HeaderEdits,
    HeaderValue,
    Mirror,
    PathMatch,
    PathMatchKind,
    Redirect,
    RegexRewrite,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from mesh_api.config.sockets import PipeAddress, SocketAddress

__all__ = [
    "AccessLog",
    "CircuitBreakerThresholds",
    "Cluster",
    "ClusterLoadAssignment",
    "ClusterType",
    "CorsFilter",
    "CorsPolicy",
    "DirectResponse",
    "Endpoint",
    "FaultFilter",
    "FaultPolicy",
    "FilterChain",
    "FilterChainMatch",
    "HashPolicy",
    "HeaderEdits",
    "HeaderMatch",
    "HeaderValue",
    "HealthStatus",
    "HttpConnectionManager",
    "HttpFilter",
    "HttpProtocolOptions",
    "LbPolicy",
    "Listener",
    "ListenerFilter",
    "ListenerFilterExemption",
    "LocalityEndpoints",
    "Mirror",
    "NetworkFilter",
    "NetworkRbac",
    "OutlierDetection",
    "PathMatch",
    "PathMatchKind",
    "PipeAddress",
    "ProxyConfig",
    "QueryParameterMatch",
    "Rbac",
    "RbacAction",
    "RbacFilter",
    "RbacPolicy",
    "Redirect",
    "RegexRewrite",
    "RetryPolicy",
    "RingHashConfig",
    "Route",
    "RouteAction",
    "RouteConfiguration",
    "RouteMatch",
    "RouterFilter",
    "SlowStart",
    "SocketAddress",
    "StringMatch",
    "StringMatchKind",
    "TcpProxy",
    "TrafficDirection",
    "VirtualHost",
    "WeightedCluster",
]
