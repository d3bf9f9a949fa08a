"""What the client's proxy, or a gateway, does with a request."""

import pytest

from mesh_simulation import Mesh, MeshError, Request, RequestError, simulate
from tests.unit.mesh_simulation.meshes import GATEWAY, REVIEWS, SUBSETS, asked, mesh, virtual_service

CANARY = virtual_service("""[
  {name: beta, match: [{headers: {x-user: {exact: jason}}}, {uri: {prefix: /v2/}}], rewrite: {uri: /}, timeout: 3s,
   headers: {request: {set: {x-seen: "yes"}}}, route: [{destination: {host: reviews, subset: v2}}]},
  {match: [{uri: {exact: /old}}], redirect: {uri: /new, redirectCode: 302}},
  {match: [{uri: {exact: /gone}}], directResponse: {status: 410, body: {string: gone}}},
  {match: [{uri: {exact: /lost}}], route: [{destination: {host: reviews, subset: v9}}]},
  {match: [{uri: {exact: /nowhere}}], route: [{destination: {host: reviews, subset: missing}}]},
  {match: [{uri: {exact: /fail}}], fault: {abort: {httpStatus: 418, percentage: {value: 100}}},
   route: [{destination: {host: reviews}}]},
  {match: [{uri: {exact: /slow}}], fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}},
   route: [{destination: {host: reviews}}]},
  {route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}],
   mirror: {host: ratings}, mirrorPercentage: {value: 50}}
]""")
BOTH = (SUBSETS, CANARY)


@pytest.mark.parametrize(
    ("path", "status", "flags", "details"),
    [
        ("/", 200, "", "via_upstream"),
        ("/old", 302, "", "direct_response"),
        ("/gone", 410, "", "direct_response"),
        ("/lost", 503, "UH", "no_healthy_upstream"),
        ("/nowhere", 503, "NC", "cluster_not_found"),
        ("/fail", 418, "FI", "fault_filter_abort"),
        ("/slow", 200, "DI", "via_upstream"),
        ("/%zz", 400, "", "path_normalization_failed"),
    ],
)
def test_status_flags_and_details_are_those_of_a_proxy(path: str, status: int, flags: str, details: str) -> None:
    decision = asked(BOTH, REVIEWS + path)
    assert (decision.status, decision.flags, decision.details) == (status, flags, details)


def test_a_header_leads_to_the_candidate() -> None:
    decision = asked(BOTH, headers={"x-user": "jason"})
    assert decision.goes_to("reviews", subset="v2", port=9080)
    assert not decision.goes_to("reviews", subset="v1")
    assert decision.route is not None
    assert (decision.route.policy, decision.route.rule, decision.route.match) == ("default/reviews", 0, 0)
    assert decision.route.place == "file2.yaml:6"
    assert decision.timeout == 3.0


def test_a_prefix_is_rewritten_and_fields_are_written() -> None:
    sent = asked(BOTH, f"{REVIEWS}/v2/x?q=1").destinations[0].request
    assert sent is not None
    assert (sent.target, sent.host) == ("/x?q=1", "reviews:9080")
    assert sent.header("x-seen") == "yes"
    assert sent.header("X-Envoy-Original-Path") == "/v2/x?q=1"


def test_every_destination_is_told_with_its_share() -> None:
    decision = asked(BOTH)
    assert [(d.subset, d.weight, d.endpoints) for d in decision.destinations] == [
        ("v1", 90.0, ("reviews-v1.default",)),
        ("v2", 10.0, ("reviews-v2.default",)),
    ]
    assert decision.share_to("reviews", "v2") == 10.0
    assert decision.goes_to("reviews")
    assert decision.mirrors == (("outbound|9080||ratings.default.svc.cluster.local", 50.0),)


def test_with_random_numbers_one_destination_is_chosen() -> None:
    some = mesh(*BOTH)
    chosen = [simulate(some, Request("client", REVIEWS), lambda n=n: n / 10).destinations for n in range(10)]
    assert [[d.subset for d in made] for made in chosen] == [["v1"]] * 9 + [["v2"]]


def test_a_redirect_says_where_to() -> None:
    assert asked(BOTH, f"{REVIEWS}/old?x=1").redirects_to("http://reviews:9080/new?x=1")


def test_a_delay_is_told() -> None:
    assert asked(BOTH, f"{REVIEWS}/slow").delayed == 2.0


def test_the_share_of_a_fault_below_all_is_told_and_does_not_happen() -> None:
    rules = "[{fault: {abort: {httpStatus: 500, percentage: {value: 30}}}, route: [{destination: {host: reviews}}]}]"
    decision = asked(virtual_service(rules))
    assert decision.status == 200
    assert decision.fault is not None
    assert (decision.fault.abort, decision.fault.abort_share) == ("500", 30.0)


@pytest.mark.parametrize(
    "host", ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"]
)
def test_every_name_of_a_service_is_it(host: str) -> None:
    assert asked(BOTH, f"http://{host}:9080/", headers={"x-user": "jason"}).goes_to("reviews", "v2")


def test_from_another_namespace_the_short_name_is_nobody() -> None:
    decision = asked("", "http://reviews:9080/", source="edge.legacy")
    assert [d.cluster for d in decision.destinations] == ["PassthroughCluster"]


def test_a_host_that_nobody_declared_passes_through() -> None:
    decision = asked("", "http://example.com/")
    assert (decision.status, decision.destinations[0].cluster) == (200, "PassthroughCluster")


def test_bytes_go_to_the_cluster_of_the_port() -> None:
    decision = asked("", "tcp://reviews:9999", protocol="tcp")
    assert decision.destinations[0].cluster == "outbound|9999||reviews.default.svc.cluster.local"
    assert decision.route is None


def test_grpc_is_routed_as_requests_are() -> None:
    decision = asked(BOTH, "http://reviews:9090/v2/x", method="POST", headers={"content-type": "application/grpc"})
    assert decision.goes_to("reviews", "v2", 9090)


def test_named_target_ports_and_unnamed_ports_work() -> None:
    decision = asked("", "http://ratings/")
    assert decision.goes_to("ratings", port=80)
    assert decision.destinations[0].inbound[0].status == 200


def test_labels_of_the_source_choose_rules() -> None:
    rules = """[{match: [{sourceLabels: {app: client}}], route: [{destination: {host: reviews, subset: v2}}]},
                {route: [{destination: {host: reviews, subset: v1}}]}]"""
    policies = (SUBSETS, virtual_service(rules))
    assert asked(policies).goes_to("reviews", "v2")
    assert asked(policies, source="ratings").goes_to("reviews", "v1")
    some = mesh(*policies)
    assert simulate(some, Request({"app": "client"}, REVIEWS)).goes_to("reviews", "v2")
    assert simulate(some, Request({"app": "stranger"}, REVIEWS)).goes_to("reviews", "v1")


def test_through_a_gateway() -> None:
    bound = virtual_service(
        "[{match: [{uri: {prefix: /r}}], route: [{destination: {host: reviews, port: {number: 9080}}}]}]"
    )
    bound = bound.replace("hosts: [reviews]", "hosts: [shop.example.com], gateways: [shop]")
    some = mesh(GATEWAY, bound)
    found = simulate(some, Request(url="http://shop.example.com/r", via="shop"))
    assert found.goes_to("reviews", port=9080)
    assert found.source == "edge"
    assert found.route is not None
    assert (found.route.policy, found.route.rule, found.route.match) == ("default/reviews", 0, 0)
    assert simulate(some, Request(url="http://shop.example.com/x", via="default/shop")).flags == "NR"
    assert simulate(some, Request(url="http://other.example.com/r", via="shop")).status == 404
    closed = simulate(some, Request(url="http://shop.example.com:81/r", via="shop"))
    assert closed.status == 0
    assert closed.details == "connection refused: the gateway does not listen on port 81; it listens on 80"


def test_a_gateway_that_nobody_runs_is_told() -> None:
    decision = asked(GATEWAY.replace("ingressgateway", "nobody"), "http://shop.example.com/", via="shop")
    assert decision.not_simulated == (
        "no workload has the labels of Gateway default/shop: its identity and service are not known",
    )


def test_cors_is_told_and_answered() -> None:
    rules = """[{corsPolicy: {allowOrigins: [{exact: "http://a"}], allowMethods: [GET]},
                 route: [{destination: {host: reviews}}]}]"""
    policy = virtual_service(rules)
    found = asked(policy, headers={"origin": "http://a"})
    assert ("access-control-allow-origin", "http://a") in found.response_headers
    preflight = {"origin": "http://a", "access-control-request-method": "GET"}
    assert asked(policy, method="OPTIONS", headers=preflight).details == "cors_response"
    assert asked(policy, headers={"origin": "http://b"}).cors == "origin http://b is not allowed"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request("cliet", REVIEWS),
            "source: there is no workload cliet in the namespace default; did you mean client.default?",
        ),
        (Request("client", "/x"), "url '/x': names no host; write http://HOST/PATH"),
        (Request("client", REVIEWS, via="no"), "via: there is no Gateway no; known are none"),
        (Request("client", f"{REVIEWS}/ü"), "no request of HTTP/1.1"),
        (Request("client", "http://reviews:99999/"), "url 'http://reviews:99999/': Port out of range 0-65535"),
    ],
)
def test_a_request_that_cannot_be_made_says_why(request_: Request, message: str) -> None:
    with pytest.raises(RequestError, match=None) as raised:
        simulate(mesh(), request_)
    assert message in str(raised.value)


def test_what_is_not_simulated_is_named() -> None:
    remote = virtual_service(
        "[{retries: {attempts: 1, retryRemoteLocalities: true}, route: [{destination: {host: reviews}}]}]"
    )
    assert asked(remote).not_simulated == (
        "VirtualService default/reviews spec.http[0].retries.retryRemoteLocalities: is not supported yet; remove it",
    )


MONGO = GATEWAY.replace("number: 80, name: http, protocol: HTTP}", "number: 443, name: mongo, protocol: MONGO}")
CUSTOM = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask}
spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]}
"""
WRITES = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt}
spec: {jwtRules: [{issuer: me, jwksUri: "https://a/k", outputPayloadToHeader: x-payload}]}
"""
TUNNEL = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy:
    tunnel: {targetHost: a.example, targetPort: 80}
    tls: {mode: ISTIO_MUTUAL}
    loadBalancer: {consistentHash: {useSourceIp: true}}
"""


@pytest.mark.parametrize(
    ("policy", "via", "expected"),
    [
        (MONGO, "shop", ["Gateway default/shop spec.servers[0].port.protocol: MONGO is not supported yet; use HTTP"]),
        (MONGO, "", []),
        (
            CUSTOM,
            "",
            ["AuthorizationPolicy default/ask spec.action: CUSTOM asks the provider opa, and here nobody is asked"],
        ),
        (
            TUNNEL,
            "",
            ["DestinationRule default/reviews spec.trafficPolicy.tunnel: is not supported yet; remove it"],
        ),
    ],
)
def test_fields_that_the_control_plane_refuses_are_named(policy: str, via: str, expected: list[str]) -> None:
    """But not those that are simulated all the same."""
    found = asked(policy, "http://shop.example.com:443/" if via else "http://reviews:9080/", via=via).not_simulated
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [("headers", {"a": "b\r\nx-user: root"}), ("headers", {"a\nb": "c"}), ("method", "GET / HTTP/1.1\r\nx: y")],
)
def test_no_field_can_smuggle_another_one(field: str, value: object) -> None:
    with pytest.raises(RequestError, match="has a line break; remove it"):
        simulate(mesh(), Request("client", "http://reviews:9080/", **{field: value}))  # type: ignore[arg-type]


def test_two_objects_of_one_name_are_refused_with_both_places() -> None:
    with pytest.raises(
        MeshError, match=r"file2.yaml:\d+: DestinationRule default/reviews: stands twice, first at file1"
    ):
        mesh(SUBSETS, SUBSETS)


def test_files_that_are_no_policies_name_file_and_line(tmp_path: object) -> None:
    with pytest.raises(MeshError, match=r"file1\.yaml:5"):
        mesh("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hots: [a]\n")
    with pytest.raises(MeshError, match=r"/nowhere\.yaml"):
        Mesh.load("/nowhere.yaml")


def test_the_story_tells_each_step() -> None:
    story = asked(BOTH, f"{REVIEWS}/v2/x").explain()
    for part in (
        "GET http://reviews:9080/v2/x from client",
        "listener  0.0.0.0_9080",
        "route     VirtualService default/reviews http[0].match[1] (beta), file2.yaml:6",
        "timeout   3 s",
        "cluster   outbound|9080|v2|reviews.default.svc.cluster.local (100 %, 1 endpoint)",
        "sends   GET reviews:9080/x",
        "result    200 via_upstream",
    ):
        assert part in story


def test_with_policies_replaces_by_name() -> None:
    some = mesh(*BOTH)
    other = mesh(virtual_service("[{directResponse: {status: 204}}]")).world.virtual_services[0]
    assert simulate(some.with_policies(other), Request("client", REVIEWS)).status == 204
    assert simulate(some, Request("client", REVIEWS)).status == 200


def test_a_header_that_keeps_users_chooses_and_chance_does_without_it() -> None:
    text = virtual_service("""[{route: [{destination: {host: reviews, subset: v2}, weight: 20},
      {destination: {host: reviews, subset: v1}, weight: 80}]}]""")
    sticky = text.replace("metadata: {", "metadata: {annotations: {meshwright.io/sticky-header: x-user}, ", 1)
    assert sticky != text
    for number in range(30):
        found = [asked((SUBSETS, sticky), headers={"x-user": str(number)}).destinations for _ in range(2)]
        assert found[0] == found[1]
        assert [d.weight for d in found[0]] == [100.0]
    assert [d.weight for d in asked((SUBSETS, sticky)).destinations] == [20.0, 80.0]


def test_requests_and_decisions_can_be_keys_and_meshes_are_shown_short() -> None:
    request = Request({"app": "client"}, f"{REVIEWS}/", headers={"a": "b"}, claims={"iss": "me"})
    again = Request({"app": "client"}, f"{REVIEWS}/", headers={"a": "b"}, claims={"iss": "me"})
    assert len({request, again}) == 1
    assert len({simulate(mesh(), request), simulate(mesh(), again)}) == 1
    assert repr(mesh()).startswith("<Mesh: 0 policies, ")
