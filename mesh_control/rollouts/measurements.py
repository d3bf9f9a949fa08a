"""Where the limits of a release are measured, and the arithmetic on what sources count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mesh_policy.releases import ErrorRate, Latency, Limit
from mesh_policy.releases.machine import Reading, Rollout


class Measurements(Protocol):
    """A source of measurements."""

    async def read(self, rollout: Rollout, now: float) -> Mapping[str, Reading]:
        """What the limits of a release measure now, by their text; what cannot be measured is not there. Never raises."""
        ...

    def forget(self, name: str) -> None:
        """The release of that name has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of a version since a proxy began: answers, those with 5xx, and times as a cumulative histogram.

    ``buckets`` maps upper bounds in milliseconds to the number of answers that were as quick.
    """

    requests: int = 0
    errors: int = 0
    buckets: Mapping[float, int] = field(default_factory=dict)

    def since(self, before: "Counts") -> "Counts":
        """What came on top of an earlier look; a proxy that was started again counts from nothing."""
        if self.requests < before.requests or self.errors < before.errors:
            before = Counts()
        return Counts(
            self.requests - before.requests,
            self.errors - before.errors,
            {bound: count - before.buckets.get(bound, 0) for bound, count in self.buckets.items()},
        )

    def plus(self, other: "Counts") -> "Counts":
        """The sum of two proxies' counts."""
        bounds = {*self.buckets, *other.buckets}
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            {bound: self.buckets.get(bound, 0) + other.buckets.get(bound, 0) for bound in bounds},
        )


def reading(limit: Limit, counts: Counts) -> Reading:
    """What a limit measures, of what was counted in its window."""
    if isinstance(limit, ErrorRate):
        share = 100 * counts.errors / counts.requests if counts.requests else 0.0
        return Reading(requests=counts.requests, value=share)
    if isinstance(limit, Latency):
        times = sorted(counts.buckets.items())
        return Reading(requests=times[-1][1] if times else 0, value=quantile(times, limit.quantile))
    raise TypeError(f"{limit!r} cannot be measured")


def quantile(times: Sequence[tuple[float, int]], share: float) -> float:
    """The value below which ``share`` of the counts are, interpolated in its bucket, as Prometheus does it.

    In the last bucket, which has no upper bound, its lower one.
    """
    if not times or not times[-1][1]:
        return 0.0
    rank, lower, below = share * times[-1][1], 0.0, 0
    for bound, count in times:
        if count >= rank and count > below:
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
