"""Requests stay in the proxy's own zone as far as its hosts can take them: a real Envoy and ours under one bootstrap."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.parity.configuration import HTTP
from tests.parity.sides import OurProcess, envoy_start
from tests.support.ports import free_port
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
REQUESTS = 600


@pytest.fixture
def everywhere() -> Iterator[Everywhere]:
    made = Everywhere()
    yield made
    made.close()


def cluster(name: str, zones: dict[str, list[int]], port: int, **fields: Any) -> dict[str, Any]:
    """``zones``: the last parts of the addresses in each."""
    localities = [
        {
            "locality": {"region": "r", "zone": zone},
            "lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": f"127.1.0.{last}", "port_value": port}}}}
                for last in hosts
            ],
        }
        for zone, hosts in zones.items()
    ]
    assignment = {"cluster_name": name, "endpoints": localities}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment, **fields}


def document(front: int, everywhere: Everywhere, local: dict[str, list[int]], zones: dict[str, list[int]]) -> Any:
    aware = {"zone_aware_lb_config": {"min_cluster_size": 1}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "servers"}}]
    manager = {
        "@type": HTTP,
        "stat_prefix": "front",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": front}}
    return {
        "node": {"id": "a", "cluster": "a", "locality": {"region": "r", "zone": "a"}},
        "cluster_manager": {"local_cluster_name": "proxies"},
        "static_resources": {
            "listeners": [{"name": "front", "address": address, "filter_chains": [chain]}],
            "clusters": [
                cluster("proxies", local, everywhere.port),
                cluster("servers", zones, everywhere.port, common_lb_config=aware),
            ],
        },
    }


CASES = {
    "not enough here": ({"a": [101], "b": [102]}, {"a": [1], "b": [2, 3, 4]}, {1: 1 / 2, 2: 1 / 6, 3: 1 / 6, 4: 1 / 6}),
    "enough here": ({"a": [101], "b": [102]}, {"a": [1, 2], "b": [3]}, {1: 1 / 2, 2: 1 / 2}),
    "nobody like us here": ({"b": [102]}, {"a": [1], "b": [2]}, {1: 1 / 2, 2: 1 / 2}),
    "one zone": ({"a": [101]}, {"a": [1, 2]}, {1: 1 / 2, 2: 1 / 2}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("program", ["envoy", "ours"])
def test_shares(case: str, program: str, tmp_path: Path, envoy: Path, everywhere: Everywhere) -> None:
    local, zones, expected = CASES[case]
    front = free_port()
    start = OurProcess if program == "ours" else envoy_start(envoy)
    proxy = start(tmp_path, document(front, everywhere, local, zones))
    try:
        with Client(front) as client:
            heard = Counter(client.get().body.decode().partition(":")[0] for _ in range(REQUESTS))
    finally:
        proxy.close()
    shares = {int(address.rpartition(".")[2]): count / REQUESTS for address, count in heard.items()}
    assert shares.keys() == expected.keys()
    assert all(abs(shares[host] - expected[host]) < 0.09 for host in expected), shares
