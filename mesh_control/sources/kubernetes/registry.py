"""A whole cluster as services and workloads. Pure but for a memo: what has the same inputs as the time before is not made
anew, so that one changed endpoint among thousands costs one service."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mesh_control.services import Health, Service, Workload
from mesh_control.sources.kubernetes import endpoints, pods, services
from mesh_policy import objects
from mesh_policy.objects import Endpoint, EndpointSlice

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What a cluster has at a moment, by namespace and name, or by name where there is no namespace.

    An object that did not change is the same one as in the snapshot before.
    """

    services: Mapping[Key, objects.Service] = field(default_factory=dict)
    slices: Mapping[Key, EndpointSlice] = field(default_factory=dict)
    pods: Mapping[Key, objects.Workload] = field(default_factory=dict)
    nodes: Mapping[str, objects.Node] = field(default_factory=dict)
    namespaces: Mapping[str, objects.Namespace] = field(default_factory=dict)


@dataclass(slots=True)
class Registry:
    """See the module's docstring."""

    _services: dict[Key, tuple[Sequence[object], Service]] = field(default_factory=dict)
    _pods: dict[Key, tuple[Sequence[object], Workload | None]] = field(default_factory=dict)

    def parts(self, known: Objects) -> tuple[tuple[Service, ...], tuple[Workload, ...]]:
        """The services and the pods of a cluster."""
        self._update_pods(known)
        slices = by_service(known.slices.values())
        view = _View(known, self._pods)
        made = {key: self._service(key, service, slices.get(key, ()), view) for key, service in known.services.items()}
        self._services = made
        return tuple(service for _, service in made.values()), tuple(
            workload for _, workload in self._pods.values() if workload is not None
        )

    def _update_pods(self, known: Objects) -> None:
        made: dict[Key, tuple[Sequence[object], Workload | None]] = {}
        for key, pod in known.pods.items():
            inputs = (pod, known.nodes.get(pod.pod.node))
            former = self._pods.get(key)
            same = former is not None and _same(former[0], inputs)
            made[key] = former if former is not None and same else (inputs, pods.workload(*inputs))
        self._pods = made

    def _service(
        self,
        key: Key,
        given: objects.Service,
        slices: Sequence[EndpointSlice],
        view: "_View",
    ) -> tuple[Sequence[object], Service]:
        namespace = view.known.namespaces.get(given.meta.namespace)
        inputs = [given, namespace, *slices, *view.behind(slices)]
        former = self._services.get(key)
        if former is not None and _same(former[0], inputs):
            return former
        if given.type == "ExternalName":
            return inputs, services.alias(given, namespace)
        return inputs, listed(services.service(given, namespace), given, slices, view.pod_of)


def listed(
    service: Service, given: objects.Service, slices: Sequence[EndpointSlice], pod_of: endpoints.PodOf
) -> Service:
    """A service with the endpoints that its slices list."""
    names = {port.name: port.name or str(port.number) for port in given.ports}
    return replace(service, listed=True, endpoints=endpoints.endpoints(given, slices, pod_of, names))


@dataclass(slots=True)
class _View:
    """The pods of a snapshot by name and, once somebody asks, by address."""

    known: Objects
    made: Mapping[Key, tuple[Sequence[object], Workload | None]]
    _at: dict[Key, Workload] | None = None

    def behind(self, slices: Sequence[EndpointSlice]) -> list[object]:
        """The pods that the endpoints of some slices depend on."""
        return [self._pod(item.meta.namespace, endpoint) for item in slices for endpoint in item.endpoints]

    def pod_of(self, namespace: str, endpoint: Endpoint) -> Workload | None:
        """The pod that an endpoint names; of one that names none, which somebody keeps by hand, that of its address."""
        found = self._pod(namespace, endpoint)
        return found if isinstance(found, Workload) else None

    def _pod(self, namespace: str, endpoint: Endpoint) -> object:
        if endpoint.pod:
            entry = self.made.get((endpoint.namespace, endpoint.pod))
            return None if entry is None else entry[1]
        return next((found for a in endpoint.addresses if (found := self._by_address.get((namespace, a)))), None)

    @property
    def _by_address(self) -> dict[Key, Workload]:
        if self._at is None:
            self._at = {}
            for _, pod in self.made.values():
                if pod is not None and pod.health is Health.HEALTHY:
                    self._at.setdefault((pod.namespace, pod.address), pod)
        return self._at


def by_service(slices: Iterable[EndpointSlice]) -> Mapping[Key, list[EndpointSlice]]:
    """The slices of each service."""
    found: dict[Key, list[EndpointSlice]] = {}
    for item in slices:
        if item.service:
            found.setdefault((item.meta.namespace, item.service), []).append(item)
    return found


def _same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))
