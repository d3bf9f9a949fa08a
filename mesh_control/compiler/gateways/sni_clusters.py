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
    return not scope.proxy.limited and bool(auto_passthrough_hosts(scope))


def clusters(outbound: Iterable[Cluster]) -> Iterator[Cluster]:
    """One for each cluster of a service within the mesh."""
    for cluster in outbound:
        if cluster.external or not cluster.name.startswith("outbound|"):
            continue
        name, hosts = _renamed(cluster.name), cluster.load_assignment
        yield replace(
            cluster,
            name=name,
            eds_service_name=name if cluster.type is ClusterType.EDS else "",
            load_assignment=None if hosts is None else replace(hosts, cluster_name=name),
            alt_stat_name=names.statistics(name),
            tls=None,
            tls_matches=(),
        )


def assignments(outbound: Iterable[ClusterLoadAssignment]) -> Iterator[ClusterLoadAssignment]:
    """The hosts of these clusters."""
    for assignment in outbound:
        localities = (made for locality in assignment.localities if (made := _mutual(locality)).endpoints)
        yield replace(assignment, cluster_name=_renamed(assignment.cluster_name), localities=tuple(localities))


def _renamed(name: str) -> str:
    _, port, subset, host = name.split("|")
    return names.sni(int(port), subset, host)


def _mutual(locality: LocalityEndpoints) -> LocalityEndpoints:
    kept = tuple(endpoint for endpoint in locality.endpoints if endpoint.tls_mode == MUTUAL)
    weight = None if locality.weight is None else sum(endpoint.weight for endpoint in kept)
    return replace(locality, endpoints=kept, weight=weight)
