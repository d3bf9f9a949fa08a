"""Time limits of requests: the route's, the attempt's, the connection's; nobody else is touched."""

import pytest

from mesh_api.config import CircuitBreakerThresholds, RetryPolicy, RouteAction
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import ISTIO_RETRY, cluster, route
from tests.support.raw_http import answer

pytestmark = pytest.mark.integration

SHORT = 0.3
TIMED_OUT = b"upstream request timeout"


def test_a_request_that_takes_too_long_is_504_and_others_go_on(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.routes(
        route("/short", RouteAction("backend", timeout=SHORT)), route(), clusters=(cluster("backend", server.port),)
    )
    patient, hasty = proxy.client(), proxy.client()
    patient.ask("/long")
    slow = server.accept()
    assert slow.head()
    for _ in range(2):
        hasty.ask("/short")
        peer = server.accept()
        assert peer.head()
        reply = hasty.reply()
        assert (reply.status, reply.body) == (504, TIMED_OUT)
        assert peer.ended()
    slow.send(answer(b"at last"))
    assert patient.reply().body == b"at last"
    stats = proxy.worker.stats()
    assert stats.counters["cluster.backend.upstream_rq_timeout"] == 2
    assert stats.gauges["cluster.backend.upstream_rq_active"] == 0


def test_an_upload_may_take_longer_than_the_timeout(proxy: Proxy, servers: Servers) -> None:
    """The time runs from when the request is complete."""
    server = servers.manual()
    proxy.routes(route("/", RouteAction("backend", timeout=SHORT)), clusters=(cluster("backend", server.port),))
    slow, clock = proxy.client(), proxy.client()
    slow.send(b"PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\na")
    peer = server.accept()
    assert peer.head()
    assert clock.get("/later").status == 504  # asked after the upload began, and its time is over
    slow.send(b"b")
    assert peer.exactly(2) == b"ab"
    peer.send(answer(b"got it"))
    assert slow.reply().body == b"got it"


def test_an_answer_that_stops_is_cut_off(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.routes(route("/", RouteAction("backend", timeout=SHORT)), clusters=(cluster("backend", server.port),))
    client = proxy.client()
    client.ask()
    peer = server.accept()
    assert peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
    assert client.reply_head().status == 200
    assert client.rest() == b"abc"
    assert peer.ended()


def test_a_server_that_does_not_take_the_connection_is_503(proxy: Proxy, servers: Servers) -> None:
    backend = cluster("backend", servers.deaf(), connect_timeout=SHORT)
    proxy.routes(route("/", "backend"), clusters=(backend,))
    reply = proxy.client().get()
    assert (reply.status, reply.body) == (
        503,
        b"upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
    )
    assert proxy.counter("cluster.backend.upstream_cx_connect_timeout") == 1


def test_another_server_is_asked_when_one_does_not_take_the_connection(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    backend = cluster("backend", servers.deaf(), port, connect_timeout=SHORT)
    proxy.routes(route("/", RouteAction("backend", timeout=0.0, retry=ISTIO_RETRY)), clusters=(backend,))
    client = proxy.client()
    assert [client.get().status for _ in range(4)] == [200] * 4


def test_an_attempt_that_takes_too_long_is_repeated(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    retry = RetryPolicy(("5xx",), num_retries=2, per_try_timeout=SHORT)
    action = RouteAction("backend", timeout=0.0, retry=retry)
    proxy.routes(route("/", action), clusters=(cluster("backend", server.port),))
    client = proxy.client()
    client.ask("/", "PUT", b"abc")
    for attempt in (b"1", b"2"):
        peer = server.accept()
        assert b"x-envoy-attempt-count: %b\r\n" % attempt in peer.head()
        assert peer.exactly(3) == b"abc"
        assert peer.ended()
    peer = server.accept()
    assert peer.head()
    assert peer.exactly(3) == b"abc"
    peer.send(answer(b"third"))
    assert client.reply().body == b"third"
    assert proxy.counter("cluster.backend.upstream_rq_per_try_timeout") == 2


def test_attempts_that_take_too_long_end_in_504(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    retry = RetryPolicy(("5xx",), num_retries=1, per_try_timeout=SHORT)
    action = RouteAction("backend", timeout=0.0, retry=retry)
    proxy.routes(route("/", action), clusters=(cluster("backend", server.port),))
    client = proxy.client()
    client.ask()
    peers = [server.accept() for _ in range(2)]
    reply = client.reply()
    assert (reply.status, reply.body) == (504, TIMED_OUT)
    assert all(peer.head() and peer.ended() for peer in peers)
    assert server.idle()


def test_the_timeout_counts_all_attempts(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    retry = RetryPolicy(("5xx",), num_retries=1000, per_try_timeout=0.05)
    action = RouteAction("backend", timeout=2 * SHORT, retry=retry)
    proxy.routes(route("/", action), clusters=(cluster("backend", server.port),))
    reply = proxy.client().get()
    assert (reply.status, reply.body) == (504, TIMED_OUT)
    stats = proxy.worker.stats()
    assert stats.counters["cluster.backend.upstream_rq_retry"] >= 1
    assert stats.gauges["cluster.backend.upstream_rq_active"] == 0


def test_a_request_that_waits_for_a_connection_times_out_too(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    one = CircuitBreakerThresholds(max_connections=1)
    proxy.routes(
        route("/short", RouteAction("backend", timeout=SHORT)),
        route(),
        clusters=(cluster("backend", server.port, thresholds=one),),
    )
    first, second, third = proxy.client(), proxy.client(), proxy.client()
    first.ask("/first")
    peer = server.accept()
    assert peer.head().startswith(b"GET /first ")
    second.ask("/short")
    assert second.reply().status == 504
    third.ask("/third")
    peer.send(answer())
    assert first.reply().status == 200
    assert peer.head().startswith(b"GET /third ")
    peer.send(answer())
    assert third.reply().status == 200
    assert proxy.counter("cluster.backend.upstream_rq_pending_active") == 0
