"""What the server's proxy says: mTLS, tokens, authorization."""

import base64
import json

import pytest

from mesh_simulation import Request, simulate
from tests.unit.mesh_simulation.meshes import GATEWAY, REVIEWS, SUBSETS, asked, mesh, virtual_service

VIEWER = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: viewer}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]
    to: [{operation: {methods: [GET], paths: ["/reviews/*"]}}]
  - from: [{source: {namespaces: [legacy]}}]
"""
NO_ADMIN = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-admin}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}
"""


def test_the_rule_that_allows_is_named_with_its_line() -> None:
    decision = asked(VIEWER, f"{REVIEWS}/reviews/1")
    verdict = decision.destinations[0].inbound[0].authorization
    assert verdict is not None
    assert (verdict.allowed, verdict.policy, verdict.rule, verdict.place) == (True, "default/viewer", 0, "file1.yaml:8")
    assert decision.status == 200


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"method": "POST"}, 'viewer rule 0: method: wanted "GET", saw "POST"'),
        ({"url": f"{REVIEWS}/other"}, "viewer rule 0: path: wanted"),
        ({"source": "ratings"}, "viewer rule 0: source.principal: wanted"),
        ({"principal": ""}, "saw no mutual TLS"),
        ({"source": "old.legacy"}, "viewer rule 1: source.namespace"),
    ],
    ids=str,
)
def test_the_first_clause_that_failed_is_told(more: dict[str, str], reason: str) -> None:
    given = {"url": f"{REVIEWS.replace('reviews:', 'reviews.default:')}/reviews/1"} | more
    decision = asked(VIEWER, **given)  # type: ignore[arg-type]
    assert decision.status == 403
    assert decision.details.startswith("rbac_access_denied_matched_policy[none]{ns[default]-policy[viewer]-rule[0]:")
    assert decision.is_denied(by="viewer")
    assert decision.is_denied(by="default/viewer")
    assert not decision.is_denied(by="another")
    assert all(reason in verdict.reason for verdict in decision.denials)


def test_a_denial_names_its_policy() -> None:
    decision = asked((VIEWER, NO_ADMIN), f"{REVIEWS}/admin/x")
    assert decision.details == "rbac_access_denied_matched_policy[ns[default]-policy[deny-admin]-rule[0]]"
    assert decision.is_denied(by="deny-admin")
    assert decision.denials[0].place == "file2.yaml:5"


def test_a_policy_for_one_version_splits_the_outcomes() -> None:
    only_v1 = VIEWER.replace("{app: reviews}", "{version: v2}").replace("methods: [GET]", "methods: [PUT]")
    decision = asked(only_v1, f"{REVIEWS}/reviews/1")
    assert sorted((status, share) for (_, status, _), share in decision.outcomes.items()) == [(200, 50.0), (403, 50.0)]
    assert not decision.goes_to("reviews")


def test_a_gateway_is_authorized_by_itself() -> None:
    own = NO_ADMIN.replace("name: deny-admin", "name: deny-admin, namespace: legacy")
    bound = virtual_service("[{route: [{destination: {host: reviews, port: {number: 9080}}}]}]")
    some = mesh(GATEWAY, bound.replace("hosts: [reviews]", "hosts: [shop.example.com], gateways: [shop]"), own)
    decision = simulate(some, Request(url="http://shop.example.com/admin", via="shop"))
    assert (decision.status, decision.destinations) == (403, ())
    assert decision.is_denied(by="legacy/deny-admin")


def test_who_is_behind_a_gateway_is_the_gateway_for_the_workload() -> None:
    only_edge = VIEWER.replace("sa/client", "sa/edge").replace("ns/default", "ns/legacy")
    bound = virtual_service("[{route: [{destination: {host: reviews, port: {number: 9080}}}]}]")
    some = mesh(GATEWAY, bound.replace("hosts: [reviews]", "hosts: [shop.example.com], gateways: [shop]"), only_edge)
    assert simulate(some, Request(url="http://shop.example.com/reviews/1", via="shop")).status == 200


def test_bytes_are_closed_without_a_status() -> None:
    denied = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none}\nspec: {}\n"
    decision = asked(denied, "tcp://reviews:9999", protocol="tcp")
    assert (decision.status, decision.flags) == (0, "")
    assert decision.is_denied(by="none")


def test_a_workload_without_a_proxy_refuses_nobody() -> None:
    some = mesh(NO_ADMIN.replace("name: deny-admin", "name: deny-admin, namespace: legacy"))
    decision = simulate(some, Request("client", "http://240.241.0.3:80/admin"))
    assert decision.status == 200


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {mtls: {mode: STRICT}}
"""
PLAIN = SUBSETS.replace("host: reviews\n", "host: reviews\n  trafficPolicy: {tls: {mode: DISABLE}}\n")


def peers(text: str) -> str:
    """Skips where PeerAuthentication cannot be read."""
    from mesh_policy import KINDS

    if ("security.istio.io", "PeerAuthentication") not in KINDS:
        pytest.skip("PeerAuthentication is no kind yet")
    return text


def test_strict_closes_plain_text() -> None:
    from_outside = asked(peers(STRICT), REVIEWS.replace("reviews", "reviews.default"), source="old.legacy")
    assert (from_outside.status, from_outside.details) == (0, "connection reset: plain text meets mTLS mode STRICT")
    by_rule = asked((peers(STRICT), PLAIN))
    assert (by_rule.status, by_rule.flags) == (503, "UC")
    assert asked(peers(STRICT)).status == 200
    assert "PeerAuthentication default/strict" in str(asked(STRICT))


def test_tls_switched_off_by_the_rule_is_plain_text_where_it_may_be() -> None:
    inbound = asked(PLAIN).destinations[0].inbound[0]
    assert (inbound.transport, inbound.principal, inbound.status) == ("plain text", "", 200)


def test_the_port_counts_before_the_workload_before_the_namespace_before_the_mesh() -> None:
    texts = [
        peers(STRICT).replace("name: strict", "name: mesh, namespace: istio-system"),
        STRICT.replace("STRICT", "DISABLE"),
        """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: own}
spec:
  selector: {matchLabels: {version: v1}}
  mtls: {mode: UNSET}
  portLevelMtls: {"9080": {mode: PERMISSIVE}}
""",
    ]
    found = asked(tuple(texts))
    modes = {inbound.workloads[0]: (inbound.mode, inbound.mode_from) for inbound in found.destinations[0].inbound}
    assert modes == {
        "reviews-v1.default": ("PERMISSIVE", "PeerAuthentication default/own port 9080"),
        "reviews-v2.default": ("DISABLE", "PeerAuthentication default/strict"),
    }


TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules: [{issuer: good, audiences: [api], jwksUri: "https://good/keys"}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: members}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{when: [{key: "request.auth.claims[group]", values: [member]}]}]
"""


def bearer(**claims: object) -> dict[str, str]:
    content = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"authorization": f"Bearer e30.{content}.c2ln"}


NO_MEMBER = "rbac_access_denied_matched_policy[none]{ns[default]-policy[members]-rule[0]:request.auth.claims[group]}"


@pytest.mark.parametrize(
    ("more", "status", "details"),
    [
        ({"claims": {"iss": "good", "aud": "api", "group": "member"}}, 200, "via_upstream"),
        ({"claims": {"iss": "good", "aud": ["x", "api"], "group": ["a", "member"]}}, 200, "via_upstream"),
        ({"claims": {"iss": "good", "aud": "api"}}, 403, NO_MEMBER),
        ({}, 403, NO_MEMBER),
        ({"claims": {"iss": "bad"}}, 401, "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"),
        ({"claims": {"iss": "good", "aud": "x"}}, 403, "jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}"),
        ({"headers": bearer(iss="good", aud="api", group="member")}, 200, "via_upstream"),
        (
            {"headers": {"authorization": "Bearer abc"}},
            401,
            "jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}",
        ),
        ({"headers": {"authorization": "Basic abc"}}, 403, NO_MEMBER),
    ],
    ids=str,
)
def test_what_becomes_of_a_token(more: dict[str, object], status: int, details: str) -> None:
    from mesh_policy import KINDS

    if ("security.istio.io", "RequestAuthentication") not in KINDS:
        pytest.skip("RequestAuthentication is no kind yet")
    decision = asked(TOKENS, **more)  # type: ignore[arg-type]
    assert (decision.status, decision.details) == (status, details)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "write read"}, 200),
        ({"scope": ["write", "read"]}, 200),
        ({"scope": "readwrite"}, 403),
        ({"permission": "write read"}, 200),
        ({"own": "write read"}, 200),
        ({"other": "write read"}, 403),
        ({"other": "read"}, 200),
    ],
)
def test_scopes_are_looked_at_one_by_one(claims: dict[str, object], status: int) -> None:
    """``scope`` and ``permission`` always (istiod's buildSpaceDelimitedClaims), others where the rule names them."""
    (name,) = claims
    policies = f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: jwt}}
spec: {{jwtRules: [{{issuer: good, spaceDelimitedClaims: [own], jwksUri: "https://good/keys"}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: scopes}}
spec: {{rules: [{{when: [{{key: "request.auth.claims[{name}]", values: [read]}}]}}]}}
"""
    assert asked(policies, claims={"iss": "good", **claims}).status == status


def test_a_token_is_sought_where_the_rule_says() -> None:
    own = TOKENS.replace(
        "issuer: good,", "issuer: good, fromHeaders: [{name: x-token, prefix: 't '}], fromParams: [tk],"
    )
    good = bearer(iss="good", aud="api", group="member")["authorization"].removeprefix("Bearer ")
    assert asked(own, headers={"x-token": f"t {good}"}).status == 200
    assert asked(own, f"{REVIEWS}/?tk={good}").status == 200
    assert asked(own, headers={"authorization": f"Bearer {good}"}).status == 403
    assert asked(TOKENS, f"{REVIEWS}/?access_token={good}").status == 200


def test_tokens_are_looked_at_by_each_version_as_its_own_policies_say() -> None:
    only_v1 = TOKENS.replace("{app: reviews}", "{version: v1}", 1)
    decision = asked(only_v1, claims={"iss": "good", "aud": "api", "group": "member"})
    told = {
        inbound.workloads[0]: (inbound.status, inbound.authentication) for inbound in decision.destinations[0].inbound
    }
    assert told == {
        "reviews-v1.default": (200, "accepted, of good"),
        "reviews-v2.default": (403, "not looked at: no RequestAuthentication selects the workload"),
    }
