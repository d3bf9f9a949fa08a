"""What a route asks of its cluster: the same host for the same client, subsets, limits by priority, every kind of retry."""

import pytest

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HashPolicy,
    HeaderMatch,
    LbPolicy,
    LocalityEndpoints,
    RetryBudget,
    RetryPolicy,
    RouteAction,
    SocketAddress,
    StringMatch,
    StringMatchKind,
    WeightedCluster,
)
from mesh_api.config.load_balancing import Subsets, SubsetSelector
from mesh_api.config.routes import RateLimitedBackOff
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, route
from tests.support.raw_http import Request, answer

pytestmark = pytest.mark.integration


def named(servers: Servers, *names: str) -> dict[str, int]:
    """Servers that answer with their names, by port."""
    return {name: servers.http(lambda request, name=name: answer(name.encode()))[1] for name in names}


def labelled(name: str, ports: dict[str, int], **fields: object) -> Cluster:
    """A cluster whose hosts have their name as the label ``version``."""
    endpoints = tuple(
        Endpoint(SocketAddress("127.0.0.1", port), lb_metadata=(("version", f'"{label}"'),))
        for label, port in ports.items()
    )
    assignment = ClusterLoadAssignment(name, (LocalityEndpoints(endpoints),))
    return Cluster(name, ClusterType.STATIC, load_assignment=assignment, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [LbPolicy.RING_HASH, LbPolicy.MAGLEV])
def test_the_same_key_comes_to_the_same_host(proxy: Proxy, servers: Servers, policy: LbPolicy) -> None:
    ports = named(servers, *"abcde")
    action = RouteAction("backend", hash_policies=(HashPolicy(header="x-user"),), timeout=0.0)
    proxy.routes(route("/", action), clusters=(cluster("backend", *ports.values(), lb_policy=policy),))
    client = proxy.client()
    users = [str(number) for number in range(150)]  # so many that no host is left out by chance
    first = {user: client.get(x_user=user).body for user in users}
    assert len(set(first.values())) == 5
    again = proxy.client()
    assert {user: again.get(x_user=user).body for user in users} == first


def test_a_cookie_that_the_proxy_sets_keeps_its_client_at_its_host(proxy: Proxy, servers: Servers) -> None:
    ports = named(servers, *"abcde")
    policy = HashPolicy(cookie="session", cookie_ttl=60.0, cookie_path="/")
    action = RouteAction("backend", hash_policies=(policy,), timeout=0.0)
    proxy.routes(route("/", action), clusters=(cluster("backend", *ports.values(), lb_policy=LbPolicy.RING_HASH),))
    for _ in range(5):
        first = proxy.client().get()
        made = first.fields["set-cookie"]
        assert made.endswith("; Max-Age=60; Path=/; HttpOnly")
        later = proxy.client().get(cookie=made.partition(";")[0])
        assert (later.body, "set-cookie" in later.fields) == (first.body, False)


def test_a_route_means_a_subset_of_hosts(proxy: Proxy, servers: Servers) -> None:
    ports = named(servers, "v1", "v2", "v3")
    made = labelled("backend", ports, subsets=Subsets(selectors=(SubsetSelector(("version",)),)))
    proxy.routes(
        route("/v1", RouteAction("backend", metadata_match=(("version", '"v1"'),), timeout=0.0)),
        route(
            "/v2",
            RouteAction(
                weighted_clusters=(WeightedCluster("backend", 1, metadata_match=(("version", '"v2"'),)),), timeout=0.0
            ),
        ),
        route("/v4", RouteAction("backend", metadata_match=(("version", '"v4"'),), timeout=0.0)),
        clusters=(made,),
    )
    client = proxy.client()
    for _ in range(4):
        assert client.get("/v1").body == b"v1"
        assert client.get("/v2").body == b"v2"
    assert client.get("/v4").status == 503


def test_requests_of_high_priority_have_their_own_limits(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    limits = {"thresholds": CircuitBreakerThresholds(max_requests=1), "high_thresholds": CircuitBreakerThresholds()}
    proxy.routes(
        route("/high", RouteAction("backend", high_priority=True, timeout=0.0)),
        route("/", "backend"),
        clusters=(cluster("backend", server.port, **limits),),
    )
    first, second, high = proxy.client(), proxy.client(), proxy.client()
    first.ask()
    with server.accept() as peer:
        assert peer.head()
        assert second.get().status == 503
        high.ask("/high")
        with server.accept() as other:
            assert other.head()
            other.send(answer())
            assert high.reply().status == 200
        peer.send(answer())
        assert first.reply().status == 200


def test_a_share_of_requests_is_dropped(proxy: Proxy, servers: Servers) -> None:
    (port,) = named(servers, "a").values()
    endpoints = LocalityEndpoints((Endpoint(SocketAddress("127.0.0.1", port)),))
    assignment = ClusterLoadAssignment("backend", (endpoints,), drop_overloads=(("throttle", 1_000_000),))
    proxy.routes(route(), clusters=(Cluster("backend", ClusterType.STATIC, load_assignment=assignment),))
    assert proxy.client().get().status == 503
    assert proxy.counter("cluster.backend.upstream_rq_drop_overload") == 1


# Retries.


class Failing:
    """A server that fails so often, then answers."""

    def __init__(self, times: int, failure: bytes) -> None:
        self.left = times
        self.failure = failure

    def __call__(self, _request: Request) -> bytes:
        self.left -= 1
        return self.failure if self.left >= 0 else answer(b"good")


FAILURES = [
    ("gateway-error", answer(b"", "502 Bad Gateway"), {}),
    ("retriable-4xx", answer(b"", "409 Conflict"), {}),
    ("retriable-status-codes", answer(b"", "418 Teapot"), {"retriable_status_codes": (418,)}),
    ("envoy-ratelimited", answer(b"", "429 Too Many", "x-envoy-ratelimited: 1\r\n"), {}),
    ("unavailable", answer(b"", extra="content-type: application/grpc\r\ngrpc-status: 14\r\n"), {}),
    (
        "retriable-headers",
        answer(b"", extra="x-again: yes\r\n"),
        {"retriable_headers": (HeaderMatch("x-again", StringMatch(StringMatchKind.EXACT, "yes")),)},
    ),
]


@pytest.mark.parametrize(("condition", "failure", "fields"), FAILURES, ids=[row[0] for row in FAILURES])
def test_answers_that_a_policy_covers_are_tried_again(
    proxy: Proxy, servers: Servers, condition: str, failure: bytes, fields: dict[str, tuple[object, ...]]
) -> None:
    backend, port = servers.http(Failing(2, failure))
    policy = RetryPolicy((condition,), num_retries=3, back_off_base=0.001, **fields)  # type: ignore[arg-type]
    proxy.routes(route("/", RouteAction("backend", retry=policy)), clusters=(cluster("backend", port),))
    assert proxy.client().get().body == b"good"
    assert [request.fields["x-envoy-attempt-count"] for request in backend.requests] == ["1", "2", "3"]
    assert proxy.counter("cluster.backend.upstream_rq_retry_backoff_exponential") == 2


def test_a_server_says_when_to_come_again(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(Failing(1, answer(b"", "503 Busy", "retry-after: 1\r\n")))
    limited = RateLimitedBackOff((("retry-after", "SECONDS"),), max_interval=5.0)
    policy = RetryPolicy(("5xx",), back_off_base=0.001, rate_limited_back_off=limited)
    proxy.routes(route("/", RouteAction("backend", retry=policy)), clusters=(cluster("backend", port),))
    assert proxy.client().get().body == b"good"
    assert proxy.counter("cluster.backend.upstream_rq_retry_backoff_ratelimited") == 1


def test_requests_without_the_header_are_not_tried_again(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(b"", "503 Busy"))
    policy = RetryPolicy(
        ("5xx",), back_off_base=0.001, retriable_request_headers=(HeaderMatch("x-safe", present=True),)
    )
    proxy.routes(route("/", RouteAction("backend", retry=policy)), clusters=(cluster("backend", port),))
    client = proxy.client()
    client.get()
    assert len(backend.requests) == 1
    client.get(x_safe="1")
    assert len(backend.requests) == 3


@pytest.mark.parametrize(("edge", "tried"), [(False, 3), (True, 1)])
def test_callers_within_the_mesh_may_ask_for_retries(proxy: Proxy, servers: Servers, edge: bool, tried: int) -> None:
    backend, port = servers.http(lambda request: answer(b"", "503 Busy"))
    proxy.routes(route(), clusters=(cluster("backend", port),), use_remote_address=edge)
    proxy.client().get(x_envoy_retry_on="5xx", x_envoy_max_retries="2")
    assert len(backend.requests) == tried
    assert not any("x-envoy-retry-on" in request.fields for request in backend.requests)


def test_a_budget_bounds_retries(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(b"", "503 Busy"))
    policy = RetryPolicy(("5xx",), num_retries=2, back_off_base=0.001)
    limits = CircuitBreakerThresholds(retry_budget=RetryBudget(percent=0.0, min_concurrency=0))
    proxy.routes(
        route("/", RouteAction("backend", retry=policy)), clusters=(cluster("backend", port, thresholds=limits),)
    )
    assert proxy.client().get().status == 503
    assert len(backend.requests) == 1
    assert proxy.counter("cluster.backend.upstream_rq_retry_overflow") == 1


# Times.


def test_an_attempt_in_which_nothing_moves_is_given_up(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    policy = RetryPolicy((), per_try_idle_timeout=0.1)
    proxy.routes(route("/", RouteAction("backend", retry=policy)), clusters=(cluster("backend", server.port),))
    client = proxy.client()
    client.ask()
    with server.accept() as peer:
        assert peer.head()
        reply = client.reply()
        assert (reply.status, reply.body) == (504, b"upstream request timeout")
        assert peer.ended()


@pytest.mark.parametrize(("asked", "longest"), [("100m", 0.0), ("10S", 0.1), (None, 0.1)])
def test_a_call_of_grpc_says_how_long_it_may_take(
    proxy: Proxy, servers: Servers, asked: str | None, longest: float
) -> None:
    server = servers.manual()
    action = RouteAction("backend", timeout=60.0, max_grpc_timeout=longest)
    proxy.routes(route("/", action), clusters=(cluster("backend", server.port),))
    client = proxy.client()
    fields = {} if asked is None else {"grpc_timeout": asked}
    client.ask("/s/m", "POST", b"", content_type="application/grpc", **fields)
    with server.accept() as peer:
        assert peer.head()
        reply = client.reply()
        assert (reply.status, reply.fields["grpc-status"]) == (200, "14")
