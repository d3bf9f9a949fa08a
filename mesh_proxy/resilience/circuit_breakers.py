"""Limits of what a cluster has under way at once, for each priority of requests (Envoy ``CircuitBreakers``)."""

from typing import Final

from mesh_api.config import CircuitBreakerThresholds
from mesh_proxy.resilience.recent_requests import RecentRequests

_NO_LIMIT: Final = (1 << 32) - 1


class Resources:
    """What requests of one priority have under way, and their limits. Whoever takes one counts, and counts back."""

    __slots__ = (
        "_budget", "_least_retries", "active_connections", "active_pools", "active_requests", "active_retries",
        "max_connections", "max_pending_requests", "max_pools", "max_requests", "max_retries", "pending_requests",
        "recent", "thresholds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.active_connections: int = 0
        self.pending_requests: int = 0
        self.active_requests: int = 0
        self.active_retries: int = 0
        self.active_pools: int = 0
        self.recent: RecentRequests | None = None
        """Those that a budget over a time counts: each try at its beginning."""
        self.configure(None)

    def configure(self, thresholds: CircuitBreakerThresholds | None) -> None:
        """Take other limits; ``None``: Envoy's own. What is under way stays."""
        found = thresholds or CircuitBreakerThresholds()
        self.thresholds = found
        self.max_connections: int = found.max_connections
        self.max_pending_requests: int = found.max_pending_requests
        self.max_requests: int = found.max_requests
        self.max_retries: int = found.max_retries
        self.max_pools: int = _NO_LIMIT if found.max_connection_pools is None else found.max_connection_pools
        budget = found.retry_budget
        self._budget: float = -1.0 if budget is None else budget.percent / 100.0
        self._least_retries: int = 0 if budget is None else budget.min_concurrency
        interval = 0.0 if budget is None else budget.interval
        if interval <= 0.0:
            self.recent = None
        elif self.recent is None or self.recent.interval != interval:
            self.recent = RecentRequests(interval)

    def retries_allowed(self, now: float) -> int:
        """How many retries may be under way at ``now``: ``max_retries``, or a share of the requests where there is a
        budget."""
        if self._budget < 0.0:
            return self.max_retries
        recent = self.recent
        counted = self.active_requests + self.pending_requests if recent is None else recent.total(now)
        return max(int(self._budget * counted), self._least_retries)

    def may_retry(self, now: float) -> bool:
        """Whether one more retry is allowed (else ``upstream_rq_retry_overflow``)."""
        return self.active_retries < self.retries_allowed(now)

    def gauges(self, priority: str, now: float) -> dict[str, int]:
        """Envoy's ``circuit_breakers.<priority>.*``. What remains is always told, as with ``track_remaining``."""
        rows = (
            ("cx", "cx", self.active_connections, self.max_connections),
            ("cx_pool", "cx_pools", self.active_pools, self.max_pools),
            ("rq_pending", "pending", self.pending_requests, self.max_pending_requests),
            ("rq", "rq", self.active_requests, self.max_requests),
            ("rq_retry", "retries", self.active_retries, self.retries_allowed(now)),
        )
        made: dict[str, int] = {}
        for open_name, left_name, used, most in rows:
            made[f"circuit_breakers.{priority}.{open_name}_open"] = int(used >= most)
            made[f"circuit_breakers.{priority}.remaining_{left_name}"] = max(0, most - used)
        return made
