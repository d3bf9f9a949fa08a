"""Listener of a sidecar for what is sent to its application."""

from dataclasses import replace

from mesh_api.config import (
    Cluster,
    ClusterType,
    FilterChain,
    FilterChainMatch,
    LbPolicy,
    Listener,
    ListenerFilter,
    ListenerFilterExemption,
    Route,
    RouteAction,
    RouteConfiguration,
    SocketAddress,
    TrafficDirection,
    VirtualHost,
)
from mesh_control.compiler import authorization, defaults, filter_chains, inbound_chains, names, tls, traffic_policies
from mesh_control.compiler import clusters as all_clusters
from mesh_control.compiler.inbound_chains import ChainKind
from mesh_control.compiler.peer_authentication import PeerMode, effective
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
    mode = effective(scope.world, scope.proxy.namespace, scope.labels)
    modes = mode.mode, tuple(sorted(mode.ports.items()))
    what = ("inbound listener", port, tuple(number for number, _, _ in found), modes, scope.proxy.limited)
    inputs = tuple(part for _, service, own in found for part in (service, own))
    return scope.shared(
        what, (*inputs, *authorization.policies_of(scope)), lambda: (_listener(scope, found, port, mode),)
    )


def _listener(scope: Scope, found: list[Served], port: int, mode: PeerMode) -> Listener:
    sink = filter_chains.black_hole("virtualInbound-blackhole", port)
    if scope.proxy.limited:
        chains = (sink, *(_plain(scope, item) for item in found), _rest(scope, FilterChainMatch()))
        inspectors: tuple[ListenerFilter, ...] = ()
        exempt: tuple[ListenerFilterExemption, ...] = ()
    else:
        rest = [_made(scope, None, kind) for kind in inbound_chains.kinds(mode.mode, None)]
        made = [
            _made(scope, item, kind)
            for item in found
            for kind in inbound_chains.kinds(mode.of_port(item[0]), item[2].protocol)
        ]
        chains = (sink, *rest, *made)
        inspectors, exempt = inbound_chains.inspectors(chains)
    return Listener(
        name="virtualInbound",
        address=SocketAddress(defaults.WILDCARD, port),
        filter_chains=chains,
        listener_filters=(ListenerFilter.ORIGINAL_DST, *inspectors),
        listener_filter_exemptions=exempt,
        traffic_direction=TrafficDirection.INBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        listener_filters_timeout=0.0,
        continue_on_listener_filters_timeout=True,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
    )


def _made(scope: Scope, item: Served | None, kind: ChainKind) -> FilterChain:
    """One way to take connections to a port; to those that no service names without an item."""
    match = FilterChainMatch(
        destination_port=item[0] if item is not None else None,
        transport_protocol=kind.transport,
        application_protocols=kind.application,
    )
    socket = tls.mutual_server(scope.world.trust_domains, tcp=not kind.http) if kind.terminates else None
    chain = _rest(scope, match, http=kind.http) if item is None else _plain(scope, item, match, http=kind.http)
    return replace(chain, tls=socket)


def _rest(scope: Scope, match: FilterChainMatch, *, http: bool = False) -> FilterChain:
    """Ports that no service names."""
    if not http:
        guards = authorization.guards(scope)
        return FilterChain(filter_chains.tcp(defaults.INBOUND_PASSTHROUGH), "virtualInbound", match, guards)
    table = _table(defaults.INBOUND_PASSTHROUGH, "inbound|http|0", names.operation("", 0))
    manager = filter_chains.inbound_http(defaults.INBOUND_PASSTHROUGH, table, authorization.http_filters(scope))
    return FilterChain(manager, "virtualInbound-catchall-http", match)


def _plain(
    scope: Scope, item: Served, match: FilterChainMatch | None = None, *, http: bool | None = None
) -> FilterChain:
    number, service, port = item
    match = match or FilterChainMatch(destination_port=number)
    name = f"{defaults.WILDCARD}_{number}"
    if port.tcp if http is None else not http:
        return FilterChain(filter_chains.tcp(names.inbound(number)), name, match, authorization.guards(scope))
    table = routes(number, service, port)
    return FilterChain(
        filter_chains.inbound_http(f"inbound_{name}", table, authorization.http_filters(scope)), name, match
    )


def routes(number: int, service: Service, port: ServicePort) -> RouteConfiguration:
    """Everything to the application."""
    operation = names.operation(service.hostname, port.number)
    return _table(names.inbound(number), f"inbound|http|{port.number}", operation)


def _table(cluster: str, host: str, operation: str) -> RouteConfiguration:
    action = RouteAction(
        cluster=cluster,
        timeout=0.0,
        max_stream_duration=0.0,
        grpc_timeout_header_max=0.0,
        retry=defaults.INBOUND_RETRIES,
    )
    route = Route(EVERYTHING, action, "default", operation=operation)
    limit = defaults.INLINE_BODY_LIMIT
    return RouteConfiguration(cluster, (VirtualHost(host, ("*",), (route,)),), max_direct_response_body_size=limit)


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
        alt_stat_name=names.statistics(names.inbound(number)),
    )
    cluster = replace(cluster, **all_clusters.described(service, rules if pool is not None else ()))
    return all_clusters.with_pool(cluster, pool)
