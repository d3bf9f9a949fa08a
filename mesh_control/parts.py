"""Parts of configurations, kept by what they are made of: among proxies, and from one world to the next."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
_Made = dict[tuple[Hashable, ...], tuple[tuple[object, ...], Any]]


@dataclass(slots=True)
class Parts:
    """Parts by ``what`` they are, which counts by its value, and by inputs, which count by identity: to compare policies
    takes longer than to compile them. Inputs are kept with what was made of them, so that no other object comes to have
    the identity of one.
    """

    _recent: _Made = field(default_factory=dict)
    _old: _Made = field(default_factory=dict)

    def get(self, what: Hashable, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """The part, made when it is first asked for."""
        key = (what, *map(id, inputs))
        found = self._recent.get(key)
        if found is None:
            found = self._recent[key] = self._old.get(key) or (inputs, make())
        part: T = found[1]
        return part

    def sweep(self) -> None:
        """Forgets what nobody has asked for since the last time. To be called before everything is asked for again."""
        self._recent, self._old = {}, self._recent
