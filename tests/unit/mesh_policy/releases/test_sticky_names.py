"""Cookies that are odd, foreign, old or tampered with; names and paths with characters that mean something elsewhere."""

import random

import pytest

from mesh_policy import CanaryRelease, Exposed, Traffic, dump
from mesh_policy.releases import ABTest, Cookie, Header, Weight
from tests.unit.mesh_control.worlds import GATEWAY, by_name, compiled
from tests.unit.mesh_policy.releases.test_sticky import answered, policies, table

NAMES = ["release", "a.b", "a*", "a+b", "$x^", "a|b", "~`_-", "#!&'", "%d", "100%25", "R"]


@pytest.mark.parametrize("name", NAMES)
def test_a_cookie_of_any_name_is_known_again_and_no_other(name: str) -> None:
    made, dice = table(policies(20, Cookie(name))), random.Random(1)
    for _ in range(30):
        version, cookie = answered(made, dice)
        assert cookie is not None
        assert cookie.startswith(f"{name}=")
        for around in ("{}", "x=1; {}", "{}; y=2", "x=1;{};y=2", f"x{name}=0.123456; {{}}", "a; {} ;=b"):
            assert answered(made, dice, f"Cookie: {around.format(cookie)}") == (version, None)
        for other in (
            f"x{cookie}",
            f"{cookie}0",
            cookie.replace("=", "==", 1),
            f'x="{cookie}"',
            cookie.swapcase() + "!",
        ):
            assert answered(made, dice, f"Cookie: {other}")[1] is not None


@pytest.mark.parametrize("name", ["a.b", "a|b", "a+"])
def test_a_name_is_no_expression(name: str) -> None:
    made, dice = table(policies(20, Cookie(name))), random.Random(1)
    _, cookie = answered(made, dice)
    assert cookie is not None
    value = cookie.partition("=")[2]
    for other in ("aXb", "a", "b", "aa"):
        assert answered(made, dice, f"Cookie: {other}={value}")[1] is not None


def test_a_path_may_hold_percent_signs() -> None:
    release = CanaryRelease(
        service="order", stable="v1", candidate="v2", weight=20, sticky=Cookie("c%", path="/a%20b/100%", ttl="90s")
    )
    written = [
        value
        for policy in Traffic(release).expand()
        if policy.kind == "VirtualService"
        for rule in policy.spec.http
        for item in rule.route
        if item.headers is not None
        for value in item.headers.response.add.values()
    ]
    assert written
    assert all("; Path=/a%%20b/100%%; Max-Age=90; HttpOnly; SameSite=Lax" in value for value in written)
    _, cookie = answered(table(Traffic(release).expand()), random.Random(1))
    assert cookie is not None
    assert cookie.startswith("c%=")


@pytest.mark.parametrize(
    "other",
    [
        {"steps": (Weight(5), Weight(20))},
        {"stable": "v2", "candidate": "v3"},
        {"stable": "v2", "candidate": "v1"},
        {"namespace": "other"},
    ],
)
def test_a_cookie_of_another_release_counts_as_none(other: dict[str, object]) -> None:
    """Its number means other users there: whoever carries it is a newcomer, so that shares stay the weights."""
    own = {"service": "order", "stable": "v1", "candidate": "v2", "steps": (Weight(5), Weight(20), Weight(50))}
    release, older = (CanaryRelease.model_validate({**own, **fields, "sticky": Cookie("c")}) for fields in ({}, other))
    assert release.split.mark != older.split.mark
    made, dice = table(Traffic(release.at(20)).expand()), random.Random(1)
    found = [answered(made, dice, f"Cookie: c=0.{older.split.mark}") for _ in range(400)]
    assert all(cookie is not None for _, cookie in found)
    assert 0.13 < sum(version == "v2" for version, _ in found) / 400 < 0.27


def test_without_the_header_chance_decides() -> None:
    made, dice = table(policies(20, Header("x-user"))), random.Random(2)
    found = [answered(made, dice)[0] for _ in range(2000)]
    assert 0.17 < found.count("v2") / 2000 < 0.23
    assert {answered(made, dice, "x-user:")[0] for _ in range(50)} == {answered(made, dice, "x-user:")[0]}


def test_with_a_header_all_come_back_on_abort() -> None:
    made, dice = table(policies(0, Header("x-user"))), random.Random(2)
    assert {answered(made, dice, f"x-user: {number}")[0] for number in range(500)} == {"v1"}


@pytest.mark.parametrize(
    ("cookies", "version"),
    [
        ("group=b.", "v2"),
        ("x=1; group=b.; y=2", "v2"),
        ("group=bx", "v1"),
        ("group=b", "v1"),
        ("xgroup=b.", "v1"),
        ("group=a; group=b.", "v2"),
        ("x=group=b.", "v1"),
    ],
)
def test_a_test_by_cookie_compares_the_very_value(cookies: str, version: str) -> None:
    made = table(Traffic(ABTest(service="order", a="v1", b="v2", by=Cookie("group", "b."))).expand())
    assert answered(made, random.Random(1), f"Cookie: {cookies}")[0] == version


@pytest.mark.parametrize("sticky", [Cookie("release"), Header("x-user")], ids=["cookie", "header"])
def test_a_gateway_keeps_users_as_sidecars_do(sticky: Cookie | Header) -> None:
    release = CanaryRelease(service="order", stable="v1", candidate="v2", steps=(Weight(20),), sticky=sticky)
    exposed = Exposed(service="order", hostname="order.example")
    config = compiled(dump(Traffic(release.at(20), exposed).expand()), GATEWAY)
    (host,) = by_name(config.routes)["http.80"].virtual_hosts
    last = host.routes[-1].action
    assert [cluster.weight for cluster in last.weighted_clusters] == ([20, 80])
    assert last.use_hash_policy is isinstance(sticky, Header)
    assert len(host.routes) == (3 if isinstance(sticky, Cookie) else 1)
