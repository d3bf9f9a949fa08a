"""Weighted clusters chosen by the hash of headers: a real Envoy and our worker choose alike, value by value."""

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mesh_api.config import HashPolicy, RouteAction, WeightedCluster
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import cluster, http_config, route
from tests.support.raw_http import Client, Request, answer
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

WEIGHTS = {"a": 20, "b": 30, "c": 50}
VALUES = [*(f"user-{number}" for number in range(60)), *("x" * length for length in (1, 4, 8, 31, 32, 33, 64, 100))]
ONE = (HashPolicy(header="x-user-id", terminal=True),)
SEVERAL = (HashPolicy(header="X-One"), HashPolicy(header="x-two", terminal=True), HashPolicy(header="x-three"))


def one_value() -> Iterator[tuple[str, ...]]:
    for value in VALUES:
        yield (f"x-user-id: {value}",)


def one_header_twice() -> Iterator[tuple[str, ...]]:
    for value in VALUES:
        yield f"x-user-id: {value}", "x-user-id: a"


def several_headers() -> Iterator[tuple[str, ...]]:
    for number in range(40):
        yield (f"x-one: a{number}",)
        yield (f"x-two: b{number}",)
        yield (f"x-three: c{number}",)
        yield f"x-one: a{number}", f"x-two: b{number % 7}"
        yield f"x-one: a{number}", f"x-three: c{number % 7}"
        yield f"x-two: b{number}", "x-three: c"
        yield "x-one: ", f"x-three: c{number}"
        yield f"x-one: a{number}, a", f"x-two: b,b{number}", "x-three: c"


def said(name: str, _request: Request) -> bytes:
    return answer(name.encode())


def asked(client: Client, lines: Iterable[str]) -> bytes:
    """Where a request with these lines goes."""
    client.send("\r\n".join(["GET / HTTP/1.1", "host: test", *lines, "\r\n"]).encode())
    return client.reply().body


@pytest.mark.parametrize(
    ("policies", "requests"),
    [(ONE, [*one_value()]), (ONE, [*one_header_twice()]), (SEVERAL, [*several_headers()])],
    ids=["one value", "one header twice", "several headers"],
)
def test_requests_go_where_envoy_sends_them(
    policies: tuple[HashPolicy, ...],
    requests: list[tuple[str, ...]],
    tmp_path: Path,
    envoy: Path,
    stack: contextlib.ExitStack,
    servers: Servers,
) -> None:
    weighted = tuple(WeightedCluster(name, weight) for name, weight in WEIGHTS.items())
    action = RouteAction(weighted_clusters=weighted, hash_policies=policies, use_hash_policy=True, timeout=0.0)
    clusters = tuple(cluster(name, servers.http(partial(said, name))[1]) for name in WEIGHTS)
    config = http_config((route("/", action),), clusters)
    worker = stack.enter_context(WorkerProcess())
    assert isinstance(worker.apply(config), ipc.Applied)
    theirs = stack.enter_context(EnvoyProcess(envoy, tmp_path, config))
    ours, real = (stack.enter_context(Client(proxy.port("http"))) for proxy in (worker, theirs))
    for lines in requests:
        assert asked(ours, lines) == asked(real, lines), lines
    for client in (ours, real):  # without any of them chance decides: all are met
        assert {asked(client, ()) for _ in range(100)} == {name.encode() for name in WEIGHTS}
