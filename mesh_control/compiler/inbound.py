"""Listener of a sidecar for what is sent to its application."""

from mesh_api.config import (
    Cluster,
    ClusterType,
    FilterChain,
    FilterChainMatch,
    LbPolicy,
    Listener,
    ListenerFilter,
    Route,
    RouteAction,
    RouteConfiguration,
    SocketAddress,
    TrafficDirection,
    VirtualHost,
)
from mesh_control.compiler import authorization, defaults, filter_chains, names, traffic_policies
from mesh_control.compiler import clusters as all_clusters
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.virtual_service import EVERYTHING
from mesh_control.world import Service, ServicePort

Served = tuple[int, Service, ServicePort]


def served(scope: Scope) -> list[Served]:
    """The application's own ports, with the service and port that each stands for; the first service of a port counts."""
    workload = scope.workload
    if workload is None:
        return []
    found: dict[int, Served] = {}
    for service in scope.own_services:
        for port in service.ports:
            number = workload.port(port)
            found.setdefault(number, (number, service, port))
    return [found[number] for number in sorted(found)]


def listeners(scope: Scope) -> tuple[Listener, ...]:
    """The listener that everything from outside is redirected to."""
    found, port = served(scope), scope.proxy.inbound_port
    what = ("inbound listener", port, tuple(number for number, _, _ in found))
    inputs = tuple(part for _, service, own in found for part in (service, own))
    return scope.shared(what, (*inputs, *authorization.policies_of(scope)), lambda: (_listener(scope, found, port),))


def _listener(scope: Scope, found: list[Served], port: int) -> Listener:
    sink = filter_chains.black_hole("virtualInbound-blackhole", port)
    chains = [sink, *(_chain(scope, item) for item in found)]
    guards = authorization.guards(scope)
    rest = FilterChain(filter_chains.tcp(defaults.INBOUND_PASSTHROUGH), "virtualInbound", guards=guards)
    return Listener(
        name="virtualInbound",
        address=SocketAddress(defaults.WILDCARD, port),
        filter_chains=(*chains, rest),
        listener_filters=(ListenerFilter.ORIGINAL_DST,),
        traffic_direction=TrafficDirection.INBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        listener_filters_timeout=0.0,
        continue_on_listener_filters_timeout=True,
    )


def _chain(scope: Scope, item: Served) -> FilterChain:
    number, service, port = item
    match = FilterChainMatch(destination_port=number)
    name = f"{defaults.WILDCARD}_{number}"
    if port.tcp:
        return FilterChain(filter_chains.tcp(names.inbound(number)), name, match, authorization.guards(scope))
    table = routes(number, service, port)
    return FilterChain(
        filter_chains.inbound_http(f"inbound_{name}", table, authorization.http_filters(scope)), name, match
    )


def routes(number: int, service: Service, port: ServicePort) -> RouteConfiguration:
    """Everything to the application."""
    action = RouteAction(
        cluster=names.inbound(number),
        timeout=0.0,
        max_stream_duration=0.0,
        grpc_timeout_header_max=0.0,
        retry=defaults.INBOUND_RETRIES,
    )
    route = Route(EVERYTHING, action, "default", operation=names.operation(service.hostname, port.number))
    host = VirtualHost(f"inbound|http|{port.number}", ("*",), (route,))
    return RouteConfiguration(names.inbound(number), (host,), max_direct_response_body_size=defaults.INLINE_BODY_LIMIT)


def clusters(scope: Scope) -> list[Cluster]:
    """The application's ports, at the address that was dialled."""
    return [_cluster(scope, *item) for item in served(scope)]


def _cluster(scope: Scope, number: int, service: Service, port: ServicePort) -> Cluster:
    rules = scope.destination_rules(service)
    pool = traffic_policies.settings(rules, port.number).connection_pool
    cluster = Cluster(
        names.inbound(number),
        ClusterType.ORIGINAL_DST,
        defaults.CONNECT_TIMEOUT,
        LbPolicy.CLUSTER_PROVIDED,
        thresholds=defaults.THRESHOLDS,
        bind_address=defaults.LOOP_BREAKER,
        cleanup_interval=defaults.NEVER,
        metadata=all_clusters.metadata(service, rules if pool is not None else ()),
        alt_stat_name=names.statistics(names.inbound(number)),
    )
    return all_clusters.with_pool(cluster, pool)
