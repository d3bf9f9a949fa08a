"""Who gets how much: a real Envoy and our balancer share out requests alike, under the same configuration."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HealthStatus,
    LbPolicy,
    LocalityEndpoints,
    RouteAction,
    SocketAddress,
    ZoneAware,
)
from mesh_api.config.load_balancing import Labels, Subsets, SubsetSelector
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration

ILL, DRAINING, LESS = HealthStatus.UNHEALTHY, HealthStatus.DRAINING, HealthStatus.DEGRADED
Host = tuple[int, HealthStatus, int]
"""Last part of its address, its health, its weight."""
Zone = tuple[int, int | None, tuple[Host, ...]]
"""Priority, weight, hosts."""


def well(*places: int, weight: int = 1) -> tuple[Host, ...]:
    return tuple((place, HealthStatus.UNKNOWN, weight) for place in places)


def with_health(health: HealthStatus, *places: int) -> tuple[Host, ...]:
    return tuple((place, health, 1) for place in places)


ROUND_ROBIN = {
    "equal": (well(1, 2, 3),),
    "weights": (well(1, weight=5) + well(2, 3),),
    "many-weights": (well(1, weight=5) + well(2, weight=3) + well(3, weight=3) + well(4),),
}
SHARES: dict[str, tuple[tuple[Zone, ...], dict[str, Any]]] = {
    "random-ignores-weights": (((0, None, well(1, weight=9) + well(2)),), {"lb_policy": LbPolicy.RANDOM}),
    "least-request": (((0, None, well(1, weight=3) + well(2)),), {"lb_policy": LbPolicy.LEAST_REQUEST}),
    "localities": (((0, 80, well(1)), (0, 20, well(2, 3))), {"locality_weighted": True}),
    "locality-loses": (
        ((0, 50, well(1) + with_health(ILL, 2, 3, 4)), (0, 50, well(5))), {"locality_weighted": True}
    ),
    "locality-without-weight": (((0, 50, well(1)), (0, None, well(2))), {"locality_weighted": True}),
    "priorities": (((0, None, well(1) + with_health(ILL, 2)), (1, None, well(3))), {}),
    "draining-does-not-count": (((0, None, well(1) + with_health(DRAINING, 2)), (1, None, well(3))), {}),
    "degraded": (((0, None, well(1) + with_health(ILL, 2) + with_health(LESS, 3)),), {}),
    "degraded-before-the-next": (
        ((0, None, well(1) + with_health(LESS, 2)), (1, None, well(3))), {}
    ),
    "panic": (((0, None, well(1) + with_health(ILL, 2, 3)),), {"healthy_panic_threshold": 50.0}),
    "no-panic": (((0, None, well(1) + with_health(ILL, 2, 3)),), {}),
    "panic-of-all": (
        ((0, None, well(1) + with_health(ILL, 2, 3)), (1, None, with_health(ILL, 4))),
        {"healthy_panic_threshold": 50.0},
    ),
    "fails-in-panic": (
        ((0, None, well(1) + with_health(ILL, 2, 3)),),
        {"healthy_panic_threshold": 50.0, "zone_aware": ZoneAware(fail_traffic_on_panic=True)},
    ),
    "overprovisioned": (
        ((0, None, well(1) + with_health(ILL, 2)), (1, None, well(3))), {"overprovisioning_factor": 200}
    ),
    "weights-as-health": (
        ((0, None, well(1, weight=3) + with_health(ILL, 2)), (1, None, well(3))), {"weighted_priority_health": True}
    ),
}  # fmt: skip
V, S = "version", "stage"
LABELS: dict[int, Labels] = {
    1: ((S, '"prod"'), (V, "1")), 2: ((S, '"prod"'), (V, "2")), 3: ((S, '"dev"'), (V, "1")), 4: (),
}  # fmt: skip
ASKED: tuple[Labels, ...] = (
    (),
    ((V, "1"),),
    ((V, "7"),),
    ((S, '"dev"'), (V, "1")),
    ((S, '"qa"'), (V, "1")),
    ((S, '"dev"'),),
)
SUBSETS = {
    "none": Subsets((SubsetSelector((V,)), SubsetSelector((V, S)))),
    "any": Subsets((SubsetSelector((V,)), SubsetSelector((V, S))), "ANY_ENDPOINT"),
    "default": Subsets((SubsetSelector((V,)), SubsetSelector((V, S))), "DEFAULT_SUBSET", ((V, "2"),)),
    "keys": Subsets((SubsetSelector((V, S), "KEYS_SUBSET", (V,)), SubsetSelector((V,)))),
    "own": Subsets((SubsetSelector((V, S), "ANY_ENDPOINT"), SubsetSelector((V,)))),
    "panic": Subsets((SubsetSelector((V,)),), "DEFAULT_SUBSET", ((V, "9"),), panic_mode_any=True),
    "single": Subsets((SubsetSelector((V,), single_host=True),)),
}


def cluster(name: str, zones: tuple[Zone, ...], port: int, **fields: Any) -> Cluster:
    policy = {key: fields.pop(key) for key in ("overprovisioning_factor", "weighted_priority_health") if key in fields}
    localities = tuple(
        LocalityEndpoints(
            tuple(
                Endpoint(
                    SocketAddress(f"127.1.0.{place}", port), weight, health,
                    lb_metadata=LABELS.get(place, ()) if "subsets" in fields else (),
                )
                for place, health, weight in hosts
            ),
            "r", f"z{number}", priority=priority, weight=share,
        )
        for number, (priority, share, hosts) in enumerate(zones)
    )  # fmt: skip
    settings: dict[str, Any] = {"healthy_panic_threshold": 0.0} | fields
    found = ClusterLoadAssignment(name, localities, **policy)
    return Cluster(name, ClusterType.STATIC, load_assignment=found, **settings)


def clusters(port: int) -> dict[str, Cluster]:
    made = [cluster(f"round-robin-{name}", ((0, None, hosts[0]),), port) for name, hosts in ROUND_ROBIN.items()]
    made += [cluster(name, zones, port, **fields) for name, (zones, fields) in SHARES.items()]
    made += [
        cluster(f"subsets-{name}", ((0, None, well(1, 2, 3, 4)),), port, subsets=subsets)
        for name, subsets in SUBSETS.items()
    ]
    return {one.name: one for one in made}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, envoy: Path, everywhere: Everywhere) -> Iterator[int]:
    made = clusters(everywhere.port)
    routes = [
        route(f"/{name}/{number}/", RouteAction(name, timeout=0.0, metadata_match=labels))
        for name in made
        for number, labels in enumerate(ASKED)
    ]
    with EnvoyProcess(
        envoy, tmp_path_factory.mktemp("envoy"), http_config(tuple(routes), tuple(made.values()))
    ) as real:
        yield real.port("http")


def theirs(port: int, name: str, times: int, asked: int = 0) -> list[str]:
    found = []
    with Client(port) as client:
        for _ in range(times):
            reply = client.get(f"/{name}/{asked}/")
            found.append(reply.body.decode() if reply.status == 200 else "-")
    return found


def ours(config: Cluster, times: int, asked: int = 0) -> list[str]:
    runtime = ClusterRuntime(config, None, random.Random(5).random)
    context = PickContext(0.0)
    context.labels = ASKED[asked]
    return ["-" if (host := runtime.choose(context)) is None else host.name for _ in range(times)]


@pytest.mark.parametrize("name", ROUND_ROBIN)
def test_turns_are_as_even_as_those_of_envoy(port: int, everywhere: Everywhere, name: str) -> None:
    """Who comes first of two whose turn it is at once depends on where a proxy began, and on the last bit of a sum."""
    config = clusters(everywhere.port)[f"round-robin-{name}"]
    endpoints = config.load_assignment.localities[0].endpoints  # type: ignore[union-attr]
    turn = sum(endpoint.weight for endpoint in endpoints)
    for seen in (theirs(port, config.name, 6 * turn), ours(config, 6 * turn)):
        for rounds in range(1, 6):
            counted = Counter(seen[: rounds * turn])
            for endpoint in endpoints:
                assert abs(counted[str(endpoint.address)] - rounds * endpoint.weight) <= 1


@pytest.mark.parametrize("name", SHARES)
def test_shares_are_those_of_envoy(port: int, everywhere: Everywhere, name: str) -> None:
    """Of so many requests the deviation is far below the tolerance."""
    number = 800
    expected = Counter(theirs(port, name, number))
    found = Counter(ours(clusters(everywhere.port)[name], number))
    assert set(found) == set(expected)
    assert {host: pytest.approx(count, abs=number * 0.09) for host, count in expected.items()} == found


@pytest.mark.parametrize("name", SUBSETS)
def test_subsets_are_those_of_envoy(port: int, everywhere: Everywhere, name: str) -> None:
    config = clusters(everywhere.port)[f"subsets-{name}"]
    for asked in range(len(ASKED)):
        assert (asked, set(ours(config, 20, asked))) == (asked, set(theirs(port, config.name, 20, asked)))
