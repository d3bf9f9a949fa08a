"""A release as a pure state machine: ``(state, what is seen, now) -> (state, policies)``.

It only ever reads what it is given: the clock, whether every proxy has taken the present weight, and the measurements of the
limits. A state dumps to JSON and goes on where it was, whoever reads it. Rules:

- A step lasts for its ``hold``, counted while every proxy has taken its weight and the limits can be measured.
- A limit that is exceeded ends the release at once, also while it is paused: everything goes back to the stable version.
- Measurements that cannot be had, or too few requests, never let a step end, and never abort.
- The candidate's weight only grows until an end; the two ends, promoted and aborted, are final.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from mesh_policy.base import Policy
from mesh_policy.durations import parse_duration
from mesh_policy.releases.progressive import BlueGreen, CanaryRelease, Mirror, Release
from mesh_policy.releases.statements import CircuitBreaker, Exposed, Redirect, Retry, Route, Statement, Timeout
from mesh_policy.releases.terms import Limit
from mesh_policy.releases.traffic import Traffic


class Phase(StrEnum):
    """Where a release is."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ABORTED = "aborted"


class Order(StrEnum):
    """What an operator may say."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"


class Reading(BaseModel):
    """What was measured for a limit: its value (percent, or milliseconds), of how many requests in the window."""

    model_config = ConfigDict(frozen=True)

    requests: Annotated[int, Field(ge=0)]
    value: Annotated[float, Field(allow_inf_nan=False)]


class Seen(BaseModel):
    """What the machine is told: whether every proxy has taken the present policies, and what each limit measures.

    ``readings`` by the limit's text; one that is not there could not be measured.
    """

    model_config = ConfigDict(frozen=True)

    acknowledged: bool = False
    readings: Mapping[str, Reading] = Field(default_factory=dict)


class State(BaseModel):
    """Where a release is, as JSON keeps it. Times in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Phase = Phase.PENDING
    step: int = -1
    """Index of the present step; -1 before the first."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """The candidate's share now, in percent."""
    held: float = 0.0
    """Seconds of the step's hold that have gone."""
    clock: float | None = None
    """When they were counted last; ``None`` while they are not."""
    waiting: str = ""
    """What the step waits for besides its time; empty when nothing keeps it."""
    reason: str = ""
    """Why it ended, or was paused."""
    readings: Mapping[str, Reading] = Field(default_factory=dict)
    """The last measurements by limit; at the end, those that it ended with."""
    changed: float = 0.0
    """When the phase or the step changed last."""

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.phase in (Phase.PROMOTED, Phase.ABORTED)


class OrderError(ValueError):
    """An order that makes no sense in the present state; the message says what does."""


RELEASES: dict[str, type[Release]] = {kind.__name__: kind for kind in (CanaryRelease, BlueGreen, Mirror)}
"""Kinds of releases that the machine moves, by name."""


STATEMENTS: dict[str, type[Statement]] = {
    kind.__name__: kind for kind in (CircuitBreaker, Exposed, Redirect, Retry, Route, Timeout)
}
"""Statements that may stand beside a release, by name."""


class Rollout(BaseModel):
    """A release with the other statements about its service, whose policies are one set: what the control plane runs.

    As JSON every statement carries its ``kind``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: SerializeAsAny[Release]
    statements: tuple[SerializeAsAny[Statement], ...] = ()

    @field_validator("release", mode="before")
    @classmethod
    def _release(cls, value: Any) -> Any:
        return _of_kind(value, RELEASES, "release")

    @field_validator("statements", mode="before")
    @classmethod
    def _others(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError("a list of statements is wanted")
        return tuple(_of_kind(item, STATEMENTS, f"statements[{place}]") for place, item in enumerate(value))

    @model_validator(mode="after")
    def _one_service(self) -> "Rollout":
        if not self.release.stages:
            raise ValueError("the release has no steps; a fixed weight needs no rollout, apply it as a policy")
        for statement in self.statements:
            if statement.host != self.release.host:
                raise ValueError(f"{statement!r} is about another service than {self.release.host}")
        self.policies(State())  # contradictions are told before it begins
        return self

    @property
    def name(self) -> str:
        """``SERVICE.NAMESPACE``; a service has one release at a time."""
        return f"{self.release.service}.{self.release.namespace}"

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What has to be measured."""
        return self.release.abort

    def policies(self, state: State) -> list[Policy]:
        """The whole set for a state; of equal states the same."""
        suffix = f"-{self.release.namespace}-{self.release.service}"
        return Traffic(self.release.at(state.weight), *self.statements, gateway_suffix=suffix).expand()

    def to_document(self) -> dict[str, Any]:
        """Plain values; :meth:`model_validate` reads them."""
        return {
            "release": {"kind": type(self.release).__name__, **self.release.model_dump(mode="json")},
            "statements": [{"kind": type(item).__name__, **item.model_dump(mode="json")} for item in self.statements],
        }

    def advance(self, state: State, seen: Seen, now: float) -> tuple[State, list[Policy]]:
        """The next state, and the policies that it asks for."""
        after = _advance(self.release, state, seen, now)
        return after, self.policies(after)

    def order(self, state: State, order: Order, now: float, reason: str = "") -> tuple[State, list[Policy]]:
        """The state after an operator's order. Raises :class:`OrderError`. Giving it twice changes nothing more."""
        after = _order(self.release, state, order, now, reason)
        return after, self.policies(after)


def problems(error: ValidationError) -> list[str]:
    """What is wrong with a rollout, one line for each field."""
    return [
        f"{'.'.join(map(str, item['loc'])) or 'release'}: {str(item['msg']).removeprefix('Value error, ')}"
        for item in error.errors()
    ]


def _of_kind(value: Any, known: Mapping[str, type[Statement]], field: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if kind not in known:
        raise ValueError(f"{field}.kind: {kind!r} is unknown; allowed are {', '.join(sorted(known))}")
    return known[str(kind)].model_validate({name: item for name, item in value.items() if name != "kind"})


def _advance(release: Release, state: State, seen: Seen, now: float) -> State:
    if state.phase not in (Phase.PROGRESSING, Phase.PAUSED):
        return state
    state = state.model_copy(update={"readings": dict(seen.readings)})
    for limit in release.abort:
        reading = seen.readings.get(str(limit))
        if reading is not None and reading.requests >= limit.min_requests and reading.value > limit.bound:
            share = f"{limit.shown(reading.value)} of {reading.requests} requests"
            return _aborted(state, now, f"{limit}: measured {share} at {state.weight} %")
    if state.phase is Phase.PAUSED:
        return state
    blocked = _blocked(release, seen)
    if blocked is not None:
        return state.model_copy(update={"clock": None, "waiting": blocked})
    held = state.held + (0.0 if state.clock is None else max(0.0, now - state.clock))
    hold = parse_duration(release.stages[state.step].hold)
    if timedelta(seconds=held) < hold:
        return state.model_copy(update={"held": held, "clock": now, "waiting": ""})
    few = _too_few(release, seen)
    if few:
        return state.model_copy(update={"held": held, "clock": now, "waiting": few})
    return _step(release, state, now)


def _blocked(release: Release, seen: Seen) -> str | None:
    """Why the step's time does not run."""
    if not seen.acknowledged:
        return "not every proxy has taken the weight"
    missing = [str(limit) for limit in release.abort if str(limit) not in seen.readings]
    return f"no measurements of {', '.join(missing)}" if missing else None


def _too_few(release: Release, seen: Seen) -> str:
    """Why a step whose time is over does not end."""
    for limit in release.abort:
        requests = seen.readings[str(limit)].requests
        if requests < limit.min_requests:
            return f"{requests} of {limit.min_requests} requests that {limit} needs"
    return ""


def _step(release: Release, state: State, now: float) -> State:
    """To the next step, or to the good end."""
    following = state.step + 1
    if following >= len(release.stages):
        return _promoted(release, state, now, "every step was held")
    return state.model_copy(
        update={
            "phase": Phase.PROGRESSING,
            "step": following,
            "weight": release.stages[following].percent,
            "held": 0.0,
            "clock": None,
            "waiting": "",
            "changed": now,
        }
    )


def _promoted(release: Release, state: State, now: float, reason: str) -> State:
    end = {"phase": Phase.PROMOTED, "weight": release.final, "reason": reason}
    return state.model_copy(update={**end, "clock": None, "waiting": "", "changed": now})


def _aborted(state: State, now: float, reason: str) -> State:
    end = {"phase": Phase.ABORTED, "weight": 0, "reason": reason}
    return state.model_copy(update={**end, "clock": None, "waiting": "", "changed": now})


def _order(release: Release, state: State, order: Order, now: float, reason: str) -> State:
    if _is_done(state, order):
        return state
    if state.ended:
        raise OrderError(f"the release has ended ({state.phase}); start a new one")
    if order is Order.ABORT:
        return _aborted(state, now, reason or "by order")
    if state.phase is Phase.PENDING:
        if order is not Order.START:
            raise OrderError(f"the release has not begun; {order} is for one that has")
        return _step(release, state, now)
    if order is Order.PROMOTE:
        return _promoted(release, state, now, reason or "by order")
    if order is Order.PAUSE:
        return state.model_copy(
            update={"phase": Phase.PAUSED, "clock": None, "reason": reason or "by order", "changed": now}
        )
    return state.model_copy(update={"phase": Phase.PROGRESSING, "clock": None, "reason": "", "changed": now})


def _is_done(state: State, order: Order) -> bool:
    """Whether the state is what the order asks for already."""
    done = {
        Order.START: state.phase is Phase.PROGRESSING,
        Order.PAUSE: state.phase is Phase.PAUSED,
        Order.RESUME: state.phase is Phase.PROGRESSING,
        Order.PROMOTE: state.phase is Phase.PROMOTED,
        Order.ABORT: state.phase is Phase.ABORTED,
    }
    return done[order]
