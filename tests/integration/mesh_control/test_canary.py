"""Releases under load: a control plane and a client's proxy as processes, two versions of a service, requests all along."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from mesh_policy import CanaryRelease
from mesh_policy.releases import Cookie, ErrorRate, Weight
from mesh_policy.releases.machine import Rollout
from tests.integration.mesh_control.harness import LIMIT, ControlPlane, control_plane
from tests.integration.mesh_control.programs import OURS, connected, running
from tests.integration.mesh_control.versions import CLIENT, HOST, Versions
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

RELEASE = CanaryRelease(
    service="book-store",
    stable="v1",
    candidate="v2",
    steps=[Weight(20, hold="1s"), Weight(60, hold="1s")],
    abort=ErrorRate("> 10%", window="5s"),
)


LONG = RELEASE.model_copy(update={"steps": (Weight(20, hold="10m"), Weight(60, hold="10m"))})
"""One that is in its first step for as long as a test lasts."""


@dataclass
class Load:
    """Requests one after another, until told to end; every answer counts."""

    port: int
    answers: "Counter[tuple[int, str]]" = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                async with session.get(f"http://127.0.0.1:{self.port}/", headers={"host": HOST}) as answer:
                    self.answers[answer.status, await answer.text()] += 1
                self.changed.set()

    async def until(self, count: int) -> None:
        """Returns when that many further requests are answered."""
        wanted = self.answers.total() + count
        async with asyncio.timeout(LIMIT):
            while self.answers.total() < wanted:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Scene:
    plane: ControlPlane
    versions: Versions
    load: Load

    def mesh(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mesh_cli", "canary", *arguments, "--socket", str(self.plane.socket)]

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            *self.mesh(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 2 * LIMIT)
        assert process.returncode == code, (out, err)
        return out.decode(), err.decode()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    versions, port = Versions(), free_port()
    await versions.start()
    load = Load(port)
    with control_plane(tmp_path, inventory=versions.inventory()) as plane:
        metadata = {"INTERCEPTION_MODE": "NONE", "EGRESS_PORTS": {f"{HOST}:8080": port}}
        async with running(OURS, plane, CLIENT, metadata):
            task = asyncio.create_task(load.run())
            await load.until(20)
            try:
                yield Scene(plane, versions, load)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    await versions.stop()


def declared(folder: Path, release: CanaryRelease = RELEASE) -> str:
    file = folder / "release.json"
    file.write_text(json.dumps(Rollout(release=release).to_document()))
    return str(file)


async def test_a_good_release_is_promoted_and_no_request_fails(scene: Scene, tmp_path: Path) -> None:
    out, err = await scene.run("start", declared(tmp_path), "--wait", "-o", "json")
    (found,) = json.loads(out)
    assert (found["phase"], found["weight"]) == ("promoted", 100)
    assert "v2 20 %, v1 80 %" in err
    assert "v2 60 %, v1 40 %" in err
    before = scene.load.answers.copy()
    await scene.load.until(50)
    assert scene.load.answers - before == Counter({(200, "v2"): (scene.load.answers - before).total()})
    assert {status for status, _ in scene.load.answers} == {200}


async def test_a_bad_release_takes_itself_back_and_says_why(scene: Scene, tmp_path: Path) -> None:
    scene.versions.broken.add("v2")
    long = RELEASE.model_copy(update={"steps": (Weight(50, hold="10m"),)})
    out, err = await scene.run("start", declared(tmp_path, long), "--wait", "-o", "json", code=1)
    (found,) = json.loads(out)
    assert found["phase"] == "aborted"
    assert "error rate > 10% within 5s: measured 100 % of" in found["reason"]
    assert found["reason"] in err
    before = scene.load.answers.copy()
    await scene.load.until(50)
    assert {version for _, version in scene.load.answers - before} == {"v1"}
    assert {(status, version) for status, version in scene.load.answers if status != 200} == {(500, "v2")}


async def test_a_release_goes_on_where_it_was_after_a_crash(scene: Scene, tmp_path: Path) -> None:
    """Killed in the middle of a step, the control plane knows the release, its step, and that its set is in force."""
    await scene.run("start", declared(tmp_path, LONG))
    before = await scene.plane.client.rollout("book-store.default")
    scene.plane.kill()
    scene.plane.start()
    after = await scene.plane.client.rollout("book-store.default")
    same = ("phase", "step", "weight", "steps", "limits")
    assert [after[name] for name in same] == [before[name] for name in same]
    await scene.run("promote", "book-store")
    await connected(scene.plane, CLIENT)
    before_answers = scene.load.answers.copy()
    await scene.load.until(50)
    assert {version for _, version in scene.load.answers - before_answers} == {"v2"}
    assert {status for status, _ in scene.load.answers} == {200}


async def test_orders_pause_and_abort(scene: Scene, tmp_path: Path) -> None:
    await scene.run("start", declared(tmp_path, LONG))
    out, _ = await scene.run("pause", "book-store", "--reason", "lunch")
    assert "paused; v2" in out
    assert "lunch" in out
    _, err = await scene.run("abort", "book-store", "--reason", "no")
    assert "book-store.default: aborted; v2 0 %, v1 100 %" in err
    _, err = await scene.run("resume", "book-store", code=1)
    assert "has ended (aborted); start a new one" in err
    await scene.run("remove", "book-store")
    assert await scene.plane.client.rollouts() == {}
    assert await scene.plane.client.get("rollout-book-store") == ""


async def test_a_user_with_the_cookie_moves_once_at_most(scene: Scene, tmp_path: Path) -> None:
    sticky = RELEASE.model_copy(update={"sticky": Cookie("release")})
    seen: list[list[str]] = [[] for _ in range(8)]

    async def visit(versions: list[str]) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            while True:
                async with session.get(f"http://127.0.0.1:{scene.load.port}/", headers={"host": HOST}) as answer:
                    versions.append(await answer.text())

    await scene.run("start", declared(tmp_path, sticky))
    tasks = [asyncio.create_task(visit(versions)) for versions in seen]
    await scene.run("status", "--watch")
    await scene.load.until(20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for versions in seen:
        moves = sum(one != other for one, other in pairwise(versions))
        assert (moves, versions[0], versions[-1]) in {(1, "v1", "v2"), (0, "v2", "v2")}
