"""What one proxy may see of the world, looked up once."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from mesh_control.proxies import Proxy
from mesh_control.world import Protocol, Service, Workload, World
from mesh_policy import DestinationRule, VirtualService
from mesh_policy.hosts import covers, qualify

T = TypeVar("T")
ROOT_NAMESPACE = "istio-system"
MESH = "mesh"
"""The gateway name that stands for every sidecar."""


@dataclass(frozen=True)
class Scope:
    """A proxy and the world as seen from it."""

    world: World
    proxy: Proxy

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The services that are exported to the proxy's namespace, as the proxy can serve them."""
        return tuple(self._served(s) for s in self.world.services if s.visible_from(self.proxy.namespace))

    @cached_property
    def own_services(self) -> tuple[Service, ...]:
        """The services that the proxy's workload belongs to."""
        workload = self.workload
        return () if workload is None else tuple(map(self._served, self.world.services_of(workload)))

    def _served(self, service: Service) -> Service:
        """For a proxy that cannot read HTTP/2, gRPC is what TLS is: bytes for somebody else to read."""
        if not self.proxy.limited:
            return service
        http2 = (Protocol.HTTP2, Protocol.GRPC)
        ports = (replace(p, protocol=Protocol.TLS) if p.protocol in http2 else p for p in service.ports)
        return replace(service, ports=tuple(ports))

    def once(self, what: str, make: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """A part that depends on nothing but the world and :attr:`view`, made for the first proxy that sees it so."""
        key = (what, self.view)
        if key not in self.world.memo:
            self.world.memo[key] = make()
        made: tuple[T, ...] = self.world.memo[key]
        return made

    @cached_property
    def view(self) -> Hashable:
        """All that decides what a sidecar sees of services and rules: its namespace, what it can read, and its labels, if
        any rule asks for them."""
        labels = tuple(sorted(self.labels.items())) if self._labels_matter else ()
        return self.proxy.namespace, self.proxy.limited, labels

    @property
    def _labels_matter(self) -> bool:
        memo = self.world.memo
        if "labels matter" not in memo:
            rules = any(rule.spec.workload_selector is not None for rule in self.world.destination_rules)
            memo["labels matter"] = rules or any(map(_asks_for_labels, self.world.virtual_services))
        return bool(memo["labels matter"])

    @cached_property
    def workload(self) -> Workload | None:
        """The workload that the proxy stands beside."""
        return self.world.workload(self.proxy.name, self.proxy.namespace)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Labels of the proxy's workload."""
        return {**(self.workload.labels if self.workload is not None else {}), **self.proxy.labels}

    @cached_property
    def mesh_virtual_services(self) -> Mapping[str, VirtualService]:
        """Host to the VirtualService that rules it in sidecars: the oldest one counts (Istio does not merge them)."""
        found: dict[str, VirtualService] = {}
        for service in self.visible_virtual_services:
            if not service.spec.gateways or MESH in service.spec.gateways:
                for host in service.spec.hosts or ():
                    found.setdefault(qualify(host, service.metadata.namespace), service)
        return found

    @cached_property
    def visible_virtual_services(self) -> tuple[VirtualService, ...]:
        """Every VirtualService exported to the proxy's namespace, oldest first."""
        return tuple(
            service
            for service in self.world.virtual_services
            if exported(service.spec.export_to, service.metadata.namespace, self.proxy.namespace)
        )

    def virtual_service(self, hostname: str) -> VirtualService | None:
        """The VirtualService that rules a host here: one for the very name, else the one with the longest wildcard."""
        found = self.mesh_virtual_services
        if hostname in found:
            return found[hostname]
        wildcards = [host for host in found if host.startswith("*") and covers(host, hostname)]
        return found[max(wildcards, key=len)] if wildcards else None

    def destination_rules(self, service: Service) -> tuple[DestinationRule, ...]:
        """The rules for a service that count here: those of the client's namespace, else the service's, else the root's.

        In a namespace all rules for the very name count (Istio merges them), else those for the longest wildcard.
        """
        for namespace in (self.proxy.namespace, service.namespace, ROOT_NAMESPACE):
            by_host = self._visible_rules.get(namespace, {})
            if service.hostname in by_host:
                return by_host[service.hostname]
            wildcards = [host for host in by_host if host.startswith("*") and covers(host, service.hostname)]
            if wildcards:
                return by_host[max(wildcards, key=len)]
        return ()

    @cached_property
    def _visible_rules(self) -> Mapping[str, Mapping[str, tuple[DestinationRule, ...]]]:
        """Namespace to host to the rules that are exported to the proxy and meant for it, oldest first."""
        found: dict[str, dict[str, tuple[DestinationRule, ...]]] = {}
        for rule in self.world.destination_rules:
            namespace = rule.metadata.namespace
            if exported(rule.spec.export_to, namespace, self.proxy.namespace) and self._selected(rule):
                by_host = found.setdefault(namespace, {})
                host = qualify(rule.spec.host, namespace)
                by_host[host] = (*by_host.get(host, ()), rule)
        return {ns: {host: _own_first(rules) for host, rules in by_host.items()} for ns, by_host in found.items()}

    def _selected(self, rule: DestinationRule) -> bool:
        selector = rule.spec.workload_selector
        if selector is None:
            return True
        same = rule.metadata.namespace == self.proxy.namespace
        return same and (selector.match_labels or {}).items() <= self.labels.items()


def _own_first(rules: tuple[DestinationRule, ...]) -> tuple[DestinationRule, ...]:
    """A rule that selects this very workload counts alone: nothing of the general ones is merged into it (Istio)."""
    own = tuple(rule for rule in rules if rule.spec.workload_selector is not None)
    return tuple(rule for rule in own if rule.spec.workload_selector == own[0].spec.workload_selector) or rules


def _asks_for_labels(service: VirtualService) -> bool:
    http = (match.source_labels for route in service.spec.http or () for match in route.match or ())
    tcp = (match.source_labels for route in service.spec.tcp or () for match in route.match or ())
    return any(http) or any(tcp)


def exported(export_to: tuple[str, ...] | None, owner: str, namespace: str) -> bool:
    """Whether an object of ``owner`` reaches a namespace: ``*`` (the default) all, ``.`` its own."""
    if not export_to:
        return True
    return "*" in export_to or namespace in export_to or ("." in export_to and owner == namespace)
