"""The control plane runs releases: with a target, measurements and a clock that the test holds in its hands."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from mesh_control.rollouts.runner import RefusedError, RolloutError, Runner, owner_of
from mesh_control.rollouts.store import Store, StoreError
from mesh_policy import CanaryRelease, Policy, VirtualService
from mesh_policy.releases import ErrorRate, Weight
from mesh_policy.releases.machine import Order, Phase, Reading, Rollout, State

LIMIT = ErrorRate("> 10%", window="5s", min_requests=5)
OWNER, NAME = "rollout-books", "books.default"


def rollout(stable: str = "v1", candidate: str = "v2", service: str = "books", namespace: str = "default") -> Rollout:
    steps = (Weight(5, hold="2s"), Weight(50, hold="2s"))
    return Rollout(
        release=CanaryRelease(
            service=service, namespace=namespace, stable=stable, candidate=candidate, steps=steps, abort=LIMIT
        )
    )


class Mesh:
    """What puts policies in force, the measurements and the clock; the store that outlives the control plane."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "rollouts.sqlite")
        self.now = 1000.0
        self.sets: dict[str, list[Policy]] = {}
        self.weights: list[int] = []
        self.refused: set[int] = set()
        self.taken = True
        self.share = 0.0
        self.requests = 10
        self.forgotten: list[str] = []
        self.known: list[Phase | None] = []
        """What the store said at each change of policies."""

    def runner(self) -> Runner:
        return Runner(self.store, self, self, lambda: self.now)

    async def put(self, owner: str, policies: list[Policy]) -> None:
        weight = weight_of(policies)
        if weight in self.refused:
            raise RefusedError(f"nobody takes {weight}")
        stored = self.store.all().get(NAME)
        self.known.append(None if stored is None else stored[1].phase)
        self.sets[owner] = policies
        self.weights.append(weight)

    def acknowledged(self) -> bool:
        return self.taken

    def in_force(self, owner: str) -> list[Policy]:
        return self.sets.get(owner, [])

    async def read(self, rollout: Rollout, now: float) -> Mapping[str, Reading]:
        return {str(LIMIT): Reading(requests=self.requests, value=self.share)}

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


def weight_of(policies: list[Policy]) -> int:
    """The candidate's share in force; -1 without policies."""
    for policy in policies:
        if isinstance(policy, VirtualService):
            (rule,) = policy.spec.http or ()
            return sum(item.weight or 0 for item in (rule.route or ())[1:])
    return -1


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


async def looks(mesh: Mesh, runner: Runner, count: int) -> None:
    for _ in range(count):
        await runner.look()
        mesh.now += 1


async def test_a_release_goes_through_its_steps(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await looks(mesh, runner, 10)
    assert mesh.weights == [0, 5, 50, 100]  # subsets come before anything is sent to them
    assert runner.status(NAME)["phase"] == "promoted"
    assert mesh.forgotten == [NAME]


async def test_a_release_that_is_bad_goes_back_and_says_why(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await looks(mesh, runner, 4)
    mesh.share = 30.0
    await looks(mesh, runner, 3)
    assert mesh.weights == [0, 5, 50, 0]
    status = runner.status(NAME)
    assert (status["phase"], status["weight"]) == ("aborted", 0)
    assert status["reason"] == "error rate > 10% within 5s: measured 30 % of 10 requests at 50 %"
    assert status["readings"] == {str(LIMIT): {"requests": 10, "value": 30.0}}


async def test_a_state_is_known_before_its_policies_are_in_force(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await looks(mesh, runner, 10)
    assert mesh.known == [Phase.PENDING, Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTED]


@pytest.mark.parametrize("reached", range(10))
async def test_it_goes_on_where_it_was_cut_off_and_time_off_does_not_count(mesh: Mesh, reached: int) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await looks(mesh, runner, reached)
    before = runner.status(NAME)
    mesh.now += 1000
    runner = mesh.runner()
    assert runner.status(NAME) == before
    await looks(mesh, runner, 1)
    after = runner.status(NAME)
    assert (after["phase"], after["step"], after["held"]) == (before["phase"], before["step"], before["held"])
    await looks(mesh, runner, 10)
    assert mesh.weights == [0, 5, 50, 100]


@pytest.mark.parametrize("reached", range(10))
async def test_policies_that_were_lost_are_put_in_force_again(mesh: Mesh, reached: int) -> None:
    """Cut off between the state and its policies."""
    runner = mesh.runner()
    await runner.start(rollout())
    await looks(mesh, runner, reached)
    weight, mesh.sets = runner.status(NAME)["weight"], {}
    again = mesh.runner()
    for known, state in again.store.all().values():
        await again._enforce(known, state)
    assert weight_of(mesh.sets[OWNER]) == weight


async def test_without_acknowledgement_or_requests_it_stays(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    mesh.taken = False
    await looks(mesh, runner, 20)
    assert runner.status(NAME)["waiting"] == "not every proxy has taken the weight"
    mesh.taken, mesh.requests = True, 4
    await looks(mesh, runner, 20)
    assert runner.status(NAME)["waiting"].startswith("4 of 5 requests")
    assert mesh.weights == [0, 5]


async def test_a_step_that_is_refused_ends_the_release(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    mesh.refused = {50}
    await looks(mesh, runner, 5)
    status = runner.status(NAME)
    assert (status["phase"], status["reason"]) == ("aborted", "50 % was refused: nobody takes 50")
    assert mesh.weights == [0, 5, 0]


async def test_an_end_that_is_refused_is_tried_again(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    mesh.refused = {0}
    state = await runner.order(NAME, Order.ABORT, "enough")
    assert state.phase is Phase.ABORTED
    await looks(mesh, runner, 2)
    assert weight_of(mesh.sets[OWNER]) == 5
    mesh.refused = set()
    await looks(mesh, runner, 1)
    assert weight_of(mesh.sets[OWNER]) == 0
    await looks(mesh, runner, 2)
    assert mesh.weights == [0, 5, 0]


@pytest.mark.parametrize("refused", [0, 5])
async def test_a_release_whose_beginning_is_refused_leaves_nothing(mesh: Mesh, refused: int) -> None:
    runner = mesh.runner()
    mesh.refused = {refused}
    with pytest.raises(RolloutError, match=f"nobody takes {refused}") as told:
        await runner.start(rollout())
    assert told.value.status == 422
    assert (runner.all(), mesh.store.all(), weight_of(mesh.in_force(OWNER))) == ({}, {}, -1)


async def test_what_was_before_a_refused_beginning_stays(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await runner.order(NAME, Order.PROMOTE)
    mesh.refused = {5}
    with pytest.raises(RolloutError):
        await runner.start(rollout("v2", "v3"))
    assert runner.status(NAME)["versions"] == ["v1", "v2"]
    assert mesh.in_force(OWNER) == rollout().policies(State(phase=Phase.PROMOTED, weight=100))
    mesh.refused = set()
    await runner.start(rollout("v2", "v3"))
    assert runner.status(NAME)["versions"] == ["v2", "v3"]


async def test_one_release_of_a_service_at_a_time(mesh: Mesh) -> None:
    runner = mesh.runner()
    first = await runner.start(rollout())
    mesh.now += 5
    assert await runner.start(rollout()) == first  # said twice
    with pytest.raises(RolloutError, match="is progressing; promote or abort it first"):
        await runner.start(rollout(candidate="v3"))
    assert mesh.weights == [0, 5]


async def test_a_beginning_that_was_cut_off_can_begin_again(mesh: Mesh) -> None:
    mesh.store.put(rollout(), State())
    runner = mesh.runner()
    assert runner.status(NAME)["phase"] == "pending"
    assert (await runner.start(rollout())).weight == 5


async def test_an_ended_release_can_be_removed(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    with pytest.raises(RolloutError, match="promote or abort it first"):
        await runner.remove(NAME)
    await runner.order(NAME, Order.PROMOTE)
    await runner.remove(NAME)
    assert (mesh.in_force(OWNER), mesh.store.all(), mesh.runner().all()) == ([], {}, {})
    with pytest.raises(RolloutError, match=r"there is no release books\.default; there are: none") as told:
        await runner.remove(NAME)
    assert told.value.status == 404


async def test_orders_that_make_no_sense_name_the_release(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await runner.order(NAME, Order.ABORT)
    with pytest.raises(RolloutError, match=r"books\.default: the release has ended"):
        await runner.order(NAME, Order.PROMOTE)


async def test_a_release_that_is_removed_while_another_is_measured_is_no_trouble(mesh: Mesh) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    await runner.start(rollout(service="zoo"))

    async def read(known: Rollout, now: float) -> Mapping[str, Reading]:
        if known.name == NAME:
            await runner.order("zoo.default", Order.ABORT)
            await runner.remove("zoo.default")
        return {}

    mesh.read = read  # type: ignore[method-assign]
    await looks(mesh, runner, 1)
    assert list(runner.all()) == [NAME]


def test_every_service_has_its_own_owner() -> None:
    named = [
        ("books", "default"),
        ("c", "a-b"),
        ("b-c", "a"),
        ("a-b-c", "default"),
        ("b" * 63, "default"),
        ("b" * 62, "n" * 63),
    ]
    owners = [owner_of(rollout(service=service, namespace=namespace)) for service, namespace in named]
    assert len(set(owners)) == len(named)
    assert owners[0] == OWNER
    assert all(len(owner) <= 63 for owner in owners)


async def test_a_store_that_fails_for_a_while_stops_no_release_for_good(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = mesh.runner()
    await runner.start(rollout())
    put, failures = mesh.store.put, iter([True, True])

    def full(known: Rollout, state: State) -> None:
        mesh.now += 1
        if next(failures, False):
            raise StoreError("disk full")
        put(known, state)

    monkeypatch.setattr(Store, "put", lambda _store, known, state: full(known, state))
    monkeypatch.setattr("mesh_control.rollouts.runner.INTERVAL", 0)
    ended = asyncio.Event()
    monkeypatch.setattr(mesh, "forget", lambda _name: ended.set())
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(ended.wait(), 10)
    running.cancel()
    assert mesh.store.all()[NAME][1].phase is Phase.PROMOTED


async def test_one_that_was_promoted_is_not_begun_again(mesh: Mesh) -> None:
    """An update that declares it with other steps must not take everybody back."""
    runner = mesh.runner()
    await runner.start(rollout())
    await runner.order(NAME, Order.PROMOTE)
    other = rollout()
    slower = other.release.model_copy(update={"steps": (Weight(10, hold="1h"),)})
    state = await runner.start(Rollout(release=slower))
    assert (state.phase, weight_of(mesh.sets[OWNER])) == (Phase.PROMOTED, 100)
    assert 0 not in mesh.weights[mesh.weights.index(100) :]
    state = await runner.start(rollout(stable="v2", candidate="v3"))
    assert (state.phase, state.weight) == (Phase.PROGRESSING, 5)
