"""Kubernetes objects of files, of which no cluster has made anything yet. Pure.

Addresses that a cluster would hand out are made up (``240.240.0.0/16`` for services, ``240.241.0.0/16`` for workloads),
the same ones each time. A Deployment and the like count as one workload of their name. Services whose EndpointSlices or
Endpoints are among the objects have those, as in a cluster; of the others, whoever they select serves them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mesh_control.services import Health, Origin, Service, Workload
from mesh_control.sources.kubernetes import pods, services
from mesh_control.sources.kubernetes.registry import Key, by_service, listed
from mesh_policy import objects
from mesh_policy.objects import Endpoint, EndpointSlice, PodTemplate

INJECT = "sidecar.istio.io/inject"
T = TypeVar("T", objects.Service, objects.Workload)


@dataclass(frozen=True, slots=True)
class Found:
    """What the objects bring, and what of them is left out, by name."""

    services: tuple[Service, ...]
    workloads: tuple[Workload, ...]


def parts(values: Iterable[Mapping[str, Any]], *, as_given: bool = False) -> Found:
    """The services and workloads among the objects. ``as_given``: as a cluster that has exactly these would tell of them,
    without the addresses and endpoints that its controllers would add. Raises :class:`~mesh_policy.objects.ObjectError`."""
    read = [found for value in values if (found := objects.read(value)) is not None]
    named = _sorted([item for item in read if isinstance(item, objects.Service)])
    running = _sorted([item for item in read if isinstance(item, objects.Workload)])
    namespaces = {item.meta.name: item for item in read if isinstance(item, objects.Namespace)}
    nodes = {item.meta.name: item for item in read if isinstance(item, objects.Node)}
    workloads = [
        workload
        for number, item in enumerate(running)
        if item.replicas != 0
        and not (as_given and _is_made_up(item))
        and (workload := _workload(item, number, nodes, namespaces)) is not None
    ]
    slices = by_service(_slices(read))
    cluster = [service for service in named if service.type != "ExternalName"]
    made = [
        _service(item, None if as_given else n, namespaces, slices.get(_key(item), ()), workloads)
        for n, item in enumerate(cluster)
    ]
    aliases = [
        services.alias(item, namespaces.get(item.meta.namespace)) for item in named if item.type == "ExternalName"
    ]
    return Found((*made, *aliases), tuple(workloads))


def _slices(read: Sequence[objects.Object]) -> list[EndpointSlice]:
    """The slices; Endpoints only of services that have none, as a cluster would make these of them."""
    found = [item for item in read if isinstance(item, EndpointSlice)]
    own = {(item.meta.namespace, item.service) for item in found if objects.SERVICE_NAME in item.meta.labels}
    mirrored = (item for item in found if objects.SERVICE_NAME not in item.meta.labels)
    return [
        *(item for item in found if objects.SERVICE_NAME in item.meta.labels),
        *(item for item in mirrored if (item.meta.namespace, item.service) not in own),
    ]


def _sorted(items: Sequence[T]) -> list[T]:
    return sorted(items, key=_key)


def _key(item: objects.Service | objects.Workload) -> Key:
    return item.meta.namespace, item.meta.name


def _service(
    given: objects.Service,
    number: int | None,
    namespaces: Mapping[str, objects.Namespace],
    slices: Sequence[EndpointSlice],
    workloads: Sequence[Workload],
) -> Service:
    made_up = () if number is None else (_address(240, number),)
    made = services.service(given, namespaces.get(given.meta.namespace), made_up)
    if not slices and number is not None:
        return made

    def pod_of(namespace: str, endpoint: Endpoint) -> Workload | None:
        if endpoint.pod:
            return next((w for w in workloads if (w.namespace, w.name) == (endpoint.namespace, endpoint.pod)), None)
        return next((w for w in workloads if w.namespace == namespace and w.address in endpoint.addresses), None)

    return listed(made, given, slices, pod_of)


def _address(second: int, number: int) -> str:
    return f"240.{second}.{number // 254 % 256}.{number % 254 + 1}"


def _workload(
    item: objects.Workload,
    number: int,
    nodes: Mapping[str, objects.Node],
    namespaces: Mapping[str, objects.Namespace],
) -> Workload | None:
    node = nodes.get(item.pod.node)
    if item.state is not None and (item.state.addresses or item.state.ended):
        return pods.workload(item, node)
    meta, pod = item.meta, item.pod
    namespace = namespaces.get(meta.namespace)
    return Workload(
        name=meta.name,
        namespace=meta.namespace,
        address=_address(241, number),
        labels=pod.labels,
        service_account=pod.service_account,
        ports=pod.named_ports(),
        sidecar=_injected(pod, None if namespace is None else namespace.meta.labels),
        locality=pods.locality(pod.labels, node),
        mutual_tls=pod.labels.get(pods.TLS_MODE) == "istio",
        origin=Origin.POD,
        health=Health.HEALTHY,
        owner=pods.owner(item),
        node=pod.node,
    )


def _is_made_up(item: objects.Workload) -> bool:
    """Whether it has no address of its own."""
    return item.state is None or not (item.state.addresses or item.state.ended)


def _injected(pod: PodTemplate, namespace: Mapping[str, str] | None) -> bool:
    """Whether a proxy is put in: as the pod says, else its namespace; one that is not described has it switched on."""
    if pod.proxy is not None:
        return True
    if pod.host_network:
        return False
    asked = pod.labels.get(INJECT) or pod.annotations.get(INJECT)
    if asked in ("true", "false"):
        return asked == "true"
    if namespace is None or "istio.io/rev" in pod.labels:
        return True
    chosen = namespace.get("istio-injection")
    return chosen == "enabled" if chosen is not None else "istio.io/rev" in namespace
