"""A bucket of tokens that fills steadily (as Envoy's local rate limits have it). Pure: the time is an argument."""


class TokenBucket:
    """It begins full. ``rate`` is in tokens a second; times are seconds of one clock, which does not go back."""

    __slots__ = ("_filled_at", "_rate", "_tokens", "most")

    def __init__(self, most: int, rate: float) -> None:
        self.most = most
        self._rate = rate
        self._tokens: float = float(most)
        self._filled_at: float = 0.0

    def take(self, now: float) -> bool:
        """Takes a token; ``False``: there is none."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def left(self, now: float) -> int:
        """Whole tokens that are there."""
        self._fill(now)
        return int(self._tokens)

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0: there is one."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._rate

    def _fill(self, now: float) -> None:
        passed = now - self._filled_at
        if passed > 0:
            self._tokens = min(float(self.most), self._tokens + passed * self._rate)
            self._filled_at = now
