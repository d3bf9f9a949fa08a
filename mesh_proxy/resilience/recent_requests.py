"""How many requests began in the last while, for budgets of retries over a time (Envoy ``RetryBudget.budget_interval``)."""

from typing import Final

SLOTS: Final = 10
"""Requests are forgotten a tenth of the time after the other, as Envoy's are."""


class RecentRequests:
    """Requests of the last ``interval`` seconds. Times are a loop's clock, in seconds, and never go back."""

    __slots__ = ("_at", "_counts", "_slot", "_total", "interval")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._slot: float = interval / SLOTS
        self._counts: list[int] = [0] * SLOTS
        self._at: int = 0
        self._total: int = 0

    def count(self, now: float) -> None:
        """One more begins."""
        self._forget(now)
        self._counts[self._at % SLOTS] += 1
        self._total += 1

    def total(self, now: float) -> int:
        """How many count now."""
        self._forget(now)
        return self._total

    def _forget(self, now: float) -> None:
        at = int(now / self._slot)
        if at - self._at >= SLOTS:
            self._counts = [0] * SLOTS
            self._total = 0
        else:
            for passed in range(self._at + 1, at + 1):
                self._total -= self._counts[passed % SLOTS]
                self._counts[passed % SLOTS] = 0
        self._at = at
