"""Parts of configurations, kept by what they are made of: among proxies, and from one world to the next."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
_Key = tuple[Hashable, ...]


class _Part(NamedTuple):
    """What was made, of what, and what else was asked for on the way."""

    made: Any
    inputs: tuple[object, ...]
    asked: tuple[_Key, ...]


class Parts:
    """Parts by ``what`` they are, which counts by its value, and by inputs, which count by identity: to compare policies
    takes longer than to compile them. Inputs are kept with what was made of them, so that no other object comes to have
    the identity of one.
    """

    def __init__(self) -> None:
        self._recent: dict[_Key, _Part] = {}
        self._old: dict[_Key, _Part] = {}
        self._making: list[list[_Key]] = []
        """What those parts have asked for that are made at this moment, each by the one before it."""

    def get(self, what: Hashable, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """The part, made when it is first asked for. ``make`` may ask for other parts."""
        key = (what, *map(id, inputs))
        found = self._recent.get(key)
        if found is None:
            found = self._kept(key) or self._new(key, inputs, make)
        if self._making:
            self._making[-1].append(key)
        part: T = found.made
        return part

    def sweep(self) -> None:
        """Forgets what nobody has asked for since the last time. To be called before everything is asked for again."""
        self._recent, self._old = {}, self._recent

    def _new(self, key: _Key, inputs: tuple[object, ...], make: Callable[[], Any]) -> _Part:
        asked: list[_Key] = []
        self._making.append(asked)
        try:
            made = make()
        finally:
            self._making.pop()
        found = self._recent[key] = _Part(made, inputs, tuple(asked))
        return found

    def _kept(self, key: _Key) -> _Part | None:
        """A part from before the last sweep. What it is made of counts as asked for with it: if one of its parts changes, the
        others are still there."""
        wanted = [key]
        while wanted:
            place = wanted.pop()
            part = self._old.get(place) if place not in self._recent else None
            if part is not None:
                self._recent[place] = part
                wanted += part.asked
        return self._recent.get(key)
