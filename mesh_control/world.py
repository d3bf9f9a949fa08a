"""The world: everything that configuration is compiled from, as one immutable value."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar

from mesh_policy import DestinationRule, Gateway, Policy, VirtualService
from mesh_policy.mesh_config import MeshConfig

P = TypeVar("P", bound=Policy)


class Protocol(Enum):
    """What is spoken on a port. ``TLS`` is passed on as bytes but names its host; ``TCP`` is every other kind of bytes."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    TLS = "TLS"
    TCP = "TCP"

    @property
    def is_http(self) -> bool:
        """Whether requests can be routed one by one."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)


_PROTOCOLS = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "https": Protocol.TLS,
    "tls": Protocol.TLS,
}


def protocol_of(name: str, declared: str = "") -> Protocol:
    """The protocol of a port: as declared, else by Istio's rule, the port name up to its first dash.

    Unknown protocols are bytes; ``grpc-web`` counts as gRPC.
    """
    return _PROTOCOLS.get((declared or name).lower().partition("-")[0], Protocol.TCP)


class Resolution(Enum):
    """How the hosts of a service are found: known here, by DNS in the proxy, or by the address that was dialled."""

    STATIC = "STATIC"
    DNS = "DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    NONE = "NONE"

    @property
    def by_name(self) -> bool:
        """Whether the proxy resolves a name: all of its addresses, or (``LOGICAL_DNS``) the first at each connection."""
        return self in (Resolution.DNS, Resolution.LOGICAL_DNS)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service. ``target`` is the port of its workloads where they do not name their own."""

    name: str
    number: int
    protocol: Protocol
    target: int

    @property
    def tcp(self) -> bool:
        """Whether the port carries bytes rather than requests."""
        return not self.protocol.is_http


@dataclass(frozen=True, slots=True)
class Workload:
    """One running copy. ``ports`` maps port names to its own port numbers; ``sidecar``: whether a proxy stands beside it,
    ``mutual_tls``: whether that takes mutual TLS."""

    name: str
    namespace: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    ports: Mapping[str, int] = field(default_factory=dict)
    sidecar: bool = True
    weight: int = 1
    locality: str = ""
    mutual_tls: bool = False

    @property
    def account(self) -> str:
        """The service account that the workload runs as: ``default`` where none is named."""
        return self.service_account or "default"

    def port(self, port: ServicePort) -> int:
        """Where this workload serves a port of its service."""
        return self.ports.get(port.name, port.target)


@dataclass(frozen=True, slots=True)
class Service:
    """A name under which workloads are reached: those of its namespace that ``selector`` chooses, and ``endpoints``.

    ``name`` is what telemetry calls it (``destination_service_name``): the host name where nothing else is given.
    """

    hostname: str
    namespace: str
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Workload, ...] = ()
    resolution: Resolution = Resolution.STATIC
    external: bool = False
    export_to: tuple[str, ...] = ("*",)
    name: str = ""

    def visible_from(self, namespace: str) -> bool:
        """Whether proxies of the namespace may see it (Istio's ``exportTo``)."""
        return (
            "*" in self.export_to
            or namespace in self.export_to
            or ("." in self.export_to and namespace == self.namespace)
        )


def own_settings() -> MeshConfig:
    """The mesh's settings where none are given: Istio's defaults, and access logs, which ``mesh explain`` reads."""
    return MeshConfig(access_log_file="/dev/stdout")


@dataclass(frozen=True)
class World:
    """Services, workloads and policies, each sorted, so that equal content gives an equal value; and the mesh's settings."""

    services: tuple[Service, ...] = ()
    workloads: tuple[Workload, ...] = ()
    policies: tuple[Policy, ...] = ()
    mesh: MeshConfig = field(default_factory=own_settings)

    @classmethod
    def of(
        cls,
        services: Iterable[Service] = (),
        workloads: Iterable[Workload] = (),
        policies: Iterable[Policy] = (),
        mesh: MeshConfig | None = None,
    ) -> "World":
        """A world with everything in its order: policies by age, then by name, as Istio ranks them."""
        return cls(
            tuple(sorted(_one_for_each_host(services), key=lambda s: (s.namespace, s.hostname))),
            tuple(sorted(workloads, key=lambda w: (w.namespace, w.name))),
            tuple(sorted(policies, key=_age)),
            mesh if mesh is not None else own_settings(),
        )

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The mesh's trust domain, then its aliases."""
        return (self.mesh.trust_domain, *self.mesh.trust_domain_aliases)

    def with_policies(self, policies: Iterable[Policy]) -> "World":
        """The same world with other policies."""
        return replace(self, policies=tuple(sorted(policies, key=_age)))

    @cached_property
    def service_by_host(self) -> Mapping[str, Service]:
        """Host name to service; the first of a name counts."""
        found: dict[str, Service] = {}
        for service in self.services:
            found.setdefault(service.hostname, service)
        return found

    @cached_property
    def members(self) -> Mapping[str, tuple[Workload, ...]]:
        """Host name of a service to its workloads, sorted by name and address."""
        return {
            service.hostname: tuple(sorted(self._members(service), key=lambda w: (w.name, w.address)))
            for service in self.services
        }

    def _members(self, service: Service) -> list[Workload]:
        if not service.selector:
            return list(service.endpoints)
        near = self._by_namespace.get(service.namespace, ())
        return [*(w for w in near if service.selector.items() <= w.labels.items()), *service.endpoints]

    @cached_property
    def _by_namespace(self) -> Mapping[str, list[Workload]]:
        found: dict[str, list[Workload]] = {}
        for workload in self.workloads:
            found.setdefault(workload.namespace, []).append(workload)
        return found

    def services_of(self, workload: Workload) -> list[Service]:
        """The services that a workload belongs to."""
        near = self._services_by_workload.get((workload.namespace, workload.name), ())
        return [service for service in near if workload in self.members[service.hostname]]

    @cached_property
    def _services_by_workload(self) -> Mapping[tuple[str, str], list[Service]]:
        """Namespace and name of a workload to the services with a member called so, in their order."""
        found: dict[tuple[str, str], list[Service]] = {}
        for service in self.services:
            for key in dict.fromkeys((member.namespace, member.name) for member in self.members[service.hostname]):
                found.setdefault(key, []).append(service)
        return found

    def workload(self, name: str, namespace: str) -> Workload | None:
        """The workload of that name."""
        return self._by_name.get((namespace, name))

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], Workload]:
        """Namespace and name to the workload; the first of a name counts."""
        return {(workload.namespace, workload.name): workload for workload in reversed(self.workloads)}

    def of_kind(self, kind: type[P]) -> list[P]:
        """The policies of a kind, oldest first."""
        key = ("of kind", kind)
        if key not in self.memo:
            self.memo[key] = [policy for policy in self.policies if isinstance(policy, kind)]
        return list(self.memo[key])

    @cached_property
    def virtual_services(self) -> tuple[VirtualService, ...]:
        """Every VirtualService, oldest first."""
        return tuple(self.of_kind(VirtualService))

    @cached_property
    def destination_rules(self) -> tuple[DestinationRule, ...]:
        """Every DestinationRule, oldest first."""
        return tuple(self.of_kind(DestinationRule))

    @cached_property
    def gateways(self) -> Mapping[str, Gateway]:
        """Every Gateway by ``NAMESPACE/NAME``."""
        return {f"{g.metadata.namespace}/{g.metadata.name}": g for g in self.of_kind(Gateway)}

    @cached_property
    def memo(self) -> dict[Hashable, Any]:
        """Where compilation keeps parts that many proxies have alike, each by all that it is made from besides the world."""
        return {}


def _one_for_each_host(services: Iterable[Service]) -> Iterable[Service]:
    """Two for one host name would be two clusters of one name, which proxies refuse with all the others. Those of the
    inventory, which have a name of their own, come first. Sets of policies with such are refused before."""
    found: dict[str, list[Service]] = {}
    for service in services:
        found.setdefault(service.hostname, []).append(service)
    return [same[0] if len(same) == 1 else min(same, key=_rank) for same in found.values()]


def _rank(service: Service) -> tuple[bool, str, str]:
    return not service.name, service.namespace, repr(service)


def _age(policy: Policy) -> tuple[float, str, str, str]:
    """Istio's order: one without a time is the oldest; names decide between those of one time."""
    created = policy.metadata.creation_timestamp
    age = created.timestamp() if created is not None else float("-inf")
    return age, policy.kind, policy.metadata.name, policy.metadata.namespace
