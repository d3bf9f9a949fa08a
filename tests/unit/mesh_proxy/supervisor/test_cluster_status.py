"""``GET /clusters``."""

import pytest

from mesh_api.config import CircuitBreakerThresholds, Cluster, ClusterType
from mesh_proxy.ipc import HostStats, Stats
from mesh_proxy.supervisor.cluster_status import clusters_json, clusters_text

CLUSTERS = (
    Cluster("d", ClusterType.EDS, eds_service_name="e", thresholds=CircuitBreakerThresholds(1, 2, 3, 4)),
    Cluster("s", ClusterType.STATIC, alt_stat_name="other"),
)
STATS = Stats(hosts={"d": (HostStats("10.0.0.1:80", True, False, total_requests=4, hostname="h", priority=1),)})


def test_text() -> None:
    lines = clusters_text(CLUSTERS, frozenset({"s"}), STATS).splitlines()
    assert lines[:7] == [
        "d::observability_name::d",
        "d::default_priority::max_connections::1",
        "d::default_priority::max_pending_requests::2",
        "d::default_priority::max_requests::3",
        "d::default_priority::max_retries::4",
        "d::added_via_api::true",
        "d::eds_service_name::e",
    ]
    assert "d::10.0.0.1:80::rq_total::4" in lines
    assert "s::observability_name::other" in lines
    assert "s::added_via_api::false" in lines


HEALTH = [
    (HostStats("a:1", True, False), "healthy", {"eds_health_status": "HEALTHY"}),
    (HostStats("a:1", False, False), "/failed_eds_health", {"eds_health_status": "UNHEALTHY"}),
    (
        HostStats("a:1", False, True),
        "/failed_outlier_check",
        {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
    ),
]


@pytest.mark.parametrize(("host", "flags", "health"), HEALTH)
def test_health_of_a_host(host: HostStats, flags: str, health: dict[str, object]) -> None:
    stats = Stats(hosts={"d": (host,)})
    assert f"d::a:1::health_flags::{flags}" in clusters_text(CLUSTERS, frozenset(), stats).splitlines()
    shown = clusters_json(CLUSTERS, frozenset(), stats)["cluster_statuses"][0]
    assert shown["host_statuses"][0]["health_status"] == health


ADDRESSES = [
    ("10.0.0.1:80", {"socket_address": {"address": "10.0.0.1", "port_value": 80}}),
    ("[::1]:80", {"socket_address": {"address": "::1", "port_value": 80}}),
    ("/run/x", {"pipe": {"path": "/run/x"}}),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_address_of_a_host(text: str, address: dict[str, object]) -> None:
    stats = Stats(hosts={"d": (HostStats(text, True, False),)})
    shown = clusters_json(CLUSTERS, frozenset(), stats)["cluster_statuses"][0]
    assert shown["host_statuses"][0]["address"] == address
