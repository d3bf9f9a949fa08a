"""Requests that are tried again, and those that are not."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh_api.config import CircuitBreakerThresholds, RetryPolicy, RouteAction
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import ISTIO_RETRY, cluster, route
from tests.support.raw_http import Reply, Request, Wire, answer

pytestmark = pytest.mark.integration

FAILED = b"upstream connect error or disconnect/reset before headers. "


def retrying(proxy: Proxy, *ports: int, policy: RetryPolicy = ISTIO_RETRY, **fields: Any) -> None:
    """Everything goes to these ports, under a policy."""
    action = RouteAction("backend", timeout=0.0, retry=policy)
    proxy.routes(route("/", action), clusters=(cluster("backend", *ports, **fields),))


def outcome(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


def test_another_server_is_asked_when_one_refuses(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(request.body))
    retrying(proxy, servers.nobody(), port)
    client = proxy.client()
    for number in range(10):
        body = b"%d" % number * 100
        assert outcome(client.get("/", "POST", body)) == (200, body)
    counts = {request.fields["x-envoy-attempt-count"] for request in backend.requests}
    assert "2" in counts
    assert counts <= {"1", "2"}
    assert len({request.fields["x-request-id"] for request in backend.requests}) == 10


def test_servers_that_refuse_are_tried_three_times_in_all(proxy: Proxy, servers: Servers) -> None:
    retrying(proxy, servers.nobody())
    client = proxy.client()
    for _ in range(2):
        assert outcome(client.get()) == (
            503,
            FAILED + b"retried and the latest reset reason: remote connection failure",
        )
    assert proxy.counter("cluster.backend.upstream_rq_retry") == 4
    assert proxy.counter("cluster.backend.upstream_cx_connect_fail") == 6


def test_a_server_that_refuses_is_503_without_a_policy(proxy: Proxy, servers: Servers) -> None:
    proxy.to(servers.nobody())
    assert outcome(proxy.client().get()) == (503, FAILED + b"reset reason: remote connection failure")


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_server_that_breaks_off_is_not_asked_again(proxy: Proxy, servers: Servers, how: str) -> None:
    def serve(wire: Wire, number: int) -> None:
        assert wire.head()
        getattr(wire, how)()

    server = servers.script(serve)
    retrying(proxy, server.port)
    client = proxy.client()
    for number in (1, 2):
        assert outcome(client.get()) == (503, FAILED + b"reset reason: connection termination")
        assert server.connections == number


def test_a_server_that_breaks_off_is_asked_again_where_the_policy_says_so(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    retrying(proxy, server.port, policy=RetryPolicy(("reset",), num_retries=1))
    client = proxy.client()
    client.ask("/", "POST", b"abc")
    first = server.accept()
    assert first.head()
    first.reset()
    second = server.accept()
    assert second.head()
    assert second.exactly(3) == b"abc"
    second.send(answer(b"second"))
    assert outcome(client.reply()) == (200, b"second")


def failing(times: int, status: str = "503 Service Unavailable") -> tuple[list[str], Callable[[Request], bytes]]:
    """A server that fails so often and then works; and the attempts that it was told."""
    attempts: list[str] = []

    def answering(request: Request) -> bytes:
        attempts.append(request.fields["x-envoy-attempt-count"])
        return answer(b"broken", status) if len(attempts) <= times else answer(request.body + request.trailers)

    return attempts, answering


def test_statuses_that_the_policy_names_are_tried_again(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(2)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("retriable-status-codes",), 2, retriable_status_codes=(503,)))
    assert outcome(proxy.client().get("/", "POST", b"abc")) == (200, b"abc")
    assert attempts == ["1", "2", "3"]


def test_chunks_and_trailers_are_sent_again(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(1)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 1))
    client = proxy.client()
    client.send(
        b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-t: 1\r\n\r\n"
    )
    assert outcome(client.reply()) == (200, b"abcx-t: 1\r\n")
    assert attempts == ["1", "2"]


def test_the_last_answer_stands_when_all_attempts_fail(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(9)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 2))
    assert outcome(proxy.client().get()) == (503, b"broken")
    assert attempts == ["1", "2", "3"]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "500 Internal Server Error", "404 Not Found"])
def test_statuses_are_not_tried_again_by_istios_policy(proxy: Proxy, servers: Servers, status: str) -> None:
    attempts, answering = failing(1, status)
    _, port = servers.http(answering)
    retrying(proxy, port)
    assert outcome(proxy.client().get()) == (int(status[:3]), b"broken")
    assert attempts == ["1"]


def test_a_body_too_large_to_be_kept_is_sent_once(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(1)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 2))
    client = proxy.client()
    assert outcome(client.get("/", "POST", b"x" * 1_000_000)) == (503, b"broken")
    assert attempts == ["1"]
    assert outcome(client.get("/", "POST", b"x" * 1_000_000)) == (200, b"x" * 1_000_000)


def test_pauses_between_attempts_stop_growing(proxy: Proxy, servers: Servers) -> None:
    """The twentieth pause would be an hour if it doubled for ever; it is at most ten times the first."""
    attempts, answering = failing(20)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 20, back_off_base=0.004))
    assert proxy.client().get().status == 200
    assert len(attempts) == 21


def test_not_more_requests_are_tried_again_at_once_than_the_cluster_allows(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(1)
    _, port = servers.http(answering)
    none = CircuitBreakerThresholds(max_retries=0)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 2), thresholds=none)
    assert outcome(proxy.client().get()) == (503, b"broken")
    assert attempts == ["1"]
    assert proxy.counter("cluster.backend.upstream_rq_retry_overflow") == 1


def test_a_client_that_leaves_between_attempts_is_forgotten(proxy: Proxy, servers: Servers) -> None:
    attempts, answering = failing(1)
    _, port = servers.http(answering)
    retrying(proxy, port, policy=RetryPolicy(("5xx",), 1, back_off_base=3600.0, back_off_max=7200.0))
    client = proxy.client()
    client.ask()
    proxy.until(lambda stats: stats.counters.get("cluster.backend.upstream_rq_retry") == 1)
    client.sock.close()
    stats = proxy.until(lambda stats: stats.gauges["server.total_connections"] == 0)
    assert stats.gauges["cluster.backend.upstream_rq_active"] == 0
    assert attempts == ["1"]
