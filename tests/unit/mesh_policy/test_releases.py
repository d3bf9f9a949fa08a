"""Statements about services become one object of a kind for a service."""

import pytest
from pydantic import ValidationError

from mesh_policy import CanaryRelease, CircuitBreaker, Exposed, Redirect, Retry, Route, Timeout, Traffic, VirtualService
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
    ],
)
def test_statements_that_exclude_each_other_are_refused(said: tuple[Statement, Statement]) -> None:
    with pytest.raises(ConflictError, match=r"books\.default"):
        Traffic(*said)


def test_a_canary_of_one_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="a canary needs two versions"):
        CanaryRelease(service="books", stable="v1", candidate="v1", weight=10)
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        CanaryRelease(service="books", stable="v1", candidate="v2", weight=101)
