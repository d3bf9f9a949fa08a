"""Local rate limits: a real Envoy and our worker let the same requests pass, and say and count the same of the others."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import AccessLog, HeaderValue, LocalRateLimitFilter, ProxyConfig, RouterFilter
from mesh_api.config.routes import MILLION, LocalRateLimit
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.proxy_config import cluster, host, http_listener, route
from tests.support.raw_http import Request, answer
from tests.support.two_proxies import Ask, Outcome, TwoProxies

pytestmark = pytest.mark.integration


def limit(name: str, most: int, **fields: object) -> LocalRateLimit:
    """One that is not filled again while the test runs."""
    settings = {"interval": 3600.0, "enabled": MILLION, "enforced": MILLION} | fields
    return LocalRateLimit(name, most, **settings)  # type: ignore[arg-type]


LIMITED = (HeaderValue("x-limited", "yes"),)
ROUTES = (
    route("/told", rate_limit=limit("told", 2, answer_headers=LIMITED, tells=True)),
    route("/status", rate_limit=limit("status", 1, status=503)),
    route("/off", rate_limit=limit("off", 1, enabled=0)),
    route("/shadow", rate_limit=limit("shadow", 1, enforced=0, request_headers=LIMITED)),
    route("/exhausted", rate_limit=limit("exhausted", 1, resource_exhausted=True)),
    route("/large", rate_limit=limit("large", 1000, fill=1000, tells=True)),
    route("/unavailable", rate_limit=limit("unavailable", 1)),
    route("/"),
)
NAMES = ("told", "status", "off", "shadow", "exhausted", "large", "unavailable", "shared", "usual")
COUNTERS = [
    f"{name}.http_local_rate_limit.{what}" for name in NAMES for what in ("enabled", "enforced", "ok", "rate_limited")
]


def ask(path: str, times: int, *lines: str, name: str = "test") -> Ask:
    raw = "\r\n".join((f"GET {path} HTTP/1.1", f"host: {name}", *lines, "", "")).encode()
    return Ask("http", raw * times, times)


ASKS = {
    "told": ask("/told", 3),
    "another status": ask("/status", 2),
    "switched off": ask("/off", 3),
    "not enforced": ask("/shadow", 3),
    "gRPC": ask("/unavailable", 2, "content-type: application/grpc"),
    "gRPC exhausted": ask("/exhausted", 2, "content-type: application/grpc"),
    "enough": ask("/large", 5),
    "shared by the routes of a host": ask("/a", 2, name="shared"),
    "the filter's own": ask("/x", 4),
    "no route": ask("/x", 1, name="nowhere"),
}


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProxies]:
    with contextlib.ExitStack() as stack:
        _, port = Servers(stack).http(said)
        filters = (LocalRateLimitFilter(limit("usual", 3, tells=True)), RouterFilter())
        shared = host(route("/a"), route("/"), name="s", domains=("shared",), rate_limit=limit("shared", 1))

        def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
            hosts = (host(*ROUTES, domains=("test",)), shared)
            listener = http_listener(*hosts, access_logs=logs, http_filters=filters)
            return ProxyConfig((listener,), clusters=(cluster("backend", port),))

        yield stack.enter_context(TwoProxies(envoy, tmp_path_factory.mktemp("rates"), make))


def said(request: Request) -> bytes:
    return answer("\n".join(sorted(request.head.decode("latin-1").strip().split("\r\n"))).encode())


@pytest.fixture(scope="module")
def outcomes(both: TwoProxies) -> dict[str, dict[str, Outcome]]:
    """One after the other: some share a bucket."""
    return {name: both.outcomes({name: ask})[name] for name, ask in ASKS.items()}


@pytest.mark.parametrize("name", ASKS)
def test_the_same_requests_pass(outcomes: dict[str, dict[str, Outcome]], name: str) -> None:
    assert outcomes[name]["ours"] == outcomes[name]["envoy"]


def test_they_are_counted_alike(both: TwoProxies, outcomes: dict[str, dict[str, Outcome]]) -> None:
    assert both.counters("ours", COUNTERS) == both.counters("envoy", COUNTERS)
