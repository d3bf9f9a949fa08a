"""Hosts are asked over real connections, on a clock of the test's own."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh_api.config import HeaderValue
from mesh_api.config.health_checks import HealthCheck, HttpCheck, TcpCheck
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.health_checks import HealthChecks
from mesh_proxy.worker.loop import Loop
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.proxy_config import cluster
from tests.support.raw_http import Request, Wire, answer

pytestmark = pytest.mark.integration


class Watched:
    """One cluster under active checks."""

    def __init__(self, check: Any, *ports: int, **fields: Any) -> None:
        self.now = 1000.0
        self.loop = Loop(lambda: self.now)
        config: dict[str, Any] = {"timeout": 5.0, "interval": 10.0, "event_log_path": "events"} | fields
        self.cluster = ClusterRuntime(
            cluster("c", *ports, health_checks=(HealthCheck(check, **config),)), None, lambda: 0.0
        )
        self.cluster.counters.add("upstream_cx_total")
        self.events: list[dict[str, Any]] = []
        self.checks = HealthChecks(self.loop, lambda: [self.cluster], lambda: 0.0, lambda: 0.0, self._log)
        self.checks.check(self.now)

    def _log(self, _path: str, line: bytes) -> None:
        self.events.append(json.loads(line))

    def count(self, name: str) -> int:
        return self.cluster.counters.values[f"health_check.{name}"]

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(2000):
            if holds():
                return
            self.loop.turn(0.01)
        raise AssertionError("never came true")

    def round(self) -> "Watched":
        """The next check of every host, to its end."""
        self.now += 10.0
        began = self.count("attempt")
        self.until(lambda: self.count("attempt") == began + len(self.cluster.hosts))
        self.until(lambda: self.count("success") + self.count("failure") == self.count("attempt"))
        return self

    @property
    def available(self) -> list[bool]:
        return [host.available for host in self.cluster.hosts.values()]

    def close(self) -> None:
        self.checks.close()
        self.loop.close()


@pytest.fixture
def watched(stack: contextlib.ExitStack) -> Callable[..., Watched]:
    def start(check: Any, *ports: int, **fields: Any) -> Watched:
        made = Watched(check, *ports, **fields)
        stack.callback(made.close)
        return made

    return start


HTTP = HttpCheck("/healthz")


def test_hosts_are_ill_until_their_first_check_passed(watched: Callable[..., Watched], servers: Servers) -> None:
    backend, good = servers.http()
    _, bad = servers.http(lambda request: answer(status="500 Broken"))
    made = watched(HTTP, good, bad, servers.nobody())
    assert made.available == [False, False, False]
    assert made.cluster.choose(PickContext(0.0)) is None
    made.round()
    assert made.available == [True, False, False]
    (request,) = backend.requests
    assert request.head.startswith(b"GET /healthz HTTP/1.1\r\nhost: c\r\nuser-agent: Envoy/HC\r\n")
    assert (made.count("success"), made.count("failure"), made.count("network_failure")) == (1, 2, 1)
    found = [(event["host"]["socket_address"]["port_value"], [*event][3]) for event in made.events]
    assert sorted(kind for _, kind in found) == ["add_healthy_event", *["health_check_failure_event"] * 2]
    assert (good, "add_healthy_event") in found


def test_thresholds_count_in_a_row(watched: Callable[..., Watched], servers: Servers) -> None:
    says = ["200 OK"]
    _, port = servers.http(lambda request: answer(status=says[0]))
    check = HttpCheck("/", retriable=((503, 504),))
    made = watched(check, port, unhealthy_threshold=2, healthy_threshold=2).round()
    seen = []
    for status in ("503 Busy", "200 OK", "503 Busy", "503 Busy", "200 OK", "200 OK", "500 Broken", "200 OK"):
        says[0] = status
        seen += made.round().available
    assert seen == [True, True, True, False, False, True, False, False]


def test_a_connection_is_used_again_unless_it_must_not(watched: Callable[..., Watched], servers: Servers) -> None:
    for reuse, number in ((True, 1), (False, 3)):
        backend, port = servers.http()
        made = watched(HTTP, port, reuse_connection=reuse)
        for _ in range(3):
            made.round()
        assert len({request.connection for request in backend.requests}) == number


def test_an_answer_may_say_that_its_host_is_degraded(watched: Callable[..., Watched], servers: Servers) -> None:
    _, less = servers.http(lambda request: answer(extra="x-envoy-degraded: 1\r\n"))
    _, well = servers.http()
    made = watched(HTTP, less, well).round()
    assert made.available == [True, True]
    chosen = {host.target[1] for _ in range(20) if (host := made.cluster.choose(PickContext(0.0)))}
    assert chosen == {well}


CONTENT = [((b"ok",), "200 OK", True), ((b"o", b"k"), "200 OK", True), ((b"k", b"o"), "200 OK", False)]


@pytest.mark.parametrize(("receive", "status", "passes"), CONTENT)
def test_content_may_be_asked_for(
    watched: Callable[..., Watched], servers: Servers, receive: tuple[bytes, ...], status: str, passes: bool
) -> None:
    _, port = servers.http(lambda request: answer(b"ok", status=status))
    assert watched(HttpCheck("/", receive=receive), port).round().available == [passes]


def test_a_request_is_as_it_is_configured(watched: Callable[..., Watched], servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(status="204 No Content"))
    check = HttpCheck(
        "/live?x",
        "name.example",
        "POST",
        (HeaderValue("X-A", "b"), HeaderValue("User-Agent", "me")),
        ("x-b",),
        ((204, 205),),
    )
    assert watched(check, port).round().available == [True]
    assert backend.requests[0].head == (
        b"POST /live?x HTTP/1.1\r\nhost: name.example\r\nuser-agent: me\r\nx-a: b\r\ncontent-length: 0\r\n\r\n"
    )


def test_bytes_are_compared_over_tcp(watched: Callable[..., Watched], servers: Servers) -> None:
    def pong(wire: Wire, _number: int) -> None:
        wire.send(b"-PONG-" if wire.exactly(4) == b"PING" else b"?")

    port = servers.script(pong).port
    assert watched(TcpCheck(), port, servers.nobody()).round().available == [True, False]
    assert watched(TcpCheck(b"PING", (b"PO", b"NG")), port).round().available == [True]
    assert watched(TcpCheck(b"ping", (b"PONG",)), port).round().available == [False]


def test_a_host_that_says_nothing_takes_too_long(watched: Callable[..., Watched], servers: Servers) -> None:
    made = watched(HTTP, servers.manual().port)
    made.now += 1.0
    made.until(lambda: made.count("attempt") == 1)
    made.now += 5.0
    made.until(lambda: made.count("network_failure") == 1)
    assert made.events[-1]["health_check_failure_event"]["failure_type"] == "NETWORK_TIMEOUT"


def test_another_port_may_be_asked(watched: Callable[..., Watched], servers: Servers) -> None:
    backend, port = servers.http()
    assert watched(HTTP, servers.nobody(), alt_port=port).round().available == [True]
    assert len(backend.requests) == 1


def broken(_request: Request) -> bytes:
    return b"nonsense\r\n\r\n"


def test_what_is_no_answer_is_a_failure(watched: Callable[..., Watched], servers: Servers) -> None:
    _, port = servers.http(broken)
    assert watched(HTTP, port).round().available == [False]


def test_hosts_that_leave_are_asked_no_more(watched: Callable[..., Watched], servers: Servers) -> None:
    backend, port = servers.http()
    made = watched(HTTP, port).round()
    made.cluster.configure(cluster("c"), None)
    made.checks.check(made.now)
    made.now += 100.0
    for _ in range(5):
        made.loop.turn(0.0)
    assert len(backend.requests) == 1
