"""Endpoints: the hosts of each cluster."""

from collections.abc import Mapping, Sequence
from functools import partial

from mesh_api.config import ClusterLoadAssignment, Endpoint, LocalityEndpoints, SocketAddress
from mesh_api.config.clusters import UNLIMITED
from mesh_control.compiler import names, traffic_policies
from mesh_control.compiler.scope import Scope
from mesh_control.world import Resolution, Service, ServicePort, Workload
from mesh_policy import DestinationRule
from mesh_policy.networking.destination_rule import Subset

CANONICAL_SERVICE = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
CANONICAL_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""Labels that name a workload's service and its version, the first that is set counts."""


CLUSTER = "Kubernetes"
"""The cluster of all workloads, as Istio calls it where nothing else is said, even without Kubernetes."""


def assignments(scope: Scope) -> list[ClusterLoadAssignment]:
    """The assignment of every cluster whose hosts are known here."""
    made: list[ClusterLoadAssignment] = []
    for service in scope.services:
        if service.resolution is Resolution.STATIC:
            rules = scope.destination_rules(service)
            made += scope.shared("endpoints", (service, *rules), partial(_of_service, scope, service, rules))
    return made


def _of_service(scope: Scope, service: Service, rules: Sequence[DestinationRule]) -> tuple[ClusterLoadAssignment, ...]:
    wanted = (None, *traffic_policies.subsets(rules))
    return tuple(assignment(scope, service, port, subset) for port in service.ports for subset in wanted)


def assignment(scope: Scope, service: Service, port: ServicePort, subset: Subset | None) -> ClusterLoadAssignment:
    """The hosts of a port, or those of them that carry a subset's labels, by locality."""
    wanted = (subset.labels or {}) if subset is not None else {}
    members = [w for w in scope.world.members[service.hostname] if wanted.items() <= w.labels.items()]
    localities = sorted({workload.locality for workload in members})
    return ClusterLoadAssignment(
        names.outbound(port.number, subset.name if subset else "", service.hostname),
        tuple(_locality(locality, [w for w in members if w.locality == locality], port) for locality in localities),
    )


def _locality(locality: str, members: list[Workload], port: ServicePort) -> LocalityEndpoints:
    region, zone, sub_zone = [*locality.split("/"), "", "", ""][:3]
    weight = min(sum(workload.weight for workload in members), UNLIMITED)
    return LocalityEndpoints(
        tuple(_endpoint(workload, port) for workload in members), region, zone, sub_zone, weight=weight
    )


def _endpoint(workload: Workload, port: ServicePort) -> Endpoint:
    return Endpoint(
        SocketAddress(workload.address, workload.port(port)),
        weight=workload.weight,
        tls_mode="istio" if workload.mutual_tls else "",
        metadata=(("workload", _owner(workload)),),
    )


def _owner(workload: Workload) -> str:
    """Workload, namespace, canonical service, its revision, cluster: what telemetry says of a peer (Istio's form)."""
    service = _first(workload.labels, CANONICAL_SERVICE) or workload.name
    revision = _first(workload.labels, CANONICAL_REVISION)
    return f"{workload.name};{workload.namespace};{service};{revision};{CLUSTER}"


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")
