"""Earliest deadline first: a schedule in which each entry comes up as often as its weight says, evenly spread.

Envoy's ``EdfScheduler``: an entry that is taken comes up again ``1 / weight`` later, and who waits longer goes first.
"""

from collections.abc import Sequence
from heapq import heapify, heapreplace

from mesh_proxy.balancing.host import Host


class HostSchedule:
    """Hosts by deadline. The weight of the next time is given when one is taken, so that weights may change."""

    __slots__ = ("_order", "_queue")

    def __init__(self, hosts: Sequence[Host], weights: Sequence[float], start: float) -> None:
        """``start`` in [0, 1) is the place in the lightest host's round, or every proxy would begin with the same."""
        begin = start / min(weights)
        self._order: int = len(hosts)
        self._queue: list[tuple[float, int, Host]] = [
            ((int(weight * begin) + 1) / weight, order, host)
            for order, (host, weight) in enumerate(zip(hosts, weights, strict=True))
        ]
        heapify(self._queue)

    def first(self) -> Host:
        """Whose turn it is."""
        return self._queue[0][2]

    def advance(self, weight: float) -> None:
        """The first one is taken, and has this weight from now on."""
        deadline, _, host = self._queue[0]
        heapreplace(self._queue, (deadline + 1.0 / weight, self._order, host))
        self._order += 1


class IndexSchedule:
    """The same for numbers of localities, whose weights stay."""

    __slots__ = ("_order", "_queue")

    def __init__(self, weights: Sequence[float], start: float) -> None:
        """Numbers with a weight of 0 never come up; ``start`` is the place in the lightest one's round."""
        begin = start / min((weight for weight in weights if weight > 0.0), default=1.0)
        self._order: int = len(weights)
        self._queue: list[tuple[float, int, int, float]] = [
            ((int(weight * begin) + 1) / weight, index, index, weight)
            for index, weight in enumerate(weights)
            if weight > 0.0
        ]
        heapify(self._queue)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._queue

    def next(self) -> int:
        """The next one's number."""
        deadline, _, index, weight = self._queue[0]
        heapreplace(self._queue, (deadline + 1.0 / weight, self._order, index, weight))
        self._order += 1
        return index
