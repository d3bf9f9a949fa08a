"""Virtual hosts of sidecars: one for each service and each host of a VirtualService, and what becomes of every other host."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mesh_api.config import DirectResponse, Route, RouteAction, RouteConfiguration, VirtualHost
from mesh_control.compiler import defaults, domains, forward_proxies, names, outbound_policy, route_actions
from mesh_control.compiler.destinations import Place, hash_of_service
from mesh_control.compiler.egress import HTTP_PROXY, Egress
from mesh_control.compiler.route_matches import EVERYTHING
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.compiler.virtual_service import routes
from mesh_control.gateway_api import AttachedRules
from mesh_control.services import Resolution, Service, ServicePort
from mesh_policy import VirtualService
from mesh_policy.hosts import overlap, qualify
from mesh_policy.networking.workload_entry import UNIX

HTTP_PORT = 80
"""Where hosts are reached that only a VirtualService names, as nothing says which port they have (Istio)."""
PROXY_TABLE = "http_proxy"
"""Name of the table for applications that use the sidecar as their HTTP proxy."""
LOOKED_UP = "allow_any_dynamic_dns"
"""Name of what becomes of hosts that nobody declares, where they are reached by name."""
ANY_PORT = 0
"""The port of a table that serves the services of every port."""


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """Routes for a port, and whose they are: services, and hosts that are no service's (Istio's ``VirtualHostWrapper``)."""

    port: int
    services: tuple[Service, ...]
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]


def route_configurations(scope: Scope, wanted: Iterable[str]) -> list[RouteConfiguration]:
    """The tables of these names: a port number; ``HOST:PORT`` for a service whose protocol is not declared; the path of a
    Unix socket; or :data:`PROXY_TABLE`."""
    made: dict[int, _Port] = {}
    return [_table(scope, name, made) for name in dict.fromkeys(wanted)]


class _Port:
    """The virtual hosts of a port, and each by its domains."""

    def __init__(self, hosts: Iterable[VirtualHost]) -> None:
        self.hosts = tuple(sorted(hosts, key=lambda host: host.name))
        self.by_domain = {domain: host for host in self.hosts for domain in host.domains}


def _table(scope: Scope, name: str, made: dict[int, _Port]) -> RouteConfiguration:
    host, sniffed, number = ("", "", "") if name.startswith(UNIX) else name.rpartition(":")
    port = int(number) if number.isdigit() else ANY_PORT
    known = made.get(port) if port else None
    if known is None:
        item = _listener_of(scope, port, name)
        known = made[port] = _Port(_hosts(scope, item, ANY_PORT if item.protocol == HTTP_PROXY else port))
    if sniffed:
        found = known.by_domain.get(name) or known.by_domain.get(host)
        return scope.shared(("table", name), (found,), lambda: configuration(name, _alone(found)))
    return configuration(name, (*known.hosts, catch_all(scope)))


def configuration(name: str, hosts: tuple[VirtualHost, ...]) -> RouteConfiguration:
    """A table of these virtual hosts."""
    return RouteConfiguration(name, hosts, ignore_port_in_host_matching=True)


def _alone(host: VirtualHost | None) -> tuple[VirtualHost, ...]:
    """The virtual host of a service alone: whatever is asked for at its address is for it."""
    return () if host is None else (replace(host, domains=("*",)),)


def _listener_of(scope: Scope, port: int, name: str) -> Egress:
    """The first egress listener for a port, or for a Unix socket, else the one that takes all."""
    for item in scope.egress:
        bind = (item.policy.bind or "") if item.policy is not None else ""
        if item.port is None or (item.port == port and (port != ANY_PORT or bind == name)):
            return item
    return Egress(None, (), ())


def _hosts(scope: Scope, item: Egress, port: int) -> Iterator[VirtualHost]:
    wrappers = _wrappers(scope, item, port)
    full = {name for w in wrappers for s in w.services for name in (s.hostname, names.authority(s.hostname, w.port))}
    taken: set[str] = set()
    named: set[str] = set()
    for wrapper in wrappers:
        for asked in _asked_for(scope, wrapper, port):
            if asked.name not in named:
                named.add(asked.name)
                free = _free(asked, taken, full)
                kept = free if port or wrapper.port == HTTP_PORT else tuple(one for one in free if ":" in one)
                if kept:
                    yield _virtual_host(scope, asked.name, kept, wrapper.routes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The name of a virtual host, and the domains that it asks for."""

    name: str
    domains: tuple[str, ...]
    lowered: frozenset[str]
    others: tuple[str, ...]
    """Domains that are not the name itself."""

    @classmethod
    def of(cls, name: str, found: tuple[str, ...]) -> "_Asked":
        lowered = frozenset(domain.lower() for domain in found)
        return cls(name, found, lowered, tuple(domain for domain in found if domain not in (found[0], name)))


def _asked_for(scope: Scope, wrapper: _Wrapper, port: int) -> Iterator[_Asked]:
    """In a table for every port the domains have ports."""
    for host in wrapper.hosts:
        yield _Asked.of(names.authority(host.lower(), wrapper.port), domains.of_host(host.lower()))
    home, addressing = scope.proxy.namespace, outbound_policy.addressing(scope.proxy)
    for service in wrapper.services:
        # Namespaces from which a service is asked for by its full name alone need not be told apart.
        near = home if service.aliases or home in service.hostname else ""
        what = ("asked for", wrapper.port, bool(port), addressing, near)
        yield scope.shared(what, (service,), partial(_asked, scope, wrapper.port, port, service))


def _asked(scope: Scope, number: int, port: int, service: Service) -> _Asked:
    written = () if port else (number,)
    addresses = outbound_policy.addresses_in_tables(scope.proxy, service)
    found = domains.of_service(service, scope.proxy.namespace, addresses, *written)
    return _Asked.of(names.authority(service.hostname, number), found)


def _free(asked: _Asked, taken: set[str], full: Collection[str]) -> tuple[str, ...]:
    """A domain may stand once in a table (Envoy): the first virtual host keeps it; and the short form of one name does not
    stand in for another that is written so in full."""
    whole = len(asked.lowered) == len(asked.domains)
    if whole and taken.isdisjoint(asked.lowered) and not any(domain in full for domain in asked.others):
        taken.update(asked.lowered)  # as nearly always
        return asked.domains
    found = []
    for domain in asked.domains:
        if domain.lower() not in taken and (domain not in asked.others or domain not in full):
            taken.add(domain.lower())
            found.append(domain)
    return tuple(found)


def _wrappers(scope: Scope, item: Egress, port: int) -> list[_Wrapper]:
    """Those of VirtualServices, oldest first, then the services that none of these rules."""
    left = _registry(item, port)
    registry = dict(left)
    found: list[_Wrapper] = []
    for rule in item.virtual_services:
        found += _ruled(scope, item, rule, port, registry)
    for wrapper in found:
        for service in wrapper.services:
            left.pop(service.hostname.lower(), None)
    for hostname in sorted(left):
        service = left[hostname]
        if service.resolution is Resolution.ALIAS:
            continue  # the service that it leads to has its names
        for own in service.ports:
            if own.routed and (not port or own.number == port):
                found.append(_Wrapper(own.number, (service,), (), _plain_routes(scope, service, own)))
    return found


def _registry(item: Egress, port: int) -> dict[str, Service]:
    """The services that have the port, by host name."""
    return {
        service.hostname.lower(): service
        for service in item.services
        if not port or any(own.number == port for own in service.ports)
    }


def _ruled(
    scope: Scope, item: Egress, rule: VirtualService, port: int, registry: Mapping[str, Service]
) -> Iterator[_Wrapper]:
    hosts, services = _separated(item, rule, registry)
    if not services and port != HTTP_PORT:
        return
    made = routes(scope, rule, Place(MESH, port))
    if not made or (isinstance(rule, AttachedRules) and not _concern(scope, rule, services)):
        return
    by_port: dict[int, list[Service]] = {}
    for service in services:
        for own in service.ports:
            if own.routed and (not port or own.number == port):
                by_port.setdefault(own.number, []).append(service)
    if not by_port and port == HTTP_PORT:
        by_port[HTTP_PORT] = []
    for number, known in sorted(by_port.items()):
        yield _Wrapper(number, tuple(known), hosts, made)


def _separated(
    item: Egress, rule: VirtualService, registry: Mapping[str, Service]
) -> tuple[tuple[str, ...], list[Service]]:
    """The hosts of a VirtualService that are no service, and the services that it rules: for a wildcard those for which there
    is no narrower one."""
    others: list[str] = []
    services: list[Service] = []
    wildcards: list[str] = []
    for written in rule.spec.hosts or ():
        host = qualify(written, rule.metadata.namespace)
        if host.startswith("*"):
            wildcards.append(host)
        elif (service := registry.get(host.lower())) is not None:
            services.append(service)
        else:
            others.append(host)
    for host in wildcards:
        if isinstance(rule, AttachedRules):
            others.append(host)
            continue
        covered = [service for name, service in sorted(registry.items()) if overlap(name, host.lower())]
        services += [service for service in covered if item.ruled_by(service.hostname) is rule]
        if not covered:
            others.append(host.lower())
    return tuple(others), services


def _concern(scope: Scope, rule: VirtualService, services: Sequence[Service]) -> bool:
    """Routes of the Gateway API count for clients of their own namespace, or for services of it."""
    home = rule.metadata.namespace
    return any(home in (service.namespace, scope.proxy.namespace) for service in services)


def _virtual_host(scope: Scope, name: str, asked: tuple[str, ...], made: tuple[Route, ...]) -> VirtualHost:
    return scope.shared(
        ("virtual host", name, asked),
        (made,),
        lambda: VirtualHost(name, asked, made, include_request_attempt_count=True),
    )


def virtual_host(scope: Scope, service: Service, port: ServicePort, asked: tuple[str, ...]) -> VirtualHost:
    """A service on a port: the rules of its VirtualService, or the plain way to its cluster."""
    owner = scope.virtual_service(service.hostname)
    made = routes(scope, owner, Place(MESH, port.number)) if owner is not None else ()
    # Without a rule that is meant for this proxy and port the service is reached as ever (Istio).
    return _virtual_host(
        scope, names.authority(service.hostname, port.number), asked, made or _plain_routes(scope, service, port)
    )


def _plain_routes(scope: Scope, service: Service, port: ServicePort) -> tuple[Route, ...]:
    rules = scope.destination_rules(service)
    return scope.shared("plain route", (service, port, *rules), lambda: _plain(scope, service, port))


def _plain(scope: Scope, service: Service, port: ServicePort) -> tuple[Route, ...]:
    action = RouteAction(
        cluster=names.outbound(port.number, "", service.hostname),
        timeout=0.0,
        max_grpc_timeout=0.0,
        # Whether the service hashes is not looked at here (Istio).
        retry=route_actions.retries(scope, None, hashed=False),
        hash_policies=hash_of_service(scope, service, port.number),
    )
    return (Route(EVERYTHING, action, "default", operation=names.operation(service.hostname, port.number)),)


def catch_all(scope: Scope) -> VirtualHost:
    """Hosts that nobody declared: as the outbound policy says they go where they were dialled, or are refused."""
    if outbound_policy.looks_up_unknown(scope):
        action = RouteAction(cluster=forward_proxies.UNKNOWN_CLUSTER, timeout=0.0, max_grpc_timeout=0.0)
        return _whole(LOOKED_UP, action)
    target = outbound_policy.unknown_cluster(scope)
    if target == defaults.BLACK_HOLE:
        return _whole("block_all", DirectResponse(outbound_policy.REFUSED))
    return _whole("allow_any", RouteAction(cluster=target, timeout=0.0, max_grpc_timeout=0.0))


def _whole(name: str, action: RouteAction | DirectResponse) -> VirtualHost:
    return VirtualHost(name, ("*",), (Route(EVERYTHING, action, name),), include_request_attempt_count=True)
