"""Bodies flow: nothing is gathered that somebody waits for, and nothing is read that nobody takes."""

import contextlib
import hashlib
import threading

import pytest

from mesh_api.config import CircuitBreakerThresholds, DirectResponse, RouteAction
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, route
from tests.support.raw_http import Client, Wire, answer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

PIECE = hashlib.shake_128(b"").digest(1 << 20)
SMALL = PIECE[: 1 << 15]
PIECES = 128
WHOLE = PIECES * len(PIECE)
"""Far above what the kernel keeps for a connection, and what a worker that gathers could hide."""
ALLOWED_KIB = 24 * 1024
"""How much a worker may grow by a few connections with their queues, and by Python's own taste for memory."""


class Source(threading.Thread):
    """Sends a large body from a thread, and says how far it is."""

    def __init__(self, wire: Wire, ends: bool = True) -> None:
        super().__init__(daemon=True)
        self._wire = wire
        self._ends = ends
        self.sent = 0

    def run(self) -> None:
        with contextlib.suppress(ConnectionError):  # cut off: whoever reads sees what is missing
            for _ in range(PIECES):
                self._wire.send(PIECE)
                self.sent += len(PIECE)
            if self._ends:
                self._wire.end()


def wait_until_it_stands_still(proxy: Proxy, source: Source) -> None:
    """The sender moves no more, however often the worker looks at its connections."""
    seen, quiet = -1, 0
    while quiet < 1500:
        proxy.worker.stats()
        quiet = quiet + 1 if source.sent == seen else 0
        seen = source.sent


def take_whole(wire: Wire) -> None:
    expected, got = hashlib.sha256(PIECE).digest(), 0
    while got < WHOLE:
        assert hashlib.sha256(wire.exactly(len(PIECE))).digest() == expected
        got += len(PIECE)


def test_the_first_byte_of_an_answer_arrives_before_the_last_is_sent(proxy: Proxy, servers: Servers) -> None:
    client, peer = proxy.asked(servers.manual())
    peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    assert client.reply_head().status == 200
    for piece in (b"a", b"bcd", b"e" * 1000):
        peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert client.until(b"\r\n") == b"%x\r\n" % len(piece)
        assert client.exactly(len(piece) + 2) == piece + b"\r\n"
    peer.send(b"0\r\n\r\n")
    assert client.exactly(5) == b"0\r\n\r\n"


def test_the_first_byte_of_a_request_arrives_before_the_last_is_sent(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\n")
    peer = server.accept()
    assert peer.head()
    for piece in (b"a", b"bcd", b"ef"):
        client.send(piece)
        assert peer.exactly(len(piece)) == piece
    peer.send(answer())
    assert client.reply().status == 200


@pytest.mark.parametrize("head", [b"content-length: %d\r\n\r\n" % WHOLE, b"\r\n"], ids=["length", "until close"])
def test_a_reader_that_stalls_holds_the_server_back(proxy: Proxy, servers: Servers, head: bytes) -> None:
    server = servers.manual()
    proxy.to(server.port)
    before = proxy.worker.memory_kib()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    peer = server.accept()
    assert peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\n" + head)
    source = Source(peer)
    source.start()
    reply = client.reply_head()
    wait_until_it_stands_still(proxy, source)
    assert source.sent < WHOLE // 2
    other = proxy.client()
    other.ask("/other")
    second = server.accept()
    assert second.head().startswith(b"GET /other ")
    second.send(answer())
    assert other.reply().status == 200
    if "content-length" in reply.fields:
        take_whole(client)
    else:
        assert hashlib.sha256(client.chunks()[0]).digest() == hashlib.sha256(PIECE * PIECES).digest()
    assert proxy.worker.memory_kib(peak=True) - before < ALLOWED_KIB


def test_a_server_that_stalls_holds_the_sender_back(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    before = proxy.worker.memory_kib()
    client = proxy.client()
    client.send(b"PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % WHOLE)
    source = Source(client, ends=False)
    source.start()
    peer = server.accept()
    assert peer.head()
    wait_until_it_stands_still(proxy, source)
    assert source.sent < WHOLE // 2
    take_whole(peer)
    peer.send(answer(b"thanks"))
    assert client.reply().body == b"thanks"
    assert proxy.worker.memory_kib(peak=True) - before < ALLOWED_KIB


def test_an_upload_that_nobody_accepts_yet_waits_at_the_sender(proxy: Proxy, servers: Servers) -> None:
    """The circuit breaker lets one connection through: the second request waits for it, its body with the client."""
    server = servers.manual()
    one = CircuitBreakerThresholds(max_connections=1)
    proxy.routes(route(), clusters=(cluster("backend", server.port, thresholds=one),))
    before = proxy.worker.memory_kib()
    first, second = proxy.client(), proxy.client()
    first.ask("/first")
    peer = server.accept()
    assert peer.head().startswith(b"GET /first ")
    second.send(b"PUT /second HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % WHOLE)
    source = Source(second, ends=False)
    source.start()
    wait_until_it_stands_still(proxy, source)
    assert source.sent < WHOLE // 2
    peer.send(answer(b"1"))
    assert first.reply().body == b"1"
    assert peer.head().startswith(b"PUT /second ")
    take_whole(peer)
    peer.send(answer(b"2"))
    assert second.reply().body == b"2"
    assert proxy.worker.memory_kib(peak=True) - before < ALLOWED_KIB


def test_a_body_that_nobody_wants_is_not_kept(proxy: Proxy) -> None:
    """The answer is given at once; the rest of the upload is nobody's."""
    proxy.routes(route("/", DirectResponse(403, b"no")))
    before = proxy.worker.memory_kib()
    client = proxy.client()
    client.send(b"PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % WHOLE)
    source = Source(client, ends=False)
    source.start()
    assert client.reply().status == 403
    source.join()
    assert proxy.worker.memory_kib(peak=True) - before < ALLOWED_KIB


def test_a_client_that_asks_and_asks_and_does_not_read_is_held_back(proxy: Proxy, servers: Servers) -> None:
    asked = 3000
    backend, port = servers.http(lambda request: answer(b"x" * 50_000))
    proxy.to(port)
    before = proxy.worker.memory_kib()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n" * asked)
    seen, quiet = -1, 0
    while quiet < 1500:
        proxy.worker.stats()
        quiet = quiet + 1 if len(backend.requests) == seen else 0
        seen = len(backend.requests)
    assert seen < asked // 2
    for _ in range(asked):
        assert len(client.reply().body) == 50_000
    assert len(backend.requests) == asked
    assert proxy.worker.memory_kib(peak=True) - before < ALLOWED_KIB


def test_a_slow_reader_leaves_its_servers_connection_in_order(proxy: Proxy, servers: Servers) -> None:
    """The piece at which the worker stops to read may be an answer's last: the next request there must be answered.

    Which one it is, depends on the kernel's buffers, so that answers of all lengths are tried.
    """
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client(receive_buffer=4096)
    client.ask()
    peer = server.accept()
    pieces, held = 8, True
    while held:  # from where it is not, longer answers are alike
        pieces += 1
        assert peer.head()
        held = send_in_pieces(proxy, peer, pieces)
        assert len(client.reply().body) == pieces * len(SMALL)
        client.ask()


def send_in_pieces(proxy: Proxy, peer: Wire, pieces: int) -> bool:
    """An answer that nobody reads; whether the worker has taken all of it."""
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (pieces * len(SMALL)))
    for _ in range(pieces):
        peer.send(SMALL)
        proxy.worker.stats()  # it is read by itself
    return proxy.counter("cluster.backend.upstream_rq_active") == 0


@pytest.mark.parametrize("how", ["close", "drain"])
def test_what_a_slow_reader_has_not_read_yet_outlives_the_end(proxy: Proxy, servers: Servers, how: str) -> None:
    """The server has answered, and the worker holds the rest for a client that reads it later than anybody would wait."""
    server = servers.manual()
    clock = RouteAction("backend", timeout=1.5)
    proxy.routes(route("/clock", clock), route(), clusters=(cluster("backend", server.port),))
    pieces, held = 4, True
    peer: Wire | None = None
    while held:  # find how much it takes for a new client that does not read: an older connection takes more
        pieces += 4
        with proxy.client(receive_buffer=4096) as client:
            client.ask()
            peer = peer or server.accept()
            assert peer.head()
            held = send_in_pieces(proxy, peer, pieces)
            assert len(client.reply().body) == pieces * len(SMALL)
    slow, timer = proxy.client(receive_buffer=4096), proxy.client()
    slow.ask(connection="close" if how == "close" else "keep-alive")
    assert peer.head()
    assert send_in_pieces(proxy, peer, pieces - 4)
    timer.ask("/clock")
    assert peer.head()
    if how == "drain":
        proxy.worker.send(ipc.Drain(LIMIT))
    assert timer.reply().status == 504
    assert len(slow.reply().body) == (pieces - 4) * len(SMALL)
    assert slow.ended()


def test_many_transfers_at_once_arrive_whole(proxy: Proxy, servers: Servers) -> None:
    body = PIECE * 4

    def transfer(got: list[bool], client: Client) -> None:
        for _ in range(3):
            client.send(b"PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            got.append(client.reply().body == body)

    _, port = servers.http(lambda request: answer(request.body))
    proxy.to(port)
    got: list[bool] = []
    threads = [threading.Thread(target=transfer, args=(got, proxy.client())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 18
