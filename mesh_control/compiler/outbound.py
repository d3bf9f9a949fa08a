"""Listeners of a sidecar for what its application sends."""

from dataclasses import replace

from mesh_api.config import (
    FilterChain,
    FilterChainMatch,
    Listener,
    ListenerFilter,
    SocketAddress,
    TcpProxy,
    TrafficDirection,
    WeightedCluster,
)
from mesh_control.compiler import defaults, filter_chains, names, traffic_policies
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.compiler.virtual_service import Place, cluster_of
from mesh_control.world import Protocol, Service, ServicePort
from mesh_policy import VirtualService
from mesh_policy.networking.virtual_service import TcpMatch, TcpRoute

OUTBOUND = TrafficDirection.OUTBOUND


def listeners(scope: Scope) -> list[Listener]:
    """One for each address and port on which services are reached."""
    found: dict[str, list[Listener]] = {}
    for service in scope.services:
        for port in service.ports:
            for listener in _listeners(scope, service, port):
                found.setdefault(listener.name, []).append(listener)
    return [_joined(same) for same in found.values()]


def _joined(same: list[Listener]) -> Listener:
    """Several services on one address and port: TLS is told apart by the server's name, HTTP later by host; else the first
    one keeps the port."""
    first, by_name = same[0], ListenerFilter.TLS_INSPECTOR
    if len(same) == 1 or by_name not in first.listener_filters:
        return first
    taken: set[str] = set()
    chains: list[FilterChain] = []
    for listener in same:
        if by_name in listener.listener_filters:
            new = [chain for chain in listener.filter_chains if taken.isdisjoint(chain.match.server_names)]
            taken.update(name for chain in new for name in chain.match.server_names)
            chains += new
    return replace(first, filter_chains=tuple(chains))


def virtual(scope: Scope) -> Listener:
    """The listener that everything is redirected to."""
    port = scope.proxy.outbound_port
    return Listener(
        name="virtualOutbound",
        address=SocketAddress(defaults.WILDCARD, port),
        filter_chains=(
            filter_chains.black_hole("virtualOutbound-blackhole", port),
            FilterChain(filter_chains.tcp(defaults.PASSTHROUGH), "virtualOutbound-catchall-tcp"),
        ),
        use_original_dst=True,
        traffic_direction=OUTBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
    )


def _listeners(scope: Scope, service: Service, port: ServicePort) -> list[Listener]:
    limited = scope.proxy.limited
    if not port.tcp:
        return scope.shared(("HTTP listener", port.number, limited), (), lambda: [_http(port.number, limited)])
    proxy = tcp_filter(scope, service, port)
    return scope.shared(("TCP listeners", limited), (service, port, proxy), lambda: _tcp(scope, service, port, proxy))


def _http(port: int, limited: bool) -> Listener:
    name = f"{defaults.WILDCARD}_{port}"
    manager = filter_chains.outbound_http(f"outbound_{name}", str(port))
    if limited:
        return _listener(defaults.WILDCARD, port, FilterChain(manager))
    plain = FilterChainMatch(transport_protocol="raw_buffer", application_protocols=defaults.HTTP_PROTOCOLS)
    return _listener(defaults.WILDCARD, port, FilterChain(manager, match=plain), ListenerFilter.HTTP_INSPECTOR)


def _tcp(scope: Scope, service: Service, port: ServicePort, proxy: TcpProxy) -> list[Listener]:
    chain = FilterChain(proxy)
    if service.addresses:
        return [_listener(address, port.number, chain) for address in service.addresses]
    if port.protocol is not Protocol.TLS:
        return [_listener(defaults.WILDCARD, port.number, chain)]
    if scope.proxy.limited:
        return []  # nothing tells the services on this port apart: all of it goes where it was dialled
    named = replace(chain, match=FilterChainMatch(server_names=(service.hostname,)))
    return [_listener(defaults.WILDCARD, port.number, named, ListenerFilter.TLS_INSPECTOR)]


def _listener(address: str, port: int, chain: FilterChain, inspector: ListenerFilter | None = None) -> Listener:
    """Never bound: connections come from ``virtualOutbound``. What an inspector does not recognize passes through."""
    return Listener(
        f"{address}_{port}",
        SocketAddress(address, port),
        (replace(chain, connect_timeout=defaults.TLS_CONNECT_TIMEOUT),),
        default_filter_chain=filter_chains.pass_through() if inspector else None,
        listener_filters=(inspector,) if inspector else (),
        bind_to_port=False,
        traffic_direction=OUTBOUND,
        continue_on_listener_filters_timeout=True,
        listener_filters_timeout=0.0,
    )


def tcp_filter(scope: Scope, service: Service, port: ServicePort) -> TcpProxy:
    """Bytes to a service: by the first TCP rule of its VirtualService that holds here, else to its cluster."""
    owner = scope.virtual_service(service.hostname)
    place = Place(MESH, port.number)
    rule = (
        None if owner is None else next((rule for rule in owner.spec.tcp or () if _applies(scope, rule, place)), None)
    )
    by = (owner, rule) if rule is not None else ()
    inputs = (service, port, *by, *scope.destination_rules(service))
    return scope.shared(("TCP", len(by)), inputs, lambda: _tcp_proxy(scope, service, port, owner, rule))


def _applies(scope: Scope, rule: TcpRoute, place: Place) -> bool:
    return rule.match is None or any(_holds(scope, match, place) for match in rule.match)


def _tcp_proxy(
    scope: Scope, service: Service, port: ServicePort, owner: VirtualService | None, rule: TcpRoute | None
) -> TcpProxy:
    place, idle = Place(MESH, port.number), _idle_timeout(scope, service, port)
    if owner is None or rule is None:
        return filter_chains.tcp(names.outbound(port.number, "", service.hostname), idle)
    if len(rule.route) == 1:
        return filter_chains.tcp(cluster_of(scope, owner, rule.route[0].destination, place), idle)
    weighted = tuple(
        WeightedCluster(cluster_of(scope, owner, item.destination, place), item.weight)
        for item in rule.route
        if item.weight
    )
    prefix = f"{owner.metadata.name}.{owner.metadata.namespace}"
    return TcpProxy(prefix, weighted_clusters=weighted, access_logs=defaults.ACCESS_LOGS, idle_timeout=idle)


def _idle_timeout(scope: Scope, service: Service, port: ServicePort) -> float | None:
    pool = traffic_policies.settings(scope.destination_rules(service), port.number).connection_pool
    timeout = pool.tcp.idle_timeout if pool is not None and pool.tcp is not None else None
    return None if timeout is None else timeout.total_seconds()


def _holds(scope: Scope, match: TcpMatch, place: Place) -> bool:
    """Whether a rule for TCP is meant for this proxy and port."""
    return (
        match.port in (None, place.port)
        and (not match.gateways or MESH in match.gateways)
        and match.source_namespace in (None, scope.proxy.namespace)
        and (match.source_labels or {}).items() <= scope.labels.items()
    )
