"""Which clusters are told where the proxy is, and when."""

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LocalityEndpoints,
    SocketAddress,
    ZoneAware,
)
from mesh_proxy.balancing.host import EDS_UNHEALTHY
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.neighbourhood import Neighbourhood

HERE = ("r", "a", "")


def cluster(name: str, *hosts: int, aware: bool = False) -> ClusterRuntime:
    endpoints = tuple(Endpoint(SocketAddress(f"10.0.0.{host}", 80)) for host in hosts)
    assignment = ClusterLoadAssignment(name, (LocalityEndpoints(endpoints, region="r", zone="a"),))
    zones = ZoneAware() if aware else None
    config = Cluster(name, ClusterType.STATIC, load_assignment=assignment, zone_aware=zones)
    return ClusterRuntime(config, None, lambda: 0.0)


def known(of: ClusterRuntime) -> tuple[object, int]:
    """Where a cluster thinks the proxy is, and how many neighbours it has."""
    members = of.balancer.members
    return members.local, len(members.neighbours)


def test_clusters_by_zones_are_told_once_and_when_neighbours_change() -> None:
    local, aware, other = cluster("proxies", 1, 2), cluster("aware", 3, aware=True), cluster("other", 4)
    clusters = {"proxies": local, "aware": aware, "other": other}
    neighbourhood = Neighbourhood(HERE, "proxies")
    neighbourhood.check(clusters)
    assert (known(aware), known(other)) == ((HERE, 2), (None, 0))
    told = aware.balancer.members
    neighbourhood.check(clusters)
    assert aware.balancer.members is told
    next(iter(local.hosts.values())).flags |= EDS_UNHEALTHY
    neighbourhood.check(clusters)
    assert aware.balancer.members is not told
    assert known(aware) == (HERE, 2)


def test_a_new_cluster_is_told() -> None:
    neighbourhood = Neighbourhood(HERE, "proxies")
    for made in (cluster("aware", 3, aware=True), cluster("aware", 3, aware=True)):
        neighbourhood.check({"proxies": cluster("proxies", 1), "aware": made})
        assert known(made) == (HERE, 1)


def test_without_a_local_cluster_nobody_is_told() -> None:
    aware = cluster("aware", 3, aware=True)
    Neighbourhood(HERE).check({"aware": aware})
    assert known(aware) == (None, 0)
    Neighbourhood(HERE, "nowhere").check({"aware": aware})
    assert known(aware) == (HERE, 0)
