"""The endpoints of one service out of its EndpointSlices and the pods behind them. Pure; the rules are istiod's
(``kube/controller/endpointslice.go``)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from mesh_control.services import Health, Origin, Workload
from mesh_policy import objects
from mesh_policy.objects import Endpoint, EndpointSlice

CLUSTER_NAME = "Kubernetes"
"""What Istio calls the cluster where nothing else is said."""
SESSIONS = ("istio.io/persistent-session", "istio.io/persistent-session-header")
"""Labels of a service whose clients stay with one endpoint, also while that ends."""
PodOf = Callable[[str, Endpoint], Workload | None]
"""The pod behind an endpoint's address in a namespace."""


def endpoints(
    service: objects.Service, slices: Iterable[EndpointSlice], pod_of: PodOf, protocol_ports: Mapping[str, str]
) -> tuple[Workload, ...]:
    """Every endpoint of a service once, by address. ``protocol_ports`` maps the Service's names of ports to the world's.

    While an endpoint moves from one slice to another both may have it: for each port the first slice, by name, counts.
    """
    found: dict[tuple[str, str], Workload] = {}
    for item in sorted(slices, key=lambda item: item.meta.name):
        if item.address_type == "FQDN":
            continue  # as istiod, which does not know them yet
        ports = {protocol_ports[p.name]: p.number for p in item.ports if p.name in protocol_ports and p.number}
        for endpoint in item.endpoints:
            for made in _of(endpoint, service, item, pod_of):
                key = (made.address, made.name)
                known = found.get(key)
                found[key] = replace(known or made, ports={**ports, **(known.ports if known is not None else {})})
    return tuple(found.values())


def _of(endpoint: Endpoint, service: objects.Service, item: EndpointSlice, pod_of: PodOf) -> Iterable[Workload]:
    health = health_of(endpoint, sessions=any(service.meta.labels.get(label) for label in SESSIONS))
    if health is None:
        return
    for address in endpoint.addresses:
        one = replace(endpoint, addresses=(address,))
        pod = pod_of(item.meta.namespace, one)
        if pod is None and endpoint.pod:
            continue  # told before its pod: without that, nobody knows who it is
        if pod is None:
            yield Workload(
                "", "", address, _labels({}, "", ""), "", sidecar=False, origin=Origin.ENDPOINT, health=health
            )
            continue
        labels = _labels(pod.labels, pod.locality, pod.node)
        yield replace(pod, address=address, labels=labels, origin=Origin.ENDPOINT, health=health)


def health_of(endpoint: Endpoint, *, sessions: bool) -> Health | None:
    """Whether it gets requests; ``None``: it ends, and counts no more. What is not said is taken to be so (istiod)."""
    if endpoint.ready is not False:
        return Health.HEALTHY
    if endpoint.terminating is False:
        return Health.UNHEALTHY
    return Health.DRAINING if sessions and endpoint.serving is not False else None


def _labels(labels: Mapping[str, str], locality: str, node: str) -> Mapping[str, str]:
    """With those that say where it is, by which subsets may choose, too."""
    region, zone, sub_zone = [*locality.split("/"), "", ""][:3]
    more = {
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
        "topology.istio.io/subzone": sub_zone,
        "topology.istio.io/cluster": CLUSTER_NAME,
        "kubernetes.io/hostname": node,
    }
    return {**labels, **{name: value for name, value in more.items() if value}}
