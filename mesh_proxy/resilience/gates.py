"""What counts connections before they are served: how many begin, how many there are (Envoy's network filters
``local_ratelimit`` and ``connection_limit``). Pure: the time is an argument.

Each worker counts by itself, where Envoy's threads count together.
"""

from mesh_api.config import ConnectionGate, ConnectionLimit
from mesh_proxy.resilience import connection_limits
from mesh_proxy.resilience.token_bucket import TokenBucket
from mesh_proxy.telemetry.stats import Counters


class Gate:
    """One of them. ``limit`` is what a connection holds for as long as it stands; ``None``: it holds nothing."""

    __slots__ = ("_bucket", "config", "counters", "limit")

    def __init__(self, config: ConnectionGate, counters: Counters) -> None:
        self.config = config
        self.counters = counters
        self.limit: connection_limits.ConnectionLimit | None = None
        self._bucket: TokenBucket | None = None
        if not config.enabled:
            return
        if isinstance(config, ConnectionLimit):
            self.limit = connection_limits.ConnectionLimit(config.most)
        else:
            self._bucket = TokenBucket(config.most, config.fill / config.interval)

    @staticmethod
    def scope(config: ConnectionGate) -> str:
        """Of its counters."""
        kind = "connection_limit" if isinstance(config, ConnectionLimit) else "local_rate_limit"
        return f"{kind}.{config.name}"

    @property
    def delay(self) -> float:
        """Seconds after which a connection that is too many is closed."""
        return self.config.delay or 0.0 if isinstance(self.config, ConnectionLimit) else 0.0

    def admits(self, now: float) -> bool:
        """Whether one more connection may go on, for which a place is free, too; it is counted where not."""
        if self._bucket is not None and not self._bucket.take(now):
            self.counters.add("rate_limited")
            return False
        if self.limit is not None and 0 <= self.limit.most <= self.limit.taken:
            self.counters.add("limited_connections")
            return False
        return True
