"""What objects are told about themselves: conditions and events. Pure.

``Accepted``: whether the object can be used. ``Programmed``: whether every connected proxy runs with it. ``Reconciled`` says
the same in Istio's words, for whoever waits for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_control.conditions import Condition
from mesh_control.sources.kubernetes.reflector import Raw

OURS = ("Accepted", "Programmed", "Reconciled")
LONGEST_MESSAGE = 1024
"""Characters of an event's message (Kubernetes takes no more), and enough for a condition's."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """How far the connected proxies are: those that have taken the newest configuration, all, and what some refuse.
    ``rolled_back``: that too many refused the newest one, and have the one before again; empty: it was not so."""

    taken: int = 0
    connected: int = 0
    refusals: tuple[str, ...] = ()
    rolled_back: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object; ``warning``: somebody has to mend something."""

    warning: bool
    reason: str
    message: str


def conditions(problem: str, in_force: bool, proxies: Proxies) -> tuple[Condition, ...]:
    """The conditions of an object: ``problem`` is what is wrong with it; ``in_force``: the newest configuration has it."""
    accepted = Condition(
        "Accepted", not problem, "Invalid" if problem else "Accepted", shortened(problem or "can be used")
    )
    count = f"acknowledged by {proxies.taken} of {proxies.connected} proxies"
    if problem:
        holds, reason, message = False, "Invalid", "what is invalid is not sent to any proxy"
    elif not in_force and proxies.rolled_back:
        holds, reason, message = False, "RolledBack", proxies.rolled_back
    elif not in_force:
        holds, reason, message = False, "Pending", "not sent yet"
    elif proxies.refusals:
        holds, reason, message = False, "Refused", f"{count}; {'; '.join(proxies.refusals)}"
    elif proxies.taken < proxies.connected:
        holds, reason, message = False, "Pending", count
    else:
        holds, reason, message = True, "Programmed", count
    done = f"{proxies.taken}/{proxies.connected} proxies up to date."
    return (
        accepted,
        Condition("Programmed", holds, reason, shortened(message)),
        Condition("Reconciled", holds, reason, done if in_force and not problem else shortened(message)),
    )


def status(value: Raw, wanted: Sequence[Condition], now: str) -> dict[str, Any] | None:
    """The object's new status; ``None``: what it has says the same. Conditions of others stay as they are.

    ``now`` is the time of day as Kubernetes writes it.
    """
    former = value.get("status") or {}
    known = {str(item.get("type")): item for item in former.get("conditions") or () if isinstance(item, dict)}
    made = [_written(condition, known.get(condition.type), now) for condition in wanted]
    generation = (value.get("metadata") or {}).get("generation")
    observed = {"observedGeneration": generation} if generation is not None else {}
    same = [known.get(condition.type) for condition in wanted] == made
    if same and former.get("observedGeneration") == generation:
        return None
    others = [item for kind, item in known.items() if kind not in OURS]
    return {"conditions": [*others, *made], **observed}


def only_words(value: Raw, wanted: Sequence[Condition]) -> bool:
    """Whether nothing but messages would change, such as how many proxies there are: that is in no hurry."""
    former = value.get("status") or {}
    known = {item.get("type"): item for item in former.get("conditions") or () if isinstance(item, dict)}
    said = [(known.get(c.type, {}).get("status"), known.get(c.type, {}).get("reason")) for c in wanted]
    same = said == [("True" if c.holds else "False", c.reason) for c in wanted]
    return same and former.get("observedGeneration") == (value.get("metadata") or {}).get("generation")


def _written(condition: Condition, former: Mapping[str, Any] | None, now: str) -> dict[str, Any]:
    state = "True" if condition.holds else "False"
    since = former.get("lastTransitionTime", now) if former is not None and former.get("status") == state else now
    return {
        "type": condition.type,
        "status": state,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": since,
    }


def event(value: Raw, wanted: Sequence[Condition]) -> Event | None:
    """What is to be told of the change to these conditions: what is wrong now, or is no longer."""
    conditions_ = (value.get("status") or {}).get("conditions") or ()
    former = {item.get("type"): item.get("reason") for item in conditions_ if isinstance(item, dict)}
    for condition in wanted[:2]:
        if condition.reason in ("Invalid", "Refused", "RolledBack") and former.get(condition.type) != condition.reason:
            return Event(True, condition.reason, condition.message)
    if wanted[0].holds and former.get("Accepted") == "Invalid":
        return Event(False, "Accepted", "can be used again")
    return None


def event_object(value: Raw, api_version: str, kind: str, told: Event, now: str, reporter: str) -> dict[str, Any]:
    """The Event object (``v1``); ``reporter`` is the replica that tells."""
    metadata = value.get("metadata") or {}
    about = {"apiVersion": api_version, "kind": kind, "name": metadata.get("name"), "uid": metadata.get("uid")}
    namespace = metadata.get("namespace") or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata.get('name')}.", "namespace": namespace},
        "involvedObject": {
            **about,
            "namespace": metadata.get("namespace"),
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "type": "Warning" if told.warning else "Normal",
        "reason": told.reason,
        "message": told.message,
        "source": {"component": "meshwright"},
        "reportingComponent": "meshwright",
        "reportingInstance": reporter,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def shortened(message: str) -> str:
    """A message of a length that Kubernetes takes."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 4] + " ..."


@dataclass(slots=True)
class Budget:
    """A rate of writes: ``rate`` a second, and up to ``burst`` at once. ``now`` is any steady clock."""

    rate: float
    burst: float
    _left: float = -1.0
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may be made now; it counts then."""
        self._left = self.burst if self._left < 0 else min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
