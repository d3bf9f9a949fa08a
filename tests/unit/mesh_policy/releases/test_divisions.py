"""What divides traffic expands to, alone and beside other statements about the service."""

import pytest

from mesh_policy import CanaryRelease, Exposed, Redirect, Retry, Route, Timeout, Traffic, VirtualService
from mesh_policy.networking.http_route import HttpRoute
from mesh_policy.releases import ABTest, BlueGreen, ConflictError, Cookie, Header, Mirror, Statement, Versions, Weight
from mesh_policy.releases.split import STICKY_HEADER

GREEN = BlueGreen(service="books", blue="v1", green="v2")
COPIES = Mirror(service="books", stable="v1", candidate="v2", percent=30)
BY_HEADER = ABTest(service="books", a="v1", b="v2", by=Header("X-Group", "b"))
BY_COOKIE = ABTest(service="books", a="v1", b="v2", by=Cookie("group", "b+"))
CANARY = CanaryRelease(service="books", stable="v1", candidate="v2", steps=(Weight(5), Weight(50)))


def service(*statements: Statement) -> VirtualService:
    return next(p for p in Traffic(*statements).expand() if isinstance(p, VirtualService))


def rules(*statements: Statement) -> tuple[HttpRoute, ...]:
    return service(*statements).spec.http or ()


def shares(rule: HttpRoute) -> dict[str | None, int | None]:
    return {item.destination.subset: item.weight for item in rule.route or ()}


@pytest.mark.parametrize(("weight", "wanted"), [(None, (100, 0)), (0, (100, 0)), (100, (0, 100))])
def test_blue_and_green(weight: int | None, wanted: tuple[int, int]) -> None:
    (rule,) = rules(GREEN if weight is None else GREEN.at(weight))
    assert shares(rule) == {"v1": wanted[0], "v2": wanted[1]}


def test_a_mirror_sends_copies_and_no_user() -> None:
    (rule,) = rules(COPIES.at(30))
    assert shares(rule) == {"v1": None}
    (copies,) = rule.mirrors or ()
    assert (copies.destination.subset, copies.percentage and copies.percentage.value) == ("v2", 30)
    (rule,) = rules(COPIES)
    assert (shares(rule), rule.mirrors) == ({"v1": None}, None)


def test_a_test_asks_for_the_very_value() -> None:
    chosen, others = rules(BY_HEADER)
    assert (shares(chosen), shares(others)) == ({"v2": None}, {"v1": None})
    assert chosen.match is not None
    assert others.match is None
    headers = chosen.match[0].headers or {}
    assert headers["x-group"].exact == "b"
    chosen, _ = rules(BY_COOKIE)
    assert chosen.match is not None
    assert "b\\+" in ((chosen.match[0].headers or {})["cookie"].regex or "")


@pytest.mark.parametrize("release", [GREEN, COPIES, BY_HEADER, BY_COOKIE, CANARY.at(5)], ids=lambda r: type(r).__name__)
def test_other_statements_hold_beside_it(release: Versions) -> None:
    others = (
        Timeout(service="books", path="/slow", after="9s"),
        Retry(service="books", attempts=2),
        Route(service="books", path="/old", version="v0"),
        Redirect(service="books", path="/a", to="/b"),
        Exposed(service="books", hostname="books.example"),
    )
    made = service(release, *others)
    assert made.spec.hosts == (release.host, "books.example")
    assert made.spec.gateways == ("mesh", "istio-system/ingressgateway")
    redirect, *sent = made.spec.http or ()
    assert redirect.redirect is not None
    assert all(rule.retries is not None and rule.retries.attempts == 2 for rule in sent)
    old = [rule for rule in sent if shares(rule) == {"v0": None}]
    assert [rule.match[0].uri.prefix for rule in old if rule.match and rule.match[0].uri] == ["/old"]
    slow = [rule for rule in sent if rule.timeout is not None]
    assert slow
    alone = [shares(rule) for rule in rules(release)]
    assert [shares(rule) for rule in slow] == alone
    assert [shares(rule) for rule in sent[-len(alone) :]] == alone
    (rule,) = [p for p in Traffic(release, *others).expand() if p.kind == "DestinationRule"]
    assert [subset.name for subset in rule.spec.subsets] == ["v0", "v1", "v2"]


@pytest.mark.parametrize("other", [GREEN, COPIES, BY_HEADER, Route(service="books", path="/", version="v1")])
def test_two_that_divide_the_same_traffic_are_told(other: Statement) -> None:
    with pytest.raises(ConflictError, match=r"books\.default"):
        Traffic(CANARY, other)


@pytest.mark.parametrize(("weight", "annotated"), [(0, False), (5, True), (50, True), (100, False)])
def test_a_header_is_told_to_the_proxies_while_there_is_a_choice(weight: int, annotated: bool) -> None:
    release = CANARY.model_copy(update={"sticky": Header("X-User")}).at(weight)
    made = service(release, Exposed(service="books", hostname="books.example"))
    assert (made.metadata.annotations or {}) == ({STICKY_HEADER: "x-user"} if annotated else {})


def test_only_what_has_steps_is_run() -> None:
    fixed = CanaryRelease(service="zoo", stable="v1", candidate="v2", weight=5)
    found = Traffic(
        CANARY, fixed, BY_HEADER.model_copy(update={"service": "c"}), Timeout(service="books", after="1s")
    ).rollouts()
    assert [(item.name, len(item.statements)) for item in found] == [("books.default", 1)]
