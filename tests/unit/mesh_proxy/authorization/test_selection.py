"""Of many policies those that may hold are looked up: the same decisions, and few policies that are tested."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import HeaderMatch, Rbac, RbacAction, RbacPolicy, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    ANYTHING,
    JWT_AUTHN,
    JWT_PAYLOAD,
    AllOf,
    AnyOf,
    AnyValueOf,
    Authenticated,
    DestinationIp,
    DestinationPort,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    Not,
    RemoteIp,
    RequestedServerName,
    Rule,
    UriTemplate,
    UrlPath,
)
from mesh_proxy.authorization import Access, compile_rules, explain
from mesh_proxy.authorization.selection import FEW, selection
from tests.support.authorization_strategies import WHAT, WHO, accesses, trees
from tests.unit.mesh_proxy.making import head

EXACT, PREFIX, REGEX = StringMatchKind.EXACT, StringMatchKind.PREFIX, StringMatchKind.REGEX
SUFFIX = StringMatchKind.SUFFIX
ALTERNATIVES = st.lists(trees(WHAT), min_size=1, max_size=2).map(tuple)
WHOSE = st.lists(trees(WHO), min_size=1, max_size=2).map(tuple)
MANY = st.lists(st.builds(RbacPolicy, st.just(""), ALTERNATIVES, WHOSE), min_size=FEW + 1, max_size=3 * FEW)


def named(policies: list[RbacPolicy]) -> tuple[RbacPolicy, ...]:
    return tuple(RbacPolicy(f"{n:02}", policy.permissions, policy.principals) for n, policy in enumerate(policies))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(RbacAction), MANY.map(named), accesses())
def test_what_is_selected_decides_as_all_of_them(
    action: RbacAction, policies: tuple[RbacPolicy, ...], asked: Access
) -> None:
    rules = Rbac(action, policies)
    decision = explain(rules, asked)
    assert compile_rules(rules)(asked) == (decision.allowed, decision.policy)


def path(value: str, kind: StringMatchKind = EXACT) -> UrlPath:
    return UrlPath(StringMatch(kind, value))


def principal(value: str, kind: StringMatchKind = EXACT) -> Authenticated:
    return Authenticated(StringMatch(kind, value))


def asked(target: str, host: str = "a", principal: str = "", port: int = 80) -> Access:
    made = head(target, f"x-a: v{port}")
    made.path, _, made.query = made.target.partition(b"?")
    made.host = host.encode()
    claims = {"role": "r707", "roles": ["x", "r707"]} if port == 707 else {"role": ["r"], "roles": "r"}
    return Access(
        made,
        b"10.2.207.9:1" if port == 707 else b"192.0.2.1:1",
        ("10.2.207.1" if port == 707 else "192.0.2.2", port),
        remote=b"[2001:db8:2c3::1]:5" if port == 707 else None,
        server_name=host.lower().encode(),
        principals=(principal.encode(),),
        metadata={JWT_AUTHN: {JWT_PAYLOAD: claims}},
    )


SAME = HeaderMatch(":method", match=StringMatch(EXACT, "GET"))
SORTS: dict[str, Callable[[int], tuple[Rule, Rule]]] = {
    "path": lambda n: (path(f"/{n}/a"), ANYTHING),
    "prefix": lambda n: (path(f"/{n}/", PREFIX), ANYTHING),
    "path or prefix": lambda n: (AnyOf((path(f"/{n}/a"), path(f"/{n}/a/", PREFIX))), ANYTHING),
    "template": lambda n: (UriTemplate(f"/{n}/*"), ANYTHING),
    "host": lambda n: (HeaderMatch(":authority", match=StringMatch(EXACT, f"h{n}", True)), ANYTHING),
    "principal": lambda n: (SAME, principal(f"spiffe://td/ns/n{n}/sa/s{n}")),
    "namespace": lambda n: (SAME, principal(f".*/ns/n{n}/.*", REGEX)),
    "account": lambda n: (SAME, principal(rf"spiffe://.+/ns/n/(.+/|)sa/s{n}(/.+)?", REGEX)),
    "field": lambda n: (SAME, HeaderMatch("X-A", match=StringMatch(EXACT, f"v{n}"))),
    "claim": lambda n: (SAME, MetadataMatch(JWT_AUTHN, (JWT_PAYLOAD, "role"), StringMatch(EXACT, f"r{n}"))),
    "claims": lambda n: (
        SAME,
        MetadataMatch(
            JWT_AUTHN,
            (JWT_PAYLOAD, "roles"),
            AnyValueOf((StringMatch(EXACT, f"r{n}"), ListValue(StringMatch(EXACT, f"r{n}")))),
        ),
    ),
    "peer": lambda n: (SAME, DirectRemoteIp(f"10.{n // 250}.{n % 250}.0/24")),
    "remote": lambda n: (SAME, RemoteIp(f"2001:db8:{n:x}::/48")),
    "destination": lambda n: (DestinationIp(f"10.{n // 250}.{n % 250}.1/32"), ANYTHING),
    "port": lambda n: (DestinationPort(n), ANYTHING),
    "all of them": lambda n: (
        AllOf((SAME, path("/", PREFIX), path(f"/{n}/a"), Not(path("/x")))),
        principal("*", PREFIX),
    ),
}


@pytest.mark.parametrize("sort", SORTS)
def test_of_a_thousand_policies_few_are_tested(sort: str) -> None:
    def policy(n: int) -> RbacPolicy:
        what, who = SORTS[sort](n)
        return RbacPolicy(f"{n:04}", (what,), (who,))

    policies = tuple(map(policy, range(1000)))
    select = selection(policies)
    assert select is not None
    one = asked("/707/a", "H707", "spiffe://td/ns/n707/sa/s707", 707)
    assert select(one) == (707,)
    other = asked("/nowhere", "h", "spiffe://td/ns/n/sa/s", 7070)
    assert select(other) == ()


def claim(kind: StringMatchKind, n: int) -> MetadataMatch:
    match = StringMatch(kind, f"r{n}")
    return MetadataMatch(JWT_AUTHN, (JWT_PAYLOAD, "roles"), AnyValueOf((ListValue(match), match)))


AFFIXED: dict[str, Callable[[int], Rule]] = {
    "end of the path": lambda n: path(f"/{n}/a", SUFFIX),
    "beginning of the host": lambda n: HeaderMatch(":authority", match=StringMatch(PREFIX, f"H{n}", True)),
    "end of the host": lambda n: HeaderMatch(":authority", match=StringMatch(SUFFIX, f"h{n}", True)),
    "server name": lambda n: RequestedServerName(StringMatch(EXACT, f"h{n}")),
    "end of the server name": lambda n: RequestedServerName(StringMatch(SUFFIX, f"h{n}")),
    "beginning of the principal": lambda n: principal(f"spiffe://td/ns/n{n}/", PREFIX),
    "end of the principal": lambda n: principal(f"/sa/s{n}", SUFFIX),
    "end of the principal, as Istio has it": lambda n: principal(rf"spiffe://.*\/sa\/s{n}", REGEX),
    "beginning of the namespace": lambda n: principal(f".*/ns/n{n}.*/.*", REGEX),
    "end of the namespace": lambda n: principal(f".*/ns/.*n{n}/.*", REGEX),
    "beginning of a field": lambda n: HeaderMatch("x-a", match=StringMatch(PREFIX, f"v{n}")),
    "end of a field": lambda n: HeaderMatch("x-a", match=StringMatch(SUFFIX, f"v{n}")),
    "beginning of a claim": lambda n: claim(PREFIX, n),
    "end of a claim": lambda n: claim(SUFFIX, n),
    "one or the other": lambda n: AnyOf((path(f"/{n}/a"), path(f"/{n}/a", SUFFIX), path(f"/{n}/", PREFIX))),
}


@pytest.mark.parametrize("sort", AFFIXED)
def test_of_a_thousand_beginnings_or_ends_few_are_tested(sort: str) -> None:
    """A number of three digits begins with two others."""
    policies = tuple(RbacPolicy(f"{n:04}", (AllOf((SAME, AFFIXED[sort](n))),), (ANYTHING,)) for n in range(1000))
    select = selection(policies)
    assert select is not None
    one = asked("/707/a", "H707", "spiffe://td/ns/n707/sa/s707", 707)
    found = select(one)
    assert 707 in found
    assert len(found) <= 3
    assert all(f"{n}" == "707"[: len(f"{n}")] for n in found)
    assert compile_rules(Rbac(RbacAction.ALLOW, policies))(one).policy == f"{found[0]:04}"
    assert select(asked("/nowhere", "h", "spiffe://td/ns/n/sa/s", 0)) in ((), (0,))


def test_what_nothing_is_known_of_is_always_tested() -> None:
    policies: list[Rule] = [path(f"/{n}") for n in range(20)]
    policies[3] = Not(path("/3"))
    select = selection(tuple(RbacPolicy(str(n), (rule,), (ANYTHING,)) for n, rule in enumerate(policies)))
    assert select is not None
    assert select(asked("/7")) == (3, 7)
    assert select(asked("/2")) == (2, 3)


def test_few_policies_or_such_that_nothing_is_known_of_are_walked_through() -> None:
    assert selection(tuple(RbacPolicy(str(n), (path("/"),), (ANYTHING,)) for n in range(FEW))) is None
    assert selection(tuple(RbacPolicy(str(n), (Not(path("/")),), (ANYTHING,)) for n in range(100))) is None
