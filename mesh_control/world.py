"""The world: everything that configuration is compiled from, as one immutable value."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from mesh_control.addresses.plan import Allocated
from mesh_control.aliases import resolved
from mesh_control.gateway_api import Converted, Surroundings, convert
from mesh_control.networks import LABEL, NetworkGateway, Networks, Places, gateways, internal_ranges
from mesh_control.parts import Parts
from mesh_control.services import Origin, Service, Workload
from mesh_policy import (
    DestinationRule,
    Gateway,
    Policy,
    ServiceEntry,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
)
from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.mesh_config import MeshConfig, MeshNetworks

P = TypeVar("P", bound=Policy)
T = TypeVar("T")


def own_settings() -> MeshConfig:
    """The mesh's settings where none are given: Istio's defaults, but access logs, which ``mesh explain`` reads, and no
    traces, as nobody would take the spans: what they say of a workload would make its listeners different from
    everybody's."""
    return MeshConfig(access_log_file="/dev/stdout", enable_tracing=False)


GIVEN = (DestinationRule, ServiceEntry, VirtualService, WorkloadEntry, WorkloadGroup)
"""Kinds that no part of a configuration looks for by itself: services, workloads and rules are inputs of what is made of
them, so that one of these changes nothing for what has other inputs."""


@dataclass(frozen=True)
class World:
    """Services, workloads and policies, each sorted, so that equal content gives an equal value; and the mesh's settings."""

    services: tuple[Service, ...] = ()
    workloads: tuple[Workload, ...] = ()
    policies: tuple[Policy, ...] = ()
    mesh: MeshConfig = field(default_factory=own_settings)
    surroundings: Surroundings = field(default_factory=Surroundings)
    key_sets: Mapping[str, str] = field(default_factory=dict)
    """Keys of issuers of tokens as JSON (JWKS), by where they were found: their URI, or the issuer where there is none."""
    rivals: tuple[Service, ...] = ()
    """Services of a host name that one of :attr:`services` has as well: for some clients, or on some ports, they count."""
    aliases: tuple[Service, ...] = ()
    """Those that are other names of services (ExternalName), which know of them (:attr:`Service.aliases`)."""
    networks: MeshNetworks = field(default_factory=MeshNetworks)
    allocated: Allocated = field(default_factory=dict)
    """Addresses that hosts of ServiceEntries were given; :attr:`Service.allocated` has them."""
    parts: Parts = field(default_factory=Parts, init=False, compare=False, repr=False)
    """What configurations are put together from; worlds that follow each other may have it together."""

    @classmethod
    def of(
        cls,
        services: Iterable[Service] = (),
        workloads: Iterable[Workload] = (),
        policies: Iterable[Policy] = (),
        mesh: MeshConfig | None = None,
        surroundings: Surroundings | None = None,
        key_sets: Mapping[str, str] | None = None,
        networks: MeshNetworks | None = None,
        allocated: Allocated | None = None,
    ) -> "World":
        """A world with everything in its order: policies by age, then by name, as Istio ranks them."""
        known, aliases = resolved(services)
        first, rivals = _one_for_each_host(known)
        return cls(
            tuple(sorted(first, key=_place)),
            tuple(sorted(workloads, key=_called)),
            tuple(sorted(policies, key=_age)),
            mesh if mesh is not None else own_settings(),
            surroundings if surroundings is not None else Surroundings(),
            dict(sorted((key_sets or {}).items())),
            tuple(sorted(rivals, key=_place)),
            tuple(sorted(aliases, key=_place)),
            networks if networks is not None else MeshNetworks(),
            allocated if allocated is not None else {},
        )

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The mesh's trust domain, then its aliases."""
        return (self.mesh.trust_domain, *self.mesh.trust_domain_aliases)

    def with_policies(self, policies: Iterable[Policy]) -> "World":
        """The same world with other policies."""
        return replace(self, policies=tuple(sorted(policies, key=_age)))

    def after(self, former: "World") -> "World":
        """An equal world, with the parts that were made for ``former`` where these may count here: where both are alike in
        what parts look for by themselves. What is equal is the same object then, too."""
        if not _alike(self, former):
            return self
        found = replace(
            self,
            services=_same_where_equal(self.services, former.services, _place),
            workloads=_same_where_equal(self.workloads, former.workloads, _called),
            rivals=former.rivals,
            aliases=former.aliases,
        )
        object.__setattr__(found, "parts", former.parts)  # which a mere copy of a world must never have
        return found

    @cached_property
    def service_by_host(self) -> Mapping[str, Service]:
        """Host name to service; the first of a name counts."""
        found: dict[str, Service] = {}
        for service in self.services:
            found.setdefault(service.hostname, service)
        return found

    @cached_property
    def members(self) -> Mapping[str, tuple[Workload, ...]]:
        """Host name of a service to its workloads: those that it lists, in its order, then those that it selects, by name and
        address; those of equal workloads are one object."""
        found: dict[str, tuple[Workload, ...]] = {alias.hostname: () for alias in self.aliases}
        found |= {service.hostname: self._ordered_members(service) for service in self.services}
        return {host: self.parts.get(("members", host), made, partial(tuple, made)) for host, made in found.items()}

    def members_of(self, service: Service) -> tuple[Workload, ...]:
        """The workloads of a service, which may be one of :attr:`rivals`; in the order of :attr:`members`."""
        own = self._members_of_rivals.get((service.hostname, service.namespace))
        return self.members[service.hostname] if own is None else own

    @cached_property
    def _members_of_rivals(self) -> Mapping[tuple[str, str], tuple[Workload, ...]]:
        return {
            (service.hostname, service.namespace): self._ordered_members(service)
            for service in reversed(self.rivals)
            if self.service_by_host[service.hostname].namespace != service.namespace
        }

    def _ordered_members(self, service: Service) -> tuple[Workload, ...]:
        same = self._entries_of_one_name.get((service.hostname, service.namespace))
        if same is None:
            return tuple(self._members(service))
        names = {port.name for entry in same for port in entry.ports}
        return tuple(_serving(member, entry, names) for entry in same for member in self._members(entry))

    @cached_property
    def _entries_of_one_name(self) -> Mapping[tuple[str, str], list[Service]]:
        """Host name and namespace to the services that have both, of several ServiceEntries, or of these and a Service of
        Kubernetes, which comes last: whoever asks for one of these gets the workloads of all that serve a port of that name
        (Istio)."""
        found: dict[tuple[str, str], list[Service]] = {}
        for host in dict.fromkeys(rival.hostname for rival in self.rivals):
            first = self.service_by_host[host]
            found[host, first.namespace] = [first]
        for rival in self.rivals:
            found.setdefault((rival.hostname, rival.namespace), []).append(rival)
        return {
            key: sorted(same, key=lambda service: service.of_kubernetes)
            for key, same in found.items()
            if len(same) > 1 and all(service.of_kubernetes or not service.name for service in same)
        }

    def _members(self, service: Service) -> list[Workload]:
        if not service.selector:
            return list(service.endpoints)
        # Those with the label that the fewest have: a namespace may have thousands of services and of workloads.
        labelled = (self._by_label.get((service.namespace, *label), ()) for label in service.selector.items())
        chosen = (w for w in min(labelled, key=len) if service.chooses(w))
        return [*service.endpoints, *sorted(chosen, key=_told)]

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str, str], list[Workload]]:
        """Workloads by namespace, name of a label, and its value."""
        found: dict[tuple[str, str, str], list[Workload]] = {}
        for workload in self.workloads:
            for name, value in workload.labels.items():
                found.setdefault((workload.namespace, name, value), []).append(workload)
        return found

    @cached_property
    def network_gateways(self) -> tuple[NetworkGateway, ...]:
        """Where traffic from one network to another comes in."""
        return gateways(self.networks, self.services, self.policies)

    @cached_property
    def internal_networks(self) -> tuple[str, ...]:
        """Addresses whose requests count as the mesh's own where gateways take them."""
        return internal_ranges(self.networks)

    @cached_property
    def gateways_between(self) -> Networks:
        """The same by network."""
        return Networks(self.network_gateways)

    def network_of(self, workload: Workload) -> str:
        """The network that a workload is in; empty: none is known."""
        return self._places.of(workload)

    def placed(self, workload: Workload) -> Workload:
        """A workload with the network that it is in."""
        network = self.network_of(workload)
        return workload if network == workload.network else replace(workload, network=network)

    @cached_property
    def _places(self) -> Places:
        home = self.surroundings.namespaces.get(self.mesh.root_namespace, {})
        return Places(self.networks, home.get(LABEL, ""))

    def services_of(self, workload: Workload) -> list[Service]:
        """The services that a workload belongs to. A pod belongs to those that select it, however ready it is; one that none
        selects, to those that list its address (Istio)."""
        if workload.origin is Origin.POD:
            return self._services_of_pod(workload)
        near = self._services_by_workload.get((workload.namespace, workload.name), ())
        return [service for service in near if workload in self.members[service.hostname]]

    def _services_of_pod(self, pod: Workload) -> list[Service]:
        near = self.services_in(pod.namespace)
        chosen = [s for s in near if s.selector and s.selector.items() <= pod.labels.items()]
        if any(service.listed for service in chosen):
            return chosen
        listing = [s for s in near if s.listed and any(w.address == pod.address for w in self.members[s.hostname])]
        return [*chosen, *listing]

    def services_in(self, namespace: str) -> Sequence[Service]:
        """The services of a namespace, by host name."""
        return self._services_by_namespace.get(namespace, ())

    @cached_property
    def _services_by_namespace(self) -> Mapping[str, list[Service]]:
        found: dict[str, list[Service]] = {}
        for service in self.services:
            found.setdefault(service.namespace, []).append(service)
        return found

    @cached_property
    def _services_by_workload(self) -> Mapping[tuple[str, str], list[Service]]:
        """Namespace and name of a workload to the services with a member called so, in their order."""
        found: dict[tuple[str, str], list[Service]] = {}
        for service in self.services:
            for key in dict.fromkeys((member.namespace, member.name) for member in self.members[service.hostname]):
                found.setdefault(key, []).append(service)
        return found

    def entries_at(self, namespace: str, addresses: Iterable[str]) -> list[tuple[Service, Workload]]:
        """The services of a namespace that are none of Kubernetes and have a member at one of the addresses, with it: for
        Istio whoever has the address is the member."""
        return [found for address in addresses for found in self._entries_by_address.get((namespace, address), ())]

    @cached_property
    def _entries_by_address(self) -> Mapping[tuple[str, str], list[tuple[Service, Workload]]]:
        found: dict[tuple[str, str], list[tuple[Service, Workload]]] = {}
        for service in (*self.services, *self.rivals):
            if not service.of_kubernetes:
                for member in self.members_of(service):
                    found.setdefault((service.namespace, member.address), []).append((service, member))
        return found

    def workload(self, name: str, namespace: str) -> Workload | None:
        """The workload of that name."""
        return self._by_name.get((namespace, name))

    def workload_at(self, address: str, namespace: str) -> Workload | None:
        """The workload of the namespace with that address: one that registered itself has not the name of its proxy."""
        return self._by_address.get((namespace, address))

    @cached_property
    def _by_address(self) -> Mapping[tuple[str, str], Workload]:
        """Namespace and address to the workload; the first of an address counts."""
        return {(workload.namespace, workload.address): workload for workload in reversed(self.workloads)}

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], Workload]:
        """Namespace and name to the workload; the first of a name counts."""
        return {(workload.namespace, workload.name): workload for workload in reversed(self.workloads)}

    def of_kind(self, kind: type[P]) -> list[P]:
        """The policies of a kind, oldest first."""
        found = self.once(("of kind", kind), lambda: [p for p in self.policies if isinstance(p, kind)])
        return list(found)

    @cached_property
    def converted(self) -> Converted:
        """What the objects of the Gateway API among the policies stand for."""
        return convert(self.policies, self.around)

    @cached_property
    def around(self) -> Surroundings:
        """What the objects of the Gateway API find around them."""
        known = (*self.services, *self.aliases)
        named = (f"{s.namespace}/{s.name}" for s in known if s.name and s.hostname.endswith(f".{CLUSTER_DOMAIN}"))
        hosts = frozenset(service.hostname for service in known)
        return replace(self.surroundings, services=frozenset(named), hosts=hosts)

    @cached_property
    def virtual_services(self) -> tuple[VirtualService, ...]:
        """Every VirtualService, oldest first; routes of the Gateway API are some as well."""
        return tuple(sorted((*self.of_kind(VirtualService), *self.converted.rules), key=_age))

    @cached_property
    def destination_rules(self) -> tuple[DestinationRule, ...]:
        """Every DestinationRule, oldest first."""
        return tuple(self.of_kind(DestinationRule))

    @cached_property
    def gateways(self) -> Mapping[str, Gateway]:
        """Every Gateway by ``NAMESPACE/NAME``, oldest first; listeners of the Gateway API are some as well."""
        found = sorted((*self.of_kind(Gateway), *self.converted.gateways), key=_age)
        return {f"{g.metadata.namespace}/{g.metadata.name}": g for g in found}

    @cached_property
    def memo(self) -> dict[Hashable, Any]:
        """Where compilation keeps parts that many proxies have alike, each by all that it is made from besides the world."""
        return {}

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """A part that depends on nothing but this world and ``what``, made when it is first asked for."""
        if what not in self.memo:
            self.memo[what] = make()
        made: T = self.memo[what]
        return made


def _one_for_each_host(services: Iterable[Service]) -> tuple[list[Service], list[Service]]:
    """One for each host name, and the others of the same names. Those of the inventory and of Kubernetes, which have a name
    of their own, come first. Sets of policies with such are refused before."""
    found: dict[str, list[Service]] = {}
    for service in services:
        found.setdefault(service.hostname, []).append(service)
    first, rivals = [], []
    for same in found.values():
        ranked = same if len(same) == 1 else sorted(sorted(same, key=repr), key=_rank)
        first.append(ranked[0])
        rivals += ranked[1:]
    return first, rivals


def _serving(member: Workload, entry: Service, names: Iterable[str]) -> Workload:
    """A workload that serves the ports of its own entry, and of others by the same names alone; ``names`` are all there
    are."""
    own = {port.name: member.port(port) for port in entry.ports}
    return replace(member, ports={**member.ports, **dict.fromkeys(names, 0), **own})


def _alike(world: World, former: World) -> bool:
    """Whether worlds are the same but for what parts are given: settings, policies for all, and which services there are."""
    return (
        (world.mesh, world.surroundings, world.key_sets) == (former.mesh, former.surroundings, former.key_sets)
        and (world.rivals, world.aliases) == (former.rivals, former.aliases)
        and (world.networks, world.network_gateways) == (former.networks, former.network_gateways)
        and list(map(_place, world.services)) == list(map(_place, former.services))
        and _for_all(world.policies) == _for_all(former.policies)
    )


def _for_all(policies: Iterable[Policy]) -> list[Policy]:
    return [policy for policy in policies if not isinstance(policy, GIVEN)]


def _same_where_equal(new: Iterable[T], former: Iterable[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    """The new ones; in place of each that equals a former one with its key that very object."""
    known = {key(item): item for item in former}
    return tuple(known[key(item)] if known.get(key(item)) == item else item for item in new)


def _called(workload: Workload) -> tuple[str, str]:
    return workload.namespace, workload.name


def _told(workload: Workload) -> tuple[bool, str, str]:
    """Pods come before what only an entry tells of (Istio)."""
    return workload.origin is Origin.ENTRY, workload.name, workload.address


def _place(service: Service) -> tuple[str, str]:
    return service.namespace, service.hostname


def _rank(service: Service) -> tuple[bool, str, float]:
    return not service.name, service.namespace, service.created


def _age(policy: Policy) -> tuple[float, str, str, str]:
    """Istio's order: names decide between those of one time; one without a time is made now, so it is the youngest."""
    created = policy.metadata.creation_timestamp
    age = created.timestamp() if created is not None else float("inf")
    return age, policy.kind, policy.metadata.name, policy.metadata.namespace
