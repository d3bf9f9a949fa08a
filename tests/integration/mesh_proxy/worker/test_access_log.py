"""Access logs: what Istio's format says of the main cases (the golden table in Envoy's terms), as text and as JSON."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    AccessLog,
    CircuitBreakerThresholds,
    DirectResponse,
    FaultFilter,
    FaultPolicy,
    FilterChain,
    FilterChainMatch,
    Listener,
    ProxyConfig,
    Redirect,
    RetryPolicy,
    RouteAction,
    RouterFilter,
)
from mesh_api.config.routes import MILLION
from mesh_control.compiler.defaults import ACCESS_LOG_FORMAT
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import ANY_PORT, ISTIO_RETRY, cluster, http_config, manager, route, tcp_config
from tests.support.raw_http import Client, Wire, answer

pytestmark = pytest.mark.integration

SHORT = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"


class Log:
    """A log file of a worker."""

    def __init__(self, proxy: Proxy, path: Path) -> None:
        self._proxy = proxy
        self.path = path

    def lines(self) -> list[str]:
        """All lines so far: reopening writes what waits, and asking for numbers waits for that."""
        self._proxy.worker.send(ipc.Reopen())
        self._proxy.worker.stats()
        return self.path.read_text("latin-1").splitlines() if self.path.exists() else []

    def text(self, form: str = SHORT, **fields: Any) -> dict[str, Any]:
        """The setting of a connection manager that writes this log."""
        return {"access_logs": (AccessLog(str(self.path), text_format=form, **fields),)}


@pytest.fixture
def log(proxy: Proxy, tmp_path: Path) -> Log:
    return Log(proxy, tmp_path / "access.log")


def breaking_off(wire: Wire, number: int) -> None:
    assert wire.head()


def half_an_answer(wire: Wire, number: int) -> None:
    assert wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")


def silent(wire: Wire, number: int) -> None:
    wire.rest()


def nonsense(wire: Wire, number: int) -> None:
    wire.send(b"nonsense\r\n\r\n")
    wire.rest()


def to(action: RouteAction | Redirect | DirectResponse | str = "backend", **fields: Any) -> Any:
    return (route("/", action, **fields),)


Case = Callable[[Servers], ProxyConfig]
REQUEST = b"GET /path HTTP/1.1\r\nhost: test\r\n\r\n"


def case(routes: Any, server: Callable[[Servers], int] | None = None, raw: bytes = REQUEST, **fields: Any) -> Any:
    """Routes, the server behind them, the request, settings of the manager and of the cluster."""
    return routes, server, raw, fields


def scripted(serve: Callable[[Wire, int], None]) -> Callable[[Servers], int]:
    return lambda servers: servers.script(serve).port


def ok(servers: Servers) -> int:
    return servers.http()[1]


def failing(servers: Servers) -> int:
    return servers.http(lambda request: answer(b"broken", "503 Service Unavailable"))[1]


REFUSED = "delayed_connect_error:_Connection_refused"
BEFORE = "upstream_reset_before_response_started"
LINES = {
    "200 - via_upstream -": case(to(), ok),
    "404 NR route_not_found -": case(()),
    "503 NC cluster_not_found -": case(to("nowhere")),
    "503 UH no_healthy_upstream -": case(to("empty")),
    f"503 URX,UF {BEFORE}{{remote_connection_failure|{REFUSED}}} {REFUSED}": case(
        to(RouteAction("backend", timeout=0.0, retry=ISTIO_RETRY)), Servers.nobody
    ),
    f"503 UF {BEFORE}{{remote_connection_failure|{REFUSED}}} {REFUSED}": case(to(), Servers.nobody),
    f"503 UC {BEFORE}{{connection_termination}} -": case(
        to(RouteAction("backend", timeout=0.0, retry=ISTIO_RETRY)), scripted(breaking_off)
    ),
    "200 UPE upstream_reset_after_response_started{protocol_error} -": case(to(), scripted(half_an_answer)),
    f"503 UO {BEFORE}{{overflow}} -": case(to("full"), ok),
    "504 UT response_timeout -": case(to(RouteAction("backend", timeout=0.2)), scripted(silent)),
    "504 URX,UT upstream_per_try_timeout -": case(
        to(RouteAction("backend", timeout=0.0, retry=RetryPolicy(("reset",), 1, 0.2))), scripted(silent)
    ),
    "503 URX via_upstream -": case(to(RouteAction("backend", timeout=0.0, retry=RetryPolicy(("5xx",), 2))), failing),
    "503 - via_upstream -": case(to(), failing),
    "301 - direct_response -": case(to(Redirect(301, host="new.example", path="/v2"))),
    "418 - direct_response -": case(to(DirectResponse(418, b"teapot"))),
    "503 FI fault_filter_abort -": case(
        to(fault=FaultPolicy(abort_http_status=503, abort_fraction=MILLION)),
        http_filters=(FaultFilter(), RouterFilter()),
    ),
    "200 DI via_upstream -": case(
        to(fault=FaultPolicy(delay=0.05, delay_fraction=MILLION)), ok, http_filters=(FaultFilter(), RouterFilter())
    ),
    f"502 UPE {BEFORE}{{protocol_error|http1.codec_error}} -": case(to(), scripted(nonsense)),
    "400 DPE http1.codec_error -": case(to(), ok, b"GET / HTTP/1.1\r\nhost: test\r\nnonsense\r\n\r\n"),
    "426 DPE low_version -": case(to(), ok, b"GET / HTTP/1.0\r\nhost: test\r\n\r\n"),
    "400 DPE missing_host_header -": case(to(), ok, b"GET / HTTP/1.1\r\n\r\n"),
    "403 - upgrade_failed -": case(
        to(), ok, b"GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: telnet\r\n\r\n"
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_the_log_says_what_became_of_a_request(line: str, proxy: Proxy, servers: Servers, log: Log) -> None:
    routes, server, raw, fields = LINES[line]
    port = servers.nobody() if server is None else server(servers)
    none = CircuitBreakerThresholds(max_requests=0)
    clusters = (cluster("backend", port), cluster("empty"), cluster("full", port, thresholds=none))
    proxy.routes(*routes, clusters=clusters, **log.text(), **fields)
    client = proxy.client()
    client.send(raw)
    assert client.reply_head().status == int(line[:3])
    proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_active"] == 0)
    assert log.lines() == [line]


def test_the_log_of_a_client_that_leaves_says_so(proxy: Proxy, servers: Servers, log: Log) -> None:
    server = servers.manual()
    proxy.to(server.port, **log.text())
    for began in (False, True):
        client = proxy.client()
        client.ask()
        peer = server.accept()
        assert peer.head()
        if began:
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            assert client.reply_head().status == 200
        client.reset()
        assert peer.ended()
    assert log.lines() == ["0 DC downstream_remote_disconnect -", "200 DC downstream_remote_disconnect -"]


def test_istios_format_says_everything(proxy: Proxy, servers: Servers, log: Log) -> None:
    _, port = servers.http(lambda request: answer(b"12345"))
    action = RouteAction("backend", timeout=0.0, prefix_rewrite="/new/")
    proxy.routes(
        route("/old/", action, name="the route"), clusters=(cluster("backend", port),), **log.text(ACCESS_LOG_FORMAT)
    )
    client = proxy.client()
    body = b"x" * 1000
    client.get("/old/a?b", "POST", body, user_agent="me", x_request_id="id-1", x_forwarded_for="1.2.3.4")
    (line,) = log.lines()
    found = re.fullmatch(
        r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "POST /old/a\?b HTTP/1\.1" 200 - via_upstream - "-" 1000 5 \d+ \d+ '
        rf'"1\.2\.3\.4" "me" "id-1" "test" "127\.0\.0\.1:{port}" backend 127\.0\.0\.1:\d+ 127\.0\.0\.1:{proxy.port} '
        rf"1\.2\.3\.4:0 - the route",
        line,
    )
    assert found, line


def test_json_has_numbers_and_null(proxy: Proxy, servers: Servers, log: Log) -> None:
    _, port = servers.http()
    keys = {
        "method": "%REQ(:METHOD)%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "referer": "%REQ(REFERER)%",
        "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
        "user_agent": "%REQ(USER-AGENT)%",
        "bytes_sent": "%BYTES_SENT%",
        "both": "%REQ(:METHOD)% %RESPONSE_CODE%",
    }
    proxy.to(port, access_logs=(AccessLog(str(log.path), json_format=tuple(keys.items())),))
    proxy.client().get(user_agent='a "b" \\ \u00fc')
    (line,) = log.lines()
    assert json.loads(line.encode("latin-1")) == {
        "method": "GET",
        "response_code": 200,
        "response_flags": "-",  # as in Envoy, where only what is absent is null
        "referer": None,
        "upstream_cluster": "backend",
        "user_agent": 'a "b" \\ \u00fc',
        "bytes_sent": 2,
        "both": "GET 200",
    }


def test_a_log_may_want_some_flags_only(proxy: Proxy, servers: Servers, log: Log) -> None:
    _, port = servers.http()
    proxy.routes(
        route("/a", "backend"),
        route("/b", "nowhere"),
        clusters=(cluster("backend", port),),
        **log.text(response_flags=("NR", "NC")),
    )
    client = proxy.client()
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert [line.split()[1] for line in log.lines()] == ["NC", "NR"]


def test_a_connection_for_nobody_is_in_the_listeners_log(proxy: Proxy, log: Log) -> None:
    chain = FilterChain(manager(()), match=FilterChainMatch(source_prefix_ranges=("192.0.2.0/24",)))
    form = AccessLog(str(log.path), text_format=SHORT, response_flags=("NR",))
    proxy.run(ProxyConfig((Listener("http", ANY_PORT, (chain,), access_logs=(form,)),)))
    assert proxy.client().ended()
    assert log.lines() == ["0 NR filter_chain_not_found -"]
    assert proxy.counter("listener.127.0.0.1_0.no_filter_chain_match") == 1


TCP_FORM = "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"


def test_connections_of_tcp_have_a_line_each(proxy: Proxy, servers: Servers, log: Log) -> None:
    server = servers.script(lambda wire, number: wire.send(wire.rest() * 2))
    logs = {"access_logs": (AccessLog(str(log.path), text_format=TCP_FORM),)}
    proxy.run(tcp_config(cluster("backend", server.port), **logs))
    client = proxy.client()
    client.send(b"12345")
    client.end()
    assert client.rest() == b"1234512345"
    for target in (cluster("refusing", servers.nobody()), cluster("empty")):
        proxy.run(tcp_config(target, **logs))
        assert proxy.client().ended()
    assert log.lines() == [
        "- 5 10 backend -",
        "UF,URX 0 0 refusing delayed_connect_error:_Connection_refused",
        "UH 0 0 empty -",
    ]


def test_a_log_that_was_moved_away_is_made_anew(proxy: Proxy, log: Log) -> None:
    proxy.routes(route("/", DirectResponse(200)), **log.text("%REQ(:PATH)%\n"))
    client = proxy.client()
    client.get("/1")
    assert log.lines() == ["/1"]
    moved = log.path.rename(log.path.with_name("old.log"))
    client.get("/2")
    assert log.lines() == ["/2"]
    assert moved.read_text() == "/1\n"


def test_a_log_that_cannot_be_written_harms_nobody(proxy: Proxy, log: Log) -> None:
    log.path.mkdir()
    proxy.routes(route("/", DirectResponse(200)), **log.text())
    client = proxy.client()
    for _ in range(2):
        assert client.get().status == 200
        proxy.worker.send(ipc.Reopen())
        proxy.worker.stats()


def test_lines_are_written_without_being_asked_for(proxy: Proxy, log: Log) -> None:
    """Within about a second; and at the latest when the worker ends."""
    proxy.routes(route("/", DirectResponse(200)), **log.text("%REQ(:PATH)%\n"))
    client = proxy.client()
    client.get("/1")
    proxy.until(lambda stats: log.path.exists() and log.path.read_text() == "/1\n")
    client.get("/2")
    proxy.worker.close()
    assert log.path.read_text() == "/1\n/2\n"


def test_what_is_secret_or_strange_stays_on_one_line(proxy: Proxy, log: Log) -> None:
    """A client cannot forge lines: bytes that could end one are no part of a head."""
    proxy.routes(route("/", DirectResponse(200)), **log.text("%REQ(:PATH)% %REQ(X-A)%\n"))
    with Client(proxy.port) as client:
        client.send(b"GET /%0aforged HTTP/1.1\r\nhost: test\r\nx-a: \xff\t\xc3\xbc\r\n\r\n")
        assert client.reply().status == 200
    assert log.lines() == ["/%0aforged \xff\t\xc3\xbc"]


def test_both_logs_of_a_listener_are_written(proxy: Proxy, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "two")]
    logs = tuple(AccessLog(str(path), text_format="%RESPONSE_CODE%\n") for path in paths)
    proxy.run(http_config((route("/", DirectResponse(200)),), (), access_logs=logs))
    proxy.client().get()
    assert [Log(proxy, path).lines() for path in paths] == [["200"], ["200"]]
