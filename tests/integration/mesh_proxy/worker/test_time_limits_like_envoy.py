"""Limits of time of requests and connections: the same comes of them at a real Envoy and at our worker."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import AccessLog, ProxyConfig, RouteAction
from mesh_api.config.clusters import HttpProtocolOptions
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.http2_peers import Http2Client
from tests.support.proxy_config import cluster, host, http_listener, route
from tests.support.raw_http import Wire, answer, fields_of
from tests.support.two_proxies import Ask, Outcome, TwoProxies

pytestmark = pytest.mark.integration

SHORT = 1.0
"""Long enough for what is to come in time on a machine that is busy."""
LONG = 3600.0
GRPC = b"content-type: application/grpc\r\n"
LISTENERS = {
    "idle": {"stream_idle_timeout": SHORT},
    "request": {"request_timeout": SHORT, "stream_idle_timeout": 0.0},
    "headers": {"request_headers_timeout": SHORT, "stream_idle_timeout": 0.0},
    "duration": {"max_stream_duration": SHORT, "stream_idle_timeout": LONG},
    "requests": {"max_requests_per_connection": 2, "drain_timeout": SHORT},
    "short": {"max_connection_duration": SHORT, "drain_timeout": SHORT},
    "fields": {"max_headers_count": 3, "headers_with_underscores_action": "REJECT_REQUEST"},
    "many fields": {"max_headers_count": 150, "headers_with_underscores_action": "DROP_HEADER"},
}


def serve(wire: Wire, number: int) -> None:
    """Answers with the head that it got, unless the path says that it stops."""
    while head := wire.head():
        if b" /silent" in head:
            wire.rest()
        elif b" /stops" in head:
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            wire.rest()
        else:
            wire.exactly(int(fields_of(head).get("content-length", "0")))
            wire.send(answer(b"\r\n".join(sorted(head.strip().split(b"\r\n")))))


def ask(line: str, *lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "host: test", *lines, "", "")).encode() + body


def grpc(path: str, *lines: str) -> bytes:
    return ask(f"POST {path}", "content-type: application/grpc", "content-length: 0", *lines)


HALF_HEAD = ask("GET /")[:-2]
HALF_BODY = ask("POST /", "content-length: 5", body=b"ab")
ASKS = {
    "no answer": Ask("idle", ask("GET /silent")),
    "no answer to gRPC": Ask("idle", grpc("/silent")),
    "half a head and nothing": Ask("idle", HALF_HEAD),
    "half a body and nothing": Ask("idle", HALF_BODY),
    "half an answer and nothing": Ask("idle", ask("GET /stops")),
    "no answer within the route's own idle time": Ask("request", ask("GET /silent/idle")),
    "an idle time that the route switches off": Ask("idle", ask("GET /silent/long")),
    "half a body too late": Ask("request", HALF_BODY),
    "half a head too late": Ask("request", HALF_HEAD),
    "a request that comes in time": Ask("request", ask("GET /echo")),
    "half a head": Ask("headers", HALF_HEAD),
    "no answer in the longest time": Ask("duration", ask("GET /silent")),
    "half a body in the longest time": Ask("duration", HALF_BODY),
    "half a head in the longest time": Ask("duration", HALF_HEAD),
    "half an answer in the longest time": Ask("duration", ask("GET /stops")),
    "no answer in the route's longest time": Ask("duration", ask("GET /silent/long")),
    "half an answer in the route's longest time": Ask("request", ask("GET /stops/long")),
    "gRPC without a time of its own": Ask("request", grpc("/silent/grpc")),
    "gRPC with more time than there is": Ask("request", grpc("/silent/grpc", "grpc-timeout: 10S")),
    "gRPC with less time than there is": Ask("request", grpc("/silent/grpc", "grpc-timeout: 200m")),
    "gRPC with less time than is kept back": Ask("request", grpc("/silent/offset", "grpc-timeout: 200m")),
    "gRPC is told how much time there is": Ask("request", grpc("/grpc", "grpc-timeout: 9999999H")),
    "gRPC is told what it asked for": Ask("request", grpc("/grpc", "grpc-timeout: 15S")),
    "gRPC is told of less time": Ask("request", grpc("/offset", "grpc-timeout: 70000S")),
    "gRPC with a time that is none": Ask("request", grpc("/silent/grpc", "grpc-timeout: soon")),
    "no answer in the cluster's longest time": Ask("request", ask("GET /silent/cluster")),
    "half a body in the cluster's longest time": Ask("headers", HALF_BODY.replace(b" / ", b" /silent/cluster ")),
    "half an answer in the cluster's longest time": Ask("request", ask("GET /stops/cluster")),
    "as many requests as a connection may have": Ask("requests", ask("GET /echo") * 2, 2),
    "as many fields as there may be": Ask("fields", ask("GET /echo", "a: 1", "b: 2")),
    "one field too many": Ask("fields", ask("GET /echo", "a: 1", "b: 2", "c: 3")),
    "an underscore": Ask("fields", ask("GET /echo", "a_b: 1")),
    "many fields": Ask("many fields", ask("GET /echo", *(f"x-{number}: 1" for number in range(149)))),
    "an underscore that is dropped": Ask("many fields", ask("GET /echo", "a_b: 1", "c: 1")),
}


@pytest.fixture(scope="module")
def servers_for_all() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="module")
def both(envoy: Path, servers_for_all: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProxies]:
    port = servers_for_all.script(serve).port
    routes = (
        route("/silent/idle", RouteAction("backend", timeout=0.0, idle_timeout=SHORT)),
        route("/silent/long", RouteAction("backend", timeout=0.0, idle_timeout=0.0, max_stream_duration=2 * SHORT)),
        route("/stops/long", RouteAction("backend", timeout=0.0, max_stream_duration=SHORT)),
        *(
            route(
                path, RouteAction("backend", timeout=0.0, max_stream_duration=2 * SHORT, grpc_timeout_header_max=most)
            )
            for path, most in (("/silent/grpc", SHORT), ("/grpc", 20.0))
        ),
        *(
            route(
                path, RouteAction("backend", timeout=0.0, grpc_timeout_header_max=0.0, grpc_timeout_header_offset=SHORT)
            )
            for path in ("/silent/offset", "/offset")
        ),
        *(route(path, RouteAction("short", timeout=0.0)) for path in ("/silent/cluster", "/stops/cluster")),
        route(),
    )
    clusters = (
        cluster("backend", port),
        cluster("short", port, http=HttpProtocolOptions(max_stream_duration=SHORT)),
    )

    def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
        listeners = (http_listener(host(*routes), name=name, access_logs=logs, **f) for name, f in LISTENERS.items())
        return ProxyConfig(tuple(listeners), clusters=clusters)

    with TwoProxies(envoy, tmp_path_factory.mktemp("limits"), make) as made:
        yield made


@pytest.fixture(scope="module")
def outcomes(both: TwoProxies) -> dict[str, dict[str, Outcome]]:
    return both.outcomes(ASKS)


def over_http2(port: int, paths: tuple[str, ...], whole: bool) -> list[tuple[int, bytes, int | None]]:
    """Status, body and reset of requests that are made at once; without ``whole`` they have half a body."""
    with Http2Client(port) as client:
        numbers = [client.ask(path, "GET" if whole else "POST", whole) for path in paths]
        for number in numbers:
            if not whole:
                client.send(number, b"ab", end=False)
        replies = [client.reply(number) for number in numbers]
        return [(reply.status, reply.body, reply.reset) for reply in replies]


@pytest.mark.parametrize(
    ("listener", "path", "whole"),
    [
        ("idle", "/silent", True),
        ("idle", "/silent", False),
        ("idle", "/stops", True),
        ("request", "/silent", False),
        ("duration", "/silent", True),
        ("duration", "/stops", True),
        ("headers", "/silent/cluster", True),
        ("headers", "/stops/cluster", True),
    ],
)
def test_what_is_late_over_http2_ends_alike(both: TwoProxies, listener: str, path: str, whole: bool) -> None:
    ours, envoy = (over_http2(both.ports[side][listener], (path,) * 3, whole) for side in ("ours", "envoy"))
    assert ours == envoy


@pytest.mark.parametrize("listener", ["requests", "short"])
def test_a_connection_of_http2_that_ends_says_so_first(both: TwoProxies, listener: str) -> None:
    for side in ("ours", "envoy"):
        with Http2Client(both.ports[side][listener]) as client:
            assert client.get("/echo").status == 200
            if listener == "requests":
                assert client.get("/echo").status == 200
            client.until(lambda client=client: client.gone is not None)
            assert client.get("/echo").status == 200  # it was on its way when the end was announced
            while client.read():
                pass


@pytest.mark.parametrize("name", ASKS)
def test_what_is_late_ends_alike(outcomes: dict[str, dict[str, Outcome]], name: str) -> None:
    assert outcomes[name]["ours"] == outcomes[name]["envoy"]
