"""Sidecars without interception: listeners on loopback ports that the node itself names."""

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    FilterChain,
    Listener,
    LocalityEndpoints,
    RouteConfiguration,
    SocketAddress,
    TrafficDirection,
)
from mesh_control.compiler import admission, defaults, filter_chains, inbound, names, outbound, virtual_hosts
from mesh_control.compiler.scope import Scope
from mesh_control.services import Resolution, Service, ServicePort

Reached = tuple[str, int, Service, ServicePort]


def _reached(scope: Scope) -> list[Reached]:
    """``HOST:PORT``, the loopback port, the service and its port, for every egress port that names a known service."""
    found = []
    known = {
        f"{service.hostname}:{port.number}": (service, port)
        for service in scope.services
        if service.resolution is not Resolution.ALIAS
        for port in service.ports
    }
    for target, number in scope.proxy.egress_ports.items():
        if target in known:
            found.append((target, number, *known[target]))
    return found


def unknown_targets(scope: Scope) -> list[str]:
    """Egress ports for services that are not known (any more): nothing listens there."""
    known = {target for target, *_ in _reached(scope)}
    return [target for target in scope.proxy.egress_ports if target not in known]


def egress_listeners(scope: Scope) -> list[Listener]:
    """One listener for each service that the application reaches."""
    return [_egress(scope, *item) for item in _reached(scope)]


def _egress(scope: Scope, target: str, number: int, service: Service, port: ServicePort) -> Listener:
    name = f"{defaults.LOOPBACK}_{number}"
    if port.tcp:
        chain = FilterChain(outbound.tcp_filter(scope, service, port))
    else:
        chain = FilterChain(filter_chains.outbound_http(f"outbound_{name}", target))
    return Listener(
        name, SocketAddress(defaults.LOOPBACK, number), (chain,), traffic_direction=TrafficDirection.OUTBOUND
    )


def routes(scope: Scope) -> list[RouteConfiguration]:
    """One table for each service that speaks HTTP; whoever asks on its port means it, whatever the host."""
    return [
        RouteConfiguration(
            target,
            (virtual_hosts.virtual_host(scope, service, port, ("*",)),),
            ignore_port_in_host_matching=True,
        )
        for target, _, service, port in _reached(scope)
        if not port.tcp
    ]


def _served(scope: Scope) -> list[tuple[int, int, Service, ServicePort]]:
    """The port where the proxy takes traffic, the application's own, and what they stand for."""
    own = scope.proxy.ingress_ports
    return [(number, own[number], service, port) for number, service, port in inbound.served(scope) if number in own]


def ingress_listeners(scope: Scope) -> list[Listener]:
    """One listener for each port that the application serves."""
    made = []
    for number, application, service, port in _served(scope):
        name = f"{defaults.LOOPBACK}_{number}"
        if port.tcp:
            chain = FilterChain(
                filter_chains.tcp(names.inbound(application)), name, guards=admission.network_filters(scope)
            )
        else:
            table = inbound.routes(application, service, port)
            manager = filter_chains.inbound_http(f"inbound_{name}", table, admission.http_filters(scope))
            chain = FilterChain(manager, name)
        address = SocketAddress(defaults.LOOPBACK, number)
        made.append(Listener(name, address, (chain,), traffic_direction=TrafficDirection.INBOUND))
    return made


def inbound_clusters(scope: Scope) -> list[Cluster]:
    """The application's ports on loopback."""
    return [
        Cluster(
            names.inbound(application),
            ClusterType.STATIC,
            defaults.CONNECT_TIMEOUT,
            load_assignment=ClusterLoadAssignment(
                names.inbound(application),
                (LocalityEndpoints((Endpoint(SocketAddress(defaults.LOOPBACK, application)),)),),
            ),
            thresholds=defaults.THRESHOLDS,
        )
        for _, application, _, _ in _served(scope)
    ]
