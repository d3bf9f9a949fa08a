"""A copy of one collection of a Kubernetes API server: a list, then a watch of what changes after it. Pure.

What the rules are for: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes. A watch
that ends goes on where it ended; where the server no longer remembers that (410 Gone, a compacted etcd) the collection is
listed again. Until the new list is whole, the old copy stays.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Raw = Mapping[str, Any]
"""An object as JSON has it."""
Key = tuple[str, str]
"""Namespace (empty where there is none) and name."""

GONE = 410
UNAUTHORIZED, FORBIDDEN = 401, 403
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two tries: doubled with each failure, of which a random part is taken, so that not all come at once."""
SHORT = 1.0
"""Seconds: a watch that ended sooner and said nothing counts as a failure, or a broken server would be asked in a circle."""


@dataclass(frozen=True, slots=True)
class List:
    """Ask for the collection; ``after`` is the token of the next page of it."""

    after: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """Ask for what changes after a version of the collection."""

    version: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until that time."""

    until: float


Step = List | Watch | Wait


@dataclass(slots=True)
class Reflector:
    """The copy, and what is to be asked next. Times are seconds of any one clock.

    ``lists`` counts the whole lists that were had. ``problem`` says why the copy may not be up to date; empty: it is.
    What may be Secrets is not in its ``repr``.
    """

    rng: random.Random
    items: dict[Key, Raw] = field(default_factory=dict, repr=False)
    lists: int = 0
    problem: str = ""
    forbidden: bool = False
    """Whether the last answer was that this may not be read."""
    _version: str = ""
    _pages: dict[Key, Raw] = field(default_factory=dict, repr=False)
    _after: str = ""
    _failures: int = 0
    _not_before: float = 0.0
    _since: float = 0.0
    _heard: bool = False

    @property
    def synced(self) -> bool:
        """Whether the whole collection was known once."""
        return self.lists > 0

    def step(self, now: float) -> Step:
        """What is to be done now."""
        if now < self._not_before:
            return Wait(self._not_before)
        if not self._version:
            return List(self._after)
        self._since, self._heard = now, False
        return Watch(self._version)

    def on_page(self, items: Iterable[Raw], version: str, after: str) -> bool:
        """A page of the list; returns whether the copy changed. ``after`` is the token of the next page; empty: the last."""
        self._pages |= {key_of(item): item for item in items}
        self._after = after
        if after:
            return False
        new, self._pages = self._pages, {}
        # An object that did not change stays the one that it was: what was made of it counts on.
        kept = {
            key: old if _version_of(old := self.items.get(key, item)) == _version_of(item) else item
            for key, item in new.items()
        }
        changed = not self.synced or kept.keys() != self.items.keys() or any(kept[k] is not self.items[k] for k in kept)
        self.items, self._version = kept, version
        self.lists += 1
        self._succeeded()
        return changed

    def on_event(self, kind: str, value: Raw, now: float) -> bool:
        """An event of the watch; returns whether the copy changed. After an ``ERROR`` the watch is over."""
        if kind == "ERROR":
            self.on_failure(now, int(value.get("code") or 0), str(value.get("message") or "the watch failed"))
            return False
        self._heard = True
        self._version = _version_of(value) or self._version
        self._succeeded()
        if kind == "BOOKMARK":
            return False
        key = key_of(value)
        if kind == "DELETED":
            return self.items.pop(key, None) is not None
        former = self.items.get(key)
        if former is not None and _version_of(former) == _version_of(value):
            return False
        self.items[key] = value
        return True

    def on_end(self, now: float) -> None:
        """The watch ended in order, as every one does after some minutes."""
        if not self._heard and now - self._since < SHORT:
            self.on_failure(now, 0, "watches end at once")

    def on_failure(self, now: float, status: int, message: str) -> None:
        """An answer with an error (``status`` is that of HTTP), or none (0)."""
        self._pages, self._after = {}, ""
        if status == GONE and self._version:
            self._version = ""  # and at once: nothing is wrong with the server
            return
        self._failures += 1
        self.forbidden = status in (UNAUTHORIZED, FORBIDDEN)
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures, 10))
        self._not_before = now + self.rng.uniform(longest / 2, longest)
        self.problem = message

    def _succeeded(self) -> None:
        self._failures, self._not_before, self.problem, self.forbidden = 0, 0.0, "", False

    def watching(self) -> None:
        """The server took a watch up: it can be reached again."""
        self.problem = ""


def key_of(value: Raw) -> Key:
    """Namespace and name of an object."""
    metadata = value.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _version_of(value: Raw) -> str:
    return str((value.get("metadata") or {}).get("resourceVersion") or "")
