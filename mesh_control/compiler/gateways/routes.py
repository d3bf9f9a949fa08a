"""Tables of hosts of gateways: the VirtualServices that are bound to the servers of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mesh_api.config import PathMatchKind, Route, RouteConfiguration, VirtualHost
from mesh_control.compiler.destinations import Place
from mesh_control.compiler.gateways.bindings import common_hosts, virtual_services
from mesh_control.compiler.gateways.servers import Bound
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.virtual_service import routes


@dataclass(slots=True)
class _Host:
    """What is known of a host so far; ``port`` of the server that named it first."""

    name: str
    port: int
    routes: list[Route] = field(default_factory=list)
    require_tls: bool = False


def table(scope: Scope, name: str, servers: Sequence[Bound]) -> RouteConfiguration:
    """Virtual hosts by host name; several VirtualServices for one host are merged, oldest first, catch-alls last."""
    hosts: dict[str, _Host] = {}
    made: dict[tuple[str, int], tuple[Route, ...]] = {}
    for bound in servers:
        redirect = bound.server.tls is not None and bool(bound.server.tls.https_redirect)
        for host, found in _bound_routes(scope, bound, made):
            known = _host(hosts, host, bound)
            known.routes += found
            known.require_tls = known.require_tls or redirect
        for host in bound.hosts if redirect else ():
            _host(hosts, host, bound).require_tls = True
    if not hosts:
        return RouteConfiguration(name, (_nothing(servers[0].server.port.number),), ignore_port_in_host_matching=True)
    return RouteConfiguration(name, _virtual_hosts(hosts), ignore_port_in_host_matching=True)


def _host(hosts: dict[str, _Host], name: str, bound: Bound) -> _Host:
    return hosts.setdefault(name.lower(), _Host(name.lower(), bound.server.port.number))


def _bound_routes(
    scope: Scope, bound: Bound, made: dict[tuple[str, int], tuple[Route, ...]]
) -> list[tuple[str, tuple[Route, ...]]]:
    """Host and routes of every VirtualService for it. Those of one Gateway are made once, for the first server's port."""
    found = []
    for service in virtual_services(scope, bound.gateway):
        hosts = common_hosts(bound, service)
        key = bound.gateway, id(service)
        if hosts and key not in made:
            place = Place(bound.gateway, bound.server.port.number, tls=bound.server.tls is not None)
            own = routes(scope, service, place)
            if own:
                made[key] = own
        found += [(host, made[key]) for host in hosts if key in made]
    return found


def _virtual_hosts(hosts: dict[str, _Host]) -> tuple[VirtualHost, ...]:
    """One for each host, or for several that are served alike (Istio joins these under the most specific name)."""
    joined: dict[tuple[int, ...], list[_Host]] = {}
    found: list[list[_Host]] = []
    for host in sorted(hosts.values(), key=lambda host: (host.name.startswith("*"), -len(host.name), host.name)):
        key = tuple(map(id, host.routes))
        same = joined.get(key)
        if same is not None and same[0].require_tls == host.require_tls:
            same.append(host)
        else:
            joined[key] = [host]
            found.append(joined[key])
    made = (
        VirtualHost(
            f"{same[0].name}:{same[0].port}",
            tuple(host.name for host in same),
            _catch_alls_last(same[0].routes),
            include_request_attempt_count=True,
            require_tls=same[0].require_tls,
        )
        for same in found
    )
    return tuple(sorted(made, key=lambda host: host.name))


def _nothing(port: int) -> VirtualHost:
    """A gateway that nobody uses answers 404."""
    return VirtualHost(f"blackhole:{port}", ("*",), ())


def _catch_alls_last(found: list[Route]) -> tuple[Route, ...]:
    return tuple(sorted(found, key=_is_catch_all))


_EVERYTHING = {
    PathMatchKind.PREFIX: "/",
    PathMatchKind.PATH_SEPARATED_PREFIX: "/",
    PathMatchKind.REGEX: ".*",
}


def _is_catch_all(route: Route) -> bool:
    match = route.match
    return _EVERYTHING.get(match.path.kind) == match.path.value and not match.headers and not match.query_parameters
