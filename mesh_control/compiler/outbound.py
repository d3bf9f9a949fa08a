"""Listeners of a sidecar for what its application sends."""

from mesh_api.config import FilterChain, Listener, SocketAddress, TcpProxy, TrafficDirection, WeightedCluster
from mesh_control.compiler import defaults, filter_chains, names
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.compiler.virtual_service import Place, cluster_of
from mesh_control.world import Service, ServicePort

OUTBOUND = TrafficDirection.OUTBOUND


def listeners(scope: Scope) -> list[Listener]:
    """The listener that everything is redirected to, and one for each port on which services are reached."""
    made: dict[str, Listener] = {}
    for service in scope.services:
        for port in service.ports:
            for listener in _listeners(scope, service, port):
                # Of two services that claim one address and port the first keeps it; HTTP shares one listener by host.
                made.setdefault(listener.name, listener)
    return [_virtual_outbound(scope), *made.values()]


def _virtual_outbound(scope: Scope) -> Listener:
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
    )


def _listeners(scope: Scope, service: Service, port: ServicePort) -> list[Listener]:
    if not port.tcp:
        name = f"{defaults.WILDCARD}_{port.number}"
        manager = filter_chains.outbound_http(f"outbound_{name}", str(port.number))
        return [_listener(name, defaults.WILDCARD, port.number, FilterChain(manager))]
    addresses = service.addresses or (defaults.WILDCARD,)
    chain = FilterChain(tcp_filter(scope, service, port))
    return [_listener(f"{address}_{port.number}", address, port.number, chain) for address in addresses]


def _listener(name: str, address: str, port: int, chain: FilterChain) -> Listener:
    return Listener(
        name,
        SocketAddress(address, port),
        (chain,),
        bind_to_port=False,
        traffic_direction=OUTBOUND,
        continue_on_listener_filters_timeout=True,
        listener_filters_timeout=0.0,
    )


def tcp_filter(scope: Scope, service: Service, port: ServicePort) -> TcpProxy:
    """Bytes to a service: by the first TCP rule of its VirtualService that holds here, else to its cluster."""
    owner = scope.virtual_service(service.hostname)
    for rule in (owner.spec.tcp or ()) if owner is not None else ():
        matches = rule.match or (None,)
        if owner is None or not any(match is None or match.port in (None, port.number) for match in matches):
            continue
        place = Place(MESH, port.number)
        if len(rule.route) == 1:
            return filter_chains.tcp(cluster_of(scope, owner, rule.route[0].destination, place))
        weighted = tuple(
            WeightedCluster(cluster_of(scope, owner, item.destination, place), item.weight)
            for item in rule.route
            if item.weight
        )
        prefix = names.outbound(port.number, "", service.hostname)
        return TcpProxy(prefix, weighted_clusters=weighted, access_logs=defaults.ACCESS_LOGS)
    return filter_chains.tcp(names.outbound(port.number, "", service.hostname))
