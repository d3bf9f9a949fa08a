"""``/clusters`` of a real Envoy and of ours, line by line, before any request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HealthStatus,
    LocalityEndpoints,
    OutlierDetection,
    PipeAddress,
    SocketAddress,
)
from mesh_api.config.health_checks import HealthCheck, TcpCheck
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.ipc import Stats
from mesh_proxy.supervisor.cluster_status import clusters_json, clusters_text
from mesh_proxy.worker.stats import collect_cluster
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route

pytestmark = pytest.mark.integration


def at(place: int, **fields: Any) -> Endpoint:
    return Endpoint(SocketAddress(f"127.0.0.{place}", 1), **fields)


CLUSTERS = (
    Cluster(
        "every-health",
        ClusterType.STATIC,
        load_assignment=ClusterLoadAssignment(
            "every-health",
            (
                LocalityEndpoints(
                    (
                        at(1, weight=3, hostname="one", lb_metadata=(("canary", "true"),)),
                        at(2, health=HealthStatus.UNHEALTHY),
                        at(3, health=HealthStatus.DEGRADED),
                        at(4, health=HealthStatus.DRAINING),
                        at(5, health=HealthStatus.HEALTHY),
                    ),
                    "region",
                    "zone",
                    "sub",
                    weight=3,
                ),
                LocalityEndpoints((at(6),), "region", "other", priority=1),
            ),
        ),
        outlier_detection=OutlierDetection(),
        alt_stat_name="another_name",
        thresholds=CircuitBreakerThresholds(1, 2, 3, 4),
        high_thresholds=CircuitBreakerThresholds(5, 6, 7, 8),
    ),
    Cluster(
        "checked",
        ClusterType.STATIC,
        load_assignment=ClusterLoadAssignment("checked", (LocalityEndpoints((at(7),)),)),
        health_checks=(HealthCheck(TcpCheck(), 60.0, 60.0, initial_jitter=60.0),),
    ),
    Cluster(
        "pipe",
        ClusterType.STATIC,
        load_assignment=ClusterLoadAssignment("pipe", (LocalityEndpoints((Endpoint(PipeAddress("/nowhere")),)),)),
    ),
    Cluster("empty", ClusterType.STATIC),
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, envoy: Path) -> Iterator[EnvoyProcess]:
    config = http_config((route("/", "every-health"),), CLUSTERS)
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), config) as process:
        yield process


@pytest.fixture(scope="module")
def stats() -> Stats:
    made = Stats()
    for config in CLUSTERS:
        collect_cluster(made, config.name, ClusterRuntime(config, None, lambda: 0.0), 0.0)
    return made


STATIC = frozenset(config.name for config in CLUSTERS)


def test_lines_are_those_of_envoy(real: EnvoyProcess, stats: Stats) -> None:
    ours = clusters_text(CLUSTERS, STATIC, stats).splitlines()
    own = [line for line in ours if "::times_ejected::" in line]
    assert sorted(set(ours) - set(own)) == sorted(real.ask("/clusters").decode().splitlines())


def test_json_is_that_of_envoy(real: EnvoyProcess, stats: Stats) -> None:
    theirs = json.loads(real.ask("/clusters?format=json"))["cluster_statuses"]
    ours = clusters_json(CLUSTERS, STATIC, stats)["cluster_statuses"]
    assert {one["name"]: one for one in ours} == {one["name"]: one for one in theirs}


def test_gauges_are_those_of_envoy(real: EnvoyProcess, stats: Stats) -> None:
    theirs = dict(line.split(": ") for line in real.ask("/stats?filter=^cluster").decode().splitlines() if ": " in line)
    for name, value in stats.gauges.items():
        if "remaining" not in name:  # told by Envoy only where it is asked to
            assert (name, str(value)) == (name, theirs.get(name))
