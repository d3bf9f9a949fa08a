"""The same traffic through a real Envoy and our worker: numbers of the same names are the same."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import ProxyConfig
from mesh_proxy import ipc
from mesh_proxy.supervisor import exposition
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import cluster, host, http_listener, route, tcp_config
from tests.support.raw_http import Client, Request, answer
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

SCOPES = ("cluster.", "http.test.", "tcp.")
OURS_ALONE = re.compile(r"\.circuit_breakers\.default\.remaining_|\.warming_state$")
"""Envoy tells these only where it is asked to."""
OTHERWISE = {
    "update_success": "a static cluster is told its hosts as any other",
    "downstream_cx_destroy_remote": "after an answer to what is no request we end our side at once, and clients close",
}
"""Ends of names whose numbers differ, and why."""
MISSING = {
    "upstream_cx_rx_bytes_total": "bytes of connections of HTTP are not counted",
    "upstream_cx_tx_bytes_total": "bytes of connections of HTTP are not counted",
    "upstream_cx_rx_bytes_buffered": "bytes of connections of HTTP are not counted",
    "downstream_cx_rx_bytes_total": "bytes of connections of HTTP are not counted",
    "downstream_cx_tx_bytes_total": "bytes of connections of HTTP are not counted",
    "total_match_count": "there are no subsets of clusters' settings",
    "upstream_cx_destroy": "the end of a connection of TCP is counted at its listener",
    "upstream_cx_destroy_with_active_rq": "who ended a connection is not told",
    "upstream_cx_destroy_remote": "who ended a connection is not told",
    "upstream_cx_destroy_remote_with_active_rq": "who ended a connection is not told",
    "downstream_cx_delayed_close_timeout": "of a client that does not close",
    "downstream_cx_destroy_local": "of a client that does not close",
    "upstream_rq_pending_failure_eject": "is upstream_cx_connect_fail",
    "downstream_cx_http1_active": "is the gauge of all",
    "downstream_rq_response_before_rq_complete": "a request that is none has no body to wait for",
    "downstream_rq_rx_reset": "a request that is none is not reset",
}
"""Ends of names that Envoy has more of, and why we do not."""


@pytest.fixture(scope="module")
def told(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], ipc.Stats]]:
    """Envoy's numbers by name, and ours."""

    def by_path(request: Request) -> bytes:
        return answer(status=f"{request.target[1:]} Status") if request.target[1:].isdigit() else answer()

    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        bytes_port = servers.script(lambda wire, number: wire.send(wire.rest() * 2)).port
        ports = {"backend": servers.http(by_path)[1], "refused": servers.nobody(), "bytes": bytes_port}
        clusters = tuple(cluster(name, port) for name, port in ports.items())
        hosts = host(route("/refused", "refused"), route("/nowhere", "missing"), route("/", "backend"))
        other = host(route("/only", "backend"), domains=("other",), name="other")
        listeners = (http_listener(other, hosts), *tcp_config(cluster("bytes")).listeners)
        config = ProxyConfig(listeners, clusters=clusters)
        real = stack.enter_context(EnvoyProcess(envoy, tmp_path_factory.mktemp("stats"), config))
        worker = stack.enter_context(WorkerProcess())
        assert isinstance(worker.apply(config), ipc.Applied)
        for proxy in (real, worker):
            traffic(proxy.port("http"), proxy.port("tcp"))
        lines = real.ask("/stats").decode().splitlines()
        yield dict(line.split(": ", 1) for line in lines if ": " in line), worker.stats()


def traffic(http: int, tcp: int) -> None:
    with Client(http) as client:
        for path in ("/200", "/200", "/201", "/302", "/404", "/503", "/refused", "/nowhere"):
            client.get(path)
        client.get("/body", "POST", b"x" * 1000)
        client.send(b"GET /nowhere HTTP/1.1\r\nhost: other\r\n\r\n")
        client.reply()
    with Client(http) as client:
        client.send(b"nonsense\r\n\r\n")
        client.reply()
        client.rest()
    with Client(tcp) as client:
        client.send(b"12345")
        client.end()
        client.rest()


def last(name: str) -> str:
    return name.rpartition(".")[2]


def test_numbers_of_the_same_name_are_equal(told: tuple[dict[str, str], ipc.Stats]) -> None:
    theirs, stats = told
    ours = {name: str(value) for name, value in (stats.counters | stats.gauges).items() if name.startswith(SCOPES)}
    assert [name for name in ours if name not in theirs and not OURS_ALONE.search(name)] == []
    different = {name: (theirs[name], value) for name, value in ours.items() if theirs.get(name, value) != value}
    assert {name: pair for name, pair in different.items() if last(name) not in OTHERWISE} == {}


def test_what_is_missing_has_a_reason(told: tuple[dict[str, str], ipc.Stats]) -> None:
    theirs, stats = told
    ours = stats.counters.keys() | stats.gauges.keys()
    counted = {name for name, value in theirs.items() if value.isdigit() and value != "0" and name.startswith(SCOPES)}
    assert {name for name in counted - ours if last(name) not in MISSING} == set()


def test_histograms_are_those_of_envoy(told: tuple[dict[str, str], ipc.Stats]) -> None:
    theirs, stats = told
    used = {name for name, value in stats.histograms.items() if value.count}
    assert theirs.keys() >= used  # what is in them, Envoy tells some seconds later
    assert used >= {"cluster.backend.upstream_rq_time", "http.test.downstream_rq_time"}


def test_series_of_prometheus_are_those_of_envoy(told: tuple[dict[str, str], ipc.Stats]) -> None:
    """A sample's name and labels follow from the name of the number, which both have."""
    theirs, stats = told
    text = exposition.prometheus(exposition.used(stats))
    families = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE envoy_cluster")}
    known = {exposition.family_of(name)[0] for name in theirs if name.startswith("cluster.")}
    assert {name for name in families if name not in known and "remaining" not in name} == set()
