"""Releases of a control plane of several replicas: their states are in the cluster's API, and what is there is in force.

Every replica has the policies of the states that stand there in its world. Orders are taken by any of them: they are a change
of the state, written for the version that was read. The one that leads moves the states by time and measurements, once the
proxies of every replica have taken them. So there is no command to hand on, and whoever leads next goes on from what is
there; time in which nobody led counts for no step.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from mesh_control.rollouts import entries, orders, replicas
from mesh_control.rollouts.entries import Entries, Entry, EntryError
from mesh_control.rollouts.measurements import Measurements
from mesh_control.rollouts.orders import CONFLICT, NOT_FOUND, Act, Made, Maps
from mesh_control.rollouts.replicas import BEAT, Crew, Said
from mesh_control.rollouts.runner import INTERVAL, shown
from mesh_control.sources.kubernetes.api import ApiError
from mesh_policy import Policy
from mesh_policy.releases.machine import Order, Rollout, Seen, State

log = logging.getLogger("mesh_control.rollouts")
IDLE, KEPT = 1.0, 5.0
"""Seconds from one look to the next while no release moves; and between two writes of a state that is only nearer to its next
step: so much of a step's time is lost with its leader."""


class Here(Protocol):
    """This replica."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that moves releases."""

    def known(self) -> Entries:
        """What it has heard of the releases."""

    def refused(self, policies: Sequence[Policy]) -> list[str]:
        """Why these policies could not be in force; empty: they could."""

    def said(self, entries: Entries) -> Said:
        """How far its proxies are with these releases."""

    def wanted(self) -> int:
        """How many workloads ought to have a proxy, wherever that is connected."""


@dataclass(slots=True)
class SharedRunner:
    """A replica's part; the same as :class:`~mesh_control.rollouts.runner.Runner` for whoever asks. ``clock`` gives seconds
    since the epoch, ``steady`` any that do not jump."""

    replica: str
    maps: Maps
    here: Here
    measurements: Measurements
    clock: Callable[[], float]
    steady: Callable[[], float]
    problem: str = ""
    """Why releases stand still, or do not know each other's replicas."""
    _crew: Crew = field(default_factory=Crew)
    _ahead: dict[str, tuple[Entry, State, float]] = field(default_factory=dict)
    """By release, how far the leader is beyond what stands there: that, the state, and when it was written last."""
    _written: tuple[Entries, Entries] | None = None
    """What was heard when this replica wrote last, and what it wrote."""
    _told: tuple[Said | None, float, int] = (None, float("-inf"), 0)
    heard: bool = False
    """Whether it leads, and knows what the others say."""
    _refusals: frozenset[str] = frozenset()
    """What was refused at the last look."""
    _before: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    """By release, a weight, and what was refused before it was in force."""

    # What people ask

    def all(self) -> Mapping[str, dict[str, Any]]:
        """Every release as JSON, by name."""
        return {name: self.status(name) for name in sorted(self._present())}

    def status(self, name: str) -> dict[str, Any]:
        """A release as JSON. Raises :class:`~mesh_control.rollouts.runner.RolloutError`."""
        present = self._present()
        entry = orders.required(present, name)
        ahead = self._ahead.get(name)
        return shown(entry.rollout, ahead[1] if ahead is not None and ahead[0] == entry else entry.state)

    async def start(self, rollout: Rollout) -> State:
        """Begin a release. Raises :class:`~mesh_control.rollouts.runner.RolloutError`."""
        entry = await self._change(rollout.name, orders.beginning(rollout, self.clock(), self.here.refused))
        log.info("release %s: %s, %d %%", rollout.name, entry.state.phase, entry.state.weight)
        return entry.state

    async def order(self, name: str, order: Order, reason: str = "") -> State:
        """An operator's word. Raises :class:`~mesh_control.rollouts.runner.RolloutError`."""
        return (await self._change(name, orders.ordered(name, order, self.clock(), reason))).state

    async def remove(self, name: str) -> None:
        """Forget an ended release, whose policies go with it. Raises
        :class:`~mesh_control.rollouts.runner.RolloutError`."""
        await self._change(name, orders.removed(name))

    def _present(self) -> Entries:
        """What was heard last; or what this replica wrote since."""
        heard = self.here.known()
        if self._written is not None and self._written[0] == heard:
            return self._written[1]
        self._written = None
        return heard

    def others(self) -> list[Said]:
        """What the other replicas say of their proxies, where this one leads."""
        return self._crew.said(self.steady())

    async def _change(self, name: str, act: Act[Made]) -> Made:
        """An order's change of an entry. Raises :class:`~mesh_control.rollouts.runner.RolloutError`."""
        return await orders.changed(self.maps, act, partial(self._write, name))

    async def _write(
        self, name: str, entry: Entry | None, data: Mapping[str, str], version: str, present: Entries
    ) -> None:
        if present.get(name) == entry:
            return
        heard = self.here.known()
        await orders.put(self.maps, name, entry, data, version)
        others = {other: known for other, known in present.items() if other != name}
        self._written = heard, {**others, name: entry} if entry is not None else others
        self._ahead.pop(name, None)

    # What the replicas do by themselves

    async def run(self) -> None:
        """For ever: see the module's docstring."""
        while True:
            try:
                await self.look()
                self.problem = ""
            except ApiError as error:
                self._tell(f"releases stand still: {error.message}")
            except EntryError as error:
                self._tell(f"releases stand still: ConfigMap {entries.NAME}: {error}")
            await asyncio.sleep(INTERVAL if self._moving() else IDLE)

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem

    def _moving(self) -> bool:
        return any(entry.moves for entry in self._present().values())

    async def look(self) -> None:
        """Say how far the own proxies are; and of whoever leads, one look at every release that moves."""
        present = self._present()
        own = self.here.said(present)
        moving = self._moving()
        await self._say(own)
        if not self.here.leads:
            self._let_go()
            self.heard = False
            return
        await self._hear()
        now = self.steady()
        refused = self._crew.refusals(own, now)
        if not moving:
            self._refusals = refused
            self._let_go()
            return
        taken = self._crew.all_have(replicas.digest_of(entries.policies(present)), own, self.here.wanted(), now)
        for name, entry in present.items():
            if entry.moves:
                await self._advance(name, entry, taken, refused)
            elif self._before.pop(name, None) is not None:
                self.measurements.forget(name)
        self._refusals = refused

    def _let_go(self) -> None:
        for name in self._before:
            self.measurements.forget(name)
        self._ahead.clear()
        self._before.clear()

    async def _say(self, own: Said) -> None:
        last, at, beat = self._told
        if own == last and self.steady() - at < BEAT:
            return
        await self._put(replicas.NAME, {replicas.key_of(self.replica): own.written(beat + 1)})
        self._told = own, self.steady(), beat + 1

    async def _hear(self) -> None:
        texts, _ = await self.maps.read(replicas.NAME)
        self._crew.hear(texts, replicas.key_of(self.replica), self.steady())
        self.heard = True
        if gone := self._crew.gone(self.steady()):
            await self._put(replicas.NAME, dict.fromkeys(gone))

    async def _put(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Entries that nobody else writes, of an object that is made where it is missing."""
        try:
            await self.maps.write(name, changes, None)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            await self.maps.write(name, changes, "")

    async def _advance(self, name: str, entry: Entry, taken: bool, refused: frozenset[str]) -> None:
        """One look at a release. ``taken``: whether every proxy has what stands there; ``refused``: what they refuse."""
        rollout, now = entry.rollout, self.clock()
        known = self._ahead.get(name)
        if known is not None and known[1].ended:
            # Begun again between two looks: the former one's requests are none of its own.
            self.measurements.forget(name)
        if known is None or known[0] != entry:  # nobody has counted the time until now
            known = entry, entry.state.model_copy(update={"clock": None}), self.steady()
        state = known[1]
        if self._before.get(name, (-1,))[0] != state.weight:
            self._before[name] = state.weight, self._refusals
        readings = await self.measurements.read(rollout, now)
        after, _ = rollout.advance(state, Seen(acknowledged=taken, readings=readings), now)
        if new := sorted(refused - self._before[name][1]):
            after, _ = rollout.order(state, Order.ABORT, now, f"{state.weight} % was refused: {'; '.join(new)}")
        self._ahead[name] = entry, after, known[2]
        if entries.is_step(entry.state, after) or (after != entry.state and self.steady() - known[2] >= KEPT):
            await self._keep(name, entry, after)

    async def _keep(self, name: str, entry: Entry, after: State) -> None:
        """Write a state down, unless somebody has given an order meanwhile: then it is looked at again."""
        if not self.here.leads:
            return
        data, version = await self.maps.read(entries.NAME)
        present = entries.read({"data": data})
        if present.get(name) != entry:
            self._ahead.pop(name, None)
            return
        fresh = Entry(entry.rollout, after)
        try:
            await self._write(name, fresh, data, version, present)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            return
        self._ahead[name] = fresh, after, self.steady()
        if entries.is_step(entry.state, after):
            why = f": {after.reason or after.waiting}" if after.reason or after.waiting else ""
            log.info("release %s: %s, %d %% for the candidate%s", name, after.phase, after.weight, why)
