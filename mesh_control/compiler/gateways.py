"""Listeners and virtual hosts of gateways."""

from dataclasses import dataclass

from mesh_api.config import (
    FilterChain,
    Listener,
    PathMatchKind,
    Route,
    RouteConfiguration,
    SocketAddress,
    TrafficDirection,
    VirtualHost,
)
from mesh_control.compiler import authorization, defaults, filter_chains
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.virtual_service import Place, routes
from mesh_control.world import Workload
from mesh_policy import Gateway, VirtualService
from mesh_policy.hosts import covers, gateway_name
from mesh_policy.networking.gateway import Server


@dataclass(frozen=True, slots=True)
class _Bound:
    """A server of a gateway on this proxy, and the port and address where the proxy listens for it."""

    gateway: str
    server: Server
    namespace: str
    port: int

    @property
    def place(self) -> tuple[int, str]:
        """Port and address."""
        return self.port, self.server.bind or defaults.WILDCARD


def listeners(scope: Scope) -> tuple[list[Listener], list[RouteConfiguration]]:
    """One listener and one table of hosts for each port and address that gateways on this proxy open for HTTP."""
    found: dict[tuple[int, str], list[_Bound]] = {}
    for bound in _bound(scope):
        found.setdefault(bound.place, []).append(bound)
    places = sorted(found)
    return [_listener(scope, *place) for place in places], [
        _routes(scope, _table(*place), found[place]) for place in places
    ]


def _bound(scope: Scope) -> list[_Bound]:
    """The HTTP servers of the gateways whose selector chooses this proxy."""
    return [
        _Bound(name, server, gateway.metadata.namespace, _target(scope, server.port.number))
        for name, gateway in scope.world.gateways.items()
        if _selects(gateway, scope)
        for server in gateway.spec.servers
        if server.port.protocol.upper() in ("HTTP", "HTTP2", "GRPC")
    ]


def _selects(gateway: Gateway, scope: Scope) -> bool:
    return (gateway.spec.selector or {}).items() <= scope.labels.items()


def _target(scope: Scope, number: int) -> int:
    """Where a gateway listens: a service in front of it may take the port and hand it on to another one (Istio)."""
    for service in scope.world.services:
        own = next((member for member in scope.world.members[service.hostname] if _is_self(scope, member)), None)
        port = next((port for port in service.ports if port.number == number), None)
        if own is not None and port is not None:
            return own.port(port)
    return number


def _is_self(scope: Scope, member: Workload) -> bool:
    """By name, or by address and labels: an address alone may be shared by many."""
    proxy = scope.proxy
    if (member.name, member.namespace) == (proxy.name, proxy.namespace):
        return True
    return member.address == proxy.address and bool(member.labels) and member.labels.items() <= scope.labels.items()


def _table(port: int, address: str) -> str:
    """Istio's name of the table of hosts: with the address only where one is set."""
    return f"http.{port}" if address == defaults.WILDCARD else f"http.{port}.{address}"


def _listener(scope: Scope, port: int, address: str) -> Listener:
    name = f"{address}_{port}"
    rules = authorization.http_filters(scope)
    chain = FilterChain(filter_chains.gateway_http(f"outbound_{name}", _table(port, address), rules))
    return Listener(
        name,
        SocketAddress(address, port),
        (chain,),
        traffic_direction=TrafficDirection.OUTBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
    )


def _routes(scope: Scope, name: str, servers: list[_Bound]) -> RouteConfiguration:
    """Virtual hosts by host name; several VirtualServices for one host are merged, oldest first, catch-alls last."""
    found: dict[str, list[Route]] = {}
    for service in scope.visible_virtual_services:
        for bound in servers:
            if bound.gateway not in _gateways(service):
                continue
            made = routes(scope, service, Place(bound.gateway, bound.server.port.number))
            for host in _hosts(service, bound) if made else ():
                known = found.setdefault(host, [])
                known += [route for route in made if route not in known]
    number = min(bound.server.port.number for bound in servers)
    hosts = _virtual_hosts(found, number) or (_nothing(number),)
    return RouteConfiguration(name, hosts, ignore_port_in_host_matching=True)


def _virtual_hosts(found: dict[str, list[Route]], number: int) -> tuple[VirtualHost, ...]:
    """One for each host, or for several that are served alike (Istio joins these under the first name)."""
    alike: dict[tuple[Route, ...], list[str]] = {}
    for host in sorted(found):
        alike.setdefault(_catch_alls_last(found[host]), []).append(host)
    return tuple(
        VirtualHost(f"{hosts[0]}:{number}", tuple(hosts), made, include_request_attempt_count=True)
        for made, hosts in alike.items()
    )


def _nothing(port: int) -> VirtualHost:
    """A gateway that nobody uses answers 404."""
    return VirtualHost(f"blackhole:{port}", ("*",), ())


def _gateways(service: VirtualService) -> set[str]:
    return {gateway_name(name, service.metadata.namespace) for name in service.spec.gateways or ()}


def _hosts(service: VirtualService, bound: _Bound) -> list[str]:
    """The hosts of a VirtualService that a server serves: equal to, or a part of, one of the server's."""
    found = []
    for host in service.spec.hosts or ():
        for pattern in bound.server.hosts:
            namespace, _, name = pattern.rpartition("/")
            own = namespace == "." and service.metadata.namespace == bound.namespace
            if namespace not in ("", "*", service.metadata.namespace) and not own:
                continue
            if covers(name, host):
                found.append(host)
            elif covers(host, name):
                found.append(name)
    return list(dict.fromkeys(found))


def _catch_alls_last(found: list[Route]) -> tuple[Route, ...]:
    return tuple(sorted(found, key=_is_catch_all))


def _is_catch_all(route: Route) -> bool:
    match = route.match
    everything = match.path.kind is PathMatchKind.PREFIX and match.path.value == "/"
    return everything and not match.headers and not match.query_parameters
