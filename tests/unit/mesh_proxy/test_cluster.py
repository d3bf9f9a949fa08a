"""A cluster while it runs: what lives on when its configuration changes."""

from typing import Any

import pytest

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HealthStatus,
    HttpProtocolOptions,
    LbPolicy,
    LocalityEndpoints,
    OutlierDetection,
    PipeAddress,
    SocketAddress,
)
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterError, ClusterRuntime, target_of
from tests.unit.mesh_proxy.making import assignment, cluster, endpoint

EJECTING = OutlierDetection(max_ejection_percent=100)


def runtime(config: Cluster, found: ClusterLoadAssignment | None = None) -> ClusterRuntime:
    return ClusterRuntime(config, found, lambda: 0.0)


def picked(made: ClusterRuntime, number: int = 4) -> set[str]:
    return {host.name for _ in range(number) if (host := made.pick(None, [], 0)) is not None}


def eject(made: ClusterRuntime, name: str, now: float = 100.0) -> Host:
    host = made.hosts[name]
    for _ in range(5):
        made.on_status(host, 500, now)
    return host


def test_hosts_of_a_static_cluster_are_its_own() -> None:
    made = runtime(cluster(endpoint(1), endpoint(2)), assignment(endpoint(3)))
    assert picked(made) == set(made.hosts) == {"10.0.0.1:80", "10.0.0.2:80"}


def test_hosts_of_a_discovered_cluster_are_those_of_its_assignment() -> None:
    made = runtime(Cluster("c", ClusterType.EDS), assignment(endpoint(3)))
    assert picked(made) == {"10.0.0.3:80"}


def test_without_an_assignment_there_is_no_host() -> None:
    assert picked(runtime(Cluster("c", ClusterType.EDS))) == set()


def test_priorities_of_localities_are_those_of_their_hosts() -> None:
    localities = tuple(LocalityEndpoints((endpoint(3 - place),), priority=place) for place in (1, 0))
    made = runtime(Cluster("c", ClusterType.EDS), ClusterLoadAssignment("c", localities))
    assert picked(made) == {"10.0.0.3:80"}


def test_names_of_a_dns_cluster_are_for_the_resolver() -> None:
    config = Cluster("c", ClusterType.STRICT_DNS, load_assignment=assignment(Endpoint(SocketAddress("a.example", 80))))
    made = runtime(config)
    assert (made.names, picked(made)) == ((("a.example", 80),), set())
    made.set_hosts([(endpoint(7), 0)])
    made.configure(config, None)
    assert picked(made) == {"10.0.0.7:80"}


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (SocketAddress("10.0.0.1", 80), ("10.0.0.1", 80)),
        (PipeAddress("/run/a"), "/run/a"),
        (PipeAddress("@a"), "\0a"),
    ],
)
def test_an_address_is_what_a_socket_connects_to(address: Any, target: object) -> None:
    assert target_of(Endpoint(address)) == target


def test_hosts_that_stay_keep_their_record_and_take_what_is_new() -> None:
    made = runtime(cluster(endpoint(1), endpoint(2)))
    kept, gone = made.hosts["10.0.0.1:80"], made.hosts["10.0.0.2:80"]
    kept.active_requests, kept.idle = 3, [object()]
    made.counters.add("upstream_rq_total", 5)
    made.configure(cluster(endpoint(1, weight=7, health=HealthStatus.DRAINING), endpoint(3)), None)
    assert made.hosts["10.0.0.1:80"] is kept
    assert (kept.active_requests, len(kept.idle), kept.weight, kept.healthy) == (3, 1, 7, False)
    assert gone.name not in made.hosts
    assert made.counters.named() == {"cluster.c.upstream_rq_total": 5}
    assert picked(made) == {"10.0.0.3:80"}


def test_an_ejected_host_stays_ejected_and_is_counted() -> None:
    config = cluster(endpoint(1), endpoint(2), outlier_detection=EJECTING)
    made = runtime(config)
    eject(made, "10.0.0.1:80")
    made.configure(config, None)
    assert picked(made) == {"10.0.0.2:80"}
    assert made.ejections["ejections_active"] == 1
    made.sweep(130.0)
    assert picked(made) == {"10.0.0.1:80", "10.0.0.2:80"}
    assert made.ejections["ejections_active"] == 0


def test_an_ejected_host_that_leaves_is_no_longer_counted() -> None:
    made = runtime(cluster(endpoint(1), endpoint(2), outlier_detection=EJECTING))
    gone = eject(made, "10.0.0.1:80")
    made.configure(cluster(endpoint(2), outlier_detection=EJECTING), None)
    assert made.ejections["ejections_active"] == 0
    for _ in range(10):
        made.on_status(gone, 500, 101.0)
    assert made.ejections["ejections_enforced_total"] == 1


def test_without_outlier_detection_every_host_is_back() -> None:
    made = runtime(cluster(endpoint(1), endpoint(2), outlier_detection=EJECTING))
    eject(made, "10.0.0.1:80")
    made.configure(cluster(endpoint(1), endpoint(2)), None)
    assert picked(made) == {"10.0.0.1:80", "10.0.0.2:80"}
    assert "ejections_active" not in made.ejections
    made.on_status(made.hosts["10.0.0.1:80"], 500, 101.0)


def test_a_change_of_configuration_brings_no_sweep_forward() -> None:
    """Or hosts would be forgiven with every change instead of with every interval."""
    config = cluster(endpoint(1), outlier_detection=EJECTING)
    made = runtime(config)
    host = made.hosts["10.0.0.1:80"]
    made.sweep(100.0)
    host.times_ejected = 3
    for second in range(101, 110):
        made.configure(config, None)
        made.sweep(float(second))
    assert host.times_ejected == 3
    made.sweep(110.0)
    assert host.times_ejected == 2


def test_a_host_that_cannot_be_reached_has_an_error_also_without_outlier_detection() -> None:
    made = runtime(cluster(endpoint(1)))
    host = made.hosts["10.0.0.1:80"]
    made.on_local_failure(host, 1.0)
    made.sweep(2.0)
    assert (host.errors, host.available) == (1, True)


def test_limits_that_are_not_given_are_those_of_envoy() -> None:
    assert runtime(cluster()).thresholds == CircuitBreakerThresholds(1024, 1024, 1024, 3)
    given = CircuitBreakerThresholds(1, 2, 3, 4)
    assert runtime(cluster(thresholds=given)).thresholds is given


PASSTHROUGH = Cluster("p", ClusterType.ORIGINAL_DST, lb_policy=LbPolicy.CLUSTER_PROVIDED)


def test_a_cluster_that_follows_the_connection_makes_its_hosts() -> None:
    made = runtime(PASSTHROUGH)
    first = made.pick(("10.0.0.1", 80), [], 0)
    assert first is not None
    assert (first.name, first.target) == ("10.0.0.1:80", ("10.0.0.1", 80))
    assert made.pick(("10.0.0.1", 80), [], 0) is first
    assert made.pick(("10.0.0.1", 81), [], 0) is not first
    assert made.pick(None, [], 0) is None
    made.configure(PASSTHROUGH, None)
    assert made.pick(("10.0.0.1", 80), [], 0) is first


def test_hosts_of_a_passthrough_that_nobody_uses_are_forgotten() -> None:
    made = runtime(PASSTHROUGH)
    used = made.pick(("10.0.0.1", 1), [], 0)
    assert used is not None
    used.active_connections = 1
    for port in range(2, 6000):
        made.pick(("10.0.0.1", port), [], 0)
    assert len(made.hosts) <= 4096
    assert made.pick(("10.0.0.1", 1), [], 0) is used


REFUSED = [
    ({"lb_policy": LbPolicy.RING_HASH}, "lb_policy RING_HASH is not supported yet"),
    ({"lb_policy": LbPolicy.MAGLEV}, "lb_policy MAGLEV is not supported yet"),
    ({"http": HttpProtocolOptions("http2")}, "upstream protocol http2 is not supported yet"),
    ({"http": HttpProtocolOptions("downstream")}, "upstream protocol downstream is not supported yet"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_is_not_supported_is_refused_by_name_before_anything_changes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        runtime(cluster(**fields))
    before = cluster(endpoint(1))
    made = runtime(before)
    with pytest.raises(ClusterError, match=message):
        made.configure(cluster(endpoint(2), **fields), None)
    assert made.config is before
    assert picked(made) == {"10.0.0.1:80"}
