"""A cluster while it runs: what lives on when its configuration changes."""

import dataclasses
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
    RingHashConfig,
    SocketAddress,
)
from mesh_api.config.health_checks import HealthCheck, HostCheck, TcpCheck
from mesh_proxy.balancing.host import PENDING_REMOVAL, Host
from mesh_proxy.cluster import ClusterError, ClusterRuntime, target_of
from tests.unit.mesh_proxy.making import assignment, cluster, dice, endpoint

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


def test_hosts_that_are_named_are_found_by_name_and_forgotten_when_nobody_knows_it() -> None:
    config = Cluster("c", ClusterType.FORWARD_PROXY, lb_policy=LbPolicy.CLUSTER_PROVIDED, outlier_detection=EJECTING)
    made = runtime(config)
    assert made.pick(("a.example", 80), [], 0) is None
    made.name_host(("a.example", 80), ["10.0.0.1"])
    made.name_host(("b.example", 80), ["10.0.0.1"])
    host = made.pick(("a.example", 80), [], 0)
    assert host is made.hosts["a.example:80"]
    assert host is not made.pick(("b.example", 80), [], 0)
    assert made.pick(("a.example", 81), [], 0) is made.pick(None, [], 0) is None
    made.name_host(("a.example", 80), ["10.0.0.2"])
    assert (host.target, host.name, host.hostname) == (("10.0.0.2", 80), "10.0.0.2:80", "a.example")
    made.configure(dataclasses.replace(config, connect_timeout=1.0), None)
    assert made.pick(("a.example", 80), [], 0) is host
    eject(made, "a.example:80")
    assert made.pick(("a.example", 80), [], 0) is None
    made.forget_names(lambda name: name[0] == "b.example")
    assert list(made.hosts) == ["b.example:80"]


def test_a_named_host_that_cannot_be_reached_is_tried_at_its_next_address() -> None:
    made = runtime(Cluster("c", ClusterType.FORWARD_PROXY, lb_policy=LbPolicy.CLUSTER_PROVIDED))
    addresses = ("10.0.0.1", "10.0.0.2")
    seen = []
    for _ in range(3):
        made.name_host(("a.example", 80), addresses)
        host = made.pick(("a.example", 80), [], 0)
        assert host is not None
        seen.append(host.target[0])
        host.connect_failures += 1
    assert seen == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]


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
    kept.active_requests, kept.lane.idle = 3, [object()]
    made.counters.add("upstream_rq_total", 5)
    made.configure(cluster(endpoint(1, weight=7, health=HealthStatus.DRAINING), endpoint(3)), None)
    assert made.hosts["10.0.0.1:80"] is kept
    assert (kept.active_requests, len(kept.lane.idle), kept.weight, kept.healthy) == (3, 1, 7, False)
    assert gone.name not in made.hosts
    assert made.counters.named()["cluster.c.upstream_rq_total"] == 5
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
    ({"ring_hash": RingHashConfig(8, 4)}, "minimum_ring_size is more than maximum_ring_size"),
    ({"http": HttpProtocolOptions("auto")}, "an upstream protocol that TLS is to agree on needs TLS"),
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


def test_an_equal_configuration_changes_nothing() -> None:
    made = runtime(cluster(endpoint(1), endpoint(2)))
    made.pick(None, [], 0)
    before = made.balancer.sets
    made.configure(cluster(endpoint(1), endpoint(2)), None)
    made.pick(None, [], 0)
    assert made.balancer.sets is before
    made.configure(cluster(endpoint(1), endpoint(2), connect_timeout=9.0), None)
    assert made.config.connect_timeout == 9.0


def test_the_first_of_two_endpoints_with_one_address_counts() -> None:
    localities = tuple(LocalityEndpoints((endpoint(1, weight=weight),), priority=weight - 1) for weight in (1, 2))
    made = runtime(Cluster("c", ClusterType.EDS), ClusterLoadAssignment("c", localities))
    assert [(host.weight, host.priority) for host in made.hosts.values()] == [(1, 0)]


def names(*hosts: str, kind: ClusterType = ClusterType.STRICT_DNS) -> Cluster:
    found = tuple(Endpoint(SocketAddress(name, 80), weight=2, lb_metadata=(("a", "1"),)) for name in hosts)
    return Cluster("c", kind, load_assignment=ClusterLoadAssignment("c", (LocalityEndpoints(found, zone="z"),)))


def test_names_are_resolved_one_by_one() -> None:
    made = runtime(names("a.example", "b.example"))
    first, second = made.places
    assert not made.warm
    assert made.resolve(second, ["10.0.0.2", "10.0.0.3"])
    made.unresolved(first)
    assert (made.warm, list(made.hosts)) == (True, ["10.0.0.2:80", "10.0.0.3:80"])
    assert made.resolve(first, ["10.0.0.1"])
    assert list(made.hosts) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    host = made.hosts["10.0.0.1:80"]
    assert (host.hostname, host.weight, host.locality) == ("a.example", 2, ("", "z", ""))
    assert host.endpoint is not None
    assert host.endpoint.lb_metadata == (("a", "1"),)
    assert not made.resolve(second, ["10.0.0.3", "10.0.0.2"])
    assert made.counters.values["update_no_rebuild"] == 1
    made.unresolved(first)
    assert "10.0.0.1:80" in made.hosts
    assert made.resolve(first, [])
    assert list(made.hosts) == ["10.0.0.2:80", "10.0.0.3:80"]


def test_names_that_stay_keep_their_hosts() -> None:
    made = runtime(names("a.example", "b.example"))
    for place, address in zip(made.places, ("10.0.0.1", "10.0.0.2"), strict=True):
        made.resolve(place, [address])
    kept = made.hosts["10.0.0.2:80"]
    made.configure(names("b.example", "c.example"), None)
    assert (made.hosts, made.warm) == ({"10.0.0.2:80": kept}, False)


def test_a_logical_cluster_takes_its_first_name_and_first_address() -> None:
    made = runtime(names("a.example", "b.example", kind=ClusterType.LOGICAL_DNS))
    (place,) = made.places
    made.resolve(place, ["10.0.0.1", "10.0.0.2"])
    assert list(made.hosts) == ["10.0.0.1:80"]
    (host,) = made.hosts.values()
    assert not made.resolve(place, ["10.0.0.1", "10.0.0.9"])
    assert made.resolve(place, ["10.0.0.2", "10.0.0.1"])
    assert list(made.hosts.values()) == [host]
    assert picked(made) == {"10.0.0.2:80"}


DESTINATIONS: list[tuple[dict[str, Any], bytes | None, tuple[str, int] | None]] = [
    ({}, b"10.0.0.9:90", ("10.0.0.1", 80)),
    ({"use_http_header": True}, None, ("10.0.0.1", 80)),
    ({"use_http_header": True}, b"10.0.0.9:90", ("10.0.0.9", 90)),
    ({"use_http_header": True}, b"[::9]:90", ("::9", 90)),
    ({"use_http_header": True}, b"name:90", None),
    ({"use_http_header": True}, b"10.0.0.9", None),
    ({"use_http_header": True}, b"10.0.0.9:99999", None),
    ({"use_http_header": True, "original_dst_header": "X-Other"}, b"10.0.0.9:90", ("10.0.0.9", 90)),
]


@pytest.mark.parametrize(("fields", "value", "expected"), DESTINATIONS)
def test_a_destination_may_be_in_a_header(
    fields: dict[str, Any], value: bytes | None, expected: tuple[str, int] | None
) -> None:
    made = runtime(dataclasses.replace(PASSTHROUGH, **fields))
    wanted = fields.get("original_dst_header", "x-envoy-original-dst-host").lower().encode()
    asked = {wanted: value}
    assert made.destination_of(lambda name: asked.get(name), ("10.0.0.1", 80)) == expected
    assert made.counters.values["original_dst_host_invalid"] == (expected is None)


def test_the_port_of_a_destination_may_be_another() -> None:
    made = runtime(dataclasses.replace(PASSTHROUGH, original_dst_port=15))
    assert picked(made) == set()
    host = made.pick(("10.0.0.1", 80), [], 0)
    assert host is not None
    assert host.target == ("10.0.0.1", 15)


def test_destinations_that_nobody_asked_for_in_an_interval_are_forgotten() -> None:
    made = runtime(dataclasses.replace(PASSTHROUGH, cleanup_interval=10.0))
    for port in (1, 2, 3):
        made.pick(("10.0.0.1", port), [], 0)
    made.hosts["10.0.0.1:3"].active_connections = 1
    made.sweep(100.0)
    assert len(made.hosts) == 3
    made.pick(("10.0.0.1", 2), [], 0)
    made.sweep(105.0)
    assert len(made.hosts) == 3
    made.sweep(110.0)
    assert list(made.hosts) == ["10.0.0.1:2", "10.0.0.1:3"]


def test_requests_are_dropped_by_category() -> None:
    found = ClusterLoadAssignment("c", (), drop_overloads=(("throttle", 250_000), ("shed", 500_000)))
    draws = dice(0.0, 0.24, 0.25, 0.49, 0.25, 0.5)
    made = ClusterRuntime(Cluster("c", ClusterType.EDS), found, draws)
    assert [made.dropped() for _ in range(3)] == ["throttle", "shed", ""]
    assert made.counters.values["upstream_rq_drop_overload"] == 2
    assert runtime(cluster()).dropped() == ""


def test_hosts_that_are_not_told_again_are_forgotten() -> None:
    config = Cluster("c", ClusterType.EDS)
    found = dataclasses.replace(assignment(endpoint(1)), endpoint_stale_after=10.0)
    made = runtime(config, found)
    made.sweep(100.0)
    made.sweep(109.0)
    made.configure(config, found)
    made.sweep(110.0)
    made.sweep(119.0)
    assert len(made.hosts) == 1
    made.sweep(120.0)
    assert (len(made.hosts), made.counters.values["assignment_stale"]) == (0, 1)


CHECKED = (HealthCheck(TcpCheck(), 1.0, 1.0),)


def test_hosts_under_active_checks_begin_as_ill() -> None:
    config = Cluster("c", ClusterType.EDS, health_checks=CHECKED, healthy_panic_threshold=0.0)
    unchecked = Endpoint(SocketAddress("10.0.0.2", 80), health_check=HostCheck(disabled=True))
    made = runtime(config, assignment(endpoint(1), unchecked))
    assert picked(made) == {"10.0.0.2:80"}
    made.hosts["10.0.0.1:80"].flags = 0
    made.refresh()
    assert picked(made) == {"10.0.0.1:80", "10.0.0.2:80"}
    made.on_failed_at_once(made.hosts["10.0.0.2:80"])
    assert picked(made) == {"10.0.0.1:80"}


def test_a_host_that_discovery_has_no_more_stays_while_its_checks_pass() -> None:
    config = Cluster("c", ClusterType.EDS, health_checks=CHECKED)
    made = runtime(config, assignment(endpoint(1), endpoint(2)))
    made.hosts["10.0.0.1:80"].flags = 0
    made.configure(config, assignment())
    assert list(made.hosts) == ["10.0.0.1:80"]
    assert made.hosts["10.0.0.1:80"].flags == PENDING_REMOVAL
    made.configure(config, assignment(endpoint(1)))
    assert made.hosts["10.0.0.1:80"].flags == 0
    made.configure(dataclasses.replace(config, ignore_health_on_host_removal=True), assignment())
    assert made.hosts == {}


def test_each_priority_has_limits_and_counts_of_its_own() -> None:
    high = CircuitBreakerThresholds(max_requests=2)
    made = runtime(cluster(high_thresholds=high))
    made.breaker(True).active_requests += 1
    assert (made.breaker(True).max_requests, made.breaker(False).max_requests) == (2, 1024)
    assert (made.breaker(False).active_requests, made.active_requests) == (0, 0)


def test_statistics_may_have_another_name() -> None:
    made = runtime(cluster(endpoint(1), alt_stat_name="other"))
    made.counters.add("upstream_rq_total")
    assert made.counters.named()["cluster.other.upstream_rq_total"] == 1
