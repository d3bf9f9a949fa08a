"""What one proxy may see of the world, looked up once."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from mesh_control.compiler import delegates, destination_rules, egress, locality
from mesh_control.compiler.egress import Egress
from mesh_control.compiler.exports import Reach, exported, of_service, reach
from mesh_control.gateway_api import AttachedRules
from mesh_control.proxies import Proxy
from mesh_control.services import Origin, Resolution, Service, Workload
from mesh_control.world import World
from mesh_policy import DestinationRule, Sidecar, VirtualService

T = TypeVar("T")
MESH = "mesh"
"""The gateway name that stands for every sidecar."""


@dataclass(frozen=True)
class Scope:
    """A proxy and the world as seen from it."""

    world: World
    proxy: Proxy

    @cached_property
    def sidecar(self) -> Sidecar | None:
        """The Sidecar that says what the proxy sees and how it is reached; gateways have none.

        One with a selector that chooses the workload, else the namespace's, else the root namespace's; of several the oldest.
        """
        if self.proxy.is_gateway:
            return None
        known = self._sidecars
        own = [s for s in known if s.metadata.namespace == self.proxy.namespace]
        chosen = [s for s in own if s.spec.workload_selector is not None and self._chosen_by(s)]
        general = [s for s in own if s.spec.workload_selector is None]
        root = [s for s in known if s.metadata.namespace == self.root_namespace and s.spec.workload_selector is None]
        return next(iter((*chosen, *general, *root)), None)

    def _chosen_by(self, sidecar: Sidecar) -> bool:
        selector = sidecar.spec.workload_selector
        return selector is not None and (selector.labels or {}).items() <= self.labels.items()

    @property
    def _sidecars(self) -> tuple[Sidecar, ...]:
        """Every Sidecar, oldest first."""
        return self.world.once("sidecars", lambda: tuple(self.world.of_kind(Sidecar)))

    @cached_property
    def egress(self) -> tuple[Egress, ...]:
        """What each listener of a sidecar for what its application sends can reach."""
        return self.once("egress", lambda: tuple(self._egress()))

    def _egress(self) -> Iterator[Egress]:
        home, listed = self.proxy.namespace, self.sidecar.spec.egress if self.sidecar is not None else None
        seen = self._exported_services
        rules = [rule for rule in self.visible_virtual_services if not rule.spec.gateways or MESH in rule.spec.gateways]
        if not listed:
            yield egress.everything(seen, rules, home)
        for policy in listed or ():
            exact = egress.exact_hosts(policy, home)
            near = seen if exact is None else self._exactly(exact)
            yield egress.listener(policy, home, near, rules, self._trimmed)

    def _exactly(self, wanted: Iterable[tuple[str, str]]) -> list[Service]:
        """The services of these namespaces and host names that are exported here, by age. Of several of one name and
        namespace only the first is looked at (Istio)."""
        world, home = self.world, self.proxy.namespace
        named = (self._oldest.get(namespace, {}).get(host) for namespace, host in wanted)
        found = [s for s in named if s is not None and exported(of_service(world, s), s.namespace, home)]
        return sorted(found, key=lambda service: service.rank)

    @property
    def _oldest(self) -> Mapping[str, Mapping[str, Service]]:
        """Namespace and host name to the oldest service of these; one of Kubernetes goes before others."""

        def made() -> Mapping[str, Mapping[str, Service]]:
            found: dict[str, dict[str, Service]] = {}
            for service in self._services_by_age:
                near = found.setdefault(service.namespace, {})
                known = near.get(service.hostname)
                if known is None or (service.of_kubernetes and not known.of_kubernetes):
                    near[service.hostname] = service
            return found

        return self.world.once("oldest services", made)

    @cached_property
    def _exported_services(self) -> tuple[Service, ...]:
        """The services that are exported to the proxy's namespace, those for some namespaces first, then by age."""
        home = self.proxy.namespace
        ranked = [
            (reach(said, service.namespace, home) is Reach.EVERYWHERE, service)
            for service in self._services_by_age
            if exported(said := of_service(self.world, service), service.namespace, home)
        ]
        return tuple(s for general in (False, True) for last, s in ranked if last is general)

    @property
    def _services_by_age(self) -> tuple[Service, ...]:
        world = self.world
        return world.once(
            "services by age",
            lambda: tuple(sorted((*world.services, *world.rivals, *world.aliases), key=lambda service: service.rank)),
        )

    def _trimmed(self, service: Service, numbers: tuple[int, ...]) -> Service:
        def made() -> Service:
            return replace(service, ports=tuple(port for port in service.ports if port.number in numbers))

        if len(service.ports) == len(numbers):
            return service
        return self.shared(("trimmed", numbers), (service,), made)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The services that the proxy can reach, as it can serve them, each host once."""
        if self.proxy.is_gateway:
            return self.once("services", lambda: egress.merged(self._exported_services))

        home = self.proxy.namespace
        return self.once("services", lambda: egress.union(self.egress, self._led_to.get, home, self._trimmed))

    @cached_property
    def _led_to(self) -> Mapping[str, Service]:
        """Host to the service that rules lead to: the oldest of the proxy's own namespace, whoever sees it (Istio), else the
        oldest of those that are seen; one of Kubernetes goes before others."""
        near = self._oldest.get(self.proxy.namespace, {})
        return {**self._seen, **near}

    @cached_property
    def _seen(self) -> dict[str, Service]:
        """Host to the one of its services that is exported here: of Kubernetes, else the first one."""
        found: dict[str, Service] = {}
        for service in self._exported_services:
            known = found.get(service.hostname)
            if known is None or (service.name and not known.name):
                found[service.hostname] = service
        return found

    @cached_property
    def by_host(self) -> Mapping[str, Service]:
        """Host to the service among :attr:`services`."""
        (found,) = self.once("services by host", lambda: ({service.hostname: service for service in self.services},))
        return found

    @cached_property
    def own_instances(self) -> tuple[tuple[Service, Workload], ...]:
        """The services that the proxy's workload belongs to, the oldest first, each with the member that it is there: itself,
        or whatever else a ServiceEntry of its namespace has at one of its addresses."""
        workload, proxy = self.workload, self.proxy
        own = [] if workload is None else [(service, workload) for service in self.world.services_of(workload)]
        if not (proxy.own or proxy.ingress_ports):  # those may share an address
            own = own if workload is not None else self._told_by_labels
            addresses = dict.fromkeys((*(proxy.addresses or (proxy.address,)), *(w.address for _, w in own[:1])))
            entries = self.world.entries_at(proxy.namespace, addresses)
            own = [*(found for found in own if found[0].of_kubernetes), *entries]
        ranked = sorted(own, key=lambda found: _age(found[0]))
        return tuple(ranked)

    @property
    def _told_by_labels(self) -> list[tuple[Service, Workload]]:
        """The Services of Kubernetes that choose the proxy by what it says itself, where its pod is not known yet, or not at
        all (Istio)."""
        proxy = self.proxy
        if not proxy.labels or proxy.cluster not in ("", locality.THIS_CLUSTER):
            return []
        itself = Workload(
            proxy.name, proxy.namespace, proxy.address, proxy.labels, ports=proxy.pod_ports, origin=Origin.POD
        )
        near = self.world.services_in(proxy.namespace)
        return [
            (s, itself) for s in near if s.of_kubernetes and s.selector and s.selector.items() <= proxy.labels.items()
        ]

    @cached_property
    def addressed(self) -> frozenset[str]:
        """Addresses of workloads at which services without an address of their own are reached."""
        return self.world.once(
            "addressed",
            lambda: frozenset(
                member.address
                for service in self.world.services
                if service.resolution is Resolution.NONE and not service.addresses
                for member in self.world.members_of(service)
            ),
        )

    def once(self, what: Hashable, make: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """A part that depends on nothing but the world and :attr:`view`, made for the first proxy that sees it so."""
        return self.world.once((what, self.view), make)

    def shared(self, what: Hashable, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """A part that depends on nothing but ``what``, the inputs, and what worlds with the same parts are alike in
        (:meth:`~mesh_control.world.World.after`); made for the first proxy that has these. Whatever looks at the workloads
        of a service has them among its inputs."""
        return self.world.parts.get(what, inputs, make)

    @cached_property
    def view(self) -> Hashable:
        """All that decides what a proxy sees of services, rules and hosts: its namespace, what it can read, whether it is a
        gateway, its Sidecar, its labels, if any rule asks for them, its node, if any service has hosts for one alone,
        where it is, if hosts come in an order by that, and in which network, if there are several."""
        proxy = self.proxy
        sidecar = self.sidecar.key if self.sidecar is not None else None
        labels, node = self.label_pairs if self._labels_matter else (), proxy.node if self._nodes_matter else ""
        return (
            proxy.namespace,
            proxy.own,
            proxy.plain,
            proxy.is_gateway,
            sidecar,
            labels,
            node,
            self.client,
            self.network,
        )

    @cached_property
    def network(self) -> Hashable:
        """What decides by which way the proxy reaches hosts of networks, and which it asks for; ``None``: there is one
        network."""
        proxy = self.proxy
        if not (proxy.network_view or self.world.gateways_between):
            return None
        return self.own_network, proxy.families, proxy.network_view, proxy.is_gateway

    @cached_property
    def own_network(self) -> str:
        """The network that the proxy is in: as it says; one of ours that says none, where its workload is. Empty: none is
        known."""
        if self.proxy.network or not self.proxy.own or self.workload is None:
            return self.proxy.network
        return self.world.network_of(self.workload)

    @cached_property
    def client(self) -> locality.Client | None:
        """What the proxy is to rules about localities; ``None`` where there are none that count."""
        return locality.client(self.world, self.proxy, self.labels, self.workload)

    @property
    def _labels_matter(self) -> bool:
        def matter() -> bool:
            rules = any(rule.spec.workload_selector is not None for rule in self.world.destination_rules)
            return rules or any(map(_asks_for_labels, self.world.virtual_services))

        return self.world.once("labels matter", matter)

    @property
    def _nodes_matter(self) -> bool:
        world = self.world
        return world.once("nodes matter", lambda: any(s.node_local for s in (*world.services, *world.rivals)))

    @property
    def root_namespace(self) -> str:
        """The namespace whose policies are for the whole mesh."""
        return self.world.mesh.root_namespace

    @cached_property
    def workload(self) -> Workload | None:
        """The workload that the proxy stands beside."""
        named = self.world.workload(self.proxy.name, self.proxy.namespace)
        return named if named is not None else self.world.workload_at(self.proxy.address, self.proxy.namespace)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Labels of the proxy's workload. One that is known by its name has its own, whatever the proxy tells (Istio);
        one that only has the proxy's address may be another."""
        named = self.world.workload(self.proxy.name, self.proxy.namespace)
        if named is not None:
            return named.labels
        near = self.workload.labels if self.workload is not None else {}
        return {**near, **self.proxy.labels}

    @cached_property
    def label_pairs(self) -> tuple[tuple[str, str], ...]:
        """The labels as part of a key."""
        return tuple(sorted(self.labels.items()))

    @cached_property
    def mesh_virtual_services(self) -> Mapping[str, VirtualService]:
        """Host to the VirtualService that rules it in sidecars: the oldest one counts (Istio does not merge them)."""
        found: dict[str, VirtualService] = {}
        for item in self.egress:
            for host, rule in item.by_host.items():
                found.setdefault(host, rule)
        return found

    @cached_property
    def visible_virtual_services(self) -> tuple[VirtualService, ...]:
        """Every VirtualService exported to the proxy's namespace, with its delegates' rules: those for that namespace alone
        come first, then those for some, then that namespace's routes of the Gateway API, then those for all; the oldest first
        among these."""
        return self.once(f"VirtualServices seen from {self.proxy.namespace}", lambda: tuple(self._visible()))

    def _visible(self) -> list[VirtualService]:
        home, default = self.proxy.namespace, self.world.mesh.default_virtual_service_export_to
        seen = [
            (reach(rule.spec.export_to or default, rule.metadata.namespace, home), rule)
            for rule in delegates.merged(self.world).virtual_services
            if exported(rule.spec.export_to or default, rule.metadata.namespace, home)
        ]
        return [rule for _, rule in sorted(seen, key=lambda item: (item[0].value, not self._overrides(*item)))]

    def _overrides(self, found: Reach, rule: VirtualService) -> bool:
        """What clients of a namespace say for themselves by the Gateway API counts before what the service's own says."""
        own = isinstance(rule, AttachedRules) and rule.metadata.namespace == self.proxy.namespace
        return found is not Reach.EVERYWHERE or own

    def virtual_service(self, hostname: str) -> VirtualService | None:
        """The VirtualService that rules a host here: one for the very name, else the one with the narrowest wildcard."""
        return self.egress[-1].ruled_by(hostname) if self.egress else None

    def destination_rules(self, service: Service) -> tuple[DestinationRule, ...]:
        """The rules for a service that count here, merged in their order; those that select the workload go before others."""
        key = service.hostname, service.namespace
        found = self._rules_found.get(key)
        if found is None:
            found = self._rules_found[key] = self._find_rules(service)
        return found

    @cached_property
    def _rules_found(self) -> dict[tuple[str, str], tuple[DestinationRule, ...]]:
        return {}

    def _find_rules(self, service: Service) -> tuple[DestinationRule, ...]:
        rules = destination_rules.index(self.world)
        general: tuple[DestinationRule, ...] = ()
        for group in rules.groups(service.hostname, service.namespace, self.proxy.namespace, self.root_namespace):
            if group.selector is None:
                general = group.rules
            elif self._is_meant(group.rules[0], group.selector):
                return group.rules
        return general

    def _is_meant(self, rule: DestinationRule, selector: Mapping[str, str]) -> bool:
        return rule.metadata.namespace == self.proxy.namespace and selector.items() <= self.labels.items()


def _age(service: Service) -> tuple[float, str]:
    """By this services of one workload are ranked. One of Kubernetes without a time, as in a file, is the oldest (Istio)."""
    made_now = service.created == float("inf")
    return 0.0 if made_now and service.of_kubernetes else service.created, service.hostname


def _asks_for_labels(service: VirtualService) -> bool:
    http = (match.source_labels for route in service.spec.http or () for match in route.match or ())
    tcp = (match.source_labels for route in service.spec.tcp or () for match in route.match or ())
    tls = (match.source_labels for route in service.spec.tls or () for match in route.match)
    return any(http) or any(tcp) or any(tls)
