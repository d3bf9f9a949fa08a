"""Limits on connections from outside: of a filter chain, of a listener, of the whole proxy."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from mesh_api.config import (
    AccessLog,
    ConnectionLimit,
    ConnectionRateLimit,
    DirectResponse,
    FilterChain,
    Listener,
    ProxyConfig,
    SocketAddress,
    TcpProxy,
)
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, http_config, route
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration

ANSWER = route("/", DirectResponse(200, b"ok"))


def guarded(*guards: Any, **fields: Any) -> ProxyConfig:
    """A listener of HTTP whose chain has these filters."""
    config = http_config((ANSWER,), ())
    (listener,) = config.listeners
    (chain,) = listener.filter_chains
    made = replace(listener, filter_chains=(replace(chain, guards=guards),), **fields)
    return replace(config, listeners=(made,))


def test_as_many_connections_as_there_are_places(proxy: Proxy) -> None:
    proxy.run(guarded(ConnectionLimit("few", 2)))
    one, two = proxy.client(), proxy.client()
    assert (one.get().status, two.get().status) == (200, 200)
    assert proxy.client().ended()
    assert proxy.counter("connection_limit.few.active_connections") == 2
    assert proxy.counter("connection_limit.few.limited_connections") == 1
    one.sock.close()
    proxy.until(lambda stats: stats.gauges["connection_limit.few.active_connections"] == 1)
    assert proxy.client().get().status == 200


def test_places_outlast_a_change_of_configuration(proxy: Proxy) -> None:
    proxy.run(guarded(ConnectionLimit("few", 1)))
    one = proxy.client()
    assert one.get().status == 200
    proxy.run(guarded(ConnectionLimit("few", 1), access_logs=(AccessLog("/dev/null"),)))
    assert proxy.client().ended()
    one.sock.close()
    proxy.until(lambda stats: stats.gauges["connection_limit.few.active_connections"] == 0)
    assert proxy.client().get().status == 200


def test_one_too_many_may_have_to_wait_for_its_end(proxy: Proxy) -> None:
    proxy.run(guarded(ConnectionLimit("few", 1, 0.2)))
    one, two = proxy.client(), proxy.client()
    assert one.get().status == 200
    two.ask()
    proxy.until(lambda stats: stats.counters.get("connection_limit.few.limited_connections", 0) == 1)
    assert one.get().status == 200
    assert two.ended()
    assert proxy.counter("server.total_connections") == 1


def test_limits_of_connections_of_bytes(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    chain = FilterChain(
        TcpProxy("t", "backend"), guards=(ConnectionLimit("few", 1), ConnectionRateLimit("begun", 2, 1, 3600.0))
    )
    proxy.run(
        ProxyConfig(
            (Listener("l", SocketAddress("127.0.0.1", 0), (chain,)),), clusters=(cluster("backend", server.port),)
        )
    )
    one = proxy.client()
    wire = server.accept()
    assert proxy.client().ended()
    one.sock.close()
    assert wire.ended()
    wire.sock.close()
    proxy.until(lambda stats: stats.gauges["connection_limit.few.active_connections"] == 0)
    assert proxy.counter("local_rate_limit.begun.rate_limited") == 0
    another = proxy.client()
    wire = server.accept()
    another.sock.close()
    assert wire.ended()
    wire.sock.close()
    proxy.until(lambda stats: stats.gauges["connection_limit.few.active_connections"] == 0)
    assert proxy.client().ended()  # no token is left
    assert proxy.counter("local_rate_limit.begun.rate_limited") == 1


def told(proxy: Proxy, **limits: int) -> None:
    """The limits of the proxy, by listener; ``whole`` is that of all."""
    rows = tuple(("" if name == "whole" else name, most) for name, most in limits.items())
    proxy.worker.send(ipc.Introduce("node", {}, rows))


def test_a_listener_takes_no_more_than_it_may(proxy: Proxy) -> None:
    told(proxy, http=2)
    proxy.run(guarded())
    clients = [proxy.client() for _ in range(2)]
    assert [client.get().status for client in clients] == [200, 200]
    assert proxy.client().ended()
    scope = "listener.127.0.0.1_0.downstream_cx_overflow"
    assert proxy.counter(scope) == 1
    clients[0].sock.close()
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 1)
    assert proxy.client().get().status == 200


def test_a_proxy_takes_no_more_than_it_may(proxy: Proxy) -> None:
    told(proxy, whole=1)
    proxy.run(guarded())
    client = proxy.client()
    assert client.get().status == 200
    assert proxy.client().ended()
    assert proxy.counter("listener.127.0.0.1_0.downstream_global_cx_overflow") == 1
    client.sock.close()
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
    assert proxy.client().get().status == 200


def test_who_says_nothing_holds_a_place_and_no_more(proxy: Proxy) -> None:
    """Clients that begin and never end: as many as there are places, and those that come after are shed at once."""
    told(proxy, whole=50)
    proxy.run(guarded())
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Client(proxy.port)) for _ in range(200)]
        for client in slow:
            with contextlib.suppress(OSError):
                client.send(b"GET / HTTP/1.1\r\nhost: te")
        proxy.until(lambda stats: stats.counters.get("listener.127.0.0.1_0.downstream_global_cx_overflow", 0) == 150)
        assert proxy.counter("server.total_connections") == 50
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
    assert proxy.client().get().status == 200
