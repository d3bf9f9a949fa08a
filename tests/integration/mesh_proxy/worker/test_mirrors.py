"""Copies of requests with bodies: they go along piece by piece, and are in nobody's way."""

import pytest

from mesh_api.config import CircuitBreakerThresholds, Mirror, RouteAction
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, route
from tests.support.raw_http import ManualServer, answer

pytestmark = pytest.mark.integration

LARGE = 4 << 20
"""More than a copy may wait with, in the proxy and in the kernel."""


def copying(proxy: Proxy, servers: Servers, timeout: float = 0.0, **settings: object) -> ManualServer:
    """A proxy whose requests are answered by a server, and their copies by the test."""
    _, port = servers.http(lambda request: answer(b"%d" % len(request.body)))
    shadow = servers.manual(receive_buffer=4096)
    action = RouteAction("backend", timeout=timeout, mirrors=(Mirror("shadow"),))
    clusters = (cluster("backend", port), cluster("shadow", shadow.port, **settings))
    proxy.routes(route("/", action), clusters=clusters)
    return shadow


def test_a_body_goes_to_both_as_it_comes(proxy: Proxy, servers: Servers) -> None:
    shadow = copying(proxy, servers)
    client = proxy.client()
    client.send(b"POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nabc")
    peer = shadow.accept()
    assert peer.head().startswith(b"POST /a HTTP/1.1\r\n")
    assert peer.exactly(3) == b"abc"  # before the rest has come
    client.send(b"def")
    assert peer.exactly(3) == b"def"
    assert client.reply().body == b"6"
    peer.send(answer())
    proxy.until(lambda stats: stats.counters.get("cluster.shadow.upstream_rq_200") == 1)


def test_a_copy_that_cannot_keep_up_is_given_up(proxy: Proxy, servers: Servers) -> None:
    shadow = copying(proxy, servers)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % LARGE + b"x" * LARGE)
    peer = shadow.accept()
    assert client.reply().body == b"%d" % LARGE
    assert peer.head()
    assert len(peer.rest()) < LARGE
    stats = proxy.until(lambda stats: not stats.gauges["cluster.shadow.upstream_rq_active"])
    assert stats.gauges["cluster.shadow.upstream_cx_active"] == 0


def test_a_copy_that_is_not_answered_ends_with_its_time(proxy: Proxy, servers: Servers) -> None:
    shadow = copying(proxy, servers, timeout=1.5)
    assert proxy.client().get().body == b"0"
    assert shadow.accept().head()
    proxy.until(lambda stats: stats.counters.get("cluster.shadow.upstream_rq_timeout") == 1)
    assert proxy.counter("cluster.shadow.upstream_rq_504") == 1
    assert proxy.counter("cluster.shadow.upstream_rq_active") == 0


def test_the_copy_of_a_request_that_is_not_completed_is_given_up(proxy: Proxy, servers: Servers) -> None:
    shadow = copying(proxy, servers)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    peer = shadow.accept()
    assert peer.head()
    client.end()
    assert peer.rest() == b"3\r\nabc\r\n"


def test_copies_have_the_limits_of_their_cluster(proxy: Proxy, servers: Servers) -> None:
    shadow = copying(proxy, servers, thresholds=CircuitBreakerThresholds(max_requests=0))
    assert proxy.client().get().body == b"0"
    assert proxy.counter("cluster.shadow.upstream_rq_active_overflow") == 1
    assert shadow.idle()
