"""What a release counts of its candidate is read from the statistics of a real Envoy and of our worker alike."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import ProxyConfig
from mesh_control.rollouts.proxies import counts_of
from mesh_proxy import ipc
from mesh_proxy.supervisor.exposition import prometheus
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import cluster, http_config, route
from tests.support.raw_http import Backend, Client, Request, ScriptedServer, answer
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration
HOST = "order.my-shop.svc.cluster.local"


def serve(request: Request) -> bytes:
    return answer(status="503 Service Unavailable") if b" /bad " in request.head else answer()


@pytest.fixture
def config() -> Iterator[ProxyConfig]:
    server = ScriptedServer(Backend(serve).serve)
    candidate, stable = f"outbound|80|v2|{HOST}", f"outbound|80|v1|{HOST}"
    made = (cluster(name, server.port, alt_stat_name=f"{name};") for name in (candidate, stable))
    yield http_config((route("/stable", stable), route("/", candidate)), tuple(made))
    server.close()


def ask(port: int) -> None:
    with Client(port) as client:
        for path in ("/", "/", "/bad", "/stable"):
            client.get(path)


def test_a_real_envoy(envoy: Path, tmp_path: Path, config: ProxyConfig) -> None:
    with EnvoyProcess(envoy, tmp_path, config) as proxy:
        ask(proxy.port("http"))
        # Histograms are merged on the way to this page.
        text = proxy.ask("/stats/prometheus").decode()
    found = counts_of(text, HOST, "v2")
    assert (found.requests, found.errors) == (3, 1)
    assert counts_of(text, "order.other.svc.cluster.local", "v2").requests == 0


def test_our_worker(config: ProxyConfig) -> None:
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(WorkerProcess())
        assert isinstance(worker.apply(config), ipc.Applied)
        ask(worker.port("http"))
        text = prometheus(worker.stats())
    found = counts_of(text, HOST, "v2")
    assert (found.requests, found.errors) == (3, 1)
    assert found.buckets[float("inf")] == 3
