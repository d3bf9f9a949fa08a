"""Where requests go: by host, path, fields, weight; answers without a server."""

from typing import Any

import pytest

from mesh_api.config import (
    DirectResponse,
    HeaderEdits,
    HeaderMatch,
    HeaderValue,
    Mirror,
    PathMatchKind,
    ProxyConfig,
    QueryParameterMatch,
    Redirect,
    RegexRewrite,
    Route,
    RouteAction,
    RouteMatch,
    StringMatch,
    StringMatchKind,
    WeightedCluster,
)
from mesh_proxy.worker.own_address import own_address
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, host, http_listener, match, route
from tests.support.raw_http import Request, answer, echo, fields_of

pytestmark = pytest.mark.integration


def says(text: str, where: str | RouteMatch = "/") -> Route:
    """A route that answers with its name."""
    return route(where, DirectResponse(200, text.encode()))


def test_requests_go_where_their_host_says(proxy: Proxy) -> None:
    domains = {
        "exact": ("shop.example", "shop.example:8080"),
        "suffix": ("*.example",),
        "longer suffix": ("*.eu.example",),
        "prefix": ("shop.*",),
    }
    hosts = tuple(host(says(name), name=name, domains=found) for name, found in domains.items())
    proxy.run(ProxyConfig((http_listener(*hosts),)))
    client = proxy.client()
    wanted = {
        "shop.example": b"exact",
        "SHOP.example:8080": b"exact",
        "a.example": b"suffix",
        "a.eu.example": b"longer suffix",
        "shop.test": b"prefix",
    }
    assert {name: client.get(host=name).body for name in wanted} == wanted
    for unknown in ("example", "shop.", "other.test", "a.example:80"):
        reply = client.get(host=unknown)
        assert (reply.status, reply.body) == (404, b""), unknown


def test_the_first_route_that_holds_decides(proxy: Proxy) -> None:
    proxy.routes(
        says("exact", match("/a", PathMatchKind.EXACT)),
        says("segment", match("/seg", PathMatchKind.PATH_SEPARATED_PREFIX)),
        says("regex", match("/v[0-9]+/x", PathMatchKind.REGEX)),
        says("prefix", "/a"),
        says("never", "/a/b"),
    )
    client = proxy.client()
    wanted = {
        "/a": b"exact",
        "/a?b=c": b"exact",
        "/ab": b"prefix",
        "/a/b": b"prefix",
        "/seg": b"segment",
        "/seg/x": b"segment",
        "/v12/x": b"regex",
    }
    assert {path: client.get(path).body for path in wanted} == wanted
    for unknown in ("/segx", "/v/x", "/v1/xy", "/b"):
        assert client.get(unknown).status == 404, unknown


def test_fields_and_parameters_choose_a_route(proxy: Proxy) -> None:
    exact = StringMatch(StringMatchKind.EXACT, "1")
    proxy.routes(
        says("beta", match("/", headers=(HeaderMatch("x-beta", exact),))),
        says("method", match("/", headers=(HeaderMatch(":method", StringMatch(StringMatchKind.EXACT, "PUT")),))),
        says("absent", match("/", headers=(HeaderMatch("x-must", present=False),))),
        says("parameter", match("/", query_parameters=(QueryParameterMatch("q", exact),))),
        says("rest"),
    )
    client = proxy.client()
    assert client.get(x_beta="1").body == b"beta"
    assert client.get(x_beta="2", x_must="").body == b"rest"
    assert client.get("/", "PUT", b"", x_must="").body == b"method"
    assert client.get().body == b"absent"
    assert client.get("/?a=2&q=1", x_must="").body == b"parameter"
    assert client.get("/?q=2", x_must="").body == b"rest"


def test_weights_share_requests_out(proxy: Proxy, servers: Servers) -> None:
    backends = {name: servers.http() for name in ("v1", "v2", "none")}
    weights = (WeightedCluster("v1", 75), WeightedCluster("none", 0), WeightedCluster("v2", 25))
    proxy.routes(
        route("/", RouteAction(weighted_clusters=weights, timeout=0.0)),
        clusters=tuple(cluster(name, port) for name, (_, port) in backends.items()),
    )
    client = proxy.client()
    for _ in range(1000):
        client.get()
    counts = {name: len(backend.requests) for name, (backend, _) in backends.items()}
    assert counts["v1"] + counts["v2"] == 1000
    assert 650 < counts["v1"] < 850  # seven standard deviations to either side


def test_hosts_of_a_cluster_take_turns(proxy: Proxy, servers: Servers) -> None:
    backends = [servers.http() for _ in range(3)]
    proxy.to(*(port for _, port in backends))
    client = proxy.client()
    for _ in range(30):
        client.get()
    assert [len(backend.requests) for backend, _ in backends] == [10, 10, 10]


@pytest.mark.parametrize(
    ("action", "location"),
    [
        (Redirect(301, host="new.example", path="/v2"), "http://new.example/v2?q=1"),
        (Redirect(302, scheme="https", port=8443), "https://test:8443/foo/a?q=1"),
        (Redirect(303, https=True), "https://test/foo/a?q=1"),
        (Redirect(307, prefix_rewrite="/bar/"), "http://test/bar/a?q=1"),
        (Redirect(308, strip_query=True), "http://test/foo/a"),
        (Redirect(301, regex_rewrite=RegexRewrite("^/foo/(.*)$", r"/\1/foo")), "http://test/a/foo?q=1"),
    ],
)
def test_a_redirect_says_where_to(proxy: Proxy, action: Redirect, location: str) -> None:
    proxy.routes(route("/foo/", action))
    client = proxy.client()
    for _ in range(2):
        reply = client.get("/foo/a?q=1")
        assert (reply.status, reply.fields["location"], reply.body) == (action.code, location, b"")


def test_a_direct_response_is_given_without_a_server(proxy: Proxy) -> None:
    proxy.routes(route("/", DirectResponse(418, b"teapot")))
    client = proxy.client()
    for _ in range(2):
        reply = client.get()
        assert (reply.status, reply.body, reply.fields["content-type"]) == (418, b"teapot", "text/plain")
    reply = client.get(method="HEAD")
    assert (reply.status, reply.fields["content-length"]) == (418, "6")
    reply = client.get("/", "POST", b"12345")
    assert (reply.status, reply.fields["connection"]) == (418, "close")  # it was given before the body was read
    assert client.ended()


@pytest.mark.parametrize(
    ("where", "action", "path", "seen", "original"),
    [
        (match("/api/"), {"prefix_rewrite": "/"}, "/api/a/b?c=1", "/a/b?c=1", "/api/a/b?c=1"),
        (match("/api/"), {"prefix_rewrite": "/api/"}, "/api/a", "/api/a", "/api/a"),
        (match("/a", PathMatchKind.EXACT), {"prefix_rewrite": "/b"}, "/a?x", "/b?x", "/a?x"),
        (match("/v1", PathMatchKind.PATH_SEPARATED_PREFIX), {"prefix_rewrite": "/v2"}, "/v1/x", "/v2/x", "/v1/x"),
        (
            match("/"),
            {"regex_rewrite": RegexRewrite("^/v[0-9]+/(.*)$", r"/\1/new")},
            "/v12/a?b=c",
            "/a/new?b=c",
            "/v12/a?b=c",
        ),
    ],
)
def test_a_path_is_rewritten(
    proxy: Proxy,
    servers: Servers,
    where: RouteMatch,
    action: dict[str, Any],
    path: str,
    seen: str,
    original: str | None,
) -> None:
    backend, port = servers.http()
    rewriting = RouteAction("backend", timeout=0.0, **action)
    proxy.routes(route(where, rewriting), clusters=(cluster("backend", port),))
    assert proxy.client().get(path).status == 200
    request = backend.requests[0]
    assert (request.target, request.fields.get("x-envoy-original-path")) == (seen, original)


def test_a_host_is_rewritten(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    action = RouteAction("backend", timeout=0.0, host_rewrite="inner.example")
    proxy.routes(route("/", action), clusters=(cluster("backend", port),))
    proxy.client().get(host="outer.example")
    fields = backend.requests[0].fields
    assert (fields["host"], fields["x-envoy-original-host"]) == ("inner.example", "outer.example")


def test_a_path_is_normalised_where_it_is_asked_for(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.routes(
        route("/ok/", "backend"), clusters=(cluster("backend", port),), normalize_path=True, merge_slashes=True
    )
    client = proxy.client()
    assert client.get("/ok/a/../b?q=/../").status == 200
    assert client.get("/ok//c%41/.%2e/d").status == 200
    assert client.get("/ok/../secret").status == 404
    assert client.get("/ok/%00").status == 400
    assert [request.target for request in backend.requests] == ["/ok/b?q=/../", "/ok/d"]


def test_fields_are_edited_on_both_ways(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(extra="x-old: 1\r\nx-bad: 1\r\n"))
    edits = HeaderEdits(
        request_set=(
            HeaderValue("x-set", "new"),
            HeaderValue("x-added", "more", append=True),
            HeaderValue("x-from", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        ),
        request_remove=("x-bad", "user-agent"),
        response_set=(HeaderValue("x-old", "2", append=True), HeaderValue("x-new", "%RESPONSE_CODE%")),
        response_remove=("x-bad",),
    )
    proxy.routes(route("/", "backend", edits=edits), clusters=(cluster("backend", port),))
    reply = proxy.client().get(x_set="old", x_added="some", x_bad="1", user_agent="me")
    seen = backend.requests[0].fields
    assert (seen["x-set"], seen["x-added"], seen["x-from"]) == ("new", "some, more", "127.0.0.1")
    assert not {"x-bad", "user-agent"} & seen.keys()
    assert (reply.fields["x-old"], reply.fields["x-new"]) == ("1, 2", "200")
    assert "x-bad" not in reply.fields


def test_edits_of_hosts_routes_and_destinations_come_together(proxy: Proxy, servers: Servers) -> None:
    """The most specific first, so that what is set for all wins (Envoy's default order)."""
    backend, port = servers.http(echo)

    def edit(who: str) -> HeaderEdits:
        both = (HeaderValue(f"x-{who}", "1"), HeaderValue("x-last", who))
        return HeaderEdits(request_set=both, response_set=both)

    weighted = RouteAction(weighted_clusters=(WeightedCluster("backend", 1, edit("destination")),), timeout=0.0)
    listener = http_listener(host(route("/", weighted, edits=edit("route")), edits=edit("host")))
    proxy.run(ProxyConfig((listener,), clusters=(cluster("backend", port),)))
    reply = proxy.client().get()
    for fields in (backend.requests[0].fields, reply.fields):
        assert {"x-destination", "x-route", "x-host"} <= fields.keys()
        assert fields["x-last"] == "host"


def test_edits_of_answers_reach_those_of_the_proxy_itself(proxy: Proxy) -> None:
    edits = HeaderEdits(response_set=(HeaderValue("x-mesh", "on"),))
    proxy.routes(route("/", DirectResponse(200, b"ok"), edits=edits))
    assert proxy.client().get().fields["x-mesh"] == "on"


def test_a_cluster_that_is_not_there_is_503(proxy: Proxy) -> None:
    proxy.routes(route("/404", RouteAction("nowhere", cluster_not_found_code=404)), route("/", "nowhere"))
    client = proxy.client()
    replies = [client.get(path) for path in ("/", "/404", "/")]
    assert [(reply.status, reply.body) for reply in replies] == [(503, b""), (404, b""), (503, b"")]


def test_a_cluster_without_hosts_is_503(proxy: Proxy) -> None:
    proxy.routes(route(), clusters=(cluster("backend"),))
    client = proxy.client()
    for _ in range(2):
        reply = client.get()
        assert (reply.status, reply.body) == (503, b"no healthy upstream")


def test_a_copy_goes_to_the_mirror_and_its_answer_to_nobody(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(b"real"))
    shadow = servers.manual()
    action = RouteAction("backend", timeout=0.0, mirrors=(Mirror("shadow"),))
    proxy.routes(route("/", action), clusters=(cluster("backend", port), cluster("shadow", shadow.port)))
    client = proxy.client()
    client.ask("/a?b", x_request_id="mine")
    assert client.reply().body == b"real"  # the mirror has not answered yet
    peer = shadow.accept()
    head = peer.head()
    assert head.startswith(b"GET /a?b HTTP/1.1\r\n")
    assert (fields_of(head)["host"], fields_of(head)["x-request-id"]) == ("test", "mine")
    peer.send(answer(b"copy", "500 Internal Server Error"))
    assert client.get().body == b"real"
    assert peer.head()
    peer.reset()
    assert client.get().body == b"real"
    assert len(backend.requests) == 3


def test_a_copy_looks_as_the_request_does_when_it_goes_out(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    shadow = servers.manual()
    edits = HeaderEdits(request_set=(HeaderValue("x-set", "1"),), request_remove=("x-secret",))
    mirrors = (Mirror("shadow", disable_shadow_host_suffix=False),)
    action = RouteAction("backend", timeout=0.0, prefix_rewrite="/new/", mirrors=mirrors)
    clusters = (cluster("backend", port), cluster("shadow", shadow.port))
    proxy.routes(route("/old/", action, edits=edits), clusters=clusters)
    assert proxy.client().get("/old/a", host="shop:80", x_secret="1").status == 200
    peer = shadow.accept()
    copy = Request(peer.head())
    assert copy.target == "/new/a"
    from_inside = {"x-envoy-internal": "true", "x-forwarded-for": own_address().decode()}
    assert copy.fields == backend.requests[0].fields | {"host": "shop-shadow:80"} | from_inside
    peer.send(answer())
    proxy.until(lambda stats: stats.counters.get("cluster.shadow.upstream_rq_200") == 1)
    assert proxy.counter("cluster.shadow.upstream_rq_total") == 1


def test_a_mirror_that_is_not_there_harms_nobody(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    mirrors = (Mirror("refusing"), Mirror("unknown"), Mirror("empty"))
    proxy.routes(
        route("/", RouteAction("backend", timeout=0.0, mirrors=mirrors)),
        clusters=(cluster("backend", port), cluster("refusing", servers.nobody()), cluster("empty")),
    )
    client = proxy.client()
    for _ in range(3):
        assert client.get().status == 200


def test_a_share_of_requests_is_mirrored(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    shadow, shadow_port = servers.http()
    action = RouteAction("backend", timeout=0.0, mirrors=(Mirror("shadow", 500_000), Mirror("shadow", 0)))
    proxy.routes(route("/", action), clusters=(cluster("backend", port), cluster("shadow", shadow_port)))
    client = proxy.client()
    for _ in range(400):
        client.get()
    assert 100 < len(shadow.requests) < 300


def test_a_route_takes_a_share_of_the_requests(proxy: Proxy) -> None:
    proxy.routes(says("some", match("/", runtime_fraction=300_000)), says("rest"))
    client = proxy.client()
    some = sum(client.get().body == b"some" for _ in range(400))
    assert 50 < some < 200


def test_requests_of_one_client_may_go_to_several_clusters(proxy: Proxy, servers: Servers) -> None:
    def named(name: str) -> int:
        return servers.http(lambda request: answer(name.encode()))[1]

    clusters = tuple(cluster(name, named(name)) for name in ("a", "b"))
    proxy.routes(route("/a", "a"), route("/b", "b"), clusters=clusters)
    client = proxy.client()
    assert [client.get(path).body for path in ("/a", "/b", "/a", "/b")] == [b"a", b"b", b"a", b"b"]
