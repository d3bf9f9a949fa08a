"""Releases measured by a real Prometheus, which scrapes what Istio's proxies would report."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mesh_control.rollouts import measurements, wiring
from mesh_control.rollouts.prometheus import PrometheusMeasurements
from mesh_control.rollouts.runner import Runner, owner_of
from mesh_control.rollouts.store import Store
from mesh_policy import CanaryRelease, Policy
from mesh_policy.releases import ErrorRate, Latency, Limit, Mirror, Weight
from mesh_policy.releases.machine import Phase, Reading, Rollout, State
from tests.integration.mesh_control.harness import LIMIT
from tests.support import prometheus
from tests.support.istio_metrics import BOUNDS, INFINITY, Flow, Mesh, exporter
from tests.support.ports import free_port
from tests.support.raw_http import listening_socket

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ERRORS = ErrorRate("> 10%", window="2s")
SLOW = [Latency("> 500ms", window="2s", quantile=quantile) for quantile in (0.5, 0.9, 0.95, 0.999)]
STEPS = (Weight(20, hold="3s"), Weight(50, hold="10m"))
CANARY = CanaryRelease(service="books", stable="v1", candidate="v2", steps=STEPS, abort=(ERRORS, *SLOW))
COPIES = Mirror(service="books", stable="v1", candidate="v2", abort=ERRORS)
DOMAIN = "svc.cluster.local"
ODD = "b\"o\\o{k}'s\n+&=;%2B #é😀~"
SERVICES = (f"books-{number}" for number in itertools.count())

Readings = Mapping[str, Reading]


def beside(service: str) -> list[Flow]:
    """What is no request to the candidate as a client sees it; all of it fails, and is slow."""
    host = f"{service}.default.{DOMAIN}"
    bad: dict[str, Any] = {"each": 50, "code": 500, "milliseconds": 9000}
    return [
        Flow(host, version="v1", **bad),
        Flow(host, version="v22", **bad),
        Flow(host, version="unknown", revision="v1", **bad),
        Flow(host, version="unknown", revision="latest", **bad),
        Flow(f"my-{host}", **bad),
        Flow(f"{service}.other.{DOMAIN}", **bad),
        Flow(f"orders.default.{DOMAIN}", version="v1", client="v2", **bad),
    ]


@dataclass
class Scene:
    """A service of a test's own, whose candidate nobody asks yet; its series stay behind."""

    mesh: Mesh
    source: PrometheusMeasurements
    service: str

    def add(self, *each: int, **flow: Any) -> list[Flow]:
        """More requests to the candidate."""
        made = [Flow(f"{self.service}.default.{DOMAIN}", number, **flow) for number in each]
        self.mesh.flows += made
        return made

    async def read(self, release: CanaryRelease | Mirror = CANARY) -> Readings:
        own = release.model_copy(update={"service": self.service})
        # Without the validation of policies, which does not take every name.
        return await self.source.read(Rollout.model_construct(release=own, statements=()), 0.0)

    async def until(self, holds: Callable[[Readings], bool], release: CanaryRelease | Mirror = CANARY) -> Readings:
        """What is measured when it is as wanted; looks again after every scrape."""
        async with asyncio.timeout(LIMIT):
            while not holds(found := await self.read(release)):
                await self.mesh.scraped()
        return found


def measured(*limits: Limit, requests: int = 10) -> Callable[[Readings], bool]:
    return lambda found: all(str(limit) in found and found[str(limit)].requests >= requests for limit in limits)


@pytest.fixture(scope="module")
def installed() -> Path:
    try:
        return prometheus.program()
    except prometheus.NoPrometheusError as reason:
        pytest.skip(str(reason))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(installed: Path) -> AsyncIterator[tuple[Mesh, PrometheusMeasurements]]:
    """One for all tests: it scrapes for the first time five seconds after its start."""
    mesh = Mesh()
    async with (
        exporter(mesh),
        prometheus.running(installed, mesh.port) as url,
        wiring.fetching() as fetch,
    ):
        yield mesh, PrometheusMeasurements(url, fetch)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(served: tuple[Mesh, PrometheusMeasurements]) -> Scene:
    service = next(SERVICES)
    served[0].flows, served[0].broken = beside(service), False
    return Scene(*served, service)


async def test_errors_of_the_candidate_alone_are_counted(scene: Scene) -> None:
    for code, each in {200: 15, 404: 1, 500: 3, 503: 1}.items():
        scene.add(each, code=code)
    scene.add(40, code=500, reporter="destination")
    found = (await scene.until(measured(ERRORS)))[str(ERRORS)]
    assert found.value == pytest.approx(20)
    assert found.requests < 5000  # what was before its first scrape is not in the window


async def test_what_proxies_answered_in_the_place_of_the_candidate_is_its(scene: Scene) -> None:
    """They name its revision then, and no version; where it told its version, the revision may be another."""
    (reached,) = scene.add(30, revision="2.0.1")
    scene.add(10, code=503, version="unknown", revision="v2", milliseconds=0.1)
    found = await scene.until(measured(*CANARY.abort))
    assert found[str(ERRORS)].value == pytest.approx(25)
    assert 10 < found[str(SLOW[0])].value < 25
    reached.each = 0
    await scene.until(lambda found: found[str(ERRORS)].value > 99)


async def test_without_any_failure_the_share_is_zero(scene: Scene) -> None:
    scene.add(20)
    assert (await scene.until(measured(ERRORS)))[str(ERRORS)].value == 0


async def test_times_are_those_that_the_proxies_statistics_would_give(scene: Scene) -> None:
    took = {0.3: 5, 3.0: 20, 40.0: 60, 400.0: 30, 700.0: 4, 9000.0: 2, 5e6: 1}
    for time, each in took.items():
        scene.add(each, milliseconds=time, client=f"after-{time}", code=200 if each > 4 else 500)
    scene.add(99, milliseconds=9000, reporter="destination")
    found = await scene.until(measured(*SLOW, requests=200))
    bounds = (*BOUNDS, INFINITY)
    buckets = {bound: sum(each for time, each in took.items() if time <= bound) for bound in bounds}
    counts = measurements.Counts(sum(took.values()), 0, buckets)
    for limit in SLOW:
        assert found[str(limit)].value == pytest.approx(measurements.reading(limit, counts).value), limit


async def test_copies_are_measured_where_they_arrive(scene: Scene) -> None:
    scene.add(30, reporter="destination")
    scene.add(10, reporter="destination", code=500)
    assert (await scene.until(measured(ERRORS), COPIES))[str(ERRORS)].value == pytest.approx(25)
    assert await scene.read(CANARY) == {}
    scene.add(1000, code=500)  # should clients report them as well
    await scene.until(measured(ERRORS, requests=1000))
    assert (await scene.read(COPIES))[str(ERRORS)].value == pytest.approx(25)


async def test_of_what_nobody_has_seen_nothing_is_measured(scene: Scene) -> None:
    others = CANARY.model_copy(update={"candidate": "v1"})
    await scene.until(measured(ERRORS), others)
    assert await scene.read(CANARY) == {}
    assert await scene.read(COPIES) == {}


async def test_without_requests_in_the_window_there_are_none_until_the_series_end(scene: Scene) -> None:
    flows = [*scene.add(20), *scene.add(20, code=500)]
    await scene.until(measured(ERRORS))
    for flow in flows:
        flow.each = 0
    found = await scene.until(lambda found: not any(reading.requests for reading in found.values()))
    assert found == {str(limit): Reading(requests=0, value=0.0) for limit in CANARY.abort}
    scene.mesh.broken = True
    assert await scene.until(lambda found: not found) == {}


async def test_letters_that_mean_something_to_prometheus_are_letters(scene: Scene) -> None:
    scene.service = ODD
    release = CANARY.model_copy(update={"candidate": 'v"2\\'})
    scene.add(30, version=release.candidate)
    scene.add(10, version=release.candidate, code=500, milliseconds=400)
    found = await scene.until(measured(*release.abort), release)
    assert found[str(ERRORS)].value == pytest.approx(25)
    assert 250 < found[str(SLOW[-1])].value < 500


async def test_where_no_prometheus_answers_nothing_is_measured(scene: Scene) -> None:
    with contextlib.closing(listening_socket()) as silent:
        for port in (
            free_port(),
            scene.mesh.port,
            silent.getsockname()[1],
        ):  # nobody, another server, one that is silent
            async with wiring.fetching(0.5) as fetch:
                scene.source = PrometheusMeasurements(f"http://127.0.0.1:{port}", fetch)
                assert await scene.read() == {}


class Taken:
    """Proxies that take every policy at once."""

    def __init__(self) -> None:
        self.sets: dict[str, list[Policy]] = {}

    async def put(self, owner: str, policies: list[Policy]) -> None:
        self.sets[owner] = policies

    def acknowledged(self) -> bool:
        return True

    def in_force(self, owner: str) -> list[Policy]:
        return self.sets.get(owner, [])


async def test_a_release_that_turns_bad_is_taken_back_with_what_was_measured(scene: Scene, tmp_path: Path) -> None:
    seconds, target = itertools.count(1000.0), Taken()
    runner = Runner(Store(tmp_path / "rollouts.sqlite"), target, scene.source, lambda: next(seconds))
    rollout = Rollout(release=CANARY.model_copy(update={"service": scene.service}))

    async def until(**wanted: object) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            while True:
                await runner.look()
                if wanted.items() <= (status := runner.status(rollout.name)).items():
                    return status
                await scene.mesh.scraped()

    await runner.start(rollout)
    await until(waiting=f"no measurements of {', '.join(map(str, CANARY.abort))}")
    scene.add(40)
    await until(weight=50)
    scene.add(20, code=500, before=0)
    status = await until(phase="aborted")
    said = re.fullmatch(r"error rate > 10% within 2s: measured (\S+) % of (\d+) requests at 50 %", status["reason"])
    assert said, status
    assert 10 < float(said[1]) < 40
    assert int(said[2]) >= ERRORS.min_requests
    assert target.sets[owner_of(rollout)] == rollout.policies(State(phase=Phase.ABORTED))
