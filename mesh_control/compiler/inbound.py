"""Listener of a sidecar for what is sent to its application."""

from dataclasses import replace

from mesh_api.config import (
    Cluster,
    ClusterType,
    FilterChain,
    FilterChainMatch,
    GrpcWebFilter,
    HttpFilter,
    HttpProtocolOptions,
    LbPolicy,
    Listener,
    ListenerFilter,
    Route,
    RouteAction,
    RouteConfiguration,
    SocketAddress,
    TcpProxy,
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
    outbound_policy,
    statistics,
    tls,
    traffic_policies,
)
from mesh_control.compiler import clusters as all_clusters
from mesh_control.compiler.inbound_chains import ChainKind
from mesh_control.compiler.peer_authentication import PeerMode, TlsMode, effective
from mesh_control.compiler.route_matches import EVERYTHING
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import INBOUND_PORT
from mesh_control.services import Protocol, Service, ServicePort

Served = tuple[int, Service, ServicePort]
NOBODY = Service("", "", ())
"""The service of ports that no service names."""


def served(scope: Scope) -> list[Served]:
    """The application's own ports, with the service and port that each stands for; the first service of a port counts.
    Where a Sidecar names ports, these are the only ones."""
    sidecar = ingress.rules(scope)
    if sidecar is not None:
        return [
            (item.port.number, item.service, item.port)
            for item in ingress.ports(sidecar)
            if ingress.is_redirected(scope, item)
        ]
    if not (scope.proxy.intercepted or scope.proxy.ingress_ports):
        return []  # without redirection the application itself listens on its ports (Istio)
    found: dict[int, Served] = {}
    for service, member in scope.own_instances:
        for port in service.served_ports:
            if number := member.port(port):
                found.setdefault(number, (number, service, port))
    return [found[number] for number in sorted(found)]


def _caught(scope: Scope) -> list[Served]:
    """The ports for which connections that are redirected have ways of their own: the proxy's own ports have none."""
    sidecar, proxy, mesh = ingress.rules(scope), scope.proxy, scope.world.mesh
    if sidecar is not None:
        refused = {item.port.number for item in ingress.ports(sidecar) if not ingress.may_listen(scope, item)}
    else:
        refused = {*proxy.reserved, mesh.proxy_listen_port, mesh.proxy_inbound_listen_port}
    return [item for item in served(scope) if item[0] not in refused]


def _port(scope: Scope) -> int:
    """Where connections are redirected to: as the proxy says, else as the mesh does."""
    proxy = scope.proxy
    if proxy.inbound_port != INBOUND_PORT:
        return proxy.inbound_port
    return scope.world.mesh.proxy_inbound_listen_port


def listeners(scope: Scope) -> tuple[Listener, ...]:
    """The listener that everything from outside is redirected to."""
    found, port, proxy = _caught(scope), _port(scope), scope.proxy
    mode = effective(scope.world, scope.proxy.namespace, scope.labels)
    modes = mode.mode, tuple(sorted(mode.ports.items()))
    binds = ingress.wildcard(scope), tuple(ingress.bind(scope, number) for number, _, _ in found)
    numbers = tuple(number for number, _, _ in found)
    asked = proxy.transparent, proxy.exact_balance, proxy.certificate_files, proxy.own, proxy.plain
    what = ("inbound listener", port, numbers, tuple(sorted(_named(scope))), binds, modes, asked)
    sidecar = ingress.rules(scope)
    inputs = tuple(part for _, service, own in found for part in (service, own)) if sidecar is None else (sidecar,)
    caught: tuple[Listener, ...] = ()
    if proxy.intercepted:
        caught = scope.shared(
            what, (*inputs, *admission.policies_of(scope)), lambda: (_listener(scope, found, port, mode),)
        )
    return (*caught, *(_opened(scope, item, mode) for item in _opening(scope)))


def _opening(scope: Scope) -> list[ingress.Ingress]:
    """The ports on which the proxy itself listens."""
    sidecar = ingress.rules(scope)
    own = ingress.ports(sidecar) if sidecar is not None else ()
    return [item for item in own if not ingress.is_redirected(scope, item) and ingress.may_listen(scope, item)]


def _opened(scope: Scope, item: ingress.Ingress, mode: PeerMode) -> Listener:
    """A port on which the proxy itself listens, for connections that are not redirected."""
    number = item.port.number
    own = number, item.service, item.port
    kinds = _kinds(scope, mode.of_port(number), _declared(item.port))
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
        listener_filters_timeout=scope.world.mesh.protocol_detection_timeout.total_seconds(),
        continue_on_listener_filters_timeout=True,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
        exact_balance=scope.proxy.exact_balance,
    )


def _listener(scope: Scope, found: list[Served], port: int, mode: PeerMode) -> Listener:
    sink = filter_chains.black_hole("virtualInbound-blackhole", port)
    named = _named(scope)
    others = {None: mode.mode} | {number: mode.ports[number] for number in sorted(mode.ports) if number not in named}
    rest = [
        _made(scope, None, kind, number) for number, of_port in others.items() for kind in _kinds(scope, of_port, None)
    ]
    made = [
        _made(scope, item, kind) for item in found for kind in _kinds(scope, mode.of_port(item[0]), _declared(item[2]))
    ]
    chains = (sink, *rest, *made)
    inspectors, exempt = inbound_chains.inspectors(chains)
    return Listener(
        name="virtualInbound",
        address=SocketAddress(ingress.wildcard(scope), port),
        filter_chains=chains,
        listener_filters=(*_origins(scope), *inspectors),
        transparent=scope.proxy.transparent,
        listener_filter_exemptions=exempt,
        traffic_direction=TrafficDirection.INBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        listener_filters_timeout=scope.world.mesh.protocol_detection_timeout.total_seconds(),
        continue_on_listener_filters_timeout=True,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
        exact_balance=scope.proxy.exact_balance,
    )


def _named(scope: Scope) -> frozenset[int]:
    """The application's ports that a Sidecar or else a service speaks of, whether or not anything comes to them here."""
    sidecar = ingress.rules(scope)
    if sidecar is not None:
        return frozenset(item.port.number for item in ingress.ports(sidecar))
    return frozenset(number for number, _, _ in served(scope))


def _origins(scope: Scope) -> tuple[ListenerFilter, ...]:
    """What finds out where a connection was going, and (``TPROXY``) lets the application see where it came from."""
    if scope.proxy.transparent:
        return ListenerFilter.ORIGINAL_DST, ListenerFilter.ORIGINAL_SRC
    return (ListenerFilter.ORIGINAL_DST,)


def _kinds(scope: Scope, mode: TlsMode, protocol: Protocol | None) -> tuple[inbound_chains.ChainKind, ...]:
    """The ways to a port. A proxy without a certificate ends no TLS; where nothing else is let in, nothing comes in."""
    found = inbound_chains.kinds(mode, protocol)
    if not scope.proxy.plain or mode is TlsMode.STRICT:
        return found
    return tuple(kind for kind in found if not kind.terminates)


def _declared(port: ServicePort) -> Protocol | None:
    return None if port.protocol is Protocol.AUTO else port.protocol


def _made(scope: Scope, item: Served | None, kind: ChainKind, number: int | None = None) -> FilterChain:
    """One way to take connections to a port; without an item to one that no service names, or (no number) to all of these."""
    match = FilterChainMatch(
        destination_port=item[0] if item is not None else number,
        transport_protocol=kind.transport,
        application_protocols=kind.application,
    )
    files = scope.proxy.certificate_files
    socket = tls.mutual_server(scope.world, files, tcp=not kind.http) if kind.terminates else None
    if item is None:
        return replace(_rest(scope, match, http=kind.http), tls=socket)
    chain = _plain(scope, item, match, http=kind.http)
    return replace(chain, tls=socket, metadata=ingress.metadata(ingress.rules(scope)))


def _rest(scope: Scope, match: FilterChainMatch, *, http: bool = False) -> FilterChain:
    """Ports that no service names."""
    if not http:
        guards = admission.network_filters(scope)
        named = ServicePort("virtualInbound", 0, Protocol.AUTO, 0)  # as statistics call what nobody names (Istio)
        proxy = _counted(scope, filter_chains.tcp(defaults.INBOUND_PASSTHROUGH), NOBODY, named)
        return FilterChain(proxy, "virtualInbound", match, guards)
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
        bytes_ = _counted(scope, filter_chains.tcp(names.inbound(number)), service, port)
        if port.protocol is Protocol.MONGO:
            bytes_ = replace(bytes_, mongo_statistics=bytes_.stat_prefix)
        return FilterChain(bytes_, name, match, admission.network_filters(scope))
    table = routes(number, service, port)
    manager = filter_chains.inbound_http(f"inbound_{name}", table, _http_filters(scope, port))
    return FilterChain(manager, name, match)


def _counted(scope: Scope, proxy: TcpProxy, service: Service, port: ServicePort) -> TcpProxy:
    """With the name in statistics that the mesh asks for, if it does."""
    pattern = scope.world.mesh.inbound_cluster_stat_name
    if not pattern:
        return proxy
    return replace(proxy, stat_prefix=statistics.named(pattern, service, port))


def _http_filters(scope: Scope, port: ServicePort) -> tuple[HttpFilter, ...]:
    """What comes before Istio's usual filters on a port."""
    web = port.protocol is Protocol.GRPC_WEB
    return (*admission.http_filters(scope), GrpcWebFilter()) if web else admission.http_filters(scope)


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
        own = [_cluster(scope, number, _services(scope, number, port), port) for number, _, port in served(scope)]
        if scope.world.mesh.inbound_traffic_policy.mode != "LOCALHOST":
            return own
        ports = [number for number, _, _ in served(scope)]
        return [
            ingress.to_application(scope, cluster, f"{defaults.LOOPBACK}:{number}")
            for cluster, number in zip(own, ports, strict=True)
        ]
    made = []
    for item in ingress.ports(sidecar):
        services = _services(scope, item.port.number)[:1]
        cluster = _cluster(scope, item.port.number, services, item.port, item.service)
        made.append(ingress.to_application(scope, cluster, item.policy.default_endpoint))
    return made


def _services(scope: Scope, number: int, of: ServicePort | None = None) -> tuple[Service, ...]:
    """The services that stand for a port of the application, the one that counts first; on the port ``of`` alone."""
    found = (
        service
        for service, member in scope.own_instances
        for port in service.served_ports
        if member.port(port) == number and (of is None or port.number == of.number)
    )
    return tuple({service.hostname: service for service in found}.values())


def _cluster(
    scope: Scope, number: int, services: tuple[Service, ...], port: ServicePort, otherwise: Service = NOBODY
) -> Cluster:
    """``otherwise`` is whose cluster it is where there are no services."""
    seen = bool(services) and services[0].hostname in scope.by_host  # rules for what is not seen count nowhere
    rules = scope.destination_rules(services[0]) if seen else ()
    said = any(rule.spec.traffic_policy is not None for rule in rules)
    asked = traffic_policies.with_defaults(traffic_policies.settings(rules, port.number), scope.world.mesh)
    pool = ingress.pool(scope, number) or asked.connection_pool
    pattern, own = scope.world.mesh.inbound_cluster_stat_name, services[0] if services else otherwise
    counted = statistics.named(pattern, own, port, target=number)
    cluster = Cluster(
        names.inbound(number),
        ClusterType.ORIGINAL_DST,
        defaults.CONNECT_TIMEOUT,
        LbPolicy.CLUSTER_PROVIDED,
        thresholds=defaults.THRESHOLDS,
        http=HttpProtocolOptions(all_clusters.spoken(port.protocol)),
        bind_address=outbound_policy.loop_breaker(scope.proxy),
        cleanup_interval=defaults.NEVER,
        alt_stat_name=names.statistics(counted or names.inbound(number)),
    )
    if services and not services[0].external:  # telemetry has no names for those outside
        described = all_clusters.described(services[0], rules if said else ())
        cluster = replace(cluster, **described | {"services": tuple(map(all_clusters.called, services))})
    cluster = connection_pools.with_pool(scope, cluster, pool)
    return connection_pools.with_budget(cluster, asked.retry_budget)
