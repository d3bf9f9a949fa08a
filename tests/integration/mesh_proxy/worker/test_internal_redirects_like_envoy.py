"""Redirects of servers that are followed by the proxy: a real Envoy and our worker follow the same ones, in the same way."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import AccessLog, HeaderEdits, HeaderValue, ProxyConfig, RouteAction
from mesh_api.config.routes import DirectResponse, InternalRedirects
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.proxy_config import cluster, host, http_listener, route
from tests.support.raw_http import Request, answer
from tests.support.two_proxies import Ask, Outcome, TwoProxies

pytestmark = pytest.mark.integration

NAMES = ("bad_location", "no_route", "too_many_redirects", "unsafe_scheme", "predicate")
COUNTERS = (
    *(f"http.http.passthrough_internal_redirect_{name}" for name in NAMES),
    *(f"cluster.backend.upstream_internal_redirect_{name}_total" for name in ("failed", "succeeded")),
    *("cluster.backend.upstream_rq_302", "cluster.backend.upstream_rq_200", "cluster.backend.upstream_rq_completed"),
    *("http.http.downstream_rq_total", "http.http.downstream_rq_completed", "http.http.downstream_rq_2xx"),
)


def to(prefix_rewrite: str = "", **fields: Any) -> RouteAction:
    followed = InternalRedirects(**fields)
    return RouteAction("backend", timeout=0.0, prefix_rewrite=prefix_rewrite, internal_redirects=followed)


EDITED = HeaderEdits(request_set=(HeaderValue("x-edit", "%REQ(:PATH)%"),))
ROUTES = (
    route("/usual/", to(), name="usual"),
    route("/codes/", to(codes=(301, 303, 307, 308), copied_headers=("x-copied", "X-None")), name="codes"),
    route("/rewritten/", to("/usual/", most=3), name="rewritten"),
    route("/once/", to(most=9, previous_routes=True), name="once"),
    route("/allowed/", to(allowed_routes=("end",)), name="allowed"),
    route("/crosses/", to(cross_scheme=True), name="crosses"),
    route("/safe/", to(cross_scheme=True, safe_cross_scheme=True), name="safe"),
    route("/direct", DirectResponse(200, b"direct"), name="direct"),
    route("/off/", "backend", name="off"),
    route("/end", "backend", name="end", edits=EDITED),
)


def ask(line: str, *lines: str, body: bytes = b"") -> bytes:
    length = (f"content-length: {len(body)}",) if body else ()
    return "\r\n".join((f"{line} HTTP/1.1", "host: test", *lines, *length, "", "")).encode() + body


END = "http:!!test!end?a=b"
"""A slash is written as ``!`` within the path that says what the server answers."""
ASKS = {
    **{
        f"{code}": Ask("http", ask(f"GET /codes/{code}/{END}", "x-none: mine"), 1) for code in (301, 302, 303, 307, 308)
    },
    **{f"{code} with a body": Ask("http", ask(f"POST /codes/{code}/{END}", body=b"abc")) for code in (303, 307)},
    **{
        f"to {where}": Ask("http", ask(f"GET /usual/302/{where}"))
        for where in (
            *("!end", "end", "http:!!other!end", "https:!!test!end", "http:!!test!nowhere", "http:!!test!direct"),
            *("http:!!test", "http:!!test?x", "ftp:!!test!end", "HTTP:!!TEST!end", "http:!!test:80!end", END),
        )
    },
    "too many": Ask("http", ask("GET /usual/302/http:!!test!usual!302!http:!!test!end")),
    "rewritten": Ask("http", ask(f"GET /rewritten/302/{END}")),
    "switched off": Ask("http", ask(f"GET /off/302/{END}")),
    "an allowed route": Ask("http", ask(f"GET /allowed/302/{END}")),
    "a route that is not allowed": Ask("http", ask("GET /allowed/302/http:!!test!direct")),
    "another scheme": Ask("http", ask("GET /crosses/302/https:!!test!end")),
    "a safer scheme": Ask("http", ask("GET /safe/302/https:!!test!end")),
    "the same scheme": Ask("http", ask(f"GET /safe/302/{END}")),
    "where it has been": Ask("http", ask("GET /once/302/http:!!test!once!302!http:!!test!once!302!http:!!test!end")),
    "no location": Ask("http", ask("GET /usual/302/")),
}


def said(request: Request) -> bytes:
    parts = request.target.split("/", 3)
    if len(parts) == 4 and parts[2].isdigit():
        # Of nested redirects only the first level is spelt out.
        where = parts[3].replace("!", "/", 3 if parts[3].count("!") > 3 else -1)
        location = f"location: {where}\r\n" if where else ""
        return answer(b"elsewhere", f"{parts[2]} Elsewhere", f"{location}x-copied: 1\r\n")
    lines = sorted(request.head.decode("latin-1").strip().split("\r\n"))
    return answer("\n".join(lines).encode() + request.body)


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProxies]:
    with contextlib.ExitStack() as stack:
        _, port = Servers(stack).http(said)

        def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
            hosts = host(*ROUTES, domains=("test", "test:80"))
            return ProxyConfig((http_listener(hosts, access_logs=logs),), clusters=(cluster("backend", port),))

        yield stack.enter_context(TwoProxies(envoy, tmp_path_factory.mktemp("redirects"), make))


@pytest.fixture(scope="module")
def outcomes(both: TwoProxies) -> dict[str, dict[str, Outcome]]:
    return both.outcomes(ASKS)


@pytest.mark.parametrize("name", ASKS)
def test_redirects_are_followed_alike(outcomes: dict[str, dict[str, Outcome]], name: str) -> None:
    assert outcomes[name]["ours"] == outcomes[name]["envoy"]


def test_they_are_counted_alike(both: TwoProxies, outcomes: dict[str, dict[str, Outcome]]) -> None:
    names = [name.replace("http.http.", "http.test.") for name in COUNTERS]
    assert both.counters("ours", names) == both.counters("envoy", names)
