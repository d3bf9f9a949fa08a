"""Releases as they stand in a ConfigMap that every replica reads: what is told of each, and where it is. Pure.

One object has all of them, an entry for each: it is written for the version that was read, so that of an operator's order
at one replica and the leader's next step at another one comes first, and the other one is thought over again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mesh_control.rollouts.runner import RolloutError, same_versions
from mesh_policy import Policy, json_text
from mesh_policy.releases.machine import Order, Phase, Rollout, State, problems

NAME = "meshwright-releases"
LARGEST = 900_000
"""Bytes of all entries; an object has 1 MiB."""


class EntryError(ValueError):
    """What stands there is no release; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A release, and where it is."""

    rollout: Rollout
    state: State

    @property
    def moves(self) -> bool:
        """Whether time and measurements change it."""
        return self.state.phase in (Phase.PROGRESSING, Phase.PAUSED)

    def policies(self) -> list[Policy]:
        """What it puts in force."""
        return self.rollout.policies(self.state)


Entries = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Released:
    """What stands in the ConfigMap, and the policies of all of it, in the order of the releases' names."""

    entries: Entries = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Released":
        """Of the object. Raises :class:`EntryError`."""
        found = read(value)
        return cls(found, policies(found))


def read(value: Mapping[str, Any]) -> Entries:
    """The entries of the ConfigMap. Raises :class:`EntryError`."""
    data = value.get("data") or {}
    return {name: parsed(name, text) for name, text in sorted(data.items()) if isinstance(text, str)}


def parsed(name: str, text: str) -> Entry:
    """An entry. Raises :class:`EntryError`."""
    try:
        found = json_text.parse(text)
        entry = Entry(Rollout.model_validate(found["rollout"]), State.model_validate(found["state"]))
    except ValidationError as error:
        raise EntryError(f"{name}: {'; '.join(problems(error))}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise EntryError(f"{name}: {type(error).__name__}: {error}") from None
    if entry.rollout.name != name:
        raise EntryError(f"{name}: has the release {entry.rollout.name}")
    return entry


def written(entry: Entry) -> str:
    """What :func:`parsed` reads."""
    value = {"rollout": entry.rollout.to_document(), "state": entry.state.model_dump(mode="json")}
    return json.dumps(value, sort_keys=True)


def policies(entries: Entries) -> tuple[Policy, ...]:
    """Those of all releases, in the order of their names."""
    return tuple(policy for entry in entries.values() for policy in entry.policies())


def begun(rollout: Rollout, known: Entry | None, now: float) -> Entry:
    """A release as it begins; one that was promoted stays so, with what is told of it now. Raises
    :class:`~mesh_control.rollouts.runner.RolloutError` when one of the service is under way."""
    if known is not None and known.state.phase is Phase.PROMOTED and same_versions(known.rollout, rollout):
        return Entry(rollout, known.state)
    if known is not None and not known.state.ended and known.state.phase is not Phase.PENDING:
        if known.rollout == rollout:
            return known  # said twice
        raise RolloutError(f"a release of {rollout.name} is {known.state.phase}; promote or abort it first")
    return Entry(rollout, rollout.order(State(), Order.START, now)[0])


def is_step(before: State, after: State) -> bool:
    """Whether a state is another one for proxies or operators, and not only nearer to that."""
    shown = ("phase", "step", "weight", "waiting", "reason")
    return any(getattr(before, name) != getattr(after, name) for name in shown)


def too_large(texts: Iterable[str]) -> bool:
    """Whether one object cannot hold all of them."""
    return sum(len(text.encode()) for text in texts) > LARGEST
