"""Listener of a sidecar for what is sent to its application."""

from dataclasses import replace

from mesh_api.config import (
    Cluster,
    ClusterType,
    FilterChain,
    FilterChainMatch,
    HttpProtocolOptions,
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
from mesh_control.compiler import (
    admission,
    connection_pools,
    defaults,
    filter_chains,
    inbound_chains,
    ingress,
    names,
    tls,
    traffic_policies,
)
from mesh_control.compiler import clusters as all_clusters
from mesh_control.compiler.inbound_chains import ChainKind
from mesh_control.compiler.peer_authentication import PeerMode, effective
from mesh_control.compiler.route_matches import EVERYTHING
from mesh_control.compiler.scope import Scope
from mesh_control.world import Protocol, Service, ServicePort

Served = tuple[int, Service, ServicePort]


def served(scope: Scope) -> list[Served]:
    """The application's own ports, with the service and port that each stands for; the first service of a port counts.
    Where a Sidecar names ports, these are the only ones."""
    sidecar = ingress.rules(scope)
    if sidecar is not None:
        return [(item.port.number, item.service, item.port) for item in ingress.ports(sidecar) if _redirected(item)]
    workload = scope.workload
    if workload is None:
        return []
    found: dict[int, Served] = {}
    for service in scope.own_services:
        for port in service.ports:
            if number := workload.port(port):
                found.setdefault(number, (number, service, port))
    return [found[number] for number in sorted(found)]


def _redirected(item: ingress.Ingress) -> bool:
    """Whether connections come to the port by redirection, rather than that the proxy listens on it itself."""
    return item.policy.capture_mode != "NONE"


def listeners(scope: Scope) -> tuple[Listener, ...]:
    """The listener that everything from outside is redirected to."""
    found, port = served(scope), scope.proxy.inbound_port
    mode = effective(scope.world, scope.proxy.namespace, scope.labels)
    modes = mode.mode, tuple(sorted(mode.ports.items()))
    what = ("inbound listener", port, tuple(number for number, _, _ in found), modes, scope.proxy.limited)
    sidecar = ingress.rules(scope)
    inputs = tuple(part for _, service, own in found for part in (service, own)) if sidecar is None else (sidecar,)
    caught = scope.shared(
        what, (*inputs, *admission.policies_of(scope)), lambda: (_listener(scope, found, port, mode),)
    )
    opened = [item for item in ingress.ports(sidecar) if not _redirected(item)] if sidecar is not None else []
    return (*caught, *(_opened(scope, item, mode) for item in opened))


def _opened(scope: Scope, item: ingress.Ingress, mode: PeerMode) -> Listener:
    """A port on which the proxy itself listens, for connections that are not redirected."""
    number = item.port.number
    own = number, item.service, item.port
    kinds = inbound_chains.kinds(mode.of_port(number), _declared(item.port))
    chains = tuple(_made(scope, own, kind) for kind in kinds)
    inspectors, exempt = inbound_chains.inspectors(chains)
    address = ingress.bind(scope, number)
    return Listener(
        name=f"{address}_{number}",
        address=SocketAddress(address, number),
        filter_chains=chains,
        listener_filters=inspectors,
        listener_filter_exemptions=exempt,
        traffic_direction=TrafficDirection.INBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        listener_filters_timeout=0.0,
        continue_on_listener_filters_timeout=True,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
    )


def _listener(scope: Scope, found: list[Served], port: int, mode: PeerMode) -> Listener:
    sink = filter_chains.black_hole("virtualInbound-blackhole", port)
    if scope.proxy.limited:
        chains = (sink, *(_plain(scope, item) for item in found), _rest(scope, FilterChainMatch()))
        inspectors: tuple[ListenerFilter, ...] = ()
        exempt: tuple[ListenerFilterExemption, ...] = ()
    else:
        own = {number for number, _, _ in found}
        others = {None: mode.mode} | {number: mode.ports[number] for number in sorted(mode.ports) if number not in own}
        rest = [
            _made(scope, None, kind, number)
            for number, of_port in others.items()
            for kind in inbound_chains.kinds(of_port, None)
        ]
        made = [
            _made(scope, item, kind)
            for item in found
            for kind in inbound_chains.kinds(mode.of_port(item[0]), _declared(item[2]))
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


def _declared(port: ServicePort) -> Protocol | None:
    return None if port.protocol is Protocol.AUTO else port.protocol


def _made(scope: Scope, item: Served | None, kind: ChainKind, number: int | None = None) -> FilterChain:
    """One way to take connections to a port; without an item to one that no service names, or (no number) to all of these."""
    match = FilterChainMatch(
        destination_port=item[0] if item is not None else number,
        transport_protocol=kind.transport,
        application_protocols=kind.application,
    )
    socket = tls.mutual_server(scope.world.trust_domains, tcp=not kind.http) if kind.terminates else None
    if item is None:
        return replace(_rest(scope, match, http=kind.http), tls=socket)
    chain = _plain(scope, item, match, http=kind.http)
    return replace(chain, tls=socket, metadata=ingress.metadata(ingress.rules(scope)))


def _rest(scope: Scope, match: FilterChainMatch, *, http: bool = False) -> FilterChain:
    """Ports that no service names."""
    if not http:
        guards = admission.network_filters(scope)
        return FilterChain(filter_chains.tcp(defaults.INBOUND_PASSTHROUGH), "virtualInbound", match, guards)
    table = _table(defaults.INBOUND_PASSTHROUGH, "inbound|http|0", names.operation("", 0))
    manager = filter_chains.inbound_http(defaults.INBOUND_PASSTHROUGH, table, admission.http_filters(scope))
    return FilterChain(manager, "virtualInbound-catchall-http", match)


def _plain(
    scope: Scope, item: Served, match: FilterChainMatch | None = None, *, http: bool | None = None
) -> FilterChain:
    number, service, port = item
    match = match or FilterChainMatch(destination_port=number)
    name = f"{ingress.bind(scope, number)}_{number}"
    if port.tcp if http is None else not http:
        return FilterChain(filter_chains.tcp(names.inbound(number)), name, match, admission.network_filters(scope))
    table = routes(number, service, port)
    return FilterChain(filter_chains.inbound_http(f"inbound_{name}", table, admission.http_filters(scope)), name, match)


def routes(number: int, service: Service, port: ServicePort) -> RouteConfiguration:
    """Everything to the application."""
    operation = names.operation(service.hostname, port.number)
    return _table(names.inbound(number), f"inbound|http|{port.number}", operation, again=not port.protocol.is_grpc)


def _table(cluster: str, host: str, operation: str, *, again: bool = True) -> RouteConfiguration:
    """``again``: what was not begun is asked once more; gRPC has retries of its own (Istio)."""
    action = RouteAction(
        cluster=cluster,
        timeout=0.0,
        max_stream_duration=0.0,
        grpc_timeout_header_max=0.0,
        retry=defaults.INBOUND_RETRIES if again else None,
    )
    route = Route(EVERYTHING, action, "default", operation=operation)
    limit = defaults.INLINE_BODY_LIMIT
    return RouteConfiguration(cluster, (VirtualHost(host, ("*",), (route,)),), max_direct_response_body_size=limit)


def clusters(scope: Scope) -> list[Cluster]:
    """The application's ports, at the address that was dialled, or where a Sidecar says."""
    sidecar = ingress.rules(scope)
    if sidecar is None:
        return [_cluster(scope, number, _services(scope, number), port) for number, _, port in served(scope)]
    made = []
    for item in ingress.ports(sidecar):
        services = _services(scope, item.port.number)[:1]
        cluster = _cluster(scope, item.port.number, services, item.port)
        made.append(ingress.to_application(scope, cluster, item.policy.default_endpoint))
    return made


def _services(scope: Scope, number: int) -> tuple[Service, ...]:
    """The services that stand for a port of the application, the one that counts first."""
    workload = scope.workload
    if workload is None:
        return ()
    return tuple(s for s in scope.own_services if any(workload.port(port) == number for port in s.ports))


def _cluster(scope: Scope, number: int, services: tuple[Service, ...], port: ServicePort) -> Cluster:
    rules = scope.destination_rules(services[0]) if services else ()
    said = any(rule.spec.traffic_policy is not None for rule in rules)
    asked = traffic_policies.with_defaults(traffic_policies.settings(rules, port.number), scope.world.mesh)
    pool = ingress.pool(scope, number) or asked.connection_pool
    cluster = Cluster(
        names.inbound(number),
        ClusterType.ORIGINAL_DST,
        defaults.CONNECT_TIMEOUT,
        LbPolicy.CLUSTER_PROVIDED,
        thresholds=defaults.THRESHOLDS,
        http=HttpProtocolOptions("http1" if scope.proxy.limited else all_clusters.spoken(port.protocol)),
        bind_address=defaults.LOOP_BREAKER,
        cleanup_interval=defaults.NEVER,
        alt_stat_name=names.statistics(names.inbound(number)),
    )
    if services:
        described = all_clusters.described(services[0], rules if said else ())
        cluster = replace(cluster, **described | {"services": tuple(map(all_clusters.called, services))})
    return connection_pools.with_pool(scope, cluster, pool)
