"""Statements about services become one object of a kind for a service."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mesh_policy import (
    CanaryRelease,
    CircuitBreaker,
    Exposed,
    Policy,
    Redirect,
    Retry,
    Route,
    Timeout,
    Traffic,
    VirtualService,
    dump,
    load_documents,
)
from mesh_policy.releases import ConflictError, Statement

CANARY = CanaryRelease(service="books", stable="v1", candidate="v2", weight=10)


def virtual_service(*statements: Statement) -> VirtualService:
    return next(p for p in Traffic(*statements).expand() if isinstance(p, VirtualService))


def test_a_canary_makes_subsets_and_shares() -> None:
    rule, service = Traffic(CANARY).expand()
    assert [(s.name, s.labels) for s in rule.spec.subsets] == [("v1", {"version": "v1"}), ("v2", {"version": "v2"})]
    assert [(d.destination.subset, d.weight) for d in service.spec.http[0].route] == [("v1", 90), ("v2", 10)]
    assert rule.spec.host == "books.default.svc.cluster.local"


def test_statements_of_one_service_are_one_object_whatever_their_order() -> None:
    said = [
        CANARY,
        Timeout(service="books", path="/api/v1/books", after="15s"),
        Redirect(service="books", path="/api/v1", to="/api/v2", headers={"X-API-Version": "v2"}),
        Retry(service="books", attempts=3),
        CircuitBreaker(service="books", errors=10),
        Route(service="books", path="/api/v1/ping", version="v2"),
    ]
    assert Traffic(*said).expand() == Traffic(*reversed(said)).expand()
    service = virtual_service(*said)
    rules = service.spec.http
    assert rules is not None
    assert [bool(rule.redirect) for rule in rules] == [True, False, False, False]
    assert [rule.match[0].uri.prefix if rule.match and rule.match[0].uri else None for rule in rules[1:]] == [
        "/api/v1/books",
        "/api/v1/ping",
        None,
    ]
    assert [rule.timeout.total_seconds() if rule.timeout else None for rule in rules[1:]] == [15, None, None]
    assert all(rule.retries is not None and rule.retries.attempts == 3 for rule in rules[1:])
    assert rules[0].match is not None
    assert list(rules[0].match[0].headers or ()) == ["x-api-version"]


def test_a_general_timeout_reaches_every_path() -> None:
    rules = virtual_service(
        Timeout(service="books", after="2s"), Route(service="books", path="/a", version="v1")
    ).spec.http
    assert [rule.timeout.total_seconds() for rule in rules or () if rule.timeout] == [2, 2]


def test_services_on_one_gateway_share_it() -> None:
    made = Traffic(
        Exposed(service="books", hostname="books.local"), Exposed(service="store", hostname="store.local")
    ).expand()
    assert [policy.kind for policy in made] == ["Gateway", "VirtualService", "VirtualService"]
    assert made[0].spec.servers[0].hosts == ("books.local", "store.local")
    assert made[1].spec.gateways == ("mesh", "istio-system/ingressgateway")


@pytest.mark.parametrize(
    "said",
    [
        (CANARY, CANARY.model_copy(update={"weight": 20})),
        (Timeout(service="books", after="1s"), Timeout(service="books", after="2s")),
        (Route(service="books", path="/a", version="v1"), Route(service="books", path="/a", version="v2")),
        (CANARY, Route(service="books", path="/", version="v2")),
        (
            Redirect(service="books", path="/a", to="/b", headers={"X-A": "1"}),
            Redirect(service="books", path="/a", to="/c", headers={"x-a": "1"}),
        ),
        (Exposed(service="books", hostname="a.example"), Exposed(service="store", hostname="A.example")),
        (
            Exposed(service="books", hostname="a.example"),
            Exposed(service="books", namespace="other", hostname="a.example", port=81),
        ),
    ],
)
def test_statements_that_exclude_each_other_are_refused(said: tuple[Statement, Statement]) -> None:
    with pytest.raises(ConflictError, match=r"books\.default"):
        Traffic(*said)


def test_a_canary_of_one_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="stable and candidate are both 'v1'"):
        CanaryRelease(service="books", stable="v1", candidate="v1", weight=10)
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        CanaryRelease(service="books", stable="v1", candidate="v2", weight=101)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exposed(service="books", hostname="*"), "would take every request"),
        (lambda: Retry(service="books", attempts=1, on="sometimes"), "is no retry condition"),
        (lambda: CanaryRelease(service="bo.oks", stable="v1", candidate="v2", weight=1), "match pattern"),
        (lambda: Redirect(service="books", path="/a", to="/b", headers={"a": "1", "A": "2"}), "stands twice"),
        (lambda: CanaryRelease(service="b" * 64, stable="v1", candidate="v2", weight=1), "match pattern"),
    ],
)
def test_a_statement_that_cannot_be_meant_is_refused_where_it_stands(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValidationError, match=message):
        make()


@pytest.mark.parametrize(("weight", "shares"), [(0, [("v1", 100), ("v2", 0)]), (100, [("v1", 0), ("v2", 100)])])
def test_the_ends_of_a_canary(weight: int, shares: list[tuple[str, int]]) -> None:
    rules = virtual_service(CANARY.model_copy(update={"weight": weight})).spec.http or ()
    assert [(d.destination.subset, d.weight) for d in rules[0].route or ()] == shares


def test_no_retries_are_none() -> None:
    (rule,) = virtual_service(Retry(service="books", attempts=0, per_try="1s")).spec.http or ()
    assert rule.retries is not None
    assert rule.retries.to_yaml_value() == {"attempts": 0}


def test_one_service_in_two_namespaces_is_two() -> None:
    made = Traffic(CANARY, CANARY.model_copy(update={"namespace": "other", "weight": 20})).expand()
    assert [(p.kind, p.metadata.namespace) for p in made] == [
        ("DestinationRule", "default"),
        ("DestinationRule", "other"),
        ("VirtualService", "default"),
        ("VirtualService", "other"),
    ]


services = {"service": st.sampled_from(["books", "b" * 63]), "namespace": st.sampled_from(["default", "n" * 63])}
paths = st.sampled_from(["/", "/a", "/a/b", "/ab"])
perhaps = st.none() | paths
versions = st.sampled_from(["v1", "v3"])
headers = st.dictionaries(st.sampled_from(["x-a", "X-B"]), st.sampled_from(["1", "2"]))
hostnames = st.sampled_from(["a.example", "b.example"])
statements = st.one_of(
    st.builds(CanaryRelease, **services, stable=st.just("v1"), candidate=st.just("v2"), weight=st.integers(0, 100)),
    st.builds(Timeout, **services, after=st.sampled_from(["1s", "15s"]), path=perhaps),
    st.builds(Retry, **services, attempts=st.integers(0, 3), path=perhaps),
    st.builds(Route, **services, path=paths, version=versions),
    st.builds(CircuitBreaker, **services, errors=st.integers(1, 9)),
    st.builds(Redirect, **services, path=paths, to=st.sampled_from(["/x", "/y"]), headers=headers),
    st.builds(Exposed, **services, hostname=hostnames, port=st.sampled_from([80, 81])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(statements, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_statements_says_nothing(said: list[Statement], dice: object) -> None:
    """Also not whether they contradict each other; and what they expand to is YAML that reads back."""
    mixed = list(said)
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    found = [outcome(statements) for statements in (said, mixed)]
    assert found[0] == found[1]
    if found[0] is not None:
        assert load_documents(dump(found[0])) == found[0]


def outcome(said: list[Statement]) -> list[Policy] | None:
    try:
        return Traffic(*said).expand()
    except ConflictError:
        return None
