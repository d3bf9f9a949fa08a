"""Bytes on a connection: both ways, as long as either side has something to say."""

import hashlib
import threading
import time
from pathlib import Path

import pytest

from mesh_api.config import CircuitBreakerThresholds, WeightedCluster
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, tcp_config
from tests.support.raw_http import Client, Wire

pytestmark = pytest.mark.integration

PIECE = hashlib.shake_128(b"").digest(1 << 20)
SMALL = PIECE[: 1 << 15]
COPIED = PIECE[: 1 << 13]
"""Too small to be spared the copies."""


@pytest.fixture
def pair(proxy: Proxy, servers: Servers) -> tuple[Client, Wire]:
    """Both ends of a connection through the proxy."""
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port)))
    client = proxy.client()
    return client, server.accept()


def test_bytes_pass_both_ways(pair: tuple[Client, Wire]) -> None:
    client, server = pair
    for number in range(20):
        client.send(b"question %d" % number)
        assert server.exactly(len(b"question %d" % number)) == b"question %d" % number
        server.send(b"answer %d" % number)
        assert client.exactly(len(b"answer %d" % number)) == b"answer %d" % number


def test_the_server_may_speak_first(pair: tuple[Client, Wire]) -> None:
    client, server = pair
    server.send(b"220 welcome\r\n")
    assert client.exactly(13) == b"220 welcome\r\n"


def test_what_a_client_says_at_once_waits_for_the_connection(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port)))
    client = proxy.client()
    client.send(b"hello")
    client.end()
    wire = server.accept()
    assert wire.rest() == b"hello"
    wire.send(b"bye")
    wire.end()
    assert client.rest() == b"bye"


@pytest.mark.parametrize("first", ["client", "server"])
def test_one_side_may_end_and_the_other_go_on(proxy: Proxy, pair: tuple[Client, Wire], first: str) -> None:
    one, other = pair if first == "client" else pair[::-1]
    one.send(b"last words")
    one.end()
    assert other.rest() == b"last words"
    for _ in range(3):
        other.send(PIECE)
        assert one.exactly(len(PIECE)) == PIECE
    other.end()
    assert one.rest() == b""
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)


@pytest.mark.parametrize("first", ["client", "server"])
def test_what_was_sent_before_both_ends_arrives(proxy: Proxy, servers: Servers, first: str) -> None:
    """The sender ends, then the reader ends its own side before it has read: with all that the worker may hold then."""
    server = servers.manual(receive_buffer=4096)
    proxy.run(tcp_config(cluster("backend", server.port)))
    for pieces in range(4, 160, 4):
        with proxy.client(receive_buffer=4096) as client, server.accept() as wire:
            sender, reader = (client, wire) if first == "client" else (wire, client)
            send_in_pieces(proxy, sender, pieces)
            sender.end()
            proxy.worker.stats()
            reader.end()
            proxy.worker.stats()
            assert len(reader.rest()) == pieces * len(SMALL)


def send_in_pieces(proxy: Proxy, sender: Wire, pieces: int, piece: bytes = SMALL) -> None:
    """Each is read by the worker by itself, as long as it reads."""
    for _ in range(pieces):
        sender.send(piece)
        proxy.worker.stats()


def kernel_holds(reader: Wire) -> int:
    """Bytes between the worker and who reads from it: not acknowledged yet, and not read yet (proc_net_tcp)."""
    local, peer = reader.sock.getsockname()[1], reader.sock.getpeername()[1]
    queues = {}
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, one, other, _, queue, *_ = line.split()
        queues[int(one.rpartition(":")[2], 16), int(other.rpartition(":")[2], 16)] = queue.split(":")
    return int(queues[peer, local][0], 16) + int(queues[local, peer][1], 16)


@pytest.mark.parametrize("first", ["client", "server"])
def test_what_the_kernel_holds_when_one_side_dies_arrives(proxy: Proxy, servers: Servers, first: str) -> None:
    """Less than it takes from the worker, and more than the reader has room for."""
    server = servers.manual(receive_buffer=4096)
    proxy.run(tcp_config(cluster("backend", server.port)))
    for pieces in range(1, 12):
        client = proxy.client(receive_buffer=4096)
        wire = server.accept()
        sender, reader = (client, wire) if first == "client" else (wire, client)
        reader.send(b"go on")  # the worker knows that the connection stands
        assert sender.exactly(5) == b"go on"
        send_in_pieces(proxy, sender, pieces, COPIED)
        sender.reset()
        proxy.worker.stats()
        assert len(reader.until_reset()) == pieces * len(COPIED)


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("pause", [0.0, 1.5])
def test_what_was_sent_before_one_side_died_arrives(proxy: Proxy, servers: Servers, first: str, pause: float) -> None:
    """The worker has read it, and the other side has not yet, and may not for longer than an acknowledgement takes."""
    server = servers.manual(receive_buffer=4096)
    proxy.run(tcp_config(cluster("backend", server.port)))
    client = proxy.client(receive_buffer=4096)
    wire = server.accept()
    sender, reader = (client, wire) if first == "client" else (wire, client)
    pieces = 0
    half = 1 << 17  # of what the worker holds before it stops to read
    while pieces * len(COPIED) - kernel_holds(reader) < half:
        send_in_pieces(proxy, sender, 8, COPIED)
        pieces += 8
    sender.reset()
    proxy.worker.stats()
    time.sleep(pause)
    assert len(reader.until_reset()) == pieces * len(COPIED)


@pytest.mark.parametrize("first", ["client", "server"])
def test_what_lies_in_a_pipe_when_a_side_dies_arrives(proxy: Proxy, servers: Servers, first: str) -> None:
    """A long stream is not copied any more; the reader stands still until the sender is gone."""
    server = servers.manual(receive_buffer=4096)
    proxy.run(tcp_config(cluster("backend", server.port)))
    client = proxy.client(receive_buffer=4096)
    wire = server.accept()
    sender, reader = (client, wire) if first == "client" else (wire, client)
    for _ in range(4):
        sender.send(PIECE)
        assert reader.exactly(len(PIECE)) == PIECE
    sender.sock.setblocking(False)
    sent, refused = 0, 0
    while refused < 100:  # until the worker does not read any more, for it holds all that it may
        try:
            sent += sender.sock.send(PIECE[sent % len(PIECE) :])
            refused = 0
        except BlockingIOError:
            refused += 1
        proxy.worker.stats()
    sender.reset()
    proxy.worker.stats()
    got = reader.until_reset()
    assert 0 < len(got) <= sent
    assert got == (PIECE * (len(got) // len(PIECE) + 1))[: len(got)]
    proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)


def test_pipes_end_with_their_connections(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port)))

    def opened() -> int:
        return len(list(Path(f"/proc/{proxy.worker.process.pid}/fd").iterdir()))

    before = opened()
    for ending in ("client", "server", "both", "reset"):
        with proxy.client() as client, server.accept() as wire:
            for one, other in ((client, wire), (wire, client)):
                for _ in range(3):
                    one.send(PIECE)
                    assert other.exactly(len(PIECE)) == PIECE
            assert opened() == before + 6
            if ending == "reset":
                client.reset()
            if ending in ("client", "both"):
                client.end()
                assert wire.rest() == b""
            if ending in ("server", "both"):
                wire.end()
                assert client.rest() == b""
        proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
        assert opened() == before


def test_much_passes_both_ways_at_once(pair: tuple[Client, Wire]) -> None:
    data = PIECE * 24

    def send(wire: Wire) -> None:
        wire.send(data)
        wire.end()

    got: dict[int, bool] = {}

    def receive(number: int) -> None:
        got[number] = pair[number].rest() == data

    threads = [threading.Thread(target=send, args=(wire,)) for wire in pair]
    threads += [threading.Thread(target=receive, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {0: True, 1: True}


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_side_that_stalls_holds_the_other_back(proxy: Proxy, pair: tuple[Client, Wire], who: str) -> None:
    reader, sender = pair if who == "client" else pair[::-1]
    before = proxy.worker.memory_kib()
    sent = 0

    def send() -> None:
        nonlocal sent
        for _ in range(128):
            sender.send(PIECE)
            sent += len(PIECE)

    thread = threading.Thread(target=send)
    thread.start()
    seen, quiet = -1, 0
    while quiet < 1500:
        proxy.worker.stats()
        quiet = quiet + 1 if sent == seen else 0
        seen = sent
    assert sent < 64 * len(PIECE)
    for _ in range(128):
        assert reader.exactly(len(PIECE)) == PIECE
    thread.join()
    assert proxy.worker.memory_kib(peak=True) - before < 24 * 1024


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_side_that_dies_ends_the_other(proxy: Proxy, pair: tuple[Client, Wire], who: str) -> None:
    one, other = pair if who == "client" else pair[::-1]
    one.reset()
    assert other.ended()
    assert proxy.counter("server.total_connections") == 0
    assert proxy.counter("cluster.backend.upstream_cx_active") == 0


def test_a_client_is_closed_when_the_server_refuses(proxy: Proxy, servers: Servers) -> None:
    proxy.run(tcp_config(cluster("backend", servers.nobody())))
    for number in (1, 2):
        assert proxy.client().ended()
        assert proxy.counter("cluster.backend.upstream_cx_connect_fail") == number
    assert proxy.counter("server.total_connections") == 0


def test_another_server_is_tried_as_often_as_allowed(proxy: Proxy, servers: Servers) -> None:
    server = servers.script(lambda wire, number: wire.send(b"welcome"))
    backend = cluster("backend", servers.nobody(), server.port)
    proxy.run(tcp_config(backend, max_connect_attempts=3))
    for _ in range(4):
        assert proxy.client().rest() == b"welcome"


def test_a_server_that_does_not_take_the_connection_is_given_up(proxy: Proxy, servers: Servers) -> None:
    proxy.run(tcp_config(cluster("backend", servers.deaf(), connect_timeout=0.2)))
    assert proxy.client().ended()


def test_a_client_is_closed_when_there_is_no_server(proxy: Proxy) -> None:
    proxy.run(tcp_config(cluster("backend")))
    assert proxy.client().ended()
    proxy.run(tcp_config(cluster("other"), cluster="unknown"))
    assert proxy.client().ended()


def test_connections_are_shared_out_by_weight(proxy: Proxy, servers: Servers) -> None:
    def saying(name: bytes) -> int:
        return servers.script(lambda wire, number: wire.send(name)).port

    clusters = (cluster("a", saying(b"a")), cluster("b", saying(b"b")))
    weights = (WeightedCluster("a", 3), WeightedCluster("b", 1))
    proxy.run(tcp_config(*clusters, cluster="", weighted_clusters=weights))
    got = []
    for _ in range(200):
        with proxy.client() as client:
            got.append(client.rest())
    assert 20 < got.count(b"b") < 90


def test_not_more_connections_than_the_cluster_allows(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limit = CircuitBreakerThresholds(max_connections=1)
    proxy.run(tcp_config(cluster("backend", server.port, thresholds=limit)))
    first = proxy.client()
    wire = server.accept()
    assert proxy.client().ended()
    wire.send(b"still here")
    assert first.exactly(10) == b"still here"
    assert proxy.counter("cluster.backend.upstream_cx_overflow") == 1


def test_not_more_connections_to_a_host_than_each_may_have(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port, max_connections_per_host=1)))
    first = proxy.client()
    wire = server.accept()
    assert proxy.client().ended()
    wire.send(b"still here")
    assert first.exactly(10) == b"still here"


def test_a_connection_on_which_nothing_moves_is_closed(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port), idle_timeout=0.2))
    client = proxy.client()
    wire = server.accept()
    assert client.ended()
    assert wire.ended()


def test_a_connection_on_which_something_moves_is_kept(proxy: Proxy, servers: Servers) -> None:
    """Also when only one side speaks: another connection's time runs out meanwhile, this one's never."""
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port), idle_timeout=1.0))
    busy = proxy.client()
    wire = server.accept()
    idle = proxy.client()
    server.accept()
    idle.sock.settimeout(0.02)
    for _ in range(1000):
        busy.send(b"x")
        assert wire.exactly(1) == b"x"
        try:
            assert idle.ended()
        except TimeoutError:
            continue
        break
    else:
        raise AssertionError("the connection on which nothing moves was kept")
    busy.send(b"y")
    assert wire.exactly(1) == b"y"
