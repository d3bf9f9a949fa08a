"""PINGs of our own, to learn of a peer that is gone (Envoy's ``connection_keepalive``)."""

from typing import Final

OPAQUE: Final = b"mesh-hb\x00"
"""What stands in them."""


class KeepAlive:
    """When to send one, and when to give up; without a clock of its own. Seconds; an interval of 0 switches it off."""

    __slots__ = ("_interval", "_jitter", "_next", "_timeout", "_waiting", "deadline")

    def __init__(self, interval: float, timeout: float, jitter: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._jitter = jitter
        self._next = interval
        self._waiting: bool = False
        self.deadline: float = now + interval if interval > 0.0 else 0.0
        """When to look again; 0: never."""

    def on_frame(self, now: float) -> None:
        """The peer is alive: the answer may be late because it stands behind other frames (Envoy)."""
        if self._waiting:
            self.deadline = now + self._timeout

    def on_answer(self, now: float) -> None:
        """The answer came."""
        if self._waiting:
            self._waiting = False
            self.deadline = now + self._next

    def is_due(self, now: float, chance: float) -> bool:
        """Whether a PING is to be sent now; its answer is waited for then. ``chance``, from 0 to 1, is of the jitter that the
        next interval gets."""
        if self._waiting or self.deadline <= 0.0 or now < self.deadline:
            return False
        self._waiting = True
        self._next = self._interval * (1.0 + self._jitter * chance)
        self.deadline = now + self._timeout
        return True

    def is_lost(self, now: float) -> bool:
        """Whether the answer did not come in time."""
        return self._waiting and now >= self.deadline
