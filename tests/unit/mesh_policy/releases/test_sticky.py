"""Users stay where they are: many of them through the real compiler and the proxy's real routing table."""

import random

import pytest

from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy import CanaryRelease, Policy, Traffic
from mesh_policy.releases import Cookie, Header, Weight
from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.routing.hashing import xxhash64
from mesh_proxy.routing.table import RouteTable
from mesh_proxy.telemetry.record import Record
from tests.unit.mesh_control.worlds import ORDER, STORE, world
from tests.unit.mesh_proxy.making import head as make_head

USERS = 1500
WEIGHTS = (5, 20, 50, 100)
STEPS = tuple(Weight(percent) for percent in WEIGHTS)


def table(policies: list[Policy]) -> RouteTable:
    config = compile_proxy(world().with_policies(policies), proxy_of(STORE))
    return RouteTable(next(found for found in config.routes if found.name == "8380"))


def answered(made: RouteTable, dice: random.Random, *fields: str) -> tuple[str, str | None]:
    """The version that answers, and the cookie that is set."""
    head = make_head("/", *fields, host=f"{ORDER}:8380")
    host = made.host(head.host)
    assert host is not None
    route = host.find(head, b"/", b"", dice.random)
    assert route is not None
    chosen = route.choose(dice.random(), head)
    written = [field_of(b"set-cookie", b"app=1")]
    for edit in chosen.response_edits:
        written = edit.apply(written, Record(0.0, 0.0))
    cookies = [field.value.decode() for field in written if field.name == b"set-cookie"]
    assert cookies[0] == "app=1"  # the application's own stays
    return chosen.cluster.split("|")[2], cookies[1].partition(";")[0] if len(cookies) > 1 else None


def policies(weight: int, sticky: Cookie | Header) -> list[Policy]:
    release = CanaryRelease(service="order", stable="v1", candidate="v2", steps=STEPS, sticky=sticky)
    return Traffic(release.at(weight)).expand()


def share(versions: list[str]) -> float:
    return versions.count("v2") / len(versions)


def test_with_a_cookie_shares_are_the_weights_and_nobody_moves_twice() -> None:
    """Half of the users come before the first step, others with every step; some visit again at each."""
    dice = random.Random(4)
    users: list[list[str]] = []
    jar: list[str | None] = []
    for weight in WEIGHTS:
        made = table(policies(weight, Cookie("release", ttl="24h")))
        users += [[] for _ in range(USERS)]
        jar += [None] * USERS
        seen = []
        for place, versions in enumerate(users):
            cookie = jar[place]
            fields = [] if cookie is None else [f"Cookie: other=release=1; {cookie}; last=x"]
            version, new = answered(made, dice, *fields)
            assert weight == 100 or (new is None) is (cookie is not None)
            jar[place] = new or cookie
            versions.append(version)
            seen.append(version)
        assert abs(share(seen) - weight / 100) < 0.03
    for versions in users:
        assert versions == sorted(versions)  # v1 ..., then v2: it moved once at most
    back = table(policies(0, Cookie("release")))
    assert {answered(back, dice, f"Cookie: {cookie}")[0] for cookie in set(jar)} == {"v1"}


@pytest.mark.parametrize(
    "cookie", ["release=9.abcdef", "release=0", "xrelease=0.MARK", "release=0.MARKx", "RELEASE=0.MARK"]
)
def test_a_cookie_that_is_not_of_this_release_counts_as_none(cookie: str) -> None:
    made, dice = table(policies(20, Cookie("release"))), random.Random(1)
    _, new = answered(made, dice)
    assert new is not None
    mark = new.rpartition(".")[2]
    assert answered(made, dice, f"Cookie: {cookie.replace('MARK', mark)}")[1] is not None
    assert answered(made, dice, f"Cookie: a=b;release=0.{mark} ;c=d") == ("v2", None)
    assert answered(made, dice, f"Cookie: release=3.{mark}") == ("v1", None)


def test_with_a_header_shares_are_the_weights_and_nobody_moves_back() -> None:
    dice = random.Random(4)
    users: list[list[str]] = [[] for _ in range(USERS)]
    for weight in WEIGHTS:
        made = table(policies(weight, Header("X-User-Id")))
        for place, versions in enumerate(users):
            found = {answered(made, dice, f"x-user-id: user-{place}")[0] for _ in range(2)}
            assert len(found) == 1
            versions += found
        assert abs(share([versions[-1] for versions in users]) - weight / 100) < 0.03
    assert all(versions == sorted(versions) for versions in users)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_the_hash_is_xxhash64(data: bytes, value: int) -> None:
    assert xxhash64(data) == value
