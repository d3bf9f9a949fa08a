"""The rest of a long answer goes through a pipe from the host's socket to the client's: nobody sees a difference."""

import contextlib
import hashlib
import threading
from pathlib import Path

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.raw_http import Wire, answer

pytestmark = pytest.mark.integration

BODY = hashlib.shake_128(b"").digest(3 << 20)
LONG = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY)


def until_it_ends(wire: Wire) -> bytes:
    """In order or not."""
    with contextlib.suppress(ConnectionResetError):
        return wire.rest()
    return wire.taken()


def test_connections_are_used_again_after_long_answers(proxy: Proxy, servers: Servers) -> None:
    client, peer = proxy.asked(servers.manual())
    for number in range(4):
        peer.send(LONG + BODY)
        assert client.reply_head().status == 200
        assert client.exactly(len(BODY)) == BODY
        client.ask(f"/{number}")
        assert peer.head().startswith(b"GET /%d " % number)
    peer.send(answer())
    assert client.reply().status == 200


def test_a_request_that_waits_is_answered_behind_a_long_answer(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client(receive_buffer=4096)
    client.send(b"GET /1 HTTP/1.1\r\nhost: test\r\n\r\nGET /2 HTTP/1.1\r\nhost: test\r\n\r\n")
    peer = server.accept()
    assert peer.head().startswith(b"GET /1 ")
    sender = threading.Thread(target=peer.send, args=(LONG + BODY,))
    sender.start()
    assert client.reply_head().status == 200
    seen = 0
    while seen < len(BODY) - (1 << 14):
        assert client.exactly(1 << 14) == BODY[seen : seen + (1 << 14)]
        seen += 1 << 14
    sender.join()
    assert peer.head().startswith(b"GET /2 ")  # the last bytes are on their way to the client
    peer.send(answer())
    assert client.exactly(1 << 14) == BODY[seen:]
    assert client.reply().status == 200


def test_what_comes_beyond_the_length_is_no_answer_to_the_next_request(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    client, peer = proxy.asked(server)
    peer.send(LONG + BODY + answer(b"forged"))
    assert client.reply_head().status == 200
    assert client.exactly(len(BODY)) == BODY
    client.ask("/next")
    second = server.accept()
    assert second.head().startswith(b"GET /next ")
    second.send(answer(b"own"))
    assert client.reply().body == b"own"


@pytest.mark.parametrize("resets", [False, True], ids=["end", "reset"])
def test_a_long_answer_that_breaks_off_ends_the_client(proxy: Proxy, servers: Servers, resets: bool) -> None:
    client, peer = proxy.asked(servers.manual())
    peer.send(LONG + BODY[: 2 << 20])
    assert client.reply_head().status == 200
    assert client.exactly(1 << 20) == BODY[: 1 << 20]
    if resets:
        peer.reset()
    else:
        peer.end()
    rest = until_it_ends(client)
    assert rest == BODY[1 << 20 :][: len(rest)]
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)


def test_a_client_that_goes_lets_the_host_go(proxy: Proxy, servers: Servers) -> None:
    before = len(list(Path(f"/proc/{proxy.worker.process.pid}/fd").iterdir()))
    client, peer = proxy.asked(servers.manual())
    peer.send(LONG + BODY[: 2 << 20])
    assert client.reply_head().status == 200
    assert client.exactly(1 << 20) == BODY[: 1 << 20]
    client.reset()
    assert until_it_ends(peer) == b""
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
    proxy.worker.stats()
    assert len(list(Path(f"/proc/{proxy.worker.process.pid}/fd").iterdir())) <= before + 1  # the listener
