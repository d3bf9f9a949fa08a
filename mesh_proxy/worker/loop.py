"""The worker's event loop: level-triggered epoll, one clock reading a turn, no objects for timers.

asyncio costs a quarter of the request path (performance.md), so the worker has its own. Things that wait for time are
``Timed``: they carry a deadline, and a scan every few milliseconds finds those that are due; that is cheaper than a timer
object for each request, and a timeout of a network proxy needs no finer grain.
"""

import select
import time
from collections.abc import Callable
from typing import Final, Protocol

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_SCAN = 0.02
_SLOW_SCAN = 1.0
_MAX_EVENTS = 256

Handler = Callable[[int], None]


class Flushable(Protocol):
    """Something with output that waits for the end of the handler that produced it."""

    def flush(self) -> None:
        """Hand it to the kernel."""
        ...


class Timed(Protocol):
    """Something that waits for a time. ``deadline`` is in seconds of the loop's clock, 0: not waiting."""

    deadline: float

    def on_deadline(self, now: float) -> None:
        """The deadline has passed; it was set to 0 before."""
        ...


class Loop:
    """Calls handlers with the events of their file descriptors."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timed: dict[Timed, None] = {}
        self._slow: dict[Timed, None] = {}
        self._every: list[Callable[[float], None]] = []
        self._unflushed: list[Flushable] = []
        self._scanned = 0.0
        self._ticked = 0.0
        self._running = False
        self.now = clock()

    def add(self, descriptor: int, events: int, handler: Handler) -> None:
        """Watch a descriptor."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        """Watch it for other events."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; to be called before it is closed."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def watch(self, timed: Timed, deadline: float) -> None:
        """Call ``timed.on_deadline`` at that time (0: forget it)."""
        timed.deadline = deadline
        if deadline:
            self._timed[timed] = None
        else:
            self._timed.pop(timed, None)

    def watch_slowly(self, timed: Timed) -> None:
        """Look at ``timed.deadline`` once a second until it is forgotten: for what is idle, whose deadline is set often."""
        self._slow[timed] = None

    def forget(self, timed: Timed) -> None:
        """It waits for nothing any more."""
        timed.deadline = 0.0
        self._timed.pop(timed, None)
        self._slow.pop(timed, None)

    def flush_after(self, output: Flushable) -> None:
        """Flush it when the handler that runs now has returned: what one event brings about leaves in one piece."""
        self._unflushed.append(output)

    def every_second(self, call: Callable[[float], None]) -> None:
        """Call about once a second."""
        self._every.append(call)

    def stop(self) -> None:
        """End :meth:`run` after this turn."""
        self._running = False

    def run(self) -> None:
        """Turn until stopped."""
        self._running = True
        while self._running:
            self.turn(_SCAN if self._timed else _SLOW_SCAN)

    def turn(self, longest: float) -> None:
        """One turn: wait for events (at most ``longest`` seconds), handle them, then look at the clock."""
        events = self._epoll.poll(longest, _MAX_EVENTS)
        self.now = now = self._clock()
        handlers, unflushed = self._handlers, self._unflushed
        for descriptor, event in events:
            handler = handlers.get(descriptor)  # one handled before in this turn may have closed it
            if handler is not None:
                handler(event)
                while unflushed:
                    unflushed.pop().flush()
        if self._timed and now - self._scanned >= _SCAN:
            self._scan(now)
        if now - self._ticked >= _SLOW_SCAN:
            self._ticked = now
            for timed in [timed for timed in self._slow if 0.0 < timed.deadline <= now]:
                timed.deadline = 0.0
                timed.on_deadline(now)
            for call in self._every:
                call(now)
        while unflushed:
            unflushed.pop().flush()

    def _scan(self, now: float) -> None:
        self._scanned = now
        due = [timed for timed in self._timed if timed.deadline <= now]
        for timed in due:
            if timed in self._timed and timed.deadline <= now:
                del self._timed[timed]
                timed.deadline = 0.0
                timed.on_deadline(now)

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()
