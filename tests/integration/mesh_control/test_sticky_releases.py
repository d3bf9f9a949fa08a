"""A release that keeps its users by a cookie is plain Istio: a real Envoy does it, and so does our proxy."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from mesh_policy import CanaryRelease, Timeout, Traffic, dump
from mesh_policy.releases import Cookie, Weight
from tests.integration.mesh_control.harness import LIMIT, ControlPlane, control_plane
from tests.integration.mesh_control.programs import Program, running
from tests.integration.mesh_control.versions import CLIENT, HOST, Versions
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

COOKIE = "release"
WEIGHTS = (10, 50, 100)
RELEASE = CanaryRelease(
    service="book-store",
    stable="v1",
    candidate="v2",
    steps=[Weight(percent) for percent in WEIGHTS],
    sticky=Cookie(COOKIE, ttl="24h"),
)
BESIDE = Timeout(service="book-store", path="/api", after="15s")
"""Another rule, which must divide as the one for everything does."""
PATHS = ("/", "/api/v1/books", "/a", "/api", "/b")
USERS, STRANGERS, AT_ONCE = 40, 400, 20
DEVIATIONS = 5
"""Standard deviations; a right split is outside of them once in a hundred thousand runs."""


@dataclass
class User:
    """Somebody who keeps his cookies, of which others stand around the one of the release."""

    session: aiohttp.ClientSession
    versions: list[str] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, str]:
        """The number of the interval that the release put him into, and the release's mark."""
        (cookie,) = [one for one in self.session.cookie_jar if one.key == COOKIE]
        number, _, mark = cookie.value.partition(".")
        return int(number), mark


@dataclass
class Scene:
    plane: ControlPlane
    port: int

    async def weigh(self, weight: int, release: CanaryRelease = RELEASE) -> None:
        """Puts a release at a weight in force."""
        policies = Traffic(release.at(weight), BESIDE).expand()
        applied = await self.plane.client.apply("release", dump(policies), LIMIT)
        assert {proxy["state"] for proxy in applied["proxies"].values()} == {"acknowledged"}, applied
        async with aiohttp.ClientSession() as session:
            await self.ask(
                session
            )  # a real Envoy acknowledges when its worker is told; that has heard it after a request

    async def ask(self, session: aiohttp.ClientSession, path: str = "/") -> tuple[str, SimpleCookie]:
        """The version that answers, and the cookies that it sets."""
        async with session.get(f"http://127.0.0.1:{self.port}{path}", headers={"host": HOST}) as answer:
            assert answer.status == 200
            return await answer.text(), answer.cookies

    async def visit(self, users: list[User]) -> None:
        """All at once, each with several requests, below both rules."""

        async def one(user: User) -> None:
            for path in PATHS:
                user.versions.append((await self.ask(user.session, path))[0])

        await asyncio.gather(*map(one, users))

    async def strangers(self) -> Counter[tuple[str, int]]:
        """How often which version answered requests without a cookie, and how many cookies it handed out."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            answers: Counter[tuple[str, int]] = Counter()
            for _ in range(STRANGERS // AT_ONCE):
                for version, cookies in await asyncio.gather(*(self.ask(session) for _ in range(AT_ONCE))):
                    answers[version, len(cookies)] += 1
        return answers


@pytest.fixture
async def scene(tmp_path: Path, program: Program) -> AsyncIterator[Scene]:
    versions, port = Versions(), free_port()
    await versions.start()
    metadata = {"INTERCEPTION_MODE": "NONE", "EGRESS_PORTS": {f"{HOST}:8080": port}}
    try:
        with control_plane(tmp_path, inventory=versions.inventory()) as plane:
            async with running(program, plane, CLIENT, metadata):
                yield Scene(plane, port)
    finally:
        await versions.stop()


@pytest.fixture
async def users() -> AsyncIterator[list[User]]:
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for number in range(USERS):
            jar = aiohttp.CookieJar(unsafe=True)  # it is for an address
            jar.update_cookies({"before": "release=0", "xrelease": "0", "user": str(number)})
            made.append(User(await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))))
        yield made


async def test_users_move_once_at_most_and_shares_are_the_weights(scene: Scene, users: list[User]) -> None:
    for weight in WEIGHTS:
        await scene.weigh(weight)
        await scene.visit(users)
        answers = await scene.strangers()
        share = weight / 100
        tolerance = DEVIATIONS * math.sqrt(share * (1 - share) / STRANGERS)
        candidate = sum(count for (version, _), count in answers.items() if version == "v2")
        assert abs(candidate / STRANGERS - share) <= tolerance, (weight, answers)
        assert {cookies for _, cookies in answers} == ({0} if weight == 100 else {1})
    for user in users:
        stable = user.place[0] * len(PATHS)  # each interval in its turn
        assert user.versions == ["v1"] * stable + ["v2"] * (len(WEIGHTS) * len(PATHS) - stable)
    await scene.weigh(0)
    assert {(await scene.ask(user.session))[0] for user in users} == {"v1"}


async def test_users_of_another_release_are_divided_anew(scene: Scene, users: list[User]) -> None:
    """Cookies of the same name, whose numbers mean other intervals."""
    await scene.weigh(10)
    await scene.visit(users)
    (before,) = {user.place[1] for user in users}
    await scene.weigh(30, RELEASE.model_copy(update={"steps": (Weight(30),)}))
    await scene.visit(users)
    for user in users:
        number, mark = user.place
        assert mark != before
        assert user.versions[len(PATHS) :] == ["v1" if number else "v2"] * len(PATHS)
