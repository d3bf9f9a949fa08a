"""Runs releases: every moment it reads the measurements, moves each state machine, and puts what that asks for in force.

A state is written down before its policies are put in force, and they are put in force again at the start: wherever the
control plane is cut off, it goes on from there. Time in which it did not run counts for no step.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from mesh_control.rollouts.measurements import Measurements
from mesh_control.rollouts.store import Store, StoreError
from mesh_policy import Policy, dump
from mesh_policy.durations import parse_duration
from mesh_policy.releases.machine import Order, OrderError, Phase, Rollout, Seen, State

log = logging.getLogger("mesh_control.rollouts")
INTERVAL = 0.5
"""Seconds from one look to the next."""


class Target(Protocol):
    """What puts policies in force."""

    async def put(self, owner: str, policies: list[Policy]) -> None:
        """Make these the owner's whole set. Raises :class:`RefusedError`."""
        ...

    def acknowledged(self) -> bool:
        """Whether every proxy is connected and has taken what is in force."""
        ...

    def in_force(self, owner: str) -> list[Policy]:
        """The owner's set."""
        ...


class Releases(Protocol):
    """Those of a control plane, for whoever asks about them and gives orders. Everything raises :class:`RolloutError`."""

    def all(self) -> Mapping[str, dict[str, Any]]:
        """Every release as JSON, by name."""
        ...

    def status(self, name: str) -> dict[str, Any]:
        """A release as JSON."""
        ...

    async def start(self, rollout: Rollout) -> State:
        """Begin a release."""
        ...

    async def order(self, name: str, order: Order, reason: str = "") -> State:
        """An operator's word."""
        ...

    async def remove(self, name: str) -> None:
        """Forget an ended release and take its policies away."""
        ...

    async def run(self) -> None:
        """Move them for ever."""
        ...


class RefusedError(Exception):
    """A set of policies was not put in force, and why."""


class RolloutError(ValueError):
    """What cannot be done with a release; the message says why. ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


def owner_of(rollout: Rollout) -> str:
    """The owner of a release's policies: ``rollout-SERVICE``, with the namespace where it is not the default one."""
    namespace = "" if rollout.release.namespace == "default" else f"{rollout.release.namespace}-"
    name = f"rollout-{namespace}{rollout.release.service}"
    if len(name) <= 63 and not namespace:
        return name
    # A dash may stand in both names, so that a-b of c and a of b-c would be one owner.
    return f"{name[:54]}-{hashlib.sha256(rollout.name.encode()).hexdigest()[:8]}"


def same_versions(one: Rollout, other: Rollout) -> bool:
    """Whether both lead from the same version to the same one."""
    return type(one.release) is type(other.release) and one.release.versions == other.release.versions


@dataclass(slots=True)
class Runner:
    """The releases of a control plane. ``clock`` gives seconds since the epoch."""

    store: Store
    target: Target
    measurements: Measurements
    clock: Callable[[], float]
    _running: dict[str, tuple[Rollout, State]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _owed: set[str] = field(default_factory=set)
    """Ended releases whose last policies were refused: they are put in force when that is possible."""

    def __post_init__(self) -> None:
        self._running = {
            name: (rollout, state.model_copy(update={"clock": None}))
            for name, (rollout, state) in self.store.all().items()
        }

    async def run(self) -> None:
        """For ever: see the module's docstring."""
        async with self._lock:
            for rollout, state in list(self._running.values()):
                await self._enforce(rollout, state)
        while True:
            if not self._owed and not any(self._moves(state) for _, state in self._running.values()):
                self._wake.clear()
                await self._wake.wait()
            try:
                await self.look()
            except StoreError as error:  # what cannot be remembered is not done; the disk may have room again
                log.error("releases stand still: %s", error)
            await asyncio.sleep(INTERVAL)

    @staticmethod
    def _moves(state: State) -> bool:
        return state.phase in (Phase.PROGRESSING, Phase.PAUSED)

    async def look(self) -> None:
        """One look at every release that moves."""
        for name in sorted(self._owed):
            async with self._lock:
                if name in self._owed:  # it may have been removed meanwhile
                    await self._enforce(*self._running[name])
        for name, (rollout, state) in list(self._running.items()):
            if not self._moves(state):
                continue
            readings = await self.measurements.read(rollout, self.clock())
            async with self._lock:
                if name not in self._running or self._running[name][0] != rollout:
                    continue  # it was replaced or removed while the proxies were asked
                state = self._running[name][1]
                seen = Seen(acknowledged=self.target.acknowledged(), readings=readings)
                after, _ = rollout.advance(state, seen, self.clock())
                await self._move(rollout, state, after)

    async def start(self, rollout: Rollout) -> State:
        """Begin a release. Raises :class:`RolloutError` when one of the service is under way or its policies are refused.

        One that was promoted is not begun again: it would take everybody back. With other steps, limits or statements it
        stays promoted with those.
        """
        async with self._lock:
            known = self._running.get(rollout.name)
            if known is not None and known[1].phase is Phase.PROMOTED and same_versions(known[0], rollout):
                return await self._stay(rollout, known[1])
            if known is not None and not known[1].ended and known[1].phase is not Phase.PENDING:
                if known[0] == rollout:
                    return known[1]  # said twice
                raise RolloutError(f"a release of {rollout.name} is {known[1].phase}; promote or abort it first")
            state = await self._begin(rollout, known)
            log.info("release %s: begins with %d %%", rollout.name, state.weight)
            self._wake.set()
            return state

    async def _stay(self, rollout: Rollout, state: State) -> State:
        try:
            await self.target.put(owner_of(rollout), rollout.policies(state))
        except RefusedError as error:
            raise RolloutError(str(error), 422) from None
        self._remember(rollout, state)
        return state

    async def _begin(self, rollout: Rollout, known: tuple[Rollout, State] | None) -> State:
        """Put the first step in force; when it is refused, what was there before. Raises :class:`RolloutError`."""
        owner, pending = owner_of(rollout), State()
        before = self.target.in_force(owner)
        self._remember(rollout, pending)  # cut off here, it is known that there was something
        state, policies = rollout.order(pending, Order.START, self.clock())
        try:
            await self.target.put(owner, rollout.policies(pending))  # make before break: subsets first
            await self.target.put(owner, policies)
        except RefusedError as error:
            await self._take_back(rollout, known, before)
            raise RolloutError(str(error), 422) from None
        self._owed.discard(rollout.name)
        self._remember(rollout, state)
        return state

    async def _take_back(self, rollout: Rollout, known: tuple[Rollout, State] | None, before: list[Policy]) -> None:
        owner = owner_of(rollout)
        if dump(self.target.in_force(owner)) != dump(before):
            try:
                await self.target.put(owner, before)
            except RefusedError as error:
                log.error("release %s: what was in force before was refused: %s", rollout.name, error)
        if known is not None:
            self._remember(*known)
        else:
            self.store.remove(rollout.name)
            del self._running[rollout.name]

    async def order(self, name: str, order: Order, reason: str = "") -> State:
        """An operator's word. Raises :class:`RolloutError`."""
        async with self._lock:
            rollout, state = self._known(name)
            try:
                after, _ = rollout.order(state, order, self.clock(), reason)
            except OrderError as error:
                raise RolloutError(f"{name}: {error}") from None
            await self._move(rollout, state, after)
            self._wake.set()
            return self._running[name][1]

    async def remove(self, name: str) -> None:
        """Forget an ended release and take its policies away. Raises :class:`RolloutError`."""
        async with self._lock:
            rollout, state = self._known(name)
            if not state.ended:
                raise RolloutError(f"{name} is {state.phase}; promote or abort it first")
            try:
                await self.target.put(owner_of(rollout), [])
            except RefusedError as error:
                raise RolloutError(str(error)) from None
            self.store.remove(name)
            self._owed.discard(name)
            del self._running[name]

    def _known(self, name: str) -> tuple[Rollout, State]:
        if name not in self._running:
            known = ", ".join(sorted(self._running)) or "none"
            raise RolloutError(f"there is no release {name}; there are: {known}", 404)
        return self._running[name]

    async def _move(self, rollout: Rollout, before: State, after: State) -> None:
        if after == before:
            return
        self._remember(rollout, after)
        if (after.phase, after.step, after.weight) != (before.phase, before.step, before.weight):
            why = f": {after.reason}" if after.reason else ""
            log.info("release %s: %s, %d %% for the candidate%s", rollout.name, after.phase, after.weight, why)
        if after.ended:
            self.measurements.forget(rollout.name)
        if after.weight != before.weight:  # all that the policies depend on
            await self._enforce(rollout, after)

    async def _enforce(self, rollout: Rollout, state: State) -> None:
        """Put a state's policies in force; a step that is refused ends the release, and an end is tried again later."""
        owner, wanted = owner_of(rollout), rollout.policies(state)
        self._owed.discard(rollout.name)
        if dump(self.target.in_force(owner)) == dump(wanted):
            return
        try:
            await self.target.put(owner, wanted)
        except RefusedError as error:
            if state.ended:
                self._owed.add(rollout.name)
            log.error("release %s: %d %% was refused: %s", rollout.name, state.weight, error)
            if not state.ended:
                reason = f"{state.weight} % was refused: {error}"
                after, _ = rollout.order(state, Order.ABORT, self.clock(), reason)
                self._remember(rollout, after)
                self.measurements.forget(rollout.name)
                await self._enforce(rollout, after)

    def _remember(self, rollout: Rollout, state: State) -> None:
        self.store.put(rollout, state)
        self._running[rollout.name] = rollout, state

    def status(self, name: str) -> dict[str, Any]:
        """A release as JSON. Raises :class:`RolloutError`."""
        return shown(*self._known(name))

    def all(self) -> Mapping[str, dict[str, Any]]:
        """Every release as JSON, by name."""
        return {name: self.status(name) for name in sorted(self._running)}


def shown(rollout: Rollout, state: State) -> dict[str, Any]:
    """A release as JSON, for operators."""
    release = rollout.release
    stage = release.stages[state.step] if 0 <= state.step < len(release.stages) else None
    return {
        "name": rollout.name,
        "kind": type(release).__name__,
        "versions": list(release.versions),
        **state.model_dump(mode="json", exclude={"clock"}),
        "steps": [step.model_dump(mode="json") for step in release.stages],
        "hold_seconds": None if stage is None else _seconds(stage.hold),
        "limits": [str(limit) for limit in rollout.limits],
        "measured": {
            str(limit): f"{limit.shown(reading.value)} of {reading.requests} requests"
            for limit in rollout.limits
            if (reading := state.readings.get(str(limit))) is not None
        },
    }


def _seconds(span: timedelta | str) -> float:
    return parse_duration(span).total_seconds()
