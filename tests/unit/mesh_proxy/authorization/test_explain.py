"""Why: the first condition that failed, in Istio's words."""

from typing import get_args

import pytest

from mesh_api.config import HeaderMatch, Rbac, RbacAction, RbacFilter, RbacPolicy, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    ANYTHING,
    JWT_AUTHN,
    AllOf,
    AnyOf,
    Anything,
    AnyValueOf,
    Authenticated,
    DestinationIp,
    DestinationPort,
    DestinationPortRange,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    Not,
    RemoteIp,
    RequestedServerName,
    Rule,
    SourceIp,
    UriTemplate,
    UrlPath,
)
from mesh_proxy.authorization import PolicyName, conditions, decide, explain, parse_name, wording
from tests.unit.mesh_proxy.authorization.test_engine import request
from tests.unit.mesh_proxy.making import access

PREFIX, REGEX = StringMatchKind.PREFIX, StringMatchKind.REGEX


def exact(value: str) -> StringMatch:
    return StringMatch(StringMatchKind.EXACT, value)


API = AnyOf((UrlPath(StringMatch(PREFIX, "/api/")), UrlPath(exact("/v1"))))
GET = AnyOf((HeaderMatch(":method", exact("GET")),))
POST = AnyOf((HeaderMatch(":method", exact("POST")),))
TEXT = exact("a")
TOLD: list[tuple[Rule, str]] = [
    (API, 'path: wanted "/api/*" or "/v1", saw "/x"'),
    (AllOf((GET, API)), 'path: wanted "/api/*" or "/v1", saw "/x"'),
    (AllOf((POST, API)), 'method: wanted "POST", saw "GET"'),
    (AllOf((GET, Not(AnyOf((UrlPath(exact("/x")),))))), 'path: wanted not "/x", saw "/x"'),
    (UriTemplate("/a/*"), 'path: wanted template "/a/*", saw "/x"'),
    (HeaderMatch(":authority", StringMatch(PREFIX, "A", True)), 'host: wanted "A*" in any case, saw "h"'),
    (HeaderMatch("x-token", exact("a")), 'request.headers[x-token]: wanted "a", saw none'),
    (HeaderMatch("x-token"), "request.headers[x-token]: wanted any, saw none"),
    (DestinationPort(443), "destination.port: wanted 443, saw 80"),
    (DirectRemoteIp("192.168.0.0/16"), "source.ip: wanted 192.168.0.0/16, saw 10.0.0.1"),
    (RemoteIp("192.168.0.0/16"), "remote.ip: wanted 192.168.0.0/16, saw 10.0.0.1"),
    (Authenticated(exact("spiffe://a")), 'source.principal: wanted "spiffe://a", saw no mutual TLS'),
    (Authenticated(StringMatch(REGEX, r".*/ns/a\.b.*/.*")), 'source.namespace: wanted "a.b*", saw no mutual TLS'),
    (
        Authenticated(StringMatch(REGEX, r"spiffe://.+/ns/n/(.+/|)sa/s\-a(/.+)?")),
        'source.serviceAccount: wanted "n/s-a", saw no mutual TLS',
    ),
    (
        MetadataMatch(JWT_AUTHN, ("payload", "groups"), AnyValueOf((ListValue(TEXT), TEXT))),
        'request.auth.claims[groups]: wanted "a", saw none',
    ),
]


@pytest.mark.parametrize(("rule", "told"), TOLD)
def test_the_first_condition_that_failed(rule: Rule, told: str) -> None:
    decision = explain(Rbac(policies=(RbacPolicy("p", (rule,), (ANYTHING,)),)), request("/x"))
    assert [str(miss) for miss in decision.misses] == [f"p: {told}"]


def test_of_several_alternatives_each_is_told() -> None:
    policy = RbacPolicy("p", (AllOf((POST,)), AllOf((GET, API))), (ANYTHING,))
    (miss,) = explain(Rbac(policies=(policy,)), request("/x")).misses
    assert str(miss) == 'p: method: wanted "POST", saw "GET"; or path: wanted "/api/*" or "/v1", saw "/x"'


def test_what_held_is_told() -> None:
    policy = RbacPolicy("p", (AllOf((GET, API)),), (DirectRemoteIp("10.0.0.0/8"),))
    decision = explain(Rbac(RbacAction.DENY, (policy,)), request("/v1"))
    assert (decision.allowed, decision.policy) == (False, "p")
    assert [clause.subject for clause in decision.clauses] == ["method", "path", "source.ip"]


def test_the_first_filter_that_denies_ends_it() -> None:
    deny = RbacFilter(Rbac(RbacAction.DENY, (RbacPolicy("d", (API,), (ANYTHING,)),)))
    allow = RbacFilter(Rbac(RbacAction.ALLOW, (RbacPolicy("a", (GET,), (ANYTHING,)),)), Rbac())
    verdict = decide((deny, allow), request("/v1"))
    assert (verdict.allowed, [d.policy for d in verdict.decisions], verdict.shadow) == (False, ["d"], ())
    verdict = decide((deny, allow), request("/x"))
    assert (verdict.allowed, [d.policy for d in verdict.decisions]) == (True, ["", "a"])
    assert [shadow.allowed for shadow in verdict.shadow] == [False]


LEAVES = set(get_args(Rule)) - {Anything, AllOf, AnyOf, Not}


def test_every_condition_has_its_comparison_and_its_words() -> None:
    assert conditions.LEAVES.keys() == LEAVES
    samples: dict[type, Rule] = {}
    for rule in LEAF_SAMPLES:
        samples[type(rule)] = rule
    assert samples.keys() == LEAVES
    for kind, rule in samples.items():
        assert wording.subject(rule) != kind.__name__
        assert wording.describe(rule) != "anything"
        assert wording.seen_by(rule, request("/x")) != "anything"


LEAF_SAMPLES: tuple[Rule, ...] = (
    *(rule for rule, _ in TOLD if not isinstance(rule, AllOf | AnyOf)),
    UrlPath(TEXT),
    DestinationIp("10.0.0.0/8"),
    DestinationPortRange(1, 2),
    RequestedServerName(TEXT),
    SourceIp("10.0.0.0/8"),
)


def test_bytes_have_no_http() -> None:
    (miss,) = explain(Rbac(policies=(RbacPolicy("p", (GET,), (ANYTHING,)),)), access()).misses
    assert str(miss) == 'p: method: wanted "GET", saw no HTTP'


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ns[foo]-policy[bar]-rule[3]", PolicyName("foo", "bar", 3)),
        ("istio-ext-authz-p-ns[foo]-policy[bar]-rule[0]", PolicyName("foo", "bar", 0)),
        ("something", None),
    ],
)
def test_names(name: str, parts: PolicyName | None) -> None:
    assert parse_name(name) == parts
