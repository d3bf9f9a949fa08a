"""The worker's numbers carry Envoy's names and are right."""

import pytest

from mesh_api.config import RouteAction
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import ISTIO_RETRY, cluster, route, tcp_config
from tests.support.raw_http import Request, answer

pytestmark = pytest.mark.integration


def test_requests_are_counted_at_the_listener_the_manager_and_the_cluster(proxy: Proxy, servers: Servers) -> None:
    def by_path(request: Request) -> bytes:
        return answer(status=f"{request.target[1:]} Status")

    _, port = servers.http(by_path)
    proxy.to(port)
    client = proxy.client()
    for status in (200, 200, 201, 404, 503):
        client.get(f"/{status}")
    stats = proxy.worker.stats()
    wanted = {
        "listener.127.0.0.1_0.downstream_cx_total": 1,
        "http.test.downstream_cx_total": 1,
        "http.test.downstream_rq_total": 5,
        "http.test.downstream_rq_completed": 5,
        "http.test.downstream_rq_2xx": 3,
        "http.test.downstream_rq_4xx": 1,
        "http.test.downstream_rq_5xx": 1,
        "listener.127.0.0.1_0.http.test.downstream_rq_completed": 5,
        "listener.127.0.0.1_0.http.test.downstream_rq_2xx": 3,
        "listener.127.0.0.1_0.http.test.downstream_rq_5xx": 1,
        "cluster.backend.upstream_cx_total": 1,
        "cluster.backend.upstream_rq_total": 5,
        "cluster.backend.upstream_rq_completed": 5,
        "cluster.backend.upstream_rq_2xx": 3,
        "cluster.backend.upstream_rq_4xx": 1,
        "cluster.backend.upstream_rq_5xx": 1,
        "cluster.backend.upstream_rq_200": 2,
        "cluster.backend.upstream_rq_503": 1,
    }
    assert {name: stats.counters.get(name) for name in wanted} == wanted


def test_what_is_open_is_counted_while_it_is(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    names = [f"cluster.backend.upstream_{name}_active" for name in ("cx", "rq", "rq_pending")]

    def gauges() -> list[int]:
        stats = proxy.worker.stats()
        whole = ("server.total_connections", "listener.127.0.0.1_0.downstream_cx_active")
        return [stats.gauges[name] for name in (*names, *whole)]

    assert gauges() == [0, 0, 0, 0, 0]
    client = proxy.client()
    client.ask()
    peer = server.accept()
    assert peer.head()
    assert gauges() == [1, 1, 0, 1, 1]
    peer.send(answer())
    assert client.reply().status == 200
    assert gauges() == [1, 0, 0, 1, 1]
    client.end()
    assert client.ended()
    assert gauges() == [1, 0, 0, 0, 0]


def test_hosts_are_told_one_by_one(proxy: Proxy, servers: Servers) -> None:
    backends = [servers.http()[1], servers.http(lambda request: answer(status="500 Broken"))[1], servers.nobody()]
    proxy.to(*backends)
    client = proxy.client()
    for _ in range(9):
        client.get()
    hosts = proxy.worker.stats().hosts["backend"]
    assert [host.address for host in hosts] == [f"127.0.0.1:{port}" for port in backends]
    assert [host.total_requests for host in hosts] == [3, 3, 0]  # of requests that were sent (Envoy)
    assert [host.errors for host in hosts] == [0, 3, 3]
    assert [host.active_connections for host in hosts] == [1, 1, 0]
    assert [host.active_requests for host in hosts] == [0, 0, 0]
    stats = proxy.worker.stats()
    assert stats.gauges["cluster.backend.membership_total"] == 3
    assert stats.gauges["cluster.backend.membership_healthy"] == 3


def test_failures_are_counted_by_their_kind(proxy: Proxy, servers: Servers) -> None:
    proxy.routes(
        route("/refused", RouteAction("refusing", timeout=0.0, retry=ISTIO_RETRY)),
        route("/empty", "empty"),
        clusters=(cluster("refusing", servers.nobody()), cluster("empty")),
    )
    client = proxy.client()
    for path in ("/refused", "/empty", "/nowhere"):
        client.get(path)
    client.send(b"nonsense\r\n\r\n")
    assert client.reply().status == 400
    wanted = {
        "cluster.refusing.upstream_rq_retry": 2,
        "cluster.refusing.upstream_cx_connect_fail": 3,
        "cluster.empty.upstream_cx_none_healthy": 1,
        "http.test.downstream_cx_protocol_error": 1,
    }
    stats = proxy.worker.stats()
    assert {name: stats.counters.get(name) for name in wanted} == wanted


def test_times_are_a_histogram_in_milliseconds(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    for _ in range(7):
        client.get()
    histogram = proxy.worker.stats().histograms["cluster.backend.upstream_rq_time"]
    assert (histogram.count, sum(histogram.counts)) == (7, 7)
    assert histogram.bounds[-1] == float("inf")
    assert 0 < histogram.sum < 30_000


def test_connections_of_tcp_are_counted(proxy: Proxy, servers: Servers) -> None:
    server = servers.script(lambda wire, number: wire.send(b"hello"))
    proxy.run(tcp_config(cluster("backend", server.port)))
    for _ in range(3):
        assert proxy.client().rest() == b"hello"
    stats = proxy.worker.stats()
    assert stats.counters["tcp.test.downstream_cx_total"] == 3
    assert stats.counters["listener.127.0.0.1_0.downstream_cx_total"] == 3
    assert stats.counters["cluster.backend.upstream_cx_total"] == 3


def test_numbers_outlive_a_new_configuration(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    for number in (1, 2, 3):
        proxy.to(port)
        assert proxy.client().get().status == 200
        assert proxy.counter("cluster.backend.upstream_rq_total") == number
        assert proxy.counter("http.test.downstream_rq_total") == number
        assert proxy.counter("cluster.backend.upstream_cx_total") == 1
