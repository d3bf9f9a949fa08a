"""How long requests and connections may take (Envoy's ``HttpConnectionManager``, with its defaults)."""

from typing import Final

from mesh_api.config import HttpConnectionManager, RouteAction
from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Head, grpc_timeout

_STREAM_IDLE: Final = 300.0
_CONNECTION_IDLE: Final = 3600.0
_DRAIN: Final = 5.0
_AT_ONCE: Final = 1e-9


class Limits:
    """Seconds, and numbers of requests; 0: no limit."""

    __slots__ = (
        "connection", "connection_idle", "drain", "head", "head_counter", "head_reply", "idle", "longest", "max_headers",
        "requests", "timed", "whole",
    )  # fmt: skip

    def __init__(self, config: HttpConnectionManager) -> None:
        self.idle = _STREAM_IDLE if config.stream_idle_timeout is None else config.stream_idle_timeout
        """Without anything of a request coming or going."""
        self.whole = config.request_timeout or 0.0
        """Until a request is complete."""
        self.longest = config.max_stream_duration or 0.0
        self.timed = bool(self.idle or self.whole or self.longest)
        self.connection_idle = _CONNECTION_IDLE if config.idle_timeout is None else config.idle_timeout
        self.connection = config.max_connection_duration or 0.0
        self.requests = config.max_requests_per_connection
        self.drain = _DRAIN if config.drain_timeout is None else config.drain_timeout
        """Between the announcement of a connection's end and the end."""
        self.max_headers = 100 if config.max_headers_count is None else config.max_headers_count
        self.head, self.head_reply, self.head_counter = _of_heads(config.request_headers_timeout or 0.0, self)
        """For the head of a request to be complete, what it is answered with when it is not, and how that is counted."""

    def rest_until(self, now: float, until: float) -> float:
        """When a connection that has nothing to do is to be looked at; ``until`` is when it stands too long (0: never)."""
        idle = now + self.connection_idle if self.connection_idle else 0.0
        return min(idle, until) if idle and until else idle or until


def _of_heads(headers: float, limits: Limits) -> tuple[float, LocalReply, str]:
    """A head that does not end is late by whichever limit comes first: the stream begins with its first byte (Envoy)."""
    found = (
        (headers, errors.HEADERS_TIMEOUT, "downstream_rq_header_timeout"),
        (limits.whole, errors.REQUEST_TIMEOUT, "downstream_rq_timeout"),
        (limits.idle, errors.idle_timeout(False), "downstream_rq_idle_timeout"),
        (limits.longest, errors.duration_timeout(False), "downstream_rq_max_duration_reached"),
    )
    return min((one for one in found if one[0]), key=_seconds, default=(0.0, errors.HEADERS_TIMEOUT, ""))


def _seconds(limit: tuple[float, LocalReply, str]) -> float:
    return limit[0]


def longest_of(action: RouteAction, head: Head, usual: float) -> float:
    """Seconds from its beginning to the end that a request of a route may take; ``usual`` is what holds where the route says
    nothing. Where the route honours it, it is what a call gives itself in ``grpc-timeout``. 0: no limit."""
    most = action.grpc_timeout_header_max
    if most is None or head.get(b"grpc-timeout") is None:
        return usual if action.max_stream_duration is None else action.max_stream_duration
    asked = grpc_timeout(head)
    if most and asked > most:
        asked = most
    return max(asked - (action.grpc_timeout_header_offset or 0.0), _AT_ONCE)
