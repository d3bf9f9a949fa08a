"""How often each caller may ask. Pure: the time (seconds, of any clock) is an argument."""

from collections import OrderedDict
from dataclasses import dataclass, field

CALLERS = 10_000
"""Callers that are remembered; whoever was silent for the longest time is forgotten, and begins anew."""


@dataclass(slots=True)
class Limiter:
    """Buckets of tokens: ``burst`` calls at once, then ``rate`` a second, for each key."""

    burst: float
    rate: float
    callers: int = CALLERS
    _buckets: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def take(self, key: str, now: float) -> bool:
        """Whether the caller may ask now; a call that is refused costs nothing."""
        left, before = self._buckets.pop(key, (self.burst, now))
        left = min(self.burst, left + max(0.0, now - before) * self.rate)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        while len(self._buckets) > self.callers:
            self._buckets.popitem(last=False)
        return allowed
