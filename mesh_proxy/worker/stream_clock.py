"""The time limits of one request, as Envoy's connection manager keeps them: idle, the whole request, the longest duration.

Made only for requests that have such limits; Istio sends none of them unless it is asked to.
"""

from mesh_api.config import RouteAction
from mesh_proxy import errors
from mesh_proxy.limits import Limits, longest_of
from mesh_proxy.protocol.http1 import field_of, written_grpc_timeout
from mesh_proxy.worker.loop import Loop, Waiter
from mesh_proxy.worker.request import Request


class StreamClock(Waiter):
    """See the module's docstring. ``active`` is set by its request whenever something of it came or went."""

    __slots__ = ("_idle", "_longest_until", "_loop", "_request", "_whole_until", "active")

    def __init__(self, loop: Loop, request: Request, idle: float, whole: float, longest: float) -> None:
        """Seconds without activity, from the beginning for the request to be complete, and for everything; 0: no limit."""
        super().__init__()
        self._loop = loop
        self._request = request
        began = request.record.began
        self._idle = idle
        self._whole_until: float = began + whole if whole else 0.0
        self._longest_until: float = began + longest if longest else 0.0
        self.active: float = loop.now
        self._watch()

    def complete(self) -> None:
        """The request is complete, or its answer has begun."""
        self._whole_until = 0.0
        self.active = self._loop.now

    def _watch(self) -> None:
        due = self.active + self._idle if self._idle else 0.0
        if self._whole_until and (not due or self._whole_until < due):
            due = self._whole_until
        if self._longest_until and (not due or self._longest_until < due):
            due = self._longest_until
        if not due:
            self._loop.forget(self)
        else:
            self._loop.watch_about(self, due)

    def on_deadline(self, now: float) -> None:
        """One of the times may be over; that of quiet begins anew with whatever came since."""
        whole = self._request.body.complete
        if self._longest_until and now >= self._longest_until:
            self._request.on_late(errors.duration_timeout(whole), "downstream_rq_max_duration_reached")
        elif self._whole_until and now >= self._whole_until:
            self._request.on_late(errors.REQUEST_TIMEOUT, "downstream_rq_timeout")
        elif self._idle and now >= self.active + self._idle:
            self._request.on_late(errors.idle_timeout(whole), "downstream_rq_idle_timeout")
        else:
            self._watch()


def clock_of(loop: Loop, request: Request, limits: Limits, action: RouteAction | None) -> StreamClock | None:
    """The clock of a request, whose head tells hosts of what it is given there; ``None``: it has no such limits."""
    idle, longest, head = limits.idle, limits.longest, request.head
    if action is not None:
        longest = longest_of(action, head, longest)
        if action.grpc_timeout_header_max is not None and head.get(b"grpc-timeout") is not None:
            head.drop(b"grpc-timeout")
            head.add(field_of(b"grpc-timeout", written_grpc_timeout(longest)))
        if action.idle_timeout is not None:
            idle = action.idle_timeout
    whole = 0.0 if request.body.complete else limits.whole
    return StreamClock(loop, request, idle, whole, longest) if idle or longest or whole else None
