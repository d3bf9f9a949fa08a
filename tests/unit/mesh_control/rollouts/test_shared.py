"""Releases of several replicas: any of them takes orders, the leader moves them, and who leads next goes on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from mesh_control.rollouts import entries, replicas
from mesh_control.rollouts.entries import Entries, Entry, EntryError
from mesh_control.rollouts.replicas import GONE, SILENT, Crew, Said, key_of
from mesh_control.rollouts.runner import RolloutError
from mesh_control.rollouts.shared import KEPT, SharedRunner
from mesh_control.sources.kubernetes.api import ApiError
from mesh_control.sources.kubernetes.status import Proxies
from mesh_control.world import World
from mesh_policy import CanaryRelease, Policy
from mesh_policy.releases import Weight
from mesh_policy.releases.machine import Order, Phase, Reading, Rollout, State
from tests.unit.mesh_control.rollouts.test_runner import LIMIT, NAME, rollout, weight_of


@dataclass
class Cluster:
    """ConfigMaps behind an API server, and the clock of everybody."""

    now: float = 1000.0
    objects: dict[str, tuple[dict[str, str], int]] = field(default_factory=dict)
    versions: int = 0
    writes: int = 0
    broken: bool = False

    def entries(self) -> Entries:
        return entries.read({"data": self.objects.get(entries.NAME, ({}, 0))[0]})


@dataclass
class Maps:
    """The way of one replica to them."""

    cluster: Cluster
    before_write: list[object] = field(default_factory=list)
    """What others do between a read and the write that follows it."""

    async def read(self, name: str) -> tuple[dict[str, str], str]:
        if self.cluster.broken:
            raise ApiError(0, "no connection")
        found = self.cluster.objects.get(name)
        return ({}, "") if found is None else (dict(found[0]), str(found[1]))

    async def write(self, name: str, changes: Mapping[str, str | None], version: str | None) -> str:
        while name == entries.NAME and self.before_write:
            act = self.before_write.pop()
            assert callable(act)
            await act()
        present = self.cluster.objects.get(name)
        if present is None and version != "":
            raise ApiError(404, "not found")
        if version is not None and version != ("" if present is None else str(present[1])):
            raise ApiError(409, "conflict")
        kept = {**(present[0] if present is not None else {}), **changes}
        self.cluster.versions += 1
        self.cluster.writes += name == entries.NAME
        data = {key: text for key, text in kept.items() if text is not None}
        self.cluster.objects[name] = data, self.cluster.versions
        return str(self.cluster.versions)


@dataclass
class Replica:
    """What stands around a runner. Its world has what it has ``heard`` of, and its proxies take that unless it is said."""

    cluster: Cluster
    name: str
    leads: bool = False
    heard: Entries = field(default_factory=dict)
    taken: bool = True
    present: int = 1
    everybody: int = 2
    refusals: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    share: float = 0.0
    forgotten: list[str] = field(default_factory=list)
    maps: Maps = field(init=False)
    runner: SharedRunner = field(init=False)

    def __post_init__(self) -> None:
        self.maps = Maps(self.cluster)
        self.runner = SharedRunner(self.name, self.maps, self, self, lambda: self.cluster.now, lambda: self.cluster.now)

    def known(self) -> Entries:
        return self.heard

    def refused(self, policies: Sequence[Policy]) -> list[str]:
        return self.problems

    def said(self, known: Entries) -> Said:
        world = World.of((), (), entries.policies(self.heard))
        return Said(replicas.in_world(world, known), self.taken, self.present, self.refusals)

    def wanted(self) -> int:
        return self.everybody

    async def read(self, told: Rollout, now: float) -> Mapping[str, Reading]:
        return {str(LIMIT): Reading(requests=10, value=self.share)}

    def forget(self, name: str) -> None:
        self.forgotten.append(name)

    def hear(self) -> None:
        self.heard = self.cluster.entries()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def one(cluster: Cluster) -> Replica:
    return Replica(cluster, "one", leads=True)


@pytest.fixture
def two(cluster: Cluster) -> Replica:
    return Replica(cluster, "two")


async def looks(count: int, *everybody: Replica) -> None:
    for _ in range(count):
        for replica in everybody:
            replica.hear()
        for replica in (*everybody[1:], everybody[0]):
            await replica.runner.look()
        everybody[0].cluster.now += 1


def slow(hold: str) -> Rollout:
    steps = (Weight(5, hold=hold), Weight(50, hold=hold))
    release = CanaryRelease(
        service="books", namespace="default", stable="v1", candidate="v2", steps=steps, abort=(LIMIT,)
    )
    return Rollout(release=release)


def state(cluster: Cluster) -> State:
    return cluster.entries()[NAME].state


async def test_a_release_that_is_begun_at_any_replica_goes_through_its_steps(one: Replica, two: Replica) -> None:
    begun = await two.runner.start(rollout())
    assert (begun.phase, begun.weight) == (Phase.PROGRESSING, 5)
    assert two.runner.status(NAME)["weight"] == 5, "it is known there before it is heard of"
    weights = []
    for _ in range(14):
        await looks(1, one, two)
        weights.append(weight_of(list(entries.policies(one.cluster.entries()))))
    assert list(dict.fromkeys(weights)) == [5, 50, 100]
    assert state(one.cluster).phase is Phase.PROMOTED
    assert one.forgotten == [NAME]
    assert two.runner.status(NAME)["phase"] == "promoted"


async def test_a_replica_that_does_not_lead_moves_nothing(one: Replica, two: Replica) -> None:
    one.leads = False
    await two.runner.start(rollout())
    await looks(20, one, two)
    assert state(one.cluster).weight == 5
    assert one.cluster.writes == 1


async def test_proxies_of_other_replicas_count(one: Replica, two: Replica) -> None:
    await one.runner.start(rollout())
    two.taken = False
    await looks(10, one, two)
    assert one.runner.status(NAME)["waiting"] == "not every proxy has taken the weight"
    two.taken = True
    await looks(4, one, two)
    assert one.runner.status(NAME)["weight"] == 50


async def test_a_replica_that_has_not_heard_of_a_step_is_waited_for(one: Replica, two: Replica) -> None:
    await one.runner.start(rollout())
    for _ in range(20):  # its proxies have taken everything, but not of this
        one.hear()
        await two.runner.look()
        await two.runner._say(two.said(two.heard))
        await one.runner.look()
        one.cluster.now += 1
    assert one.runner.status(NAME)["weight"] == 5


async def test_a_proxy_that_is_connected_nowhere_is_waited_for(one: Replica, two: Replica) -> None:
    one.everybody = two.everybody = 3
    await one.runner.start(rollout())
    await looks(10, one, two)
    assert one.runner.status(NAME)["weight"] == 5
    two.present = 2
    await looks(10, one, two)
    assert one.runner.status(NAME)["weight"] > 5


async def test_a_replica_that_is_gone_is_not_waited_for_when_its_proxies_are_elsewhere(
    one: Replica, two: Replica
) -> None:
    await one.runner.start(rollout())
    await looks(1, one, two)
    two.taken = False
    await looks(1, one, two)  # the last that is heard of it
    await looks(int(SILENT) - 2, one)
    assert one.runner.status(NAME)["weight"] == 5
    one.present = 2
    await looks(6, one)
    assert one.runner.status(NAME)["weight"] == 50
    await one.runner.order(NAME, Order.PAUSE)
    one.cluster.now += GONE
    await looks(1, one)
    assert set(one.cluster.objects[replicas.NAME][0]) == {key_of("one")}


async def test_what_a_proxy_of_any_replica_refuses_ends_the_release(one: Replica, two: Replica) -> None:
    two.refusals = ("order refused CDS: as before",)
    await looks(2, one, two)
    await two.runner.start(rollout())
    await looks(2, one, two)
    one.refusals = ("store refused RDS: no",)
    await looks(2, one, two)
    ended = state(one.cluster)
    assert (ended.phase, ended.weight) == (Phase.ABORTED, 0)
    assert ended.reason.startswith("5 % was refused: ")
    assert "store refused RDS: no" in ended.reason


async def test_a_limit_that_is_exceeded_ends_it_and_says_why(one: Replica, two: Replica) -> None:
    await two.runner.start(rollout())
    await looks(1, one, two)
    one.share = 30.0
    await looks(2, one, two)
    assert two.runner.status(NAME)["reason"] == "error rate > 10% within 5s: measured 30 % of 10 requests at 5 %"


async def test_one_that_begins_again_at_once_is_not_measured_by_what_the_former_met(one: Replica, two: Replica) -> None:
    await two.runner.start(rollout())
    await looks(1, one, two)
    one.share = 30.0
    await looks(1, one, two)
    assert (state(one.cluster).phase, one.forgotten) == (Phase.ABORTED, [])
    await two.runner.start(rollout())
    await looks(1, one, two)
    assert one.forgotten == [NAME]


async def test_who_leads_next_goes_on_from_there_and_time_between_counts_for_nothing(
    one: Replica, two: Replica
) -> None:
    await one.runner.start(slow("20s"))
    await looks(int(KEPT) + 3, one, two)
    kept = state(one.cluster).held
    assert KEPT - 1 <= kept <= KEPT + 3
    one.leads, two.leads = False, True
    one.cluster.now += 1000
    await looks(2, two, one)
    after = two.runner.status(NAME)
    assert after["step"] == 0
    assert kept <= after["held"] <= kept + 2


async def test_orders_at_a_replica_that_does_not_lead(one: Replica, two: Replica) -> None:
    await one.runner.start(rollout())
    await looks(1, one, two)
    await two.runner.order(NAME, Order.PAUSE, "lunch")
    await looks(10, one, two)
    assert (state(one.cluster).phase, state(one.cluster).reason) == (Phase.PAUSED, "lunch")
    await two.runner.order(NAME, Order.RESUME)
    await looks(1, one, two)
    await two.runner.order(NAME, Order.PROMOTE)
    assert two.runner.status(NAME)["weight"] == 100
    with pytest.raises(RolloutError, match="has ended"):
        await one.runner.order(NAME, Order.PAUSE)
    await two.runner.remove(NAME)
    assert not one.cluster.entries()
    one.hear()
    with pytest.raises(RolloutError, match="there is no release"):
        one.runner.status(NAME)


async def test_an_order_comes_before_a_step_that_was_thought_of_at_the_same_time(one: Replica, two: Replica) -> None:
    await one.runner.start(rollout())
    await looks(2, one, two)

    async def abort() -> None:
        await two.runner.order(NAME, Order.ABORT, "by order")

    one.maps.before_write.append(abort)
    await looks(4, one, two)
    assert not one.maps.before_write
    assert (state(one.cluster).phase, state(one.cluster).reason) == (Phase.ABORTED, "by order")


async def test_two_that_begin_at_the_same_time_begin_one(one: Replica, two: Replica) -> None:
    async def other() -> None:
        await two.runner.start(rollout(candidate="v3"))

    one.maps.before_write.append(other)
    with pytest.raises(RolloutError, match="is progressing; promote or abort it first"):
        await one.runner.start(rollout())
    assert one.cluster.entries()[NAME].rollout.release.versions == ("v1", "v3")


async def test_what_could_not_be_in_force_is_refused_before_anything_changes(one: Replica) -> None:
    one.problems = ["VirtualService default/books: the cluster has an object of that name; remove it first"]
    with pytest.raises(RolloutError, match="remove it first") as told:
        await one.runner.start(rollout())
    assert told.value.status == 422
    assert not one.cluster.objects


async def test_without_the_api_server_orders_are_refused_and_nothing_moves(one: Replica, two: Replica) -> None:
    await one.runner.start(rollout())
    await looks(1, one, two)
    one.cluster.broken = True
    with pytest.raises(RolloutError, match="no connection; nothing was changed"):
        await one.runner.order(NAME, Order.PROMOTE)
    with pytest.raises(ApiError):
        await one.runner.look()
    one.cluster.broken = False
    await looks(4, one, two)
    assert state(one.cluster).weight == 50


async def test_a_state_that_is_only_nearer_is_seldom_written(one: Replica, two: Replica) -> None:
    await one.runner.start(slow("1h"))
    before = one.cluster.writes
    await looks(60, one, two)
    assert one.cluster.writes - before <= 60 / KEPT + 1
    assert one.runner.status(NAME)["held"] > 55


def test_entries_are_read_as_they_were_written() -> None:
    entry = Entry(rollout(), rollout().order(State(), Order.START, 5.5)[0])
    assert entries.parsed(NAME, entries.written(entry)) == entry
    other = entries.written(entry).replace('"held": 0.0', '"hold": 1')
    for text, told in (("{}", "KeyError"), ("no", "JSON"), (other, "hold")):
        with pytest.raises(EntryError, match=told):
            entries.parsed(NAME, text)
    with pytest.raises(EntryError, match=r"has the release books\.default"):
        entries.parsed("other.default", entries.written(entry))


async def test_what_has_no_room_is_refused(one: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "LARGEST", 100)
    with pytest.raises(RolloutError, match="no room"):
        await one.runner.start(rollout())


def test_nobody_is_not_everybody() -> None:
    own = Said("a", taken=True, present=0)
    assert not Crew().all_have("a", own, 0, 0.0)
    assert Crew().all_have("a", replace(own, present=1), 1, 0.0)
    crew = Crew()
    crew.hear({"x": "no JSON", "y": Said("b", True, 1).written(1)}, key_of("one"), 0.0)
    assert not crew.all_have("a", replace(own, present=1), 2, 0.0), "it has other releases"
    assert replicas.parsed("[]") is None


def test_proxies_of_all_replicas_are_counted_as_those_of_one() -> None:
    own = Proxies(2, 3)
    same, behind = Said("", True, 1, (), "w1", 4, 4), Said("", True, 1, ("of before",), "w0", 5, 5)
    assert replicas.united(own, "w1", []) == own
    assert replicas.united(own, "w1", [same]) == Proxies(6, 7)
    assert replicas.united(own, "w1", [same, behind]) == Proxies(6, 12), (
        "who is sent other policies has not taken these"
    )
    refusing = replace(same, acknowledged=3, refusals=("store refused CDS: no",))
    assert replicas.united(own, "w1", [refusing]).refusals == ("store refused CDS: no",)
    back = replace(behind, world="", refusals=("2 proxies refused",))
    assert replicas.united(own, "w1", [back]) == Proxies(2, 8, ("2 proxies refused",))
    assert replicas.parsed(refusing.written(1)) == refusing


async def test_who_leads_has_heard_the_others_first(one: Replica, two: Replica) -> None:
    one.leads = False
    await looks(1, one, two)
    assert not one.runner.heard
    one.leads = True
    await looks(1, one, two)
    assert one.runner.heard
    assert [said.present for said in one.runner.others()] == [1]
    one.leads = False
    await looks(1, one, two)
    assert not one.runner.heard
