"""Hosts with whom TLS agrees on what is spoken (``HttpProtocolOptions.auto_config``)."""

from typing import Any

import pytest

from mesh_api.config import (
    CertificateValidation,
    CircuitBreakerThresholds,
    CommonTls,
    DownstreamTls,
    FilterChain,
    HttpProtocolOptions,
    Listener,
    ProxyConfig,
    RetryPolicy,
    RouteAction,
    SecretSource,
    UpstreamTls,
)
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.authority import Authority
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, manager, route
from tests.support.raw_http import answer

pytestmark = pytest.mark.integration

AUTHORITY = Authority()
OURS, ROOTS = SecretSource("default"), SecretSource("ROOTCA")
SECRETS = (AUTHORITY.certificate("spiffe://cluster.local/ns/default/sa/store"), AUTHORITY.roots())
TO_HOSTS = UpstreamTls(CommonTls((), CertificateValidation(ROOTS)))


def agreeing(proxy: Proxy, servers: Servers, offers: tuple[str, ...], **fields: Any) -> None:
    """The proxy before itself: a listener with TLS that offers these versions, in front of a plain server."""
    _, port = servers.http(lambda request: answer(request.body))
    inner = Listener(
        "inner",
        ANY_PORT,
        (FilterChain(manager((host(route("/", "backend")),)), tls=DownstreamTls(CommonTls((OURS,), alpn=offers))),),
    )
    plain = cluster("backend", port)
    proxy.run(ProxyConfig((inner,), clusters=(plain,)), *SECRETS)
    agreed = cluster("agreed", proxy.port, tls=TO_HOSTS, http=HttpProtocolOptions("auto"), **fields)
    action = RouteAction("agreed", retry=RetryPolicy(("connect-failure",), num_retries=1))
    outer = http_listener(host(route("/", action)), name="outer")
    proxy.run(ProxyConfig((outer, inner), clusters=(plain, agreed)), *SECRETS)


@pytest.mark.parametrize(
    ("offers", "counted"),
    [
        (("h2", "http/1.1"), "upstream_cx_http2_total"),
        (("http/1.1",), "upstream_cx_http1_total"),
        ((), "upstream_cx_http1_total"),
    ],
)
def test_the_host_chooses(proxy: Proxy, servers: Servers, offers: tuple[str, ...], counted: str) -> None:
    agreeing(proxy, servers, offers)
    client = proxy.client()
    for size in (0, 10, 100_000):
        reply = client.get("/a", "POST", b"x" * size)
        assert (reply.status, len(reply.body)) == (200, size)
    assert proxy.counter(f"cluster.agreed.{counted}") == 1  # all of them over one connection
    assert proxy.counter("cluster.agreed.upstream_cx_total") == 1
    assert proxy.counter("cluster.agreed.upstream_cx_active") == 1


def test_a_client_that_leaves_while_it_is_agreed_takes_its_connection_along(proxy: Proxy, servers: Servers) -> None:
    silent = servers.manual()
    agreed = cluster("agreed", silent.port, tls=TO_HOSTS, http=HttpProtocolOptions("auto"))
    proxy.run(ProxyConfig((http_listener(host(route("/", "agreed"))),), clusters=(agreed,)), *SECRETS)
    client = proxy.client()
    client.ask()
    peer = silent.accept()
    proxy.until(lambda stats: stats.gauges["cluster.agreed.upstream_cx_active"] == 1)
    client.end()
    peer.rest()
    proxy.until(lambda stats: stats.gauges["cluster.agreed.upstream_cx_active"] == 0)
    assert proxy.counter("cluster.agreed.upstream_rq_active") == 0


def test_who_cannot_be_reached_is_told(proxy: Proxy, servers: Servers) -> None:
    agreed = cluster("agreed", servers.nobody(), tls=TO_HOSTS, http=HttpProtocolOptions("auto"))
    proxy.run(ProxyConfig((http_listener(host(route("/", "agreed"))),), clusters=(agreed,)), *SECRETS)
    assert proxy.client().get().status == 503
    assert proxy.counter("cluster.agreed.upstream_cx_connect_fail") == 1
    assert proxy.counter("cluster.agreed.upstream_cx_active") == 0


def test_who_waits_gets_the_next_connection(proxy: Proxy, servers: Servers) -> None:
    agreeing(proxy, servers, ("http/1.1",), thresholds=CircuitBreakerThresholds(max_connections=1))
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.ask()
    assert [client.reply().status for client in clients] == [200, 200, 200]
    assert proxy.counter("cluster.agreed.upstream_cx_total") == 1
