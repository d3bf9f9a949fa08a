"""The worker's event loop: level-triggered epoll, one clock reading a turn, no objects for timers.

asyncio costs a quarter of the request path (performance.md), so the worker has its own. What waits for a time carries a
deadline, and a scan every few milliseconds finds those that are due; that is cheaper than a timer object for each request,
and a timeout of a network proxy needs no finer grain.

What events bring about is sent when several of them have been handled: the same code then runs for one after the other, and
whoever is woken by what is sent does not take the processor from in between. Where client, proxy and application share a
core, a request costs up to a third less (performance.md).

A handler that fails takes its own connection with it and no other: what no line of ours foresaw, a peer may have brought
about, and the worker's other connections are not his to end.
"""

import logging
import select
import time
from collections.abc import Callable
from typing import Final

from mesh_proxy.native import mypyc_attr

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_SCAN: Final = 0.02
_SLOW_SCAN: Final = 1.0
_FAR: Final = 10.0
_MAX_EVENTS: Final = 256
_TOGETHER: Final = 16
"""Outputs that wait for each other at most: more would let the first wait for long, and save little."""
log = logging.getLogger("mesh_proxy.worker")


@mypyc_attr(allow_interpreted_subclasses=True)
class Waiter:
    """What waits on the loop: for its descriptor, for a time, or for the end of the handler that made its output.

    ``deadline`` is in seconds of the loop's clock; 0: it waits for no time. A class and not a protocol, as everything that is
    called for each request: compiled, such calls cost nothing.
    """

    __slots__ = ("deadline",)

    def __init__(self) -> None:
        self.deadline: float = 0.0

    def on_event(self, event: int) -> None:
        """The descriptor is ready."""

    def on_deadline(self, now: float) -> None:
        """The deadline has passed; it was set to 0 before."""

    def flush(self) -> None:
        """Hand the output to the kernel."""

    def break_down(self) -> bool:
        """A handler of it failed, which no handler should: give up what it is about. Whether that is possible; if not, the
        failure is the worker's."""
        return False


class Loop:
    """Calls handlers with the events of their file descriptors."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._watched: dict[int, Waiter] = {}
        self._timed: dict[Waiter, None] = {}
        self._slow: dict[Waiter, None] = {}
        self._every: list[Callable[[float], None]] = []
        self._unflushed: list[Waiter] = []
        self._scanned = 0.0
        self._ticked = 0.0
        self._running = False
        self.much = False
        """Whether so much waits to be sent that it is not to wait for the handlers of other events."""
        self.pipes = 0
        """Pipes between connections (:mod:`mesh_proxy.worker.splicing`)."""
        self.now = clock()

    def add(self, descriptor: int, events: int, waiter: Waiter) -> None:
        """Watch a descriptor."""
        self._watched[descriptor] = waiter
        self._epoll.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        """Watch it for other events."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; to be called before it is closed."""
        del self._watched[descriptor]
        self._epoll.unregister(descriptor)

    def watch(self, timed: Waiter, deadline: float) -> None:
        """Call ``timed.on_deadline`` at that time (0: forget it)."""
        timed.deadline = deadline
        if deadline:
            self._timed[timed] = None
        else:
            self._timed.pop(timed, None)

    def watch_about(self, timed: Waiter, deadline: float) -> None:
        """As :meth:`watch`; a deadline that is far off is looked at once a second, so that thousands of them cost nothing."""
        if deadline - self.now >= _FAR:
            self._timed.pop(timed, None)
            self._slow[timed] = None
            timed.deadline = deadline
        else:
            self.watch(timed, deadline)

    def watch_slowly(self, timed: Waiter) -> None:
        """Look at ``timed.deadline`` once a second until it is forgotten: for what is idle, whose deadline is set often."""
        self._slow[timed] = None

    def forget(self, timed: Waiter) -> None:
        """It waits for nothing any more."""
        timed.deadline = 0.0
        self._timed.pop(timed, None)
        self._slow.pop(timed, None)

    def flush_after(self, output: Waiter) -> None:
        """Flush it when the handler that runs now has returned, or some more that run after it: what one event brings about
        leaves in one piece."""
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
        watched = self._watched
        for descriptor, event in events:
            waiter = watched.get(descriptor)  # one handled before in this turn may have closed it
            if waiter is not None:
                try:
                    waiter.on_event(event)
                except Exception as failure:
                    _give_up(waiter, failure)
                if self.much or len(self._unflushed) >= _TOGETHER:
                    self._flush_all()
        self._flush_all()
        if self._timed and now - self._scanned >= _SCAN:
            self._scan(now)
        if now - self._ticked >= _SLOW_SCAN:
            self._ticked = now
            for timed in [timed for timed in self._slow if 0.0 < timed.deadline <= now]:
                timed.deadline = 0.0
                self._tell(timed, now)
            for call in self._every:
                call(now)
        self._flush_all()

    def _scan(self, now: float) -> None:
        self._scanned = now
        due = [timed for timed in self._timed if timed.deadline <= now]
        for timed in due:
            if timed in self._timed and timed.deadline <= now:
                del self._timed[timed]
                timed.deadline = 0.0
                self._tell(timed, now)

    def _tell(self, timed: Waiter, now: float) -> None:
        try:
            timed.on_deadline(now)
        except Exception as failure:
            timed.break_down()  # where it can: it waits for no time any more, so nothing tells of it again
            log.error("a handler failed at its time: %r", timed, exc_info=failure)

    def _flush_all(self) -> None:
        self.much = False
        unflushed = self._unflushed
        while unflushed:
            self._unflushed = []  # flushing brings about more
            for output in unflushed:
                try:
                    output.flush()
                except Exception as failure:
                    _give_up(output, failure)
            unflushed = self._unflushed

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()


def _give_up(waiter: Waiter, failure: Exception) -> None:
    if not waiter.break_down():
        raise failure
    log.error("a handler failed, and its connection was given up: %r", waiter, exc_info=failure)
