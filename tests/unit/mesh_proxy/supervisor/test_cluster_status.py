"""``GET /clusters``."""

import pytest

from mesh_api.config import CircuitBreakerThresholds, Cluster, ClusterType, OutlierDetection
from mesh_proxy.ipc import HostStats, Stats
from mesh_proxy.supervisor.cluster_status import clusters_json, clusters_text

CLUSTERS = (
    Cluster("d", ClusterType.EDS, eds_service_name="e", thresholds=CircuitBreakerThresholds(1, 2, 3, 4)),
    Cluster("s", ClusterType.STATIC, alt_stat_name="other"),
)
STATS = Stats(hosts={"d": (HostStats("10.0.0.1:80", True, False, total_requests=4, hostname="h", priority=1),)})


def test_text() -> None:
    lines = clusters_text(CLUSTERS, frozenset({"s"}), STATS).splitlines()
    assert lines[:11] == [
        "d::observability_name::d",
        "d::default_priority::max_connections::1",
        "d::default_priority::max_pending_requests::2",
        "d::default_priority::max_requests::3",
        "d::default_priority::max_retries::4",
        "d::high_priority::max_connections::1024",
        "d::high_priority::max_pending_requests::1024",
        "d::high_priority::max_requests::1024",
        "d::high_priority::max_retries::3",
        "d::added_via_api::true",
        "d::eds_service_name::e",
    ]
    assert "d::10.0.0.1:80::rq_total::4" in lines
    assert "s::observability_name::other" in lines
    assert "s::added_via_api::false" in lines


HEALTH = [
    (HostStats("a:1", False, False, flags=2), "/eds_status_draining", {"eds_health_status": "DRAINING"}),
    (HostStats("a:1", True, False, flags=4), "/degraded_eds_health", {"eds_health_status": "DEGRADED"}),
    (
        HostStats("a:1", False, True, flags=8 | 64),
        "/failed_active_hc/failed_outlier_check/pending_active_hc",
        {
            "eds_health_status": "HEALTHY",
            "failed_active_health_check": True,
            "failed_outlier_check": True,
            "pending_active_hc": True,
        },
    ),
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


def test_rates_are_shown_with_what_they_were_judged_by() -> None:
    detection = OutlierDetection(success_rate_minimum_hosts=2, success_rate_stdev_factor=1000)
    hosts = tuple(HostStats(f"10.0.0.{n}:80", True, False, success_rate=rate) for n, rate in ((1, 100.0), (2, 50.0)))
    made = Cluster("d", ClusterType.STATIC, outlier_detection=detection)
    lines = clusters_text((made,), frozenset(), Stats(hosts={"d": hosts})).splitlines()
    assert "d::outlier::success_rate_average::75" in lines
    assert "d::outlier::success_rate_ejection_threshold::50" in lines
    assert "d::outlier::local_origin_success_rate_average::-1" in lines
    assert "d::10.0.0.2:80::success_rate::50" in lines
    shown = clusters_json((made,), frozenset(), Stats(hosts={"d": hosts}))["cluster_statuses"][0]
    assert shown["success_rate_ejection_threshold"] == {"value": 50.0}
    assert shown["host_statuses"][1]["success_rate"] == {"value": 50.0}
