"""Counters and gauges under Envoy's names, and histograms with fixed bounds."""

from bisect import bisect_left
from collections import defaultdict
from typing import Final

from mesh_proxy.ipc import Histogram

BOUNDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
"""Envoy's default bounds, milliseconds."""
_EDGES: Final = [float(bound) for bound in BOUNDS]  # to compare with whole numbers takes three times as long
_SMALL: Final = 10.0
"""Up to here, where most values are, it is quicker to look at one bound after the other."""


class Timing:
    """A histogram of milliseconds."""

    __slots__ = ("_counts", "_number", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        self._number = 0

    def add(self, milliseconds: float) -> None:
        """One value."""
        place = 0
        if milliseconds > _SMALL:
            place = bisect_left(_EDGES, milliseconds)
        else:
            while milliseconds > _EDGES[place]:
                place += 1
        self._counts[place] += 1
        self._sum += milliseconds
        self._number += 1

    def read(self) -> Histogram:
        """For the supervisor."""
        return Histogram((*BOUNDS, float("inf")), tuple(self._counts), self._sum, self._number)


class Tally:
    """One number that is counted for every request: whoever counts keeps it, and adds to ``number``."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number: int = 0


class Counters:
    """Numbers that only grow, by name; ``scope`` is put before each."""

    __slots__ = ("_tallies", "_values", "active", "owner", "scope", "times")

    def __init__(self, scope: str, owner: str = "") -> None:
        self.scope = scope
        self.owner: str = owner
        """Of a connection manager: its listener's name in statistics. Others with the same ``scope`` count together."""
        self._values: defaultdict[str, int] = defaultdict(int)
        self._tallies: dict[str, Tally] = {}
        self.active: int = 0
        """Requests under way, of a connection manager."""
        self.times = Timing()
        """How long they took."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""
        self._values[name] += amount

    def tally(self, name: str) -> Tally:
        """Where the number of that name may be counted as well, quicker than by name: the same one each time."""
        found = self._tallies.get(name)
        if found is None:
            found = self._tallies[name] = Tally()
        return found

    @property
    def values(self) -> defaultdict[str, int]:
        """The numbers by their names, which may be changed."""
        for name, tally in self._tallies.items():
            if tally.number:
                self._values[name] += tally.number
                tally.number = 0
        return self._values

    def named(self) -> dict[str, int]:
        """All of them with their whole names."""
        return {f"{self.scope}.{name}": value for name, value in self.values.items()}
