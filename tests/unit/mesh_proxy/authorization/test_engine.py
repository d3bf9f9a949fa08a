"""Rules, compiled: what Envoy decides (the long table is beside a real one, in the integration tests), and why."""

import pytest
from hypothesis import given, settings

from mesh_api.config import HeaderMatch, Rbac, RbacAction, RbacPolicy, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    ANYTHING,
    JWT_AUTHN,
    AllOf,
    AnyOf,
    AnyValueOf,
    Authenticated,
    DestinationIp,
    ListValue,
    MetadataMatch,
    Not,
    NumberValue,
    PresentValue,
    RemoteIp,
    RequestedServerName,
    Rule,
    UriTemplate,
    UrlPath,
)
from mesh_proxy.authorization import Access, compile_rules, explain
from mesh_proxy.authorization.engine import rule_test
from mesh_proxy.routing.matchers import MatcherError
from tests.support.authorization_strategies import RULES, WHAT, WHO, accesses, trees
from tests.unit.mesh_proxy.making import access, head


def text(value: str, kind: StringMatchKind = StringMatchKind.EXACT) -> StringMatch:
    return StringMatch(kind, value)


def path(value: str, kind: StringMatchKind = StringMatchKind.EXACT) -> UrlPath:
    return UrlPath(text(value, kind))


def request(target: str = "/", **fields: object) -> Access:
    made = head(target)
    made.path, _, made.query = made.target.partition(b"?")
    return access(made, **fields)


def rules(action: RbacAction, *policies: tuple[str, Rule]) -> Rbac:
    return Rbac(action, tuple(RbacPolicy(name, (rule,), (ANYTHING,)) for name, rule in policies))


@settings(max_examples=200, deadline=None)
@given(RULES, accesses())
def test_the_engine_and_its_explanation_agree(given_rules: Rbac, asked: Access) -> None:
    outcome, decision = compile_rules(given_rules)(asked), explain(given_rules, asked)
    assert (decision.allowed, decision.policy) == outcome
    names = [policy.name for policy in given_rules.policies]
    missed = names[: names.index(outcome.policy)] if outcome.policy else names
    assert [miss.policy for miss in decision.misses] == missed
    assert all(clause.holds for clause in decision.clauses)
    assert not any(clause.holds for miss in decision.misses for clause in miss.clauses)


@settings(max_examples=100, deadline=None)
@given(trees(WHAT) | trees(WHO), trees(WHAT) | trees(WHO), accesses())
def test_what_is_put_together_decides_as_its_parts(one: Rule, other: Rule, asked: Access) -> None:
    first, second = rule_test(one)(asked), rule_test(other)(asked)
    assert rule_test(AnyOf((one, other)))(asked) == (first or second)
    assert rule_test(AllOf((one, other)))(asked) == (first and second)
    assert rule_test(Not(one))(asked) is not first


@pytest.mark.parametrize(
    ("action", "matching", "other"),
    [(RbacAction.ALLOW, True, False), (RbacAction.DENY, False, True), (RbacAction.LOG, True, True)],
)
def test_what_a_match_means(action: RbacAction, matching: bool, other: bool) -> None:
    evaluate = compile_rules(rules(action, ("a", path("/a")), ("b", path("/b"))))
    assert evaluate(request("/b?q")) == (matching, "b")
    assert evaluate(request("/c")) == (other, "")


def test_the_first_by_name_that_holds_decides() -> None:
    evaluate = compile_rules(rules(RbacAction.DENY, ("a", ANYTHING), ("b", path("/"))))
    assert evaluate(request()).policy == "a"


@pytest.mark.parametrize("rule", [AllOf(()), AnyOf(()), UriTemplate("a"), UriTemplate("/**/*"), RemoteIp("nonsense")])
def test_what_cannot_be_run_is_refused(rule: Rule) -> None:
    with pytest.raises(MatcherError):
        compile_rules(rules(RbacAction.ALLOW, ("a", rule)))


def test_a_policy_without_permissions_is_refused() -> None:
    with pytest.raises(MatcherError):
        compile_rules(Rbac(RbacAction.DENY, (RbacPolicy("a", (), (ANYTHING,)),)))


SPIFFE = "spiffe://td/ns/n/sa/s"
HOLDS: list[tuple[Rule, Access, bool]] = [
    (Authenticated(), access(), False),
    (Authenticated(), access(principals=(b"",)), True),
    (Authenticated(text(SPIFFE)), access(principals=(SPIFFE.encode(),)), True),
    (Authenticated(text(SPIFFE)), access(principals=(b"b", SPIFFE.encode())), True),
    (Authenticated(text(".*/ns/n/.*", StringMatchKind.REGEX)), access(principals=(SPIFFE.encode(),)), True),
    (Authenticated(text("ns/n", StringMatchKind.REGEX)), access(principals=(SPIFFE.encode(),)), False),
    (RequestedServerName(text("a")), access(server_name=b"a"), True),
    (RequestedServerName(text("", StringMatchKind.REGEX)), access(), True),
    (RemoteIp("10.0.0.0/8"), access(remote=b"10.9.9.9:0"), True),
    (RemoteIp("10.0.0.0/8"), access(remote=b"[::ffff:10.9.9.9]:0"), False),
    (RemoteIp("0.0.0.0/0"), access(remote=b"[2001:db8::1]:5"), False),
    (RemoteIp("2001:db8::/32"), access(remote=b"[2001:db8::1]:5"), True),
    (RemoteIp("0.0.0.0/0"), Access(None, b"unix:0", ("unix", 0)), False),
    (DestinationIp("10.0.0.2/32"), access(), True),
    (path("/a/b"), request("/a/b?/c"), True),
    (path(""), access(None), False),
    (path(".*", StringMatchKind.REGEX), access(None), False),
    (path(".*", StringMatchKind.REGEX), request(), True),
    (HeaderMatch(":method"), access(None), False),
    (HeaderMatch(":method", present=False), access(None), True),
    (HeaderMatch("x-a", invert=True), access(None), True),
    (UriTemplate("/**"), access(None), False),
]


@pytest.mark.parametrize(("rule", "asked", "holds"), HOLDS)
def test_conditions(rule: Rule, asked: Access, holds: bool) -> None:
    assert rule_test(rule)(asked) is holds


def claims(**values: object) -> Access:
    return access(metadata={JWT_AUTHN: {"payload": values}})


def claim(match: object, *names: str, **fields: bool) -> MetadataMatch:
    return MetadataMatch(JWT_AUTHN, ("payload", *names), match, **fields)  # type: ignore[arg-type]


BOTH = AnyValueOf((ListValue(text("x")), text("x")))
CLAIMS: list[tuple[Rule, Access, bool]] = [
    (claim(BOTH, "a"), claims(a="x"), True),
    (claim(BOTH, "a"), claims(a=["y", "x"]), True),
    (claim(BOTH, "a"), claims(a=["y"]), False),
    (claim(BOTH, "a"), claims(a=[["x"]]), False),
    (claim(BOTH, "a"), claims(), False),
    (claim(BOTH, "a"), access(), False),
    (claim(BOTH, "a", invert=True), access(), True),
    (claim(BOTH, "a", "b"), claims(a={"b": "x"}), True),
    (claim(BOTH, "a", "b"), claims(a="b"), False),
    (claim(text("1"), "a"), claims(a=1), False),
    (claim(NumberValue(1), "a"), claims(a=1), True),
    (claim(NumberValue(1), "a"), claims(a=True), False),
    (claim(PresentValue(), "a"), claims(a=None), True),
    (claim(PresentValue(), "a"), claims(), False),
]


@pytest.mark.parametrize(("rule", "asked", "holds"), CLAIMS)
def test_claims(rule: Rule, asked: Access, holds: bool) -> None:
    assert rule_test(rule)(asked) is holds
