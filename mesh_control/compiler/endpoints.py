"""Endpoints: the hosts of each cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mesh_api.config import ClusterLoadAssignment, Endpoint, LocalityEndpoints, PipeAddress, SocketAddress
from mesh_api.config.clusters import UNLIMITED
from mesh_api.config.endpoints import HealthStatus
from mesh_control.compiler import cluster_local, defaults, locality, names, split_horizon, traffic_policies
from mesh_control.compiler.peer_authentication import takes_tls
from mesh_control.compiler.scope import Scope
from mesh_control.services import Health, Origin, Resolution, Service, ServicePort, Workload
from mesh_policy import DestinationRule
from mesh_policy.hosts import is_address
from mesh_policy.networking.destination_rule import Subset
from mesh_policy.networking.workload_entry import UNIX

CANONICAL_SERVICE = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
CANONICAL_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""Labels that name a workload's service and its version, the first that is set counts."""


HEALTH = {
    Health.HEALTHY: HealthStatus.HEALTHY,
    Health.UNHEALTHY: HealthStatus.UNHEALTHY,
    Health.DRAINING: HealthStatus.DRAINING,
}


def assignments(scope: Scope) -> list[ClusterLoadAssignment]:
    """The assignment of every cluster whose hosts are known here."""
    known = (service for service in scope.services if known_here(scope, service))
    return [assignment for service in known for assignment in of_service(scope, service)]


def of_service(scope: Scope, service: Service) -> tuple[ClusterLoadAssignment, ...]:
    """Those of its ports, each with those of its subsets."""
    rules = scope.destination_rules(service)
    what = (
        "endpoints",
        scope.proxy.node if service.node_local else "",
        locality.looks(scope.world, service, rules) and scope.client,
        cluster_local.is_hidden(scope, service),
        scope.network,
    )
    inputs = service, scope.world.members_of(service), *rules
    return scope.shared(what, inputs, partial(_of_service, scope, service, rules))


def known_here(scope: Scope, service: Service) -> bool:
    """Whether the control plane tells the hosts. A gateway is told those of a headless service and of one without resolution,
    too, whose addresses nobody dials there (Istio)."""
    dialled = service.headless or service.resolution is Resolution.NONE
    return service.resolution is Resolution.STATIC or (dialled and scope.proxy.is_gateway)


def _of_service(scope: Scope, service: Service, rules: Sequence[DestinationRule]) -> tuple[ClusterLoadAssignment, ...]:
    wanted = (None, *traffic_policies.subsets(rules))
    return tuple(assignment(scope, service, port, subset) for port in service.ports for subset in wanted)


def assignment(
    scope: Scope, service: Service, port: ServicePort, subset: Subset | None, *, watched: bool | None = None
) -> ClusterLoadAssignment:
    """The hosts of a port, or those of them that carry a subset's labels, by locality. ``watched``: whether unhealthy ones
    are found out; ``None``: as the rules say, whatever the mesh's default is (Istio)."""
    wanted = (subset.labels or {}) if subset is not None else {}
    members = [
        workload
        for workload in map(scope.world.placed, scope.world.members_of(service))
        if wanted.items() <= workload.labels.items()
        and workload.port(port)
        and (not service.node_local or workload.node == scope.proxy.node)
        and split_horizon.is_seen(scope, workload)
    ]
    if not service.resolution.by_name:  # nobody would look names up
        members = [w for w in members if not w.address or w.address.startswith(UNIX) or is_address(w.address)]
    if cluster_local.is_hidden(scope, service):
        members = []
    if any(workload.health is Health.UNHEALTHY for workload in members) and _panics(scope, service, port, subset):
        members = [workload for workload in members if workload.health is not Health.UNHEALTHY]
    settings = traffic_policies.settings(scope.destination_rules(service), port.number, subset)
    rule = locality.rule(scope.world.mesh, settings.load_balancer, service)
    tls = traffic_policies.tls_mode(scope.destination_rules(service), port.number, subset)
    places = sorted({workload.locality for workload in members})
    hosts = [_locality(scope, place, members, port, tls) for place in places]
    if not service.resolution.by_name:  # whose names istiod 1.31 does not send through gateways
        hosts = split_horizon.through_gateways(scope, hosts)
    seen = settings.outlier_detection is not None if watched is None else watched
    client = scope.client
    if client is not None and service.resolution.by_name and subset is not None:
        # Labels order hosts that are names in the clusters of whole ports alone (Istio).
        client = replace(client, labelled=False)
    return ClusterLoadAssignment(
        names.outbound(port.number, subset.name if subset else "", service.hostname),
        locality.arranged(rule, hosts, client, watched=seen),
    )


def _panics(scope: Scope, service: Service, port: ServicePort, subset: Subset | None) -> bool:
    """Whether hosts that are not ready would get requests once too few are left: they are not told then (Istio). One that
    prefers what is near needs them all the same, to know when to go further."""
    outliers = traffic_policies.settings(scope.destination_rules(service), port.number, subset).outlier_detection
    return not service.near and outliers is not None and bool(outliers.min_health_percent)


def _locality(scope: Scope, named: str, members: list[Workload], port: ServicePort, tls: str | None) -> locality.Hosts:
    region, zone, sub_zone = [*named.split("/"), "", "", ""][:3]
    own = [workload for workload in members if workload.locality == named]
    weight = min(sum(workload.weight for workload in own), UNLIMITED)
    hosts = tuple(_endpoint(scope, workload, port, tls) for workload in own)
    return LocalityEndpoints(hosts, region, zone, sub_zone, weight=weight), own


def _endpoint(scope: Scope, workload: Workload, port: ServicePort, tls: str | None) -> Endpoint:
    """``tls`` is the mode that a DestinationRule asks for, whatever the workload takes; ``None``: it asks for none."""
    number = workload.port(port)
    taken = takes_tls(scope.world, workload, number) if tls is None else tls == "ISTIO_MUTUAL"
    mutual = workload.mutual_tls and taken
    return Endpoint(
        _address(workload.address, number),
        weight=workload.weight,
        health=_health(workload),
        tls_mode="istio" if mutual else "",
        metadata=(("workload", _owner(workload)),),
    )


def _address(address: str, port: int) -> SocketAddress | PipeAddress:
    return PipeAddress(address.removeprefix(UNIX)) if address.startswith(UNIX) else SocketAddress(address, port)


def _health(workload: Workload) -> HealthStatus:
    """Of what nobody looks after, nothing is said; which counts as healthy."""
    looked_after = workload.origin is not Origin.ENTRY or workload.health is not Health.HEALTHY
    return HEALTH[workload.health] if looked_after else HealthStatus.UNKNOWN


def _owner(workload: Workload) -> str:
    """Workload, namespace, canonical service, its revision, cluster: what telemetry says of a peer (Istio's form)."""
    name = workload.owner or workload.name
    service = _first(workload.labels, CANONICAL_SERVICE) or name
    revision = _first(workload.labels, CANONICAL_REVISION)
    return f"{name};{workload.namespace};{service};{revision};{defaults.CLUSTER}"


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")
