"""The times of a request at its cluster: when it is given up, or its attempt, and when the next attempt is due.

They run from when the whole request has come (Envoy's router filter). Seconds of the loop's clock; 0: there is no such time.
"""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Head, grpc_timeout, is_grpc
from mesh_proxy.resilience.retry import RetryRules
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.upstream.seam import User

_NEVER: Final = 0.0


def timeout_of(route: CompiledRoute, head: Head) -> float:
    """Seconds for the whole request: the route's, or where that says so what a call of gRPC asks for; 0: no limit."""
    longest = route.max_grpc_timeout
    if longest is None or not is_grpc(head):
        return route.timeout
    asked = grpc_timeout(head)
    return min(asked or longest, longest) if longest else asked


class Deadlines(User):
    """The part of a router that looks at the clock; see the module's docstring."""

    __slots__ = ("_done", "_expires", "_idle_until", "_longest_until", "_loop", "_retry", "_retry_at", "_try_expires")

    def __init__(self, loop: Loop, head: Head) -> None:
        super().__init__(head)
        self._loop = loop
        self._retry: RetryRules | None = None
        self._expires: float = _NEVER
        self._try_expires: float = _NEVER
        self._idle_until: float = _NEVER
        self._longest_until: float = _NEVER
        self._retry_at: float = _NEVER
        """When the next attempt begins; an attempt that waits has no times of its own."""
        self._done: bool = False

    def _start_clocks(self, timeout: float) -> None:
        """The request is complete and on its way; it has ``timeout`` seconds."""
        if self._done:
            return
        now = self._loop.now
        if not self._expires and timeout:
            self._expires = now + timeout
        self._arm_try(now)

    def _arm_try(self, now: float) -> None:
        rules = self._retry
        limit = rules.try_timeout if rules is not None else 0.0
        self._try_expires = now + limit if limit else _NEVER
        self._note_activity()
        self._watch()

    def _note_activity(self) -> None:
        """Something came: an attempt is given up when nothing does."""
        rules = self._retry
        limit = rules.try_idle_timeout if rules is not None else 0.0
        if limit:
            self._idle_until = self._loop.now + limit

    def _stop_clocks(self) -> None:
        """The other protocol has no time limits."""
        self._expires = self._try_expires = self._idle_until = _NEVER
        self._watch()

    def _answer_begins(self) -> None:
        """The attempt is not too late any more; what follows may stall."""
        if self._try_expires or self._idle_until:
            self._try_expires = _NEVER
            self._note_activity()
            self._watch()

    def _pause(self, seconds: float) -> None:
        """The next attempt begins in so many seconds."""
        self._retry_at = self._loop.now + max(seconds, 0.001)
        self._try_expires = self._idle_until = self._longest_until = _NEVER
        self._watch()

    def _watch(self) -> None:
        """Wait for whichever of the times comes first."""
        if self._done:
            return
        due = self._expires
        if self._try_expires and (not due or self._try_expires < due):
            due = self._try_expires
        if self._idle_until and not self._retry_at and (not due or self._idle_until < due):
            due = self._idle_until
        if self._longest_until and (not due or self._longest_until < due):
            due = self._longest_until
        if self._retry_at and (not due or self._retry_at < due):
            due = self._retry_at
        if due != self.deadline:
            self._loop.watch(self, due)

    def on_deadline(self, now: float) -> None:
        """A pause or a timeout is over."""
        if self._expires and now >= self._expires:
            self.on_timeout()
        elif self._longest_until and now >= self._longest_until:
            self._longest_until = _NEVER
            self.on_longest()
        elif self._retry_at and now >= self._retry_at:
            self._retry_at = _NEVER
            self.on_pause_over(now)
        elif self._try_expires and now >= self._try_expires:
            self._try_expires = self._idle_until = _NEVER
            self.on_try_timeout(errors.PER_TRY_TIMEOUT)
        elif self._idle_until and now >= self._idle_until and not self._retry_at:
            self._try_expires = self._idle_until = _NEVER
            self.on_try_timeout(errors.PER_TRY_IDLE_TIMEOUT)
        else:
            self._watch()

    def on_timeout(self) -> None:
        """The request has taken too long."""
        raise NotImplementedError

    def on_longest(self) -> None:
        """The stream to the host stands too long."""
        raise NotImplementedError

    def on_try_timeout(self, reply: LocalReply) -> None:
        """The attempt has taken too long, or nothing comes; ``reply`` is the answer when it was the last one."""
        raise NotImplementedError

    def on_pause_over(self, now: float) -> None:
        """The next attempt is due."""
        raise NotImplementedError
