"""What of a configuration this proxy does not do, field by field.

A part or a field is honoured, or it stands in one of the tables: :data:`REFUSED`, where passing it over would open a door
or break a promise, or :data:`PASSED_OVER`, each with the reason why nothing is lost. A test finds the field that is in
neither.
"""

import dataclasses
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Final

from mesh_api.config import (
    AccessLog,
    AuthorizationServer,
    BodyFormat,
    CertificateValidation,
    Cluster,
    DatadogTracer,
    Endpoint,
    FilterChain,
    GrpcAccessLog,
    GrpcService,
    GrpcStatsFilter,
    HttpConnectionManager,
    HttpProtocolOptions,
    HttpService,
    Listener,
    Mirror,
    OpenTelemetryAccessLog,
    OpenTelemetryTracer,
    RemoteJwks,
    RetryPolicy,
    Route,
    RouteConfiguration,
    SecretSource,
    ServiceMetrics,
    SkyWalkingTracer,
    TcpProxy,
    Tracing,
    TransportSocketMatch,
    ZipkinTracer,
)

REFUSED_PARTS: Final[dict[type, str]] = {
    DatadogTracer: "a tracer of Datadog",
    GrpcAccessLog: "an access log to a service",
    SkyWalkingTracer: "a tracer of SkyWalking",
}
"""What is refused wherever it stands, and how it is called."""

REFUSED: Final[dict[tuple[type, str], tuple[object, ...]]] = {
    (Cluster, "extra_bind_addresses"): ((),),
    (TcpProxy, "tunnel"): (None,),
    (OpenTelemetryTracer, "sampler"): (None,),
    (CertificateValidation, "accept_untrusted"): (False,),
}
"""Field to the values of it that ask for nothing."""

_SENT = "is read by the supervisor, which sends the entries"
_CASE = "names of headers are not told apart by their case (RFC 9110, 5.1)"

PASSED_OVER: Final[dict[tuple[type, str], str]] = {
    (AccessLog, "formatters"): "operators of extensions are always there",
    (OpenTelemetryAccessLog, "formatters"): "operators of extensions are always there",
    (BodyFormat, "formatters"): "operators of extensions are always there",
    (OpenTelemetryAccessLog, "filter_state_objects"): "no filter leaves such objects",
    **{(OpenTelemetryAccessLog, name): _SENT for name in ("authority", "builtin_labels", "log_name")},
    (HttpConnectionManager, "preserve_header_case"): _CASE,
    (AuthorizationServer, "uri"): "the cluster says where the server is, and the request what its path is",
    (Cluster, "allow_insecure_options"): "whether names are asked for and checked, TLS itself says",
    (Cluster, "dns_max_queries"): "every query has a socket of its own, and so a port of its own",
    (Cluster, "services"): "is for people and statistics",
    (Cluster, "external"): "is for people and statistics",
    (Cluster, "metadata"): "is for people and statistics",
    (Endpoint, "metadata"): "is for people and statistics",
    (FilterChain, "metadata"): "is for people and statistics",
    (GrpcStatsFilter, "emit_filter_state"): "no filter reads such objects",
    (HttpConnectionManager, "suppress_route_server_header"): "routes do not write it",
    (HttpProtocolOptions, "preserve_header_case"): _CASE,
    (Listener, "per_connection_buffer_limit"): "buffers have limits of their own",
    (Listener, "max_connections_per_event"): "is tuning of Envoy's accept loop",
    (Listener, "exact_balance"): "workers share connections as the kernel gives them",
    (Listener, "traffic_direction"): "is a label",
    (Mirror, "trace_sampled"): "a copy has the trace of its original",
    (Tracing, "spawn_upstream_span"): "a span is the request's, whoever it was sent to",
    **{
        (kind, name): _SENT
        for kind, names in (
            (GrpcService, ("authority", "timeout", "initial_metadata")),
            (HttpService, ("uri", "timeout", "headers")),
            (OpenTelemetryTracer, ("http", "grpc", "service_name", "resource_detectors")),
            (ZipkinTracer, ("collector",)),
        )
        for name in names
    },
    **{
        (RemoteJwks, name): "is read by the supervisor, which fetches the keys before a request needs them"
        for name in ("uri", "cluster", "timeout", "cache_duration", "async_fetch", "fast_listener", "failed_refetch")
    },
    (Route, "metadata"): "is for people and statistics",
    (Route, "stat_prefix"): "is for statistics",
    (RetryPolicy, "other_priorities"): "a retry takes any host of the cluster that is healthy",
    (RetryPolicy, "priority_update_frequency"): "see other_priorities",
    (TcpProxy, "mongo_statistics"): "is for statistics",
    (ServiceMetrics, "tcp_interval"): "bytes are counted whenever numbers are read",
    (SecretSource, "cluster"): "secrets come from the supervisor, whoever gives them to it",
    (SecretSource, "authority"): "secrets come from the supervisor, whoever gives them to it",
    (SecretSource, "wait"): "connections are refused until a secret has come",
    (TransportSocketMatch, "name"): "is a label",
    (RouteConfiguration, "validate_clusters"): "a route to a cluster that is not there answers 503 by itself",
    (RouteConfiguration, "max_direct_response_body_size"): "the bodies are in the configuration already",
}
"""Field to the reason why it may be passed over."""


def refused(part: object) -> Iterator[str]:
    """What of a resource, at any depth, cannot be run, as ``FIELD = VALUE is not supported yet``."""
    if isinstance(part, tuple):
        for item in part:
            yield from refused(item)
    elif type(part) in REFUSED_PARTS:
        yield f"{REFUSED_PARTS[type(part)]} is not supported yet"
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        for name, harmless in _fields(type(part)):
            value = getattr(part, name)
            if harmless is None:
                yield from refused(value)
            elif value not in harmless:
                yield f"{name}{_written(value)} is not supported yet"


def _written(value: object) -> str:
    """A value that is short enough to be told."""
    if isinstance(value, Enum):
        return f" {value.value}"
    return f" = {value!r}" if isinstance(value, str | int | float | bool) else ""


@cache
def _fields(kind: type) -> tuple[tuple[str, tuple[object, ...] | None], ...]:
    return tuple((field.name, REFUSED.get((kind, field.name))) for field in dataclasses.fields(kind))
