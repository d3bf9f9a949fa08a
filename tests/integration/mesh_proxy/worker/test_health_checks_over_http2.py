"""Hosts are asked over HTTP/2, and by gRPC's own service of health."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from mesh_api.config import HeaderValue
from mesh_api.config.health_checks import GrpcCheck, HttpCheck
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.integration.mesh_proxy.worker.test_health_checks import Watched
from tests.support.http2_peers import Message, Peer
from tests.support.raw_http import Wire

pytestmark = pytest.mark.integration
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@pytest.fixture
def watched(stack: contextlib.ExitStack) -> Callable[..., Watched]:
    def start(check: Any, *ports: int, **fields: Any) -> Watched:
        made = Watched(check, *ports, **fields)
        stack.callback(made.close)
        return made

    return start


class Health:
    """A real server of gRPC; ``services`` are answers by name, one that is not there is not known."""

    def __init__(self, services: dict[bytes, bytes]) -> None:
        self.services = services
        self.asked: list[tuple[bytes, dict[str, str]]] = []
        handler = grpc.unary_unary_rpc_method_handler(self._check)
        self.server = grpc.server(ThreadPoolExecutor(1))
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
        self.port: int = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _check(self, question: bytes, context: grpc.ServicerContext) -> bytes:
        self.asked.append((question, dict(context.invocation_metadata())))
        name = question[2:]
        if name not in self.services:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self.services[name]


@contextlib.contextmanager
def health(**services: bytes) -> Iterator[Health]:
    made = Health({name.encode() if name != "all" else b"": value for name, value in services.items()})
    try:
        yield made
    finally:
        made.server.stop(0).wait()


def test_a_service_is_asked_by_grpc(watched: Callable[..., Watched]) -> None:
    with health(store=SERVING, all=NOT_SERVING) as made:
        metadata = (HeaderValue("X-A", "b"),)
        assert watched(GrpcCheck("store", initial_metadata=metadata), made.port).round().available == [True]
        assert watched(GrpcCheck(), made.port).round().available == [False]
        assert watched(GrpcCheck("other"), made.port).round().available == [False]
        questions = [question for question, _ in made.asked]
        assert questions == [b"\n\x05store", b"", b"\n\x05other"]
        assert made.asked[0][1].items() >= {"x-a": "b", "user-agent": "Envoy/HC"}.items()


def test_health_of_a_service_changes(watched: Callable[..., Watched]) -> None:
    with health(store=SERVING) as made:
        asking = watched(GrpcCheck("store"), made.port).round()
        assert asking.available == [True]
        made.services[b"store"] = NOT_SERVING
        assert asking.round().available == [False]
        made.services[b"store"] = SERVING
        assert asking.round().available == [True]
        assert asking.events[0]["health_checker_type"] == "GRPC"


class Speaker:
    """A server of HTTP/2 that answers each request with ``head`` and ``body``."""

    def __init__(self, head: dict[str, str], body: bytes = b"") -> None:
        self.head, self.body = head, body
        self.seen: list[tuple[int, Message]] = []

    def __call__(self, wire: Wire, number: int) -> None:
        with Peer(wire.sock, False) as peer:
            done: set[int] = set()
            while peer.read():
                for stream, message in list(peer.messages.items()):
                    if message.ended and stream not in done:
                        done.add(stream)
                        self.seen.append((number, message))
                        peer.h2.send_headers(stream, list(self.head.items()), end_stream=not self.body)
                        if self.body:
                            peer.send(stream, self.body, end=True)
                        peer.flush()


def test_a_request_goes_over_http2(watched: Callable[..., Watched], servers: Servers) -> None:
    says = Speaker({":status": "200"}, b"well")
    check = HttpCheck("/live", "name.example", receive=(b"el",), http2=True)
    asking = watched(check, servers.script(says).port)
    assert [asking.round().available for _ in range(2)] == [[True], [True]]
    (first, message), (second, _) = says.seen
    assert first == second  # the same connection
    asked = [(":method", "GET"), (":authority", "name.example"), (":path", "/live"), ("user-agent", "Envoy/HC")]
    assert [(name, message.get(name)) for name, _ in asked] == asked
    says.head = {":status": "503"}
    assert asking.round().available == [False]


def test_another_connection_each_time(watched: Callable[..., Watched], servers: Servers) -> None:
    says = Speaker({":status": "200"})
    asking = watched(HttpCheck("/", http2=True), servers.script(says).port, reuse_connection=False)
    assert [asking.round().available for _ in range(3)] == [[True]] * 3
    assert len({number for number, _ in says.seen}) == 3


def test_what_speaks_no_http2_is_ill(watched: Callable[..., Watched], servers: Servers) -> None:
    _, port = servers.http()
    asking = watched(HttpCheck("/", http2=True), port, servers.nobody()).round()
    assert asking.available == [False, False]
    assert asking.count("network_failure") == 2
    assert watched(GrpcCheck(), port).round().available == [False]


def test_a_host_that_resets_or_leaves(watched: Callable[..., Watched], servers: Servers) -> None:
    def resets(wire: Wire, _number: int) -> None:
        with Peer(wire.sock, False) as peer:
            while not peer.messages and peer.read():
                pass
            peer.h2.reset_stream(1)
            peer.flush()
            peer.read()

    def leaves(wire: Wire, _number: int) -> None:
        with Peer(wire.sock, False) as peer:
            while not peer.messages and peer.read():
                pass

    ports = servers.script(resets).port, servers.script(leaves).port
    asking = watched(GrpcCheck(), *ports).round()
    assert (asking.available, asking.count("network_failure")) == ([False, False], 2)


def test_a_silent_host_takes_too_long(watched: Callable[..., Watched], servers: Servers) -> None:
    asking = watched(GrpcCheck(), servers.manual().port)
    asking.now += 1.0
    asking.until(lambda: asking.count("attempt") == 1)
    asking.now += 5.0
    asking.until(lambda: asking.count("network_failure") == 1)
    assert asking.events[-1]["health_check_failure_event"]["failure_type"] == "NETWORK_TIMEOUT"
