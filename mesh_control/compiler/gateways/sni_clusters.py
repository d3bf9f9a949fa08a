"""Clusters behind gateways that hand the mesh's own TLS on by name (``AUTO_PASSTHROUGH``).

They are the clusters of sidecars under the name that these ask for, without TLS of the gateway's own; only hosts that take
the mesh's TLS are in them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, LocalityEndpoints
from mesh_control.compiler import names
from mesh_control.compiler.gateways.servers import auto_passthrough_hosts
from mesh_control.compiler.scope import Scope

MUTUAL = "istio"
"""``tls_mode`` of hosts that take the mesh's TLS."""


def are_wanted(scope: Scope) -> bool:
    """Whether some server of the proxy hands TLS on so."""
    return bool(auto_passthrough_hosts(scope))


def clusters(scope: Scope, outbound: Iterable[Cluster]) -> Iterator[Cluster]:
    """One for each cluster of a service within the mesh."""
    for cluster in outbound:
        if not _is_within(scope, cluster.name):
            continue
        name, hosts = _renamed(cluster.name), cluster.load_assignment
        usual = cluster.alt_stat_name == names.statistics(cluster.name)
        yield replace(
            cluster,
            name=name,
            eds_service_name=name if cluster.type is ClusterType.EDS else "",
            load_assignment=None if hosts is None else replace(hosts, cluster_name=name),
            alt_stat_name=names.statistics(name) if usual else cluster.alt_stat_name,
            tls=None,
            tls_matches=(),
        )


def assignments(scope: Scope, outbound: Iterable[ClusterLoadAssignment]) -> Iterator[ClusterLoadAssignment]:
    """The hosts of these clusters. A locality without any stays, as istiod has it."""
    for assignment in outbound:
        if _is_within(scope, assignment.cluster_name):
            localities = tuple(map(_mutual, assignment.localities))
            yield replace(assignment, cluster_name=_renamed(assignment.cluster_name), localities=localities)


def _is_within(scope: Scope, name: str) -> bool:
    """Whether an outbound cluster is of a service of the mesh; nothing else is handed on."""
    direction, _, _, host = name.split("|", 3)
    service = scope.by_host.get(host)
    return direction == "outbound" and service is not None and not service.external


def _renamed(name: str) -> str:
    _, port, subset, host = name.split("|")
    return names.sni(int(port), subset, host)


def _mutual(locality: LocalityEndpoints) -> LocalityEndpoints:
    kept = tuple(endpoint for endpoint in locality.endpoints if endpoint.tls_mode == MUTUAL)
    weight = None if locality.weight is None or not kept else sum(endpoint.weight for endpoint in kept)
    return replace(locality, endpoints=kept, weight=weight)
