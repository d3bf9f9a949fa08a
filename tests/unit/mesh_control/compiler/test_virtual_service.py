"""VirtualServices in sidecars: conditions, actions, and which of several counts."""

from typing import Any

import pytest

from mesh_api.config import (
    DirectResponse,
    FaultPolicy,
    HeaderMatch,
    HeaderValue,
    Mirror,
    PathMatch,
    PathMatchKind,
    QueryParameterMatch,
    Redirect,
    RegexRewrite,
    RouteAction,
    RouteMatch,
    StringMatch,
    StringMatchKind,
)
from mesh_control.compiler import defaults
from tests.unit.mesh_control.worlds import ORDER, STORE, Node, action, by_name, compiled, routes

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
TO_ORDER = "route: [{destination: {host: order}}]"
CLUSTER = f"outbound|8380||{ORDER}"
EXACT, PREFIX, REGEX = StringMatchKind.EXACT, StringMatchKind.PREFIX, StringMatchKind.REGEX
ANY = PathMatch(PathMatchKind.PREFIX, "/")


def service(http: str, name: str = "order", more: str = "") -> str:
    return f"{HEAD}metadata: {{name: {name}}}\nspec:\n  hosts: [order]\n  {more}\n  http: [{http}]\n"


def order(text: str, node: Node = STORE) -> Any:
    return routes(compiled(text, node), "8380", ORDER)


MATCHES = [
    ("uri: {exact: /a}", RouteMatch(PathMatch(PathMatchKind.EXACT, "/a"))),
    ("uri: {prefix: /a}", RouteMatch(PathMatch(PathMatchKind.PREFIX, "/a"))),
    ("uri: {prefix: /a}, ignoreUriCase: true", RouteMatch(PathMatch(PathMatchKind.PREFIX, "/a", False))),
    ("uri: {regex: /a.*}", RouteMatch(PathMatch(PathMatchKind.REGEX, "/a.*"))),
    ("method: {exact: GET}", RouteMatch(ANY, (HeaderMatch(":method", StringMatch(EXACT, "GET")),))),
    ("authority: {prefix: a}", RouteMatch(ANY, (HeaderMatch(":authority", StringMatch(PREFIX, "a")),))),
    ("scheme: {exact: https}", RouteMatch(ANY, (HeaderMatch(":scheme", StringMatch(EXACT, "https")),))),
    ("headers: {X-A: {regex: v.}}", RouteMatch(ANY, (HeaderMatch("X-A", StringMatch(REGEX, "v.")),))),
    ("headers: {x-a: {}}", RouteMatch(ANY, (HeaderMatch("x-a"),))),
    (
        "withoutHeaders: {x-a: {exact: b}}",
        RouteMatch(ANY, (HeaderMatch("x-a", StringMatch(EXACT, "b"), invert=True, treat_missing_as_empty=True),)),
    ),
    ("withoutHeaders: {x-a: {}}", RouteMatch(ANY, (HeaderMatch("x-a", invert=True),))),
    (
        "queryParams: {q: {exact: x}}",
        RouteMatch(ANY, query_parameters=(QueryParameterMatch("q", StringMatch(EXACT, "x")),)),
    ),
    ("port: 8380", RouteMatch(ANY)),
    ("sourceLabels: {app: store}", RouteMatch(ANY)),
    ("sourceNamespace: default", RouteMatch(ANY)),
    ("gateways: [mesh]", RouteMatch(ANY)),
]


@pytest.mark.parametrize(("text", "match"), MATCHES, ids=[text for text, _ in MATCHES])
def test_conditions(text: str, match: RouteMatch) -> None:
    (route,) = order(service(f"{{match: [{{{text}}}], {TO_ORDER}}}"))
    assert route.match == match


@pytest.mark.parametrize(
    "text", ["port: 80", "sourceLabels: {app: other}", "sourceNamespace: other", "gateways: [default/shop]"]
)
def test_conditions_that_leave_a_rule_out(text: str) -> None:
    first, second = service(f"{{match: [{{{text}}}], {TO_ORDER}}}, {{name: rest, {TO_ORDER}}}"), "rest"
    assert [route.name for route in order(first)] == [second]


def test_without_a_rule_for_this_proxy_the_service_is_reached_as_ever() -> None:
    (route,) = order(service(f"{{match: [{{sourceLabels: {{app: other}}}}], {TO_ORDER}, timeout: 15s}}"))
    assert (route.name, action(route).timeout) == ("default", 0.0)


ACTIONS = [
    ("timeout: 15s", {"timeout": 15.0, "max_grpc_timeout": 15.0}),
    ("retries: {attempts: 0}", {"retry": None}),
    ("rewrite: {uri: /b}", {"prefix_rewrite": "/b"}),
    ("rewrite: {uriRegexRewrite: {match: a, rewrite: b}}", {"regex_rewrite": RegexRewrite("a", "b")}),
    ("rewrite: {authority: b}", {"host_rewrite": "b"}),
    ("headers: {request: {set: {Host: b}}}", {"host_rewrite": "b"}),
    ("mirror: {host: order}", {"mirrors": (Mirror(CLUSTER, 1_000_000, trace_sampled=False),)}),
    (
        "mirror: {host: order}, mirrorPercentage: {value: 2.5}",
        {"mirrors": (Mirror(CLUSTER, 25_000, trace_sampled=False),)},
    ),
    ("mirror: {host: order}, mirrorPercentage: {value: 0}", {}),
]


@pytest.mark.parametrize(("text", "changes"), ACTIONS, ids=[text for text, _ in ACTIONS])
def test_actions(text: str, changes: dict[str, Any]) -> None:
    (route,) = order(service(f"{{{TO_ORDER}, {text}}}"))
    plain = {"timeout": 0.0, "max_grpc_timeout": 0.0, "retry": defaults.OUTBOUND_RETRIES}
    assert route.action == RouteAction(CLUSTER, **(plain | changes))


def test_retries() -> None:
    asked = "retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,503', backoff: 10ms}"
    retry = action(order(service(f"{{{TO_ORDER}, {asked}}}"))[0]).retry
    assert retry is not None
    assert (retry.retry_on, retry.retriable_status_codes) == (("5xx", "retriable-status-codes"), (503,))
    assert (retry.num_retries, retry.per_try_timeout, retry.back_off_base) == (3, 2.0, 0.01)


ANSWERS = [
    ("redirect: {uri: /b}", Redirect(301, path="/b")),
    ("redirect: {authority: b, redirectCode: 308}", Redirect(308, host="b")),
    ("redirect: {scheme: https, port: 8443}", Redirect(301, scheme="https", port=8443)),
    ("redirect: {scheme: https, port: 443}", Redirect(301, scheme="https")),
    ("redirect: {derivePort: FROM_REQUEST_PORT, uri: /b}", Redirect(301, port=8380, path="/b")),
    ("redirect: {prefixRewrite: /b}", Redirect(301, prefix_rewrite="/b")),
    ("directResponse: {status: 418, body: {string: tea}}", DirectResponse(418, b"tea")),
    ("directResponse: {status: 200, body: {bytes: dGVh}}", DirectResponse(200, b"tea")),
]


@pytest.mark.parametrize(("text", "answer"), ANSWERS, ids=[text for text, _ in ANSWERS])
def test_answers(text: str, answer: Redirect | DirectResponse) -> None:
    (route,) = order(service(f"{{match: [{{uri: {{prefix: /a}}}}], {text}}}"))
    assert route.action == answer


def test_weights_and_headers() -> None:
    text = (
        "{route: [{destination: {host: order, subset: v1}, weight: 75, headers: {response: {add: {x-from: v1}}}},"
        " {destination: {host: order, subset: v2}, weight: 25}, {destination: {host: store}, weight: 0}],"
        " headers: {request: {set: {x-a: b}, remove: [x-c]}}}"
    )
    (route,) = order(service(text))
    clusters = action(route).weighted_clusters
    assert [(c.name.split("|")[2], c.weight) for c in clusters] == [("v1", 75), ("v2", 25)]
    assert clusters[0].edits.response_set == (HeaderValue("x-from", "v1", append=True),)
    assert (route.edits.request_set, route.edits.request_remove) == ((HeaderValue("x-a", "b"),), ("x-c",))


def test_faults_hit_nobody_unless_a_percentage_says_so() -> None:
    fault = "fault: {delay: {fixedDelay: 5s, percentage: {value: 0.1}}, abort: {grpcStatus: UNAVAILABLE}}"
    (route,) = order(service(f"{{{TO_ORDER}, {fault}}}"))
    assert route.fault == FaultPolicy(delay=5.0, delay_fraction=1000, abort_grpc_status=14, abort_fraction=0)


def test_of_two_for_one_host_the_older_counts_alone() -> None:
    young = service(f"{{name: young, {TO_ORDER}}}", "b").replace(
        "name: b", "name: b, creationTimestamp: '2026-02-01T00:00:00Z'"
    )
    old = service(f"{{name: old, {TO_ORDER}}}", "c").replace(
        "name: c", "name: c, creationTimestamp: '2026-01-01T00:00:00Z'"
    )
    assert [route.name for route in order(f"{young}---\n{old}")] == ["old"]


def test_a_service_of_a_gateway_says_nothing_in_the_mesh() -> None:
    assert [route.name for route in order(service(f"{{name: x, {TO_ORDER}}}", more="gateways: [shop]"))] == ["default"]
    both = service(f"{{name: x, {TO_ORDER}}}", more="gateways: [shop, mesh]")
    assert [route.name for route in order(both)] == ["x"]


def test_the_port_of_a_destination_is_named_or_the_listeners() -> None:
    text = service("{route: [{destination: {host: store}}]}")
    assert action(order(text)[0]).cluster == "outbound|8380||store.default.svc.cluster.local"  # though it has only 8480
    text = service("{route: [{destination: {host: store, port: {number: 9}}}]}")
    assert action(order(text)[0]).cluster == "outbound|9||store.default.svc.cluster.local"


def test_every_other_host_passes_through() -> None:
    (route,) = routes(compiled(), "8380", "*")
    assert action(route).cluster == "PassthroughCluster"


def test_a_host_that_only_a_policy_names_is_on_port_80() -> None:
    web = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\n" + (
        "spec: {hosts: [web.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n---\n"
    )
    text = web + service(f"{{{TO_ORDER}}}").replace("[order]", "[api.example]")
    (route,) = routes(compiled(text), "80", "api.example")
    assert action(route).cluster == "outbound|80||order.default.svc.cluster.local"


def test_tcp_by_weight_and_only_for_whom_it_is_meant() -> None:
    tcp = (
        f"{HEAD}metadata: {{name: pg}}\nspec:\n  hosts: [postgres]\n  tcp:\n"
        "  - {match: [{port: 5432, sourceLabels: {app: store}}],"
        " route: [{destination: {host: order}, weight: 1}, {destination: {host: postgres}, weight: 3}]}\n"
    )
    mine = by_name(compiled(tcp).listeners)["0.0.0.0_5432"].filter_chains[0].filter
    assert [(c.name, c.weight) for c in mine.weighted_clusters] == [
        (CLUSTER, 1),
        ("outbound|5432||postgres.default.svc.cluster.local", 3),
    ]
    others = by_name(compiled(tcp, Node("sidecar~10.0.0.1~order-v1.default~x")).listeners)["0.0.0.0_5432"]
    assert others.filter_chains[0].filter.cluster == "outbound|5432||postgres.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("redirect: {port: 80}", None),  # what the scheme means anyway is not written out (Istio)
        ("redirect: {scheme: http, port: 80}", None),
        ("redirect: {port: 443}", 443),
        ("redirect: {scheme: https, port: 80}", 80),
        ("redirect: {derivePort: FROM_PROTOCOL_DEFAULT, scheme: https}", None),
    ],
)
def test_the_port_of_a_redirect(text: str, port: int | None) -> None:
    (route,) = order(service(f"{{{text}}}"))
    assert isinstance(route.action, Redirect)
    assert route.action.port == port


def test_a_destination_that_stands_alone_has_everything_whatever_its_weight() -> None:
    text = "{route: [{destination: {host: order}, weight: 0, headers: {request: {set: {a: b}}}}]}"
    (route,) = order(service(text))
    assert action(route).cluster == CLUSTER
    assert route.edits.request_set == (HeaderValue("a", "b"),)


def test_a_destination_may_rewrite_the_host_and_set_counts_before_add() -> None:
    text = (
        "{route: [{destination: {host: order}, weight: 50,"
        " headers: {request: {add: {':authority': a.example}, set: {Host: b.example, x: yy}}}},"
        " {destination: {host: store}, weight: 50}], headers: {request: {add: {x: c.example}, set: {Host: d.example}}}}"
    )
    found = action(order(service(text))[0])
    assert [cluster.host_rewrite for cluster in found.weighted_clusters] == ["b.example", ""]
    assert found.weighted_clusters[0].edits.request_set == (HeaderValue("x", "yy"),)
    assert found.host_rewrite == "d.example"


def test_retries_without_attempts_are_none() -> None:
    assert action(order(service(f"{{{TO_ORDER}, retries: {{}}}}"))[0]).retry is None


def test_no_gateways_are_the_mesh() -> None:
    text = service(f"{{match: [{{gateways: []}}], name: x, {TO_ORDER}}}", more="gateways: []")
    assert [route.name for route in order(text)] == ["x"]


def test_an_address_of_ipv6_stands_in_brackets_as_in_requests() -> None:
    entry = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\n"
        "spec: {hosts: [web.example], addresses: [192.0.2.1, '2001:db8::1'], resolution: DNS,"
        " ports: [{number: 80, name: http, protocol: HTTP}]}\n"
    )
    (host, _) = by_name(compiled(entry).routes)["80"].virtual_hosts
    assert host.domains == ("web.example", "web.example.", "[2001:db8::1]")  # the last one alone counts (Istio)
