"""A new host's share grows over a window (Envoy ``slow_start_config``, architecture page "Slow start mode")."""

from collections.abc import Sequence
from typing import Final

from mesh_api.config import SlowStart
from mesh_proxy.balancing.host import HEALTHY, Host

_MIN_PERCENT: Final = 10.0
_SHORTEST: Final = 0.001


class Warming:
    """The factor of a host's weight; ``last`` is when the latest host joined."""

    __slots__ = ("_exponent", "_least", "_window", "last")

    def __init__(self, config: SlowStart) -> None:
        self._window: float = config.window
        aggression = 1.0 if config.aggression is None else config.aggression
        # What is not above 0 counts as 1 (Envoy).
        self._exponent: float = 1.0 / aggression if aggression > 0.0 else 1.0
        percent = _MIN_PERCENT if config.min_weight_percent is None else config.min_weight_percent
        self._least: float = percent / 100.0
        self.last: float = -config.window - 1.0

    def joined(self, hosts: Sequence[Host], now: float) -> bool:
        """Notes who joined; whether any of the hosts is within its window."""
        for host in hosts:
            if host.health == HEALTHY and now - host.healthy_since <= self._window and host.healthy_since > self.last:
                self.last = host.healthy_since
        return self.active(now)

    def active(self, now: float) -> bool:
        """Whether any host may be within its window."""
        return now - self.last <= self._window

    def factor(self, host: Host, now: float) -> float:
        """What the host's weight is multiplied by."""
        age = now - host.healthy_since
        if age >= self._window or host.health != HEALTHY:
            return 1.0
        share = (age if age > _SHORTEST else _SHORTEST) / self._window
        if self._exponent != 1.0:
            share = share**self._exponent
        return share if share > self._least else self._least
