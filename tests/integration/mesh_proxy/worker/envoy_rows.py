"""A configuration that uses everything, and requests for it: rows of a table that a real Envoy and our worker go through."""

from pathlib import Path
from typing import Any

from mesh_api.config import (
    AccessLog,
    CircuitBreakerThresholds,
    CorsFilter,
    CorsPolicy,
    DirectResponse,
    FaultFilter,
    FaultPolicy,
    HeaderEdits,
    HeaderMatch,
    HeaderValue,
    PathMatchKind,
    ProxyConfig,
    QueryParameterMatch,
    Redirect,
    RegexRewrite,
    RetryPolicy,
    RouteAction,
    RouterFilter,
    StringMatch,
    StringMatchKind,
    WeightedCluster,
)
from mesh_api.config.routes import MILLION
from tests.support.proxy_config import ISTIO_RETRY, cluster, host, http_listener, match, route
from tests.support.raw_http import Request, Wire, answer

LOGGED = {
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "host": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "route": "%ROUTE_NAME%",
    "authority": "%REQ(:AUTHORITY)%",
    "remote": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "service time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
}
"""What the access log tells, by tabulators."""
EXACT = PathMatchKind.EXACT


def to(name: str = "echo", **fields: Any) -> RouteAction:
    return RouteAction(name, **{"timeout": 0.0} | fields)


def edits(who: str) -> HeaderEdits:
    """Edits of every kind."""
    return HeaderEdits(
        request_set=(
            HeaderValue("x-set", who),
            HeaderValue("x-appended", who, append=True),
            HeaderValue("x-op", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %PROTOCOL%"),
        ),
        request_remove=("x-removed", f"x-removed-{who}"),
        response_set=(HeaderValue("x-set", who), HeaderValue("x-appended", who, append=True)),
        response_remove=(f"x-answer-{who}",),
    )


ROUTES = (
    route("/direct", DirectResponse(503, b"sorry"), name="direct"),
    route("/edited-direct", DirectResponse(200, b"ok"), edits=edits("route")),
    route("/redirect/host", Redirect(301, host="new.example", path="/v2")),
    route("/redirect/port", Redirect(302, scheme="https", port=8443)),
    route("/redirect/https", Redirect(303, https=True)),
    route("/redirect/default-port", Redirect(307, port=80)),
    route("/redirect/prefix/", Redirect(308, prefix_rewrite="/bar/")),
    route("/redirect/strip", Redirect(301, strip_query=True)),
    route("/redirect/query", Redirect(301, path="/other?mine=1")),
    route("/redirect/regex", Redirect(301, regex_rewrite=RegexRewrite("^/redirect/(.*)", r"/\1/x"))),
    route("/rewrite/prefix/", to(prefix_rewrite="/new/")),
    route(match("/rewrite/exact", EXACT), to(prefix_rewrite="/whole")),
    route("/rewrite/regex", to(regex_rewrite=RegexRewrite("/([a-z]+)/regex/([0-9]+)", r"/\2/\1"))),
    route("/rewrite/host", to(host_rewrite="inner.example")),
    route("/rewrite/same", to(prefix_rewrite="/rewrite/same")),
    route("/edited", to(), edits=edits("route")),
    route(
        "/weighted",
        RouteAction(weighted_clusters=(WeightedCluster("echo", 1, edits("weighted")),), timeout=0.0),
        edits=edits("route"),
    ),
    route("/empty", to("empty")),
    route("/unknown", to("unknown")),
    route("/404-unknown", to("unknown", cluster_not_found_code=404)),
    route("/refused", to("refused", retry=ISTIO_RETRY)),
    route("/once-refused", to("refused")),
    route("/overloaded", to("overloaded")),
    route("/slow", to("silent", timeout=0.2)),
    route("/try-slow", to("silent", retry=RetryPolicy(("5xx",), 1, per_try_timeout=0.1))),
    route("/breaks", to("breaking", retry=ISTIO_RETRY)),
    route("/nonsense", to("nonsense")),
    route("/fails", to("failing", retry=RetryPolicy(("5xx",), 2))),
    route("/once-fails", to("failing", retry=ISTIO_RETRY)),
    route("/fault", to(), fault=FaultPolicy(abort_http_status=418, abort_fraction=MILLION)),
    route("/delay", to(), fault=FaultPolicy(delay=0.05, delay_fraction=MILLION)),
    route(
        "/cors",
        to(),
        cors=CorsPolicy(
            allow_origins=(StringMatch(StringMatchKind.EXACT, "https://good.example"),),
            allow_methods="GET,PUT",
            allow_headers="x-a",
            expose_headers="x-b",
            max_age="60",
            allow_credentials=True,
        ),
    ),
    route("/limited", to(timeout=2.5)),
    route("/default", RouteAction("echo")),
    route(match("/segment", PathMatchKind.PATH_SEPARATED_PREFIX), DirectResponse(200, b"segment")),
    route(match("/v[0-9]+/x", PathMatchKind.REGEX), DirectResponse(200, b"regex")),
    route(match("/Case", EXACT), DirectResponse(200, b"case")),
    route(
        match("/match", headers=(HeaderMatch("x-beta", StringMatch(StringMatchKind.REGEX, "[a-c]+")),)),
        DirectResponse(200, b"beta"),
    ),
    route(match("/match", headers=(HeaderMatch("x-age", range_start=18, range_end=99),)), DirectResponse(200, b"age")),
    route(
        match("/match", query_parameters=(QueryParameterMatch("q", StringMatch(StringMatchKind.PREFIX, "z")),)),
        DirectResponse(200, b"query"),
    ),
    route("/match", DirectResponse(200, b"rest")),
    route("/", to(), name="everything"),
)


def breaking(wire: Wire, number: int) -> None:
    assert wire.head()


def silent(wire: Wire, number: int) -> None:
    wire.rest()


def nonsense(wire: Wire, number: int) -> None:
    wire.send(b"nonsense\r\n\r\n")
    wire.rest()


ANSWERS = {
    "/answer/204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/answer/304": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\netag: x\r\n\r\n",
    "/answer/chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "/answer/fields": answer(
        extra="Server: apache\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-Empty:\r\n"
        "Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nX-Envoy-Upstream-Service-Time: 99999\r\nX-Answer-Route: 1\r\n"
    ),
    "/answer/close": answer(extra="connection: close\r\n"),
    "/answer/invites": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"final"),
    "/answer/hints": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(b"final"),
    "/answer/zero": answer(b""),
    "/answer/500": answer(b"broken", "500 Internal Server Error"),
    "/answer/folded": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
    "/answer/both": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/answer/lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 1\r\n\r\nok",
    "/answer/gzip": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/answer/switch": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "/answer/nul": b"HTTP/1.1 200 OK\r\nx: a\x00\r\ncontent-length: 2\r\n\r\nok",
    "/answer/trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
}


def said(request: Request) -> bytes:
    return ANSWERS.get(request.target.partition("?")[0]) or answer(request.body, extra="x-from: echo\r\n")


def ask(line: str, *lines: str, body: bytes = b"") -> bytes:
    """A request; without another ``host:`` it is for ``test``."""
    given = lines if any(one.lower().startswith("host:") for one in lines) else ("host: test", *lines)
    length = (f"content-length: {len(body)}",) if body else ()
    return "".join(f"{one}\r\n" for one in (f"{line} HTTP/1.1", *given, *length, "")).encode("latin-1") + body


REQUESTS = {
    "plain": ask("GET /a?b=c", "User-Agent: me", "Accept: */*"),
    "body": ask("POST /a", body=b"12345"),
    "chunks": ask("POST /a", "transfer-encoding: chunked") + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "trailers": ask("POST /a", "transfer-encoding: chunked") + b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n",
    "head": ask("HEAD /a"),
    "options": ask("OPTIONS /a"),
    "odd method": ask("PROPFIND /a"),
    "close": ask("GET /a", "Connection: close"),
    "hop by hop": ask(
        "GET /a", "connection: keep-alive, x-mine", "x-mine: 1", "keep-alive: 5", "proxy-connection: x", "x-o: 2"
    ),
    "te": ask("GET /a", "te: trailers"),
    "own id": ask("GET /a", "x-request-id: mine"),
    "envoy's fields": ask(
        "GET /a", "x-envoy-internal: true", "x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-max-retries: 9"
    ),
    "other envoy's fields": ask(
        "GET /a", "x-envoy-attempt-count: 9", "x-envoy-original-path: /x", "x-envoy-expected-rq-timeout-ms: 7"
    ),
    "forwarded": ask("GET /a", "x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https"),
    "forwarded by several": ask("GET /a", "x-forwarded-for: 1.2.3.4, 5.6.7.8,2001:db8::1"),
    "forwarded by nobody": ask("GET /a", "x-forwarded-for: 1.2.3.4, unknown"),
    "forwarded from a port": ask("GET /a", "x-forwarded-for: 1.2.3.4:80"),
    "repeated": ask("GET /a", "x-a: 1", "X-A: 2", "cookie: a=1", "cookie: b=2"),
    "beyond ascii": ask("GET /a", "x-a: \xfc\xff"),
    "empty value": ask("GET /a", "x-a:", "x-b:   "),
    "host with port": ask("GET /a", "Host: TEST:8080"),
    "absolute": ask("GET http://other.example:81/a?b"),
    "absolute https": ask("GET https://other.example/a"),
    "absolute without path": ask("GET http://other.example"),
    "absolute with query alone": ask("GET http://other.example?a"),
    "asterisk": ask("OPTIONS *"),
    "connect": ask("CONNECT other.example:443"),
    "http 1.0": b"GET /a HTTP/1.0\r\nhost: test\r\n\r\n",
    "invited": ask("POST /a", "expect: 100-continue", body=b"abc"),
    "invited without body": ask("GET /a", "expect: 100-continue"),
    "upgrade": ask("GET /answer/switch", "connection: upgrade", "upgrade: websocket"),
    "upgrade refused": ask("GET /a", "connection: upgrade", "upgrade: websocket"),
    "upgrade not allowed": ask("GET /a", "connection: upgrade", "upgrade: telnet"),
    "upgrade to http 2": ask(
        "GET /a", "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQ"
    ),
    "upgrade not named": ask("GET /a", "upgrade: websocket"),
    "dot segments": ask("GET /x/../b/./c"),
    "dot segments above the root": ask("GET /../a"),
    "escaped dots": ask("GET /x/%2e%2e/b"),
    "escaped letters": ask("GET /%61%2F%c3%bc"),
    "double slashes": ask("GET //a//b"),
    "backslash": ask("GET /x\\..\\b"),
    "broken escape": ask("GET /%zz"),
    "escaped nul": ask("GET /%00"),
    "encoded query": ask("GET /a?b=%2e%2e/../c"),
    "fragment": ask("GET /a#b"),
    "unknown host": ask("GET /a", "host: other.unknown"),
    "host by suffix": ask("GET /a", "host: a.wild.example"),
    "host by prefix": ask("GET /a", "host: pre.test"),
    "host in capitals": ask("GET /a", "host: SHOP.example"),
    "no route": ask("GET /b", "host: shop.example"),
    **{f"redirect {name}": ask(f"GET /redirect/{name}?q=1") for name in ("host", "port", "https", "default-port")},
    **{f"redirect {name}": ask(f"GET /redirect/{name}?q=1") for name in ("strip", "query", "regex")},
    "redirect prefix": ask("GET /redirect/prefix/a?q=1"),
    "redirect from a port": ask("GET /redirect/https", "host: test:80"),
    "redirect from another port": ask("GET /redirect/https", "host: test:8080"),
    "redirect with a body": ask("POST /redirect/host", body=b"abc"),
    "redirect head": ask("HEAD /redirect/host"),
    "rewrite prefix": ask("GET /rewrite/prefix/a/b?c=1"),
    "rewrite exact": ask("GET /rewrite/exact?c=1"),
    "rewrite regex": ask("GET /rewrite/regex/12?c=1"),
    "rewrite host": ask("GET /rewrite/host"),
    "rewrite to the same": ask("GET /rewrite/same/x"),
    "edited": ask("GET /edited", "x-set: old", "x-appended: old", "x-removed: 1", "x-removed-route: 1"),
    "edited by destination": ask("GET /weighted", "x-set: old", "x-appended: old", "x-removed-weighted: 1"),
    "direct edited": ask("GET /edited-direct"),
    "direct": ask("GET /direct"),
    "direct head": ask("HEAD /direct"),
    "direct with a body": ask("POST /direct", body=b"abc"),
    "segment": ask("GET /segment/x"),
    "not a segment": ask("GET /segmentx"),
    "regex": ask("GET /v12/x?y"),
    "case": ask("GET /case"),
    "match field": ask("GET /match", "x-beta: abc"),
    "match repeated field": ask("GET /match", "x-beta: a", "x-beta: b"),
    "match number": ask("GET /match", "x-age: 18"),
    "match no number": ask("GET /match", "x-age: 18a"),
    "match query": ask("GET /match?a&q=zz"),
    "match escaped query": ask("GET /match?q=%7Az"),
    "match nothing": ask("GET /match?q=a", "x-age: 99"),
    **{name: ask(f"GET /{name}") for name in ("empty", "unknown", "404-unknown", "refused", "once-refused")},
    **{name: ask(f"GET /{name}") for name in ("overloaded", "slow", "try-slow", "breaks", "nonsense", "fails")},
    **{name: ask(f"GET /{name}") for name in ("once-fails", "fault", "delay", "limited", "default")},
    "refused with a body": ask("POST /refused", body=b"abc"),
    "cors": ask("GET /cors", "origin: https://good.example"),
    "cors of another": ask("GET /cors", "origin: https://bad.example"),
    "preflight": ask("OPTIONS /cors", "origin: https://good.example", "access-control-request-method: PUT"),
    "preflight of another": ask("OPTIONS /cors", "origin: https://bad.example", "access-control-request-method: PUT"),
    **{name[1:]: ask(f"GET {name}") for name in ANSWERS if name != "/answer/switch"},
    "unasked switch": ask("GET /answer/switch"),
    "head of chunks": ask("HEAD /answer/chunks"),
}
"""What Envoy takes (or answers by itself)."""

MALFORMED = {
    "length and chunks": ask("POST /a", "content-length: 5", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "two lengths": ask("POST /a", "content-length: 5", "content-length: 0") + b"hello",
    "two lengths in one": ask("POST /a", "content-length: 5, 5") + b"hello",
    "the same length twice": ask("POST /a", "content-length: 5", "content-length: 5") + b"hello",
    "signed length": ask("POST /a", "content-length: +5") + b"hello",
    "empty length": ask("POST /a", "content-length:") + b"hello",
    "long length": ask("POST /a", "content-length: 99999999999999999999") + b"hello",
    "unknown encoding": ask("POST /a", "transfer-encoding: gzip") + b"hello",
    "two encodings": ask("POST /a", "transfer-encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunks twice": ask("POST /a", "transfer-encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunks in other letters": ask("POST /a", "transfer-encoding: Chunked") + b"0\r\n\r\n",
    "space before the colon": ask("GET /a", "x-a : b"),
    "space before the name": ask("GET /a", " x-a: b"),
    "folded": ask("GET /a", "x-a: b", " c"),
    "no colon": ask("GET /a", "nonsense"),
    "no name": ask("GET /a", ": b"),
    "bad name": ask("GET /a", "x(a): b"),
    "underscore in a name": ask("GET /a", "x_a: b"),
    "nul": ask("GET /a", "x-a: b\x00c"),
    "carriage return": ask("GET /a", "x-a: b\rc"),
    "line feed": ask("GET /a", "x-a: b\nx-c: d"),
    "control character": ask("GET /a", "x-a: b\x07"),
    "bare line feeds": b"GET /a HTTP/1.1\nhost: test\n\n",
    "one bare line feed": b"GET /a HTTP/1.1\r\nhost: test\nx-a: b\r\n\r\n",
    "line feed before": b"\n" + ask("GET /a"),
    "empty lines before": b"\r\n\r\n" + ask("GET /a"),
    "two hosts": ask("GET /a", "host: a", "host: b"),
    "no host": b"GET /a HTTP/1.1\r\nx-a: b\r\n\r\n",
    "empty host": ask("GET /a", "host:"),
    "bad host": ask("GET /a", "host: a b"),
    "user in host": ask("GET /a", "host: user@test"),
    "unknown version": b"GET /a HTTP/1.2\r\nhost: test\r\n\r\n",
    "http 2": b"GET /a HTTP/2.0\r\nhost: test\r\n\r\n",
    "no version": b"GET /a\r\n\r\n",
    "two spaces": b"GET  /a HTTP/1.1\r\nhost: test\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nhost: test\r\n\r\n",
    "target beyond ascii": ask("GET /\xfc"),
    "relative": ask("GET a"),
    "bad method": ask("G(T /a"),
    "expectation": ask("POST /a", "expect: miracles", body=b"abc"),
    "too large": ask("GET /a", f"x-a: {'x' * 61 * 1024}"),
    "bad chunk": ask("POST /a", "transfer-encoding: chunked") + b"xyz\r\nhello\r\n0\r\n\r\n",
    "signed chunk": ask("POST /a", "transfer-encoding: chunked") + b"+5\r\nhello\r\n0\r\n\r\n",
    "long chunk": ask("POST /a", "transfer-encoding: chunked") + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk with a bare line feed": ask("POST /a", "transfer-encoding: chunked") + b"5\nhello\r\n0\r\n\r\n",
    "connection names the length": ask("POST /a", "connection: content-length", body=b"abc"),
}
"""What some servers take and others do not."""

EDGE = (
    route("/forwarded-host", to(host_rewrite="inner.example", append_x_forwarded_host=True)),
    route("/weighted-host", RouteAction(weighted_clusters=(WeightedCluster("echo", 1, host_rewrite="w.example"),))),
    route("/", to()),
)
AT_THE_EDGE = {
    "edge": ask("GET /a"),
    "edge http 1.0": b"GET /a HTTP/1.0\r\nhost: test\r\n\r\n",
    "edge http 1.0 kept": b"GET /a HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n",
    "edge http 1.0 without host": b"GET /a HTTP/1.0\r\n\r\n",
    "edge chunks in http 1.0": b"POST /a HTTP/1.0\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "edge chunks to http 1.0": b"GET /answer/chunks HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n",
    "edge forwarded": ask("GET /a", "x-forwarded-for: 10.1.2.3", "x-forwarded-proto: https", "x-request-id: mine"),
    "edge dot segments": ask("GET /x/../b"),
    "edge invited by the server": ask("POST /answer/invites", "expect: 100-continue", body=b"abc"),
    "edge hints": ask("GET /answer/hints"),
    "edge secure host": ask("GET /a?b", "host: tls.example"),
    "edge forwarded host": ask("GET /forwarded-host"),
    "edge weighted host": ask("GET /weighted-host"),
}
"""A listener with the settings that the other does not have."""


def config(ports: dict[str, int], log: Path) -> ProxyConfig:
    logs = (AccessLog(str(log), text_format="\t".join(LOGGED.values()) + "\n"),)
    http = http_listener(
        host(*ROUTES, edits=edits("host")),
        host(route("/a", DirectResponse(200, b"shop")), name="shop", domains=("shop.example",)),
        host(route("/", DirectResponse(200, b"wild")), name="wild", domains=("*.wild.example",)),
        host(route("/", DirectResponse(200, b"prefix")), name="pre", domains=("pre.*",)),
        http_filters=(FaultFilter(), CorsFilter(), RouterFilter()),
        access_logs=logs,
        normalize_path=True,
        upgrades=("websocket",),
    )
    edge = http_listener(
        host(*EDGE, include_request_attempt_count=False),
        host(route("/", to()), name="tls", domains=("tls.example",), require_tls=True),
        name="edge",
        access_logs=logs,
        use_remote_address=True,
        accept_http_10=True,
        proxy_100_continue=True,
        always_set_request_id_in_response=True,
    )
    none = CircuitBreakerThresholds(max_requests=0)
    clusters = [cluster(name, port) for name, port in ports.items()]
    return ProxyConfig(
        (http, edge), clusters=(*clusters, cluster("empty"), cluster("overloaded", ports["echo"], thresholds=none))
    )
