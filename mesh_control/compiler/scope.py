"""What one proxy may see of the world, looked up once."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeVar

from mesh_control.proxies import Proxy
from mesh_control.world import Protocol, Service, Workload, World
from mesh_policy import DestinationRule, VirtualService
from mesh_policy.hosts import covers, qualify

T = TypeVar("T")
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
        return self.shared("limited", (service,), partial(_limited, service)) if self.proxy.limited else service

    def once(self, what: str, make: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """A part that depends on nothing but the world and :attr:`view`, made for the first proxy that sees it so."""
        key = (what, self.view)
        if key not in self.world.memo:
            self.world.memo[key] = make()
        made: tuple[T, ...] = self.world.memo[key]
        return made

    def shared(self, what: Hashable, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """A part that depends on nothing but the world, ``what`` and the inputs, made for the first proxy that has these.

        Inputs count by identity, since to compare policies takes longer than to compile them; they are kept with what was
        made of them, so that no other object comes to have the identity of one.
        """
        key = (what, *map(id, inputs))
        kept = self.world.memo.get(key)
        if kept is None:
            kept = self.world.memo[key] = inputs, make()
        made: T = kept[1]
        return made

    @cached_property
    def view(self) -> Hashable:
        """All that decides what a sidecar sees of services and rules: its namespace, what it can read, and its labels, if
        any rule asks for them."""
        return self.proxy.namespace, self.proxy.limited, self.label_pairs if self._labels_matter else ()

    @property
    def _labels_matter(self) -> bool:
        memo = self.world.memo
        if "labels matter" not in memo:
            rules = any(rule.spec.workload_selector is not None for rule in self.world.destination_rules)
            memo["labels matter"] = rules or any(map(_asks_for_labels, self.world.virtual_services))
        return bool(memo["labels matter"])

    @property
    def root_namespace(self) -> str:
        """The namespace whose policies are for the whole mesh."""
        return self.world.mesh.root_namespace

    @cached_property
    def workload(self) -> Workload | None:
        """The workload that the proxy stands beside."""
        return self.world.workload(self.proxy.name, self.proxy.namespace)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Labels of the proxy's workload."""
        return {**(self.workload.labels if self.workload is not None else {}), **self.proxy.labels}

    @cached_property
    def label_pairs(self) -> tuple[tuple[str, str], ...]:
        """The labels as part of a key."""
        return tuple(sorted(self.labels.items()))

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
        wildcards = [host for host in self._wildcards if covers(host, hostname)]
        return found[max(wildcards, key=len)] if wildcards else None

    @cached_property
    def _wildcards(self) -> tuple[str, ...]:
        """Those among the hosts of :attr:`mesh_virtual_services`."""
        return tuple(host for host in self.mesh_virtual_services if host.startswith("*"))

    def destination_rules(self, service: Service) -> tuple[DestinationRule, ...]:
        """The rules for a service that count here: those of the client's namespace, else the service's, else the root's.

        In a namespace all rules for the very name count (Istio merges them), else those for the longest wildcard.
        """
        key = service.hostname, service.namespace
        found = self._rules_found.get(key)
        if found is None:
            found = self._rules_found[key] = self._find_rules(service)
        return found

    @cached_property
    def _rules_found(self) -> dict[tuple[str, str], tuple[DestinationRule, ...]]:
        return {}

    def _find_rules(self, service: Service) -> tuple[DestinationRule, ...]:
        for namespace in (self.proxy.namespace, service.namespace, self.root_namespace):
            by_host = self._visible_rules.get(namespace, {})
            if service.hostname in by_host:
                return by_host[service.hostname]
            known = self._rule_wildcards.get(namespace, ())
            wildcards = [host for host in known if covers(host, service.hostname)]
            if wildcards:
                return by_host[max(wildcards, key=len)]
        return ()

    @cached_property
    def _rule_wildcards(self) -> Mapping[str, tuple[str, ...]]:
        """Namespace to the wildcards among the hosts of its visible rules."""
        return {ns: tuple(host for host in by if host.startswith("*")) for ns, by in self._visible_rules.items()}

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


def _limited(service: Service) -> Service:
    """For a proxy that cannot read HTTP/2, gRPC is what TLS is: bytes for somebody else to read."""
    http2 = (Protocol.HTTP2, Protocol.GRPC)
    ports = (replace(p, protocol=Protocol.TLS) if p.protocol in http2 else p for p in service.ports)
    return replace(service, ports=tuple(ports))


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
