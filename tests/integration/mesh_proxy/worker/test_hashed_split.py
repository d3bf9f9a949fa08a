"""Weighted clusters chosen by the hash of a header: a real Envoy and our worker choose alike, value by value."""

import contextlib
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

VALUES = [*(f"user-{number}" for number in range(60)), *("x" * length for length in (1, 4, 8, 31, 32, 33, 64, 100))]


def said(name: bytes, _request: Request) -> bytes:
    return answer(name)


def test_equal_values_go_where_envoy_sends_them(
    tmp_path: Path, envoy: Path, stack: contextlib.ExitStack, servers: Servers
) -> None:
    ports = [servers.http(partial(said, name))[1] for name in (b"a", b"b", b"c")]
    action = RouteAction(
        weighted_clusters=(WeightedCluster("a", 20), WeightedCluster("b", 30), WeightedCluster("c", 50)),
        hash_policies=(HashPolicy(header="x-user-id", terminal=True),),
        use_hash_policy=True,
        timeout=0.0,
    )
    clusters = tuple(cluster(name, port) for name, port in zip("abc", ports, strict=True))
    config = http_config((route("/", action),), clusters)
    worker = stack.enter_context(WorkerProcess())
    assert isinstance(worker.apply(config), ipc.Applied)
    theirs = stack.enter_context(EnvoyProcess(envoy, tmp_path, config))
    ours, real = Client(worker.port("http")), Client(theirs.port("http"))
    with ours, real:
        for value in VALUES:
            assert ours.get(x_user_id=value).body == real.get(x_user_id=value).body, value
            twice = f"GET / HTTP/1.1\r\nhost: test\r\nx-user-id: {value}\r\nx-user-id: a\r\n\r\n".encode()
            ours.send(twice)
            real.send(twice)
            assert ours.reply("GET").body == real.reply("GET").body, f"{value} and another"


def test_several_policies_are_combined_as_envoy_does(
    tmp_path: Path, envoy: Path, stack: contextlib.ExitStack, servers: Servers
) -> None:
    ports = [servers.http(partial(said, name))[1] for name in (b"a", b"b")]
    action = RouteAction(
        weighted_clusters=(WeightedCluster("a", 1), WeightedCluster("b", 1)),
        hash_policies=(
            HashPolicy(header="X-One"),
            HashPolicy(header="x-two", terminal=True),
            HashPolicy(header="x-three"),
        ),
        use_hash_policy=True,
        timeout=0.0,
    )
    clusters = tuple(cluster(name, port) for name, port in zip("ab", ports, strict=True))
    config = http_config((route("/", action),), clusters)
    worker = stack.enter_context(WorkerProcess())
    assert isinstance(worker.apply(config), ipc.Applied)
    theirs = stack.enter_context(EnvoyProcess(envoy, tmp_path, config))
    ours, real = Client(worker.port("http")), Client(theirs.port("http"))
    with ours, real:
        for number in range(40):
            for fields in (
                {"x_one": f"a{number}"},
                {"x_two": f"b{number}"},
                {"x_three": f"c{number}"},
                {"x_one": f"a{number}", "x_two": f"b{number % 7}"},
                {"x_one": f"a{number}", "x_three": f"c{number % 7}"},
                {"x_two": f"b{number}", "x_three": "c"},
                {"x_one": "", "x_three": f"c{number}"},
                {"x_one": f"a{number}, a", "x_two": f"b,b{number}", "x_three": "c"},
            ):
                assert ours.get(**fields).body == real.get(**fields).body, fields
        # Without any of them chance decides: both are met.
        assert {client.get().body for client in (ours, real) for _ in range(60)} == {b"a", b"b"}
