"""One collection mirrored: the sockets around a :class:`Reflector`, and its objects as typed values."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from mesh_control.sources.kubernetes.api import PAGE, Api, ApiError
from mesh_control.sources.kubernetes.closed import Shut
from mesh_control.sources.kubernetes.reflector import Key, List, Raw, Reflector, Wait, Watch
from mesh_control.sources.kubernetes.resources import Collection, Unusable, trimmed, unchanged
from mesh_policy import Policy

log = logging.getLogger("mesh_control.kubernetes")


@dataclass(slots=True)
class Mirror:
    """``read`` makes a typed object or raises :class:`Unusable`: what was made of the object before then stays (``typed``),
    and what is wrong is in ``broken``. Where nothing was made of it before, ``stand`` says what stands for it, if anything.
    Its objects may be Secrets: none is shown in its ``repr``."""

    collection: Collection
    read: Callable[[Raw], Any]
    stand: Callable[[Raw], Shut | None] = lambda value: None
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    reflector: Reflector = field(init=False, repr=False)
    typed: dict[Key, Any] = field(default_factory=dict, repr=False)
    broken: dict[Key, str] = field(default_factory=dict, repr=False)
    good: dict[Key, Raw] = field(default_factory=dict, repr=False)
    """Of broken objects, what ``typed`` was made of."""
    standing: dict[Key, Policy] = field(default_factory=dict, repr=False)
    """What stands for broken objects of which nothing was ever made."""
    changes: int = 0
    """How often something changed."""
    _read: dict[Key, Raw] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.reflector = Reflector(self.rng)

    async def run(self, api: Api, changed: Callable[[], None]) -> None:
        """Mirror for ever; ``changed`` is called after each change of objects or of the reflector's problem."""
        while True:
            before = self.reflector.problem
            step = self.reflector.step(self.clock())
            try:
                if isinstance(step, Wait):
                    await asyncio.sleep(max(0.0, step.until - self.clock()))
                elif isinstance(step, List):
                    await self._list(api, step, changed)
                else:
                    await self._watch(api, step, changed)
            except ApiError as error:
                self.reflector.on_failure(self.clock(), error.status, error.message)
            except (
                Exception
            ) as error:  # an answer of a form that nobody foresaw: what is known stays, and it is asked again
                log.exception("%s: an answer cannot be used", self.collection.title)
                self.reflector.on_failure(self.clock(), 0, f"an answer cannot be used: {type(error).__name__}")
            if self.reflector.problem != before:
                changed()

    async def _list(self, api: Api, step: List, changed: Callable[[], None]) -> None:
        query = self._query() | {"limit": str(PAGE)} | ({"continue": step.after} if step.after else {})
        answer = await api.request("GET", self.collection.path, query=query)
        metadata = answer.get("metadata") or {}
        items = [trimmed(item) for item in answer.get("items") or ()]
        if self.reflector.on_page(items, str(metadata.get("resourceVersion")), metadata.get("continue") or ""):
            self.take()
            changed()

    async def _watch(self, api: Api, step: Watch, changed: Callable[[], None]) -> None:
        query = self._query() | {"resourceVersion": step.version}
        async with aclosing(api.watch(self.collection.path, query)) as events:
            async for event in events:
                if not event:
                    if self.reflector.problem:
                        self.reflector.watching()
                        changed()
                    continue
                if self.reflector.on_event(str(event["type"]), trimmed(event["object"]), self.clock()):
                    self.take()
                    changed()
                if event["type"] == "ERROR":
                    return
        self.reflector.on_end(self.clock())

    def _query(self) -> dict[str, str]:
        return {"fieldSelector": self.collection.fields} if self.collection.fields else {}

    def take(self) -> None:
        """Read what changed in the copy."""
        self.changes += 1
        items = self.reflector.items
        for key in [key for key in self._read if key not in items]:
            del self._read[key]
            for known in (self.typed, self.broken, self.good, self.standing):
                known.pop(key, None)
        for key, value in items.items():
            former = self._read.get(key)
            if former is value:
                continue
            self._read[key] = value
            if former is None or not unchanged(self.collection, former, value):
                self._take(key, value, former)

    def _take(self, key: Key, value: Raw, former: Raw | None) -> None:
        try:
            self.typed[key] = self.read(value)
            self.broken.pop(key, None)
            self.good.pop(key, None)
            self.standing.pop(key, None)
        except Unusable as error:
            if former is not None and key in self.typed:
                self.good.setdefault(key, former)
            told = _told(error)
            if key in self.typed:
                self.broken[key] = _with(told, FORMER)
            elif (shut := self.stand(value)) is not None:
                self.standing[key] = shut.policy
                self.broken[key] = _with(told, f"until it can be used, {shut.words}")
            else:
                self.broken[key] = told

    def restore(self, key: Key, value: Raw) -> bool:
        """Put in force what a broken object said before this process was there; whether that can be used."""
        try:
            self.typed[key] = self.read(value)
        except Unusable:
            return False
        self.good[key] = value
        try:
            self.read(self.reflector.items[key])
        except Unusable as error:
            self.broken[key] = _with(_told(error), FORMER)
        self.standing.pop(key, None)
        self.changes += 1
        return True


FORMER = "what it said before stays in force"


def _told(error: Unusable) -> str:
    return "\n".join(f"kubernetes: {line}" for line in str(error).splitlines())


def _with(told: str, consequence: str) -> str:
    return "\n".join(f"{line}; {consequence}" for line in told.splitlines())
