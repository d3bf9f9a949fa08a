"""A listener with several addresses."""

import socket
from dataclasses import replace

import pytest

from mesh_api.config import DirectResponse, ProxyConfig, SocketAddress
from tests.integration.mesh_proxy.worker.harness import Proxy
from tests.support.ports import free_port
from tests.support.proxy_config import http_config, route

pytestmark = pytest.mark.integration
ASK = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"


def at(port: int, *addresses: str) -> ProxyConfig:
    config = http_config((route("/", DirectResponse(200, b"ok")),), ())
    first, *more = (SocketAddress(address, port) for address in addresses)
    (listener,) = config.listeners
    return replace(config, listeners=(replace(listener, address=first, additional_addresses=tuple(more)),))


def answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 10.0) as client:
            client.sendall(ASK)
            return client.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def test_every_address_is_listened_on(proxy: Proxy) -> None:
    port = free_port()
    proxy.run(at(port, "127.0.0.1", "127.0.0.2", "::1"))
    assert [answers(address, port) for address in ("127.0.0.1", "127.0.0.2", "::1")] == [True] * 3
    assert proxy.worker.stats().listeners == {"http": f"127.0.0.1:{port}"}
    assert proxy.counter(f"listener.127.0.0.1_{port}.downstream_cx_total") == 3
    proxy.run(at(port, "127.0.0.1"))
    assert [answers(address, port) for address in ("127.0.0.1", "127.0.0.2", "::1")] == [True, False, False]


def test_both_versions_of_ip_have_an_address_each(proxy: Proxy) -> None:
    port = free_port()
    proxy.run(at(port, "0.0.0.0", "::"))
    assert [answers(address, port) for address in ("127.0.0.1", "::1")] == [True, True]


def test_an_address_that_is_taken_leaves_what_there_was(proxy: Proxy) -> None:
    port = free_port()
    proxy.run(at(port, "127.0.0.1"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", port))
        taken.listen()
        refused = proxy.worker.apply(at(port, "127.0.0.1", "127.0.0.2"))
        assert "127.0.0.2" in str(refused)
    assert answers("127.0.0.1", port)
    proxy.run(at(port, "127.0.0.1", "127.0.0.2"))
    assert answers("127.0.0.2", port)
