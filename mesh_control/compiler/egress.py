"""What a sidecar can reach: the services and VirtualServices of each of its egress listeners (Istio's ``SidecarScope``).

A Sidecar lists them; without one there is a single listener with all that is exported to the proxy's namespace.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mesh_control.compiler.wildcards import most_specific, starred
from mesh_control.services import Service
from mesh_policy import VirtualService
from mesh_policy.hosts import overlap, qualify, within
from mesh_policy.networking.sidecar import EgressListener
from mesh_policy.networking.virtual_service import Destination

ANYWHERE, HERE, NOT = "*", ".", "~"
"""Namespaces of the hosts of an egress listener: all, the proxy's own; what is left out begins with the last."""
HTTP_PROXY = "HTTP_PROXY"
Trimmed = Callable[[Service, tuple[int, ...]], Service]
"""A service with only some of its ports, by their numbers."""


@dataclass(frozen=True, eq=False)
class Egress:
    """One listener for what the application sends. ``policy`` is a Sidecar's; ``None`` stands for the one that takes all."""

    policy: EgressListener | None
    services: tuple[Service, ...]
    virtual_services: tuple[VirtualService, ...]

    @property
    def port(self) -> int | None:
        """The only port of the listener, 0 for a Unix socket; ``None``: the ports of its services."""
        if self.policy is None or self.policy.port is None:
            return None
        return self.policy.port.number or 0

    @property
    def protocol(self) -> str:
        """What a Sidecar declares for its port, in capitals."""
        return (self.policy.port.protocol or "").upper() if self.policy and self.policy.port else ""

    @cached_property
    def by_host(self) -> Mapping[str, VirtualService]:
        """Host to the oldest VirtualService that names it."""
        found: dict[str, VirtualService] = {}
        for service in self.virtual_services:
            for host in service.spec.hosts or ():
                found.setdefault(qualify(host, service.metadata.namespace), service)
        return found

    @cached_property
    def _wildcards(self) -> tuple[str, ...]:
        return starred(self.by_host)

    def ruled_by(self, hostname: str) -> VirtualService | None:
        """The VirtualService for a host: one for the very name, else the one with the narrowest wildcard."""
        return most_specific(hostname, self.by_host, self._wildcards)

    def all_about(self, hostname: str) -> Iterator[VirtualService]:
        """Every VirtualService with a host that has names in common with this one, oldest first."""
        for service in self.virtual_services if hostname.startswith("*") else self._candidates(hostname):
            hosts = (qualify(host, service.metadata.namespace) for host in service.spec.hosts or ())
            if any(overlap(host, hostname) for host in hosts):
                yield service

    @cached_property
    def _with_wildcards(self) -> frozenset[int]:
        return frozenset(
            place
            for place, service in enumerate(self.virtual_services)
            if any(host.startswith("*") for host in service.spec.hosts or ())
        )

    @cached_property
    def _by_exact_host(self) -> Mapping[str, frozenset[int]]:
        found: dict[str, set[int]] = {}
        for place, service in enumerate(self.virtual_services):
            for host in service.spec.hosts or ():
                found.setdefault(qualify(host, service.metadata.namespace), set()).add(place)
        return {host: frozenset(places) for host, places in found.items()}

    def _candidates(self, hostname: str) -> Iterator[VirtualService]:
        places = self._by_exact_host.get(hostname, frozenset()) | self._with_wildcards
        return (self.virtual_services[place] for place in sorted(places))


class _Hosts:
    """The hosts of an egress listener, by the namespace that they are of."""

    def __init__(self, hosts: Iterable[str], home: str) -> None:
        self._wanted: dict[str, tuple[set[str], list[str]]] = {}
        self._excluded: dict[str, list[str]] = {}
        for entry in hosts:
            namespace, _, host = entry.partition("/")
            if namespace.startswith(NOT):
                namespace = namespace.removeprefix(NOT) or ANYWHERE
                self._excluded.setdefault(home if namespace == HERE else namespace, []).append(host)
                continue
            exact, wildcards = self._wanted.setdefault(home if namespace == HERE else namespace, (set(), []))
            exact.add(host)
            if host.startswith("*"):
                wildcards.append(host)

    def take(self, host: str, namespace: str) -> bool:
        """Whether a service of the namespace is among them."""
        return not self._is_excluded(host, namespace) and any(
            host in exact or any(within(host, pattern) for pattern in wildcards)
            for exact, wildcards in self._of(namespace)
        )

    def take_rule(self, host: str, namespace: str) -> bool:
        """Whether a VirtualService of the namespace for this host is: a name in common will do (Istio)."""
        return not self._is_excluded(host, namespace) and any(
            host in exact or any(overlap(host, pattern) for pattern in (exact if host.startswith("*") else wildcards))
            for exact, wildcards in self._of(namespace)
        )

    def _of(self, namespace: str) -> Iterator[tuple[set[str], list[str]]]:
        return (self._wanted[key] for key in (namespace, ANYWHERE) if key in self._wanted)

    def _is_excluded(self, host: str, namespace: str) -> bool:
        listed = (*self._excluded.get(namespace, ()), *self._excluded.get(ANYWHERE, ()))
        return any(within(host, pattern) for pattern in listed)


def exact_hosts(policy: EgressListener, home: str) -> frozenset[tuple[str, str]] | None:
    """Namespaces and host names that a listener of a Sidecar takes, where it names each of them; else ``None``."""
    named = [host.partition("/") for host in policy.hosts if not host.startswith(NOT)]
    if any(namespace == ANYWHERE or host.startswith("*") for namespace, _, host in named):
        return None
    return frozenset((home if namespace == HERE else namespace, host) for namespace, _, host in named)


def listener(
    policy: EgressListener,
    home: str,
    services: Iterable[Service],
    virtual_services: Iterable[VirtualService],
    trimmed: Trimmed,
) -> Egress:
    """What a listener of a Sidecar takes, of all that the namespace ``home`` can see."""
    hosts = _Hosts(policy.hosts, home)
    taken = (service for service in services if hosts.take(service.hostname, service.namespace))
    port = policy.port.number if policy.port is not None else None
    if port and (policy.port is None or (policy.port.protocol or "").upper() != HTTP_PROXY):
        taken = (trimmed(service, (port,)) for service in taken if any(p.number == port for p in service.ports))
    rules = [
        rule
        for rule in virtual_services
        if any(
            hosts.take_rule(qualify(host, rule.metadata.namespace), rule.metadata.namespace)
            for host in rule.spec.hosts or ()
        )
    ]
    known = tuple(_with_aliases(service, hosts) for service in taken)
    return Egress(policy, _one_namespace_each(known, home), tuple(rules))


def _with_aliases(service: Service, hosts: _Hosts) -> Service:
    if not service.aliases:
        return service
    kept = tuple(alias for alias in service.aliases if hosts.take(alias[0], service.namespace))
    return service if len(kept) == len(service.aliases) else replace(service, aliases=kept)


def _one_namespace_each(services: Sequence[Service], home: str) -> tuple[Service, ...]:
    """Of services of one name those of the proxy's own namespace, else of the first one (a Service of Kubernetes goes before
    a ServiceEntry)."""
    chosen: dict[str, Service] = {}
    for service in services:
        known = chosen.get(service.hostname)
        if known is None or service.namespace == home or (not known.name and service.name and known.namespace != home):
            chosen[service.hostname] = service
    return tuple(service for service in services if chosen[service.hostname].namespace == service.namespace)


def everything(services: Sequence[Service], virtual_services: Iterable[VirtualService], home: str) -> Egress:
    """The listener of a proxy for which no Sidecar lists what it can reach."""
    return Egress(None, _one_namespace_each(services, home), tuple(virtual_services))


def union(
    listeners: Sequence[Egress], find: Callable[[str], Service | None], namespace: str, trimmed: Trimmed
) -> tuple[Service, ...]:
    """All services that some listener takes, and those to which the rules of its VirtualServices lead: each host once, with
    the ports of all listeners. ``find`` gives the service of a host that the namespace can see."""
    found: dict[str, Service] = {}
    for item in listeners:
        for service in item.services:
            _add(found, service)
        only = item.port if item.protocol != HTTP_PROXY else None
        for rule in item.virtual_services:
            for host, ports in sorted(destinations(rule, namespace).items()):
                known = find(host)
                if known is not None and (part := _part(known, only, ports, trimmed)) is not None:
                    _add(found, part)
    return tuple(found.values())


def merged(services: Iterable[Service]) -> tuple[Service, ...]:
    """The services that a gateway can reach: each host once, with the ports of all ServiceEntries that are parts of one."""
    found: dict[str, Service] = {}
    for service in services:
        _add(found, service)
    return tuple(found.values())


def _part(service: Service, only: int | None, ports: set[int], trimmed: Trimmed) -> Service | None:
    """A service as far as an egress listener with one port, or the rule that leads to it, has use for it."""
    wanted = {only} if only else ports if 0 not in ports else {port.number for port in service.ports}
    numbers = tuple(port.number for port in service.ports if port.number in wanted)
    if not numbers and (only or 0 not in ports):
        return None
    return service if len(numbers) == len(service.ports) else trimmed(service, numbers)


def _add(found: dict[str, Service], service: Service) -> None:
    known = found.get(service.hostname)
    if known is None or (service.name and not known.name):
        found[service.hostname] = service
        return
    numbers = {port.number for port in known.ports}
    new = tuple(port for port in service.ports if port.number not in numbers)
    if new and _alike(known, service):
        found[service.hostname] = replace(known, ports=(*known.ports, *new))


def _alike(one: Service, other: Service) -> bool:
    """Whether the ports of two services of one name are ports of one."""

    def kind(service: Service) -> tuple[object, ...]:
        return service.namespace, service.resolution, bool(service.name), service.selector, service.export_to

    return kind(one) == kind(other)


def destinations(rule: VirtualService, namespace: str) -> dict[str, set[int]]:
    """Host to the ports (0: whichever) to which the rules for clients of a namespace lead."""
    found: dict[str, set[int]] = {}
    for to in _destinations(rule, namespace):
        host = qualify(to.host, rule.metadata.namespace)
        found.setdefault(host, set()).add(to.port.number if to.port is not None else 0)
    return found


def _destinations(rule: VirtualService, namespace: str) -> Iterator[Destination]:
    for http in rule.spec.http or ():
        asked = [match.source_namespace for match in http.match or () if match.source_namespace]
        if asked and namespace not in asked:
            continue
        yield from (item.destination for item in http.route or ())
        if http.mirror is not None:
            yield http.mirror
        yield from (mirror.destination for mirror in http.mirrors or ())
    for tcp in rule.spec.tcp or ():
        yield from (item.destination for item in tcp.route)
    for tls in rule.spec.tls or ():
        yield from (item.destination for item in tls.route)
