"""Outlier detection by what an interval brought: a real Envoy and ours judge the same answers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LocalityEndpoints,
    OutlierDetection,
    RouteAction,
    SocketAddress,
)
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.raw_http import Client
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

HOSTS, ROUNDS = 6, 20
NO_ROWS = {"enforcing_consecutive_5xx": 0, "consecutive_5xx": 1000, "consecutive_gateway_failure": 1000}
VOLUME = {"success_rate_request_volume": 10, "failure_percentage_request_volume": 10}
ROWS: dict[str, dict[str, Any]] = {
    "success-rate": {"enforcing_success_rate": 100, "max_ejection_percent": 50},
    "success-rate-not-enforced": {"enforcing_success_rate": 0, "max_ejection_percent": 50},
    "success-rate-wide": {"enforcing_success_rate": 100, "success_rate_stdev_factor": 3000, "max_ejection_percent": 50},
    "failure-percentage": {
        "enforcing_failure_percentage": 100, "failure_percentage_threshold": 100, "max_ejection_percent": 50
    },
    "too-many": {
        "enforcing_success_rate": 100, "enforcing_failure_percentage": 100, "failure_percentage_threshold": 90,
        "max_ejection_percent": 10,
    },
    "always-one": {"enforcing_success_rate": 100, "max_ejection_percent": 10, "always_eject_one_host": True},
    "too-few-hosts": {
        "enforcing_success_rate": 100, "success_rate_minimum_hosts": 7, "failure_percentage_minimum_hosts": 7
    },
    "too-few-requests": {
        "enforcing_success_rate": 100, "success_rate_request_volume": 21, "failure_percentage_request_volume": 21
    },
}  # fmt: skip


def cluster(name: str, port: int) -> Cluster:
    endpoints = tuple(Endpoint(SocketAddress(f"127.1.0.{place}", port)) for place in range(1, HOSTS + 1))
    return Cluster(
        name,
        ClusterType.STATIC,
        load_assignment=ClusterLoadAssignment(name, (LocalityEndpoints(endpoints),)),
        outlier_detection=OutlierDetection(interval=2.0, **(NO_ROWS | VOLUME | ROWS[name])),
        healthy_panic_threshold=0.0,
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, envoy: Path, everywhere: Everywhere) -> Iterator[EnvoyProcess]:
    everywhere.status["127.1.0.6"] = "500 Broken"
    routes = tuple(route(f"/{name}/", RouteAction(name, timeout=0.0)) for name in ROWS)
    config = http_config(routes, tuple(cluster(name, everywhere.port) for name in ROWS))
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), config) as process:
        yield process


@pytest.fixture(scope="module")
def judged(real: EnvoyProcess) -> EnvoyProcess:
    """After an interval in which every cluster had the same answers."""
    with Client(real.port("http")) as client:
        for _ in range(ROUNDS * HOSTS):
            for name in ROWS:
                client.get(f"/{name}/")
    deadline = time.monotonic() + LIMIT
    while not counters(real, "failure-percentage").get("ejections_enforced_total"):
        assert time.monotonic() < deadline
    return real


def counters(real: EnvoyProcess, name: str) -> dict[str, int]:
    """Those that say something. Envoy has some older ones as well, which it calls deprecated."""
    lines = real.ask(f"/stats?filter=^cluster.{name}.outlier_detection").decode().splitlines()
    values = {key.rpartition(".")[2]: int(value) for key, value in (line.split(": ") for line in lines)}
    old = ("ejections_total", "ejections_success_rate", "ejections_consecutive_5xx")
    return {key: value for key, value in values.items() if value and key not in old}


@pytest.mark.parametrize("name", ROWS)
def test_ejections_are_those_of_envoy(judged: EnvoyProcess, everywhere: Everywhere, name: str) -> None:
    runtime = ClusterRuntime(cluster(name, everywhere.port), None, lambda: 0.0)
    context = PickContext(0.0)
    for _ in range(ROUNDS * HOSTS):
        host = runtime.choose(context)
        assert host is not None
        runtime.on_status(host, 500 if host.target[0] == "127.1.0.6" else 200, 0.0)
    runtime.sweep(2.0)
    assert {key: value for key, value in runtime.ejections.items() if value} == counters(judged, name)
