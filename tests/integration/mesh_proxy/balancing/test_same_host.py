"""Consistent hashing: our balancer and a real Envoy take the same host for the same key, under the same configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HashPolicy,
    HealthStatus,
    LbPolicy,
    LocalityEndpoints,
    RingHashConfig,
    RouteAction,
    SocketAddress,
)
from mesh_api.config.load_balancing import Subsets, SubsetSelector
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.routing.hashing import xxhash64
from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration

ILL, DRAINING, LESS = HealthStatus.UNHEALTHY, HealthStatus.DRAINING, HealthStatus.DEGRADED
RING, MAGLEV = LbPolicy.RING_HASH, LbPolicy.MAGLEV
KEYS = [f"key-{number}" for number in range(150)]
LABELLED = {"lb_metadata": (("hash_key", '"somebody"'),)}


def at(place: int, **fields: Any) -> dict[str, Any]:
    """A host ``127.1.0.<place>``."""
    return {"place": place, **fields}


def hosts(number: int, *weights: int) -> list[dict[str, Any]]:
    return [at(place, weight=weights[place % len(weights)] if weights else 1) for place in range(1, number + 1)]


def zone(name: str, weight: int | None, *members: dict[str, Any], priority: int = 0) -> dict[str, Any]:
    return {"zone": name, "weight": weight, "priority": priority, "members": members}


ONE: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "ring": (hosts(3), {"lb_policy": RING}),
    "ring of one": (hosts(1), {"lb_policy": RING}),
    "small ring": (hosts(5), {"lb_policy": RING, "ring_hash": RingHashConfig(1, 7)}),
    "ring that does not divide": (hosts(7), {"lb_policy": RING, "ring_hash": RingHashConfig(100, 100)}),
    "ring by murmur": (hosts(4), {"lb_policy": RING, "ring_hash": RingHashConfig(hash_function="MURMUR_HASH_2")}),
    "ring with weights": (hosts(6, 1, 2, 7), {"lb_policy": RING}),
    "ring with weights at its limit": (hosts(6, 1, 20), {"lb_policy": RING, "ring_hash": RingHashConfig(1024, 1030)}),
    "ring without the ill": ([at(1, health=ILL), at(2), at(3), at(4, health=DRAINING)], {"lb_policy": RING}),
    "ring by hostname": (
        [at(1, hostname="one"), at(2, hostname="two"), at(3, hostname="three")],
        {"lb_policy": RING, "use_hostname_for_hashing": True},
    ),
    "ring by label": ([at(1, **LABELLED), at(2), at(3)], {"lb_policy": RING}),
    "ring in panic": (
        [at(1, health=ILL), at(2, health=ILL), at(3)], {"lb_policy": RING, "healthy_panic_threshold": 50.0}
    ),
    "ring, nobody is well": ([at(1, health=ILL)], {"lb_policy": RING}),
    "maglev": (hosts(3), {"lb_policy": MAGLEV}),
    "maglev of ten": (hosts(12), {"lb_policy": MAGLEV}),
    "small maglev": (hosts(5), {"lb_policy": MAGLEV, "ring_hash": RingHashConfig(table_size=11)}),
    "maglev with weights": (hosts(6, 1, 2, 7), {"lb_policy": MAGLEV, "ring_hash": RingHashConfig(table_size=2053)}),
    "maglev by hostname": (
        [at(1, hostname="z"), at(2, hostname="y"), at(3, hostname="x")],
        {"lb_policy": MAGLEV, "use_hostname_for_hashing": True},
    ),
    "maglev without the ill": ([at(1, health=ILL), at(2), at(3, health=LESS), at(4)], {"lb_policy": MAGLEV}),
}  # fmt: skip
SEVERAL: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "localities without weights": (
        [zone("b", None, at(1), at(2)), zone("a", None, at(3))], {"lb_policy": RING}
    ),
    "localities by weight": (
        [zone("b", 3, at(1), at(2)), zone("a", 1, at(3)), zone("c", None, at(4))],
        {"lb_policy": RING, "locality_weighted": True},
    ),
    "localities and hosts by weight": (
        [zone("b", 30, at(1, weight=2), at(2)), zone("a", 70, at(3, weight=9), at(4))],
        {"lb_policy": MAGLEV, "locality_weighted": True},
    ),
    "priorities": (
        [
            zone("a", None, at(1, health=ILL), at(2), at(3, health=ILL)),
            zone("a", None, at(4), at(5), priority=1),
        ],
        {"lb_policy": MAGLEV},
    ),
    "three priorities": (
        [
            zone("a", None, at(1, health=ILL), at(2, health=ILL), at(3), at(4, health=ILL)),
            zone("a", None, at(5), at(6, health=ILL), at(7, health=ILL), priority=1),
            zone("a", None, at(8), at(9), priority=2),
        ],
        {"lb_policy": RING},
    ),
    "priorities in panic": (
        [
            zone("a", None, at(1, health=ILL), at(2, health=ILL), at(3), at(4, health=ILL)),
            zone("a", None, at(5, health=ILL), at(6, health=ILL), at(7, health=ILL), priority=1),
        ],
        {"lb_policy": RING, "healthy_panic_threshold": 60.0},
    ),
}  # fmt: skip
SUBSETS = Subsets((SubsetSelector(("version",)),), "ANY_ENDPOINT")


def cluster(name: str, localities: list[Any], port: int, fields: dict[str, Any]) -> Cluster:
    def endpoint(row: dict[str, Any]) -> Endpoint:
        rest = {key: value for key, value in row.items() if key != "place"}
        return Endpoint(SocketAddress(f"127.1.0.{row['place']}", port), **rest)

    made = tuple(
        LocalityEndpoints(
            tuple(endpoint(row) for row in found["members"]), "r", found["zone"],
            priority=found["priority"], weight=found["weight"],
        )
        for found in localities
    )  # fmt: skip
    settings: dict[str, Any] = {"healthy_panic_threshold": 0.0, "connect_timeout": 20.0} | fields
    # Envoy hashes names only of hosts that are found by names, as which addresses pass.
    kind = ClusterType.STRICT_DNS if "use_hostname_for_hashing" in fields else ClusterType.STATIC
    return Cluster(name, kind, load_assignment=ClusterLoadAssignment(name, made), **settings)


def clusters(port: int) -> Iterator[Cluster]:
    for name, (members, fields) in ONE.items():
        yield cluster(name.replace(" ", "-"), [zone("", None, *members)], port, fields)
    for name, (localities, fields) in SEVERAL.items():
        yield cluster(name.replace(" ", "-"), localities, port, fields)
    labelled = [at(place, lb_metadata=(("version", f'"v{place % 2}"'),)) for place in range(1, 7)]
    yield cluster("subset", [zone("", None, *labelled)], port, {"lb_policy": RING, "subsets": SUBSETS})


class Envoy:
    """Asks it for the hosts of keys."""

    def __init__(self, process: EnvoyProcess, everywhere: Everywhere) -> None:
        self.process, self.everywhere = process, everywhere

    def hosts(self, name: str) -> list[str]:
        with Client(self.process.port("http")) as client:
            return [self._ask(client, name, key) for key in KEYS]

    @staticmethod
    def _ask(client: Client, name: str, key: str) -> str:
        client.send(f"GET /{name}/ HTTP/1.1\r\nhost: test\r\nx-key: {key}\r\n\r\n".encode())
        reply = client.reply()
        return reply.body.decode() if reply.status == 200 else "none"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, envoy: Path, everywhere: Everywhere) -> Iterator[Envoy]:
    policies = (HashPolicy(header="x-key"),)
    made = tuple(clusters(everywhere.port))
    routes = tuple(
        route(
            f"/{one.name}/",
            RouteAction(
                one.name,
                timeout=0.0,
                hash_policies=policies,
                metadata_match=(("version", '"v1"'),) if one.name == "subset" else (),
            ),
        )
        for one in made
    )
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), http_config(routes, made)) as process:
        yield Envoy(process, everywhere)


def ours(config: Cluster, **context: Any) -> list[str]:
    runtime = ClusterRuntime(config, None, lambda: 0.5)
    for place in runtime.places:
        runtime.resolve(place, [place.name])
    found = []
    for key in KEYS:
        asked = PickContext(0.0)
        asked.hash = xxhash64(key.encode())
        for name, value in context.items():
            setattr(asked, name, value)
        host = runtime.choose(asked)
        found.append("none" if host is None else host.name)
    return found


NAMES = [name.replace(" ", "-") for name in (*ONE, *SEVERAL)]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_goes_where_envoy_sends_it(real: Envoy, everywhere: Everywhere, name: str) -> None:
    config = next(one for one in clusters(everywhere.port) if one.name == name)
    assert ours(config) == real.hosts(name)


def test_a_key_stays_in_its_subset_where_envoy_sends_it(real: Envoy, everywhere: Everywhere) -> None:
    config = next(one for one in clusters(everywhere.port) if one.name == "subset")
    assert ours(config, labels=(("version", '"v1"'),)) == real.hosts("subset")
