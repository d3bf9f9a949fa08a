"""Hash policies: our key takes the host of a ring that a real Envoy takes, whatever the policy looks at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HashPolicy,
    LbPolicy,
    LocalityEndpoints,
    RouteAction,
    SocketAddress,
)
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.http1 import Parser
from mesh_proxy.routing.hash_policies import HashPolicies
from tests.integration.mesh_proxy.balancing.everywhere import Everywhere
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration

ATTRIBUTES = (("SameSite", "Strict"), ("Secure", ""))
POLICIES: dict[str, tuple[HashPolicy, ...]] = {
    "header": (HashPolicy(header="X-Key"),),
    "cookie": (HashPolicy(cookie="user"),),
    "new-cookie": (HashPolicy(cookie="user", cookie_ttl=0.0),),
    "whole-cookie": (HashPolicy(cookie="user", cookie_ttl=3600.0, cookie_path="/a", cookie_attributes=ATTRIBUTES),),
    "query": (HashPolicy(query_parameter="k"),),
    "source": (HashPolicy(source_ip=True),),
    "several": (HashPolicy(header="x-key"), HashPolicy(query_parameter="k"), HashPolicy(cookie="user")),
    "terminal": (HashPolicy(query_parameter="k", terminal=True), HashPolicy(header="x-key")),
}
REQUESTS = [
    *(("", (f"x-key: {number}",)) for number in range(12)),
    *((f"?k={number}", ()) for number in range(12)),
    *((f"?a=b&k={number}&k=other", (f"x-key: a{number}",)) for number in range(12)),
    *(("", (f"cookie: other=1; user=u{number}",)) for number in range(12)),
    ("", ('cookie: user="quoted"',)),
    ("", ("cookie: a=b", "cookie: user=second; user=third")),
    ("?k=", ("cookie: user=",)),
    ("?k", ()),
]


def ring(port: int) -> Cluster:
    endpoints = tuple(Endpoint(SocketAddress(f"127.1.0.{place}", port)) for place in range(1, 6))
    found = ClusterLoadAssignment("ring", (LocalityEndpoints(endpoints),))
    return Cluster("ring", ClusterType.STATIC, lb_policy=LbPolicy.RING_HASH, load_assignment=found)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, envoy: Path, everywhere: Everywhere) -> Iterator[int]:
    routes = tuple(
        route(f"/{name}/", RouteAction("ring", timeout=0.0, hash_policies=policies))
        for name, policies in POLICIES.items()
    )
    config = http_config(routes, (ring(everywhere.port),))
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), config) as process:
        yield process.port("http")


def text(address: tuple[str, int]) -> bytes:
    return f"{address[0]}:{address[1]}".encode()


@pytest.mark.parametrize("name", POLICIES)
def test_a_request_goes_where_envoy_sends_it(port: int, everywhere: Everywhere, name: str) -> None:
    policies = HashPolicies(POLICIES[name])
    runtime = ClusterRuntime(ring(everywhere.port), None, lambda: 0.5)
    with Client(port) as client:
        ends = text(client.sock.getsockname()), text(client.sock.getpeername())
        for query, lines in REQUESTS:
            request = "\r\n".join([f"GET /{name}/{query} HTTP/1.1", "host: test", *lines])
            cookies: list[bytes] = []
            key = policies.key(Parser().request(request.encode()), *ends, cookies)
            client.send(f"{request}\r\n\r\n".encode())
            reply = client.reply()
            assert reply.fields.get("set-cookie", "") == b"".join(cookies).decode(), request
            if key >= 0:
                context = PickContext(0.0)
                context.hash = key
                host = runtime.choose(context)
                assert host is not None
                assert (request, reply.body.decode()) == (request, host.name)
