"""Circuit breakers, outlier detection and faults put in on purpose."""

from typing import Any

import pytest

from mesh_api.config import (
    CircuitBreakerThresholds,
    FaultFilter,
    FaultPolicy,
    OutlierDetection,
    RouteAction,
    RouterFilter,
)
from mesh_api.config.routes import MILLION
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import ISTIO_RETRY, cluster, route
from tests.support.raw_http import Client, Request, answer

pytestmark = pytest.mark.integration

OVERFLOW = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"
UNHEALTHY = b"no healthy upstream"
WITH_FAULTS = (FaultFilter(), RouterFilter())


def overflows(client: Client) -> bool:
    reply = client.get()
    return (reply.status, reply.body, reply.fields.get("x-envoy-overloaded")) == (503, OVERFLOW, "true")


def test_not_more_requests_at_once_than_the_cluster_allows(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limit = CircuitBreakerThresholds(max_requests=2)
    proxy.routes(route(), clusters=(cluster("backend", server.port, thresholds=limit),))
    clients = [proxy.client() for _ in range(2)]
    peers = []
    for client in clients:
        client.ask()
        peers.append(server.accept())
        assert peers[-1].head()
    other = proxy.client()
    assert overflows(other)
    assert overflows(other)
    for peer, client in zip(peers, clients, strict=True):
        peer.send(answer())
        assert client.reply().status == 200
    other.ask()
    assert peers[1].head()
    peers[1].send(answer(b"again"))
    assert other.reply().body == b"again"
    assert proxy.counter("cluster.backend.upstream_rq_active_overflow") == 2


def test_requests_wait_for_a_connection_up_to_the_limit(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limit = CircuitBreakerThresholds(max_connections=1, max_pending_requests=2)
    proxy.routes(route(), clusters=(cluster("backend", server.port, thresholds=limit),))
    clients = [proxy.client() for _ in range(3)]
    clients[0].ask("/0")
    peer = server.accept()
    assert peer.head().startswith(b"GET /0 ")
    waiting = "cluster.backend.upstream_rq_pending_active"
    clients[1].ask("/1")
    proxy.until(lambda stats: stats.gauges[waiting] == 1)
    clients[2].ask("/2")
    proxy.until(lambda stats: stats.gauges[waiting] == 2)
    assert overflows(proxy.client())
    assert server.idle()
    for number, client in enumerate(clients):
        if number:
            assert peer.head().startswith(b"GET /%d " % number)
        peer.send(answer())
        assert client.reply().status == 200
    assert proxy.counter("cluster.backend.upstream_cx_total") == 1


def test_a_request_that_waits_gets_a_new_connection_when_the_old_one_ends(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limit = CircuitBreakerThresholds(max_connections=1)
    proxy.routes(route(), clusters=(cluster("backend", server.port, thresholds=limit),))
    first, second = proxy.client(), proxy.client()
    first.ask()
    peer = server.accept()
    assert peer.head()
    second.ask("/second")
    proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_pending_active"] == 1)
    peer.sock.close()
    assert first.reply().status == 503
    peer = server.accept()
    assert peer.head().startswith(b"GET /second ")
    peer.send(answer())
    assert second.reply().status == 200


def test_not_more_connections_to_a_host_than_each_may_have(proxy: Proxy, servers: Servers) -> None:
    one, two = servers.manual(), servers.manual()
    proxy.routes(route(), clusters=(cluster("backend", one.port, two.port, max_connections_per_host=1),))
    clients = [proxy.client() for _ in range(4)]
    for client, number in zip(clients, range(4), strict=True):
        client.ask(f"/{number}")
        waiting = max(0, number - 1)
        proxy.until(lambda stats, now=waiting: stats.gauges["cluster.backend.upstream_rq_pending_active"] == now)
    peers = [one.accept(), two.accept()]
    for _ in range(2):
        for peer in peers:
            assert peer.head()
            peer.send(answer())
    assert [client.reply().status for client in clients] == [200] * 4
    assert one.idle()
    assert two.idle()
    assert proxy.counter("cluster.backend.upstream_cx_overflow") == 2


def test_a_client_that_waits_and_leaves_is_forgotten(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limit = CircuitBreakerThresholds(max_connections=1)
    proxy.routes(route(), clusters=(cluster("backend", server.port, thresholds=limit),))
    first, second, third = proxy.client(), proxy.client(), proxy.client()
    first.ask()
    peer = server.accept()
    assert peer.head()
    second.ask("/second")
    proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_pending_active"] == 1)
    second.sock.close()
    proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_pending_active"] == 0)
    third.ask("/third")
    peer.send(answer())
    assert first.reply().status == 200
    assert peer.head().startswith(b"GET /third ")
    peer.send(answer())
    assert third.reply().status == 200


def detection(**fields: Any) -> OutlierDetection:
    """Ejects after three failures in a row, for a short time."""
    settings: dict[str, Any] = {
        "consecutive_5xx": 3,
        "interval": 0.1,
        "base_ejection_time": 0.1,
        "max_ejection_percent": 100,
    }
    return OutlierDetection(**settings | fields)


class Moody:
    """A server that fails while it is in the mood."""

    def __init__(self) -> None:
        self.failing = True

    def __call__(self, request: Request) -> bytes:
        return answer(b"bad", "500 Internal Server Error") if self.failing else answer(b"good")


def test_a_server_that_fails_is_left_alone_for_a_while(proxy: Proxy, servers: Servers) -> None:
    moody = Moody()
    backend, port = servers.http(moody)
    proxy.routes(route(), clusters=(cluster("backend", port, outlier_detection=detection(base_ejection_time=2.0)),))
    client = proxy.client()
    assert [client.get().status for _ in range(3)] == [500, 500, 500]
    for _ in range(3):
        reply = client.get()
        assert (reply.status, reply.body) == (503, UNHEALTHY)
    assert len(backend.requests) == 3
    stats = proxy.worker.stats()
    assert (stats.hosts["backend"][0].ejected, stats.gauges["cluster.backend.membership_healthy"]) == (True, 0)
    assert stats.counters["cluster.backend.outlier_detection.ejections_enforced_consecutive_5xx"] == 1
    assert stats.gauges["cluster.backend.outlier_detection.ejections_active"] == 1
    moody.failing = False
    proxy.until(lambda stats: stats.gauges["cluster.backend.membership_healthy"] == 1)
    assert client.get().body == b"good"
    assert proxy.counter("cluster.backend.outlier_detection.ejections_active") == 0


def test_the_others_serve_while_one_is_left_alone(proxy: Proxy, servers: Servers) -> None:
    bad, bad_port = servers.http(Moody())
    _, good_port = servers.http()
    hosts = cluster("backend", bad_port, good_port, outlier_detection=detection(base_ejection_time=3600.0))
    proxy.routes(route(), clusters=(hosts,))
    client = proxy.client()
    statuses = [client.get().status for _ in range(40)]
    assert statuses.count(500) == len(bad.requests) == 3
    assert statuses[-20:] == [200] * 20


def test_a_success_in_between_starts_the_count_anew(proxy: Proxy, servers: Servers) -> None:
    moody = Moody()
    _, port = servers.http(moody)
    proxy.routes(route(), clusters=(cluster("backend", port, outlier_detection=detection()),))
    client = proxy.client()
    for _ in range(4):
        moody.failing = True
        assert [client.get().status, client.get().status] == [500, 500]
        moody.failing = False
        assert client.get().status == 200


def test_a_server_that_cannot_be_reached_is_left_alone(proxy: Proxy, servers: Servers) -> None:
    hosts = cluster("backend", servers.nobody(), outlier_detection=detection(base_ejection_time=3600.0))
    proxy.routes(route(), clusters=(hosts,))
    client = proxy.client()
    bodies = [client.get().body for _ in range(5)]
    assert [body == UNHEALTHY for body in bodies] == [False, False, False, True, True]


def test_istios_default_never_leaves_the_only_server_alone(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(Moody())
    proxy.routes(route(), clusters=(cluster("backend", port, outlier_detection=detection(max_ejection_percent=10)),))
    client = proxy.client()
    assert {client.get().status for _ in range(12)} == {500}
    stats = proxy.worker.stats()
    assert stats.counters["cluster.backend.outlier_detection.ejections_overflow"] >= 1
    assert stats.gauges["cluster.backend.membership_healthy"] == 1


def test_a_server_that_comes_back_and_fails_is_left_alone_again(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(Moody())
    proxy.routes(route(), clusters=(cluster("backend", port, outlier_detection=detection()),))
    client = proxy.client()
    for times in (1, 2):
        assert [client.get().status for _ in range(3)] == [500, 500, 500]
        assert proxy.counter("cluster.backend.outlier_detection.ejections_enforced_total") == times
        proxy.until(lambda stats: stats.gauges["cluster.backend.membership_healthy"] == 1)


def test_a_fault_aborts_without_asking_the_server(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    fault = FaultPolicy(abort_http_status=418, abort_fraction=MILLION)
    proxy.routes(route("/", "backend", fault=fault), clusters=(cluster("backend", port),), http_filters=WITH_FAULTS)
    client = proxy.client()
    for _ in range(2):
        reply = client.get()
        assert (reply.status, reply.body) == (418, b"fault filter abort")
    assert backend.requests == []


def test_a_fault_aborts_a_share_of_the_requests(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    fault = FaultPolicy(abort_http_status=503, abort_fraction=MILLION // 4)
    proxy.routes(route("/", "backend", fault=fault), clusters=(cluster("backend", port),), http_filters=WITH_FAULTS)
    client = proxy.client()
    aborted = sum(client.get().status == 503 for _ in range(400))
    assert 40 < aborted < 160


def test_a_fault_delays_one_request_and_no_other(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(request.body))
    slow = FaultPolicy(delay=0.3, delay_fraction=MILLION)
    proxy.routes(
        route("/slow", "backend", fault=slow), route(), clusters=(cluster("backend", port),), http_filters=WITH_FAULTS
    )
    delayed, other = proxy.client(), proxy.client()
    delayed.ask("/slow", "POST", b"x" * 200_000)
    assert other.get("/fast").status == 200
    assert delayed.reply().body == b"x" * 200_000
    assert [request.target for request in backend.requests] == ["/fast", "/slow"]


def test_a_client_that_leaves_during_a_delay_is_forgotten(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    slow = FaultPolicy(delay=3600.0, delay_fraction=MILLION)
    proxy.routes(route("/", "backend", fault=slow), clusters=(cluster("backend", port),), http_filters=WITH_FAULTS)
    client = proxy.client()
    client.ask()
    client.end()
    assert client.ended()
    assert proxy.counter("server.total_connections") == 0
    assert backend.requests == []


def test_a_delay_may_end_in_an_abort(proxy: Proxy) -> None:
    both = FaultPolicy(delay=0.1, delay_fraction=MILLION, abort_http_status=503, abort_fraction=MILLION)
    proxy.routes(route("/", "backend", fault=both), http_filters=WITH_FAULTS)
    reply = proxy.client().get()
    assert (reply.status, reply.body) == (503, b"fault filter abort")


def test_a_refused_connection_counts_for_the_host_and_the_retry_goes_elsewhere(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    action = RouteAction("backend", timeout=0.0, retry=ISTIO_RETRY)
    hosts = cluster(
        "backend", servers.nobody(), port, outlier_detection=detection(consecutive_5xx=1, base_ejection_time=3600.0)
    )
    proxy.routes(route("/", action), clusters=(hosts,))
    client = proxy.client()
    assert [client.get().status for _ in range(10)] == [200] * 10
    assert proxy.counter("cluster.backend.upstream_rq_retry") == 1
