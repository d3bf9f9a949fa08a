"""Upgrades: after 101 a connection carries bytes of another protocol, both ways."""

import hashlib
import threading

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.raw_http import Client, Wire, answer

pytestmark = pytest.mark.integration

ASK = (
    b"GET /chat HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3\r\n\r\n"
)


@pytest.fixture
def tunnel(proxy: Proxy, servers: Servers) -> tuple[Client, Wire]:
    """Both ends of a connection that was switched."""
    server = servers.manual()
    proxy.to(server.port, upgrades=("websocket",))
    client = proxy.client()
    client.send(ASK)
    peer = server.accept()
    assert peer.head()
    peer.send(SWITCHED)
    assert client.reply_head().status == 101
    return client, peer


def test_the_fields_of_an_upgrade_pass_both_ways(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port, upgrades=("websocket",))
    client = proxy.client()
    client.send(ASK)
    peer = server.accept()
    head = peer.head()
    for line in (
        b"connection: upgrade\r\n",
        b"upgrade: websocket\r\n",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ):
        assert line in head
    peer.send(SWITCHED)
    fields = client.reply_head().fields
    assert (fields["connection"].lower(), fields["upgrade"], fields["sec-websocket-accept"]) == (
        "upgrade",
        "websocket",
        "s3",
    )


def test_bytes_pass_both_ways(tunnel: tuple[Client, Wire]) -> None:
    client, peer = tunnel
    for _ in range(3):
        client.send(b"GET / HTTP/1.1\r\n\r\n\x00\xff")
        assert peer.exactly(20) == b"GET / HTTP/1.1\r\n\r\n\x00\xff"
        peer.send(b"HTTP/1.1 404\x00")
        assert client.exactly(13) == b"HTTP/1.1 404\x00"


def test_bytes_that_come_with_the_switch_are_not_lost(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port, upgrades=("websocket",))
    client = proxy.client()
    client.send(ASK + b"from the client")
    peer = server.accept()
    assert peer.head()
    peer.send(SWITCHED + b"from the server")
    assert client.reply_head().status == 101
    assert client.exactly(15) == b"from the server"
    assert peer.exactly(15) == b"from the client"


def test_much_passes_both_ways_at_once(tunnel: tuple[Client, Wire]) -> None:
    data = hashlib.shake_128(b"").digest(1 << 20) * 16
    threads = [threading.Thread(target=wire.send, args=(data,)) for wire in tunnel]
    for thread in threads:
        thread.start()
    readers = [threading.Thread(target=lambda wire=wire: got.append(wire.exactly(len(data)))) for wire in tunnel]
    got: list[bytes] = []
    for reader in readers:
        reader.start()
    for thread in (*threads, *readers):
        thread.join()
    assert got == [data, data]


@pytest.mark.parametrize("who", ["client", "server"])
def test_the_end_of_one_side_ends_the_other(proxy: Proxy, tunnel: tuple[Client, Wire], who: str) -> None:
    one, other = tunnel if who == "client" else tunnel[::-1]
    one.send(b"bye")
    one.end()
    assert other.exactly(3) == b"bye"
    assert other.ended()
    one.sock.close()
    other.sock.close()
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
    assert proxy.counter("cluster.backend.upstream_cx_active") == 0
    assert proxy.counter("cluster.backend.upstream_rq_active") == 0


def test_a_server_may_refuse_to_switch(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(b"no", "400 Bad Request"))
    proxy.to(port, upgrades=("websocket",))
    client = proxy.client()
    client.send(ASK)
    reply = client.reply()
    assert (reply.status, reply.body) == (400, b"no")
    assert client.ended()  # what the client sends now may be of the other protocol


def test_an_upgrade_that_is_not_allowed_is_refused(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, upgrades=("websocket",))
    client = proxy.client()
    client.send(ASK.replace(b"Upgrade: websocket", b"Upgrade: telnet"))
    assert client.reply().status == 403
    assert client.ended()
    assert backend.requests == []


def test_an_upgrade_to_http_2_is_ignored(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    client.send(
        b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    )
    assert client.reply().status == 200
    assert not {"upgrade", "connection", "http2-settings"} & backend.requests[0].fields.keys()


def test_an_upgrade_that_the_connection_does_not_name_is_none(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, upgrades=("websocket",))
    client = proxy.client()
    for _ in range(2):
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n")
        assert client.reply().status == 200
    assert "upgrade" not in backend.requests[0].fields


def test_connect_is_not_served(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
    assert client.reply().status == 404
    assert client.ended()
    assert backend.requests == []
