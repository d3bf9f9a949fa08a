"""Which hosts a request is tried on: a real Envoy and our balancer, told what was tried before."""

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
    RetryPolicy,
    RouteAction,
    SocketAddress,
)
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration

CANARY, OLD = (("canary", "true"),), (("age", '"old"'),)
ROWS: dict[str, tuple[tuple[tuple[int, Any], ...], dict[str, Any]]] = {
    "priorities": (((0, ()), (1, ()), (2, ())), {"other_priorities": True, "priority_update_frequency": 1}),
    "priorities-by-two": (((0, ()), (1, ()), (2, ())), {"other_priorities": True, "priority_update_frequency": 2}),
    "priorities-by-three": (((0, ()), (1, ())), {"other_priorities": True, "priority_update_frequency": 3}),
    "previous-hosts": (((0, ()), (0, ()), (0, ())), {"avoid_previous_hosts": True}),
    "no-canaries": (((0, ()), (0, CANARY)), {"omit_canary": True}),
    "no-labels": (((0, ()), (0, OLD)), {"omit_host_metadata": OLD}),
}  # fmt: skip
ATTEMPTS = 8


def cluster(name: str, port: int) -> Cluster:
    localities = tuple(
        LocalityEndpoints((Endpoint(SocketAddress(f"127.1.0.{place}", port), lb_metadata=labels),), priority=priority)
        for place, (priority, labels) in enumerate(ROWS[name][0], 1)
    )
    found = ClusterLoadAssignment(name, localities)
    return Cluster(name, ClusterType.STATIC, load_assignment=found, healthy_panic_threshold=0.0)


def policy(name: str) -> RetryPolicy:
    fields = {"back_off_base": 0.001, "host_selection_retry_max_attempts": 50} | ROWS[name][1]
    return RetryPolicy(("5xx",), ATTEMPTS - 1, **fields)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, envoy: Path, everywhere: Everywhere) -> Iterator[int]:
    for place in range(1, 5):
        everywhere.status[f"127.1.0.{place}"] = "500 Broken"
    routes = tuple(route(f"/{name}/", RouteAction(name, timeout=0.0, retry=policy(name))) for name in ROWS)
    config = http_config(routes, tuple(cluster(name, everywhere.port) for name in ROWS))
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), config) as process:
        yield process.port("http")


def theirs(port: int, everywhere: Everywhere, name: str) -> list[str]:
    everywhere.asked.clear()
    with Client(port) as client:
        assert client.get(f"/{name}/").status == 500
    return list(everywhere.asked)


def ours(runtime: ClusterRuntime, made: RetryPolicy) -> list[str]:
    context = PickContext(0.0)
    context.avoid_tried, context.omit_canary = made.avoid_previous_hosts, made.omit_canary
    context.omit_labels = made.omit_host_metadata
    context.attempts = made.host_selection_retry_max_attempts
    found = []
    for number in range(made.num_retries + 1):
        context.retry = number > 0
        context.priority_frequency = made.priority_update_frequency if made.other_priorities and number else 0
        host = runtime.choose(context)
        assert host is not None
        context.tried.append(host)
        found.append(host.target[0])
    return found


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("priorities")])
def test_priorities_come_in_the_order_of_envoy(port: int, everywhere: Everywhere, name: str) -> None:
    runtime = ClusterRuntime(cluster(name, everywhere.port), None, lambda: 0.5)
    assert ours(runtime, policy(name)) == theirs(port, everywhere, name)


def test_hosts_that_were_tried_come_last(port: int, everywhere: Everywhere) -> None:
    runtime = ClusterRuntime(cluster("previous-hosts", everywhere.port), None, lambda: 0.5)
    for seen in (ours(runtime, policy("previous-hosts")), theirs(port, everywhere, "previous-hosts")):
        assert (len(set(seen[:3])), len(seen)) == (3, ATTEMPTS)


@pytest.mark.parametrize("name", ["no-canaries", "no-labels"])
def test_some_hosts_are_for_first_attempts_alone(port: int, everywhere: Everywhere, name: str) -> None:
    runtime = ClusterRuntime(cluster(name, everywhere.port), None, lambda: 0.5)
    for seen in (ours(runtime, policy(name)), theirs(port, everywhere, name)):
        assert (set(seen[1:]), len(seen)) == ({"127.1.0.1"}, ATTEMPTS)
