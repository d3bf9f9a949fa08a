"""What every check looks at: all objects, by kind, and indexes of hosts, workloads and rules. Immutable once made."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mesh_policy.analysis.finding import Finding, Placed
from mesh_policy.analysis.hosts import Host, Hosts, KnownService, of_entry, of_known, of_service
from mesh_policy.analysis.pods import KnownWorkload, Pod, Pods, is_in_mesh
from mesh_policy.base import Policy
from mesh_policy.hosts import covers, overlap, qualify
from mesh_policy.mesh_config import ROOT_NAMESPACE
from mesh_policy.networking.destination_rule import DestinationRule
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.networking.workload_entry import WorkloadEntry
from mesh_policy.objects import Namespace, Node, Object, PodTemplate, Service, Workload

if TYPE_CHECKING:  # most files are analyzed without, and need not wait for it
    from mesh_policy.mesh_config import MeshConfig

T = TypeVar("T", bound=Policy | Object)
INGRESS_NAME = "istio-ingressgateway"
INGRESS = {"istio": "ingressgateway"}
"""Labels of the gateway that Istio's installation brings, which no file has to show."""
INGRESS_PORTS = {80: "http2", 443: "https", 31400: "tcp", 15443: "tls"}
_REGION, _ZONE, _SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known beside the objects.

    ``mesh`` are the settings of the mesh; ``None`` when nobody told them, so that Istio's defaults are taken.
    ``whole``: the objects are the whole mesh, and what is not among them does not exist. Without it, nothing is said of
    missing services when there is no Service at all, of missing workloads when there is none, and so on.
    ``services`` and ``workloads`` are those of a running mesh or of an inventory; ``None`` when nothing is known.
    """

    mesh: "MeshConfig | None" = None
    whole: bool = False
    services: Sequence[KnownService] | None = None
    workloads: Sequence[KnownWorkload] | None = None
    now: datetime | None = None
    """When certificates have to be valid; ``None``: they are not asked."""


@dataclass(frozen=True)
class Context:
    """The objects and what is known. Indexes are made when first asked for."""

    objects: tuple[Placed[Policy | Object], ...]
    known: Knowledge = field(default_factory=Knowledge)
    broken: frozenset[str] = frozenset()
    """Objects (``KIND NAMESPACE/NAME``) that are there and not valid: they are not looked at, and nobody misses them."""

    broken_hosts: frozenset[str] = frozenset()
    """The hosts of those objects."""

    def may_be_broken(self, host: str) -> bool:
        """Whether the host may be that of an object that is not valid."""
        return any(overlap(other, host) for other in self.broken_hosts)

    @property
    def knows_gateways(self) -> bool:
        """Whether a workload that is not known does not exist, gateways among them: an inventory lists none."""
        return self.known.workloads is None or any(workload.gateway for workload in self.known.workloads)

    @property
    def has_default_ingress(self) -> bool:
        """Whether the gateway of Istio's own installation is taken to be there."""
        return self.known.services is None and not any(
            service.name == INGRESS_NAME and service.namespace == self.root for service in self.of(Service)
        )

    @cached_property
    def _kinds(self) -> Mapping[type, Sequence[Placed[Any]]]:
        kinds: dict[type, list[Placed[Any]]] = {}
        for placed in self.objects:
            kinds.setdefault(type(placed.value), []).append(placed)
        return kinds

    def of(self, kind: type[T]) -> Sequence[Placed[T]]:
        """The objects of a kind."""
        return cast(Sequence[Placed[T]], self._kinds.get(kind, ()))

    @property
    def root(self) -> str:
        """The namespace whose policies are for the whole mesh."""
        return ROOT_NAMESPACE if self.known.mesh is None else self.known.mesh.root_namespace

    @cached_property
    def namespaces(self) -> Mapping[str, Placed[Namespace]]:
        """The Namespace objects by name."""
        return {placed.name: placed for placed in self.of(Namespace)}

    @cached_property
    def hosts(self) -> Hosts | None:
        """The hosts that exist; ``None`` when no service is known, so that nothing can be said of missing ones."""
        if not (self.known.whole or self.known.services is not None or self.of(Service)):
            return None
        return Hosts(self._hosts())

    def _hosts(self) -> Iterator[Host]:
        for service in self.of(Service):  # of one name, a Service counts before a ServiceEntry
            yield of_service(service)
        for entry in self.of(ServiceEntry):
            yield from of_entry(entry)
        yield from map(of_known, self.known.services or ())
        if self.has_default_ingress:
            name = qualify(INGRESS_NAME, self.root)
            yield Host(name, self.root, INGRESS_PORTS, frozenset("*"), INGRESS)

    @cached_property
    def pods(self) -> Pods | None:
        """The workloads that exist; ``None`` when none is known."""
        if not (self.known.whole or self.known.workloads is not None or self.of(Workload)):
            return None
        return Pods(self._pods())

    def _pods(self) -> Iterator[Pod]:
        nodes = {node.name: node.labels for node in self.of(Node)}
        for placed in self.of(Workload):
            yield self._pod(placed, nodes)
        if self.known.workloads is None:  # a running mesh has them among its workloads
            for entry in self.of(WorkloadEntry):
                yield Pod(entry.namespace, entry.name, entry.value.spec.labels or {})
        for known in self.known.workloads or ():
            yield Pod(known.namespace, "", known.labels, host=known.host)
        if self.known.workloads is None:
            yield Pod(self.root, INGRESS_NAME, INGRESS)

    def _pod(self, placed: Placed[Workload], nodes: Mapping[str, Mapping[str, str]]) -> Pod:
        workload = placed.value
        template = workload.pod
        namespace = self.namespaces.get(placed.namespace)
        ambient = template.annotations.get("ambient.istio.io/redirection") == "enabled"
        labels = {**template.labels, **_places(template, nodes)}
        # Files rarely show the namespaces that their workloads stand in.
        in_mesh = is_in_mesh(template, namespace.labels if namespace is not None else None, not self.known.whole)
        return Pod(placed.namespace, placed.name, labels, in_mesh, ambient, "", workload.replicas, template, placed)

    @cached_property
    def _rules_by_host(self) -> Mapping[str, Sequence[Placed[DestinationRule]]]:
        """Host, perhaps with a wildcard, to the destination rules for it."""
        rules: dict[str, list[Placed[DestinationRule]]] = {}
        for rule in self.of(DestinationRule):
            rules.setdefault(qualify(rule.value.spec.host, rule.namespace), []).append(rule)
        return rules

    @cached_property
    def _wildcard_rules(self) -> Sequence[str]:
        return [host for host in self._rules_by_host if host.startswith("*")]

    def rules(self, host: str) -> list[Placed[DestinationRule]]:
        """The destination rules that cover a host."""
        names = (host, *(name for name in self._wildcard_rules if name != host and covers(name, host)))
        return [rule for name in names for rule in self._rules_by_host.get(name, ())]

    def members(self, host: Host) -> list[Pod] | None:
        """The workloads of a host; ``None`` when that is not known."""
        if self.pods is None:
            return None
        if host.selector is not None:
            return list(self.pods.select(host.selector, host.namespace))
        return list(self._members_by_host.get(host.name, ())) if self.known.workloads is not None else None

    @cached_property
    def _members_by_host(self) -> Mapping[str, Sequence[Pod]]:
        members: dict[str, list[Pod]] = {}
        for pod in self.pods or ():
            if pod.host:
                members.setdefault(pod.host, []).append(pod)
        return members


def _places(template: PodTemplate, nodes: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The labels that Istio adds for where a pod runs; an empty one matches nothing, so it is left out."""
    if not template.node:
        return {}
    node = nodes.get(template.node, {})
    wanted = {_REGION: node.get(_REGION, ""), _ZONE: node.get(_ZONE, ""), _SUBZONE: node.get(_SUBZONE, "")}
    return {"kubernetes.io/hostname": template.node} | {name: value for name, value in wanted.items() if value}


Check = Callable[[Context], Iterator[Finding]]
"""A check: a pure function of the context."""


def run(checks: Iterable[Check], context: Context) -> list[Finding]:
    """What the checks find, each thing once, in no order that counts."""
    return list(dict.fromkeys(finding for check in checks for finding in check(context)))
