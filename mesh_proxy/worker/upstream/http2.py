"""Connections to hosts that speak HTTP/2: few to a host, each with many requests at the same time."""

import math
from typing import Final

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import AUTO, ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.session import Session
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import CLOSED, Stream
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.telemetry.facts import ConnectionFacts
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.connection import HIGH, Connection, Owner
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial, stands
from mesh_proxy.worker.upstream.endings import count_end
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.waiting import NEVER, NOW, next_of, refuse, turn_of

_IDLE: Final = 3600.0
"""Seconds that an unused connection is kept (Envoy's default)."""


class Http2Connection(Owner):
    """One connection to a host."""

    __slots__ = (
        "_began", "_by_host", "_cluster", "_context", "_idle_until", "_lane", "_until", "_waking", "_way",
        "connecting", "connection", "facts", "host", "leaving", "local_address", "requests", "session", "waiting",
    )  # fmt: skip

    def __init__(
        self, context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, given: Connection | None = None
    ) -> None:
        """Begins to connect, unless a connection that stands is ``given``. Raises :class:`OSError` when it fails at once."""
        super().__init__()
        self._context = context
        self._cluster = cluster
        self.host = host
        self._lane = lane
        self.session = Session(_settings(cluster), _Answers(self), context.tables, True, context.loop.now)
        self.connecting = True
        self.leaving = False
        self.local_address = b""
        self.facts: ConnectionFacts | None = None
        self._began = context.loop.now
        self.waiting: list[Http2Upstream] = []
        """Requests that wait for the connection to stand."""
        self.requests = 0
        self._idle_until = 0.0
        self._waking = False
        self._by_host: bool = False
        """Whether it was the host that ended it."""
        self._way = cluster.transports.config
        config = cluster.config
        self.connection = dial(context.loop, cluster, host, self, lane) if given is None else given
        self.connection.owner = self
        longest = config.http.max_connection_duration
        self._until = context.loop.now + longest if longest else math.inf
        host.active_connections += 1
        lane.connections += 1
        host.total_connections += 1
        cluster.active_connections += 1
        lane.multiplexed.append(self)
        cluster.counters.add("upstream_cx_total")
        cluster.counters.add("upstream_cx_http2_total")
        context.loop.watch(self, context.loop.now + config.connect_timeout)

    @property
    def orphaned(self) -> bool:
        """Whether the configuration in force has its host no more, or speaks to it in another way."""
        cluster, host = self._cluster, self.host
        return (
            self._context.snapshot.clusters.get(cluster.name) is not cluster
            or cluster.hosts.get(host.name) is not host
            or cluster.transports.config is not self._way
        )

    @property
    def counters(self) -> Counters:
        """Of its cluster."""
        return self._cluster.counters

    @property
    def free(self) -> bool:
        """Whether it may have one more request."""
        if self.leaving:
            return False
        limit = self._cluster.config.http.max_requests_per_connection
        if limit and self.requests >= limit:
            return False
        if self.connecting:
            return len(self.waiting) < self.session.peer_streams
        return self.session.can_open

    @property
    def resting(self) -> bool:
        """Whether it has no request."""
        return not self.connecting and not self.session.streams

    @property
    def now(self) -> float:
        """The loop's clock."""
        return self._context.loop.now

    def assign(self, user: User) -> None:
        """It gets a request."""
        self.requests += 1
        upstream = Http2Upstream(self, user)
        if self.connecting:
            self.waiting.append(upstream)
            user.on_begun(upstream)
        else:
            user.on_ready(upstream)
            self._arm()

    # The connection.

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.connecting = False
        self._cluster.on_connected(self.host, self._context.loop.now)
        self._context.loop.watch(self, 0.0)
        self._context.loop.watch_slowly(self)
        self.facts = stands(self._context, connection, b"HTTP/2", self._began)
        self.local_address = self.facts.local_address
        waiting, self.waiting = self.waiting, []
        for upstream in waiting:
            upstream.ready()
        self.wake()
        self.rest()

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if data:
            self.session.receive(data, self._context.loop.now)
            self.wake()
        else:
            self._by_host = True
            self.close("connection termination")

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.wake()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        connecting = self.connecting
        self._by_host = True
        if connecting:
            self.host.connect_failures += 1
            self._cluster.counters.add("upstream_cx_connect_fail")
        self._forget(reason if connecting else "connection termination", False)

    def on_deadline(self, now: float) -> None:
        """Connecting took too long, or nobody needed the connection for long."""
        if self.connecting:
            self.host.connect_failures += 1
            self._cluster.counters.add("upstream_cx_connect_timeout")
            self._cluster.counters.add("upstream_cx_connect_fail")  # as well (Envoy)
            self.connection.close()
            self._forget("connection timeout", True)
        elif self.session.deadline and now >= self.session.deadline:
            self.session.on_timer(now, self._context.random())
            self.wake()
            self._arm()
        elif not self.session.streams:
            self.close("")

    def _arm(self) -> None:
        """Wait for the end of an unused connection, or for the next probe of one that is used."""
        idle = 0.0 if self.session.streams else self._idle_until
        probe = self.session.deadline
        self.deadline = min(idle, probe) if idle and probe else idle or probe

    def wake(self) -> None:
        """There may be something to send: when the handler that runs now has returned."""
        if not self._waking:
            self._waking = True
            self._context.loop.flush_after(self)

    def flush(self) -> None:
        """Hand what there is to the connection, as long as it takes it."""
        self._waking = False
        connection, session = self.connection, self.session
        while connection.descriptor >= 0 and connection.queued <= HIGH and (output := session.take_output()):
            connection.send(output)
        if self.leaving and not session.streams:
            self.close("")

    def rest(self) -> None:
        """A request is over: to the next one, or to the end."""
        if self.session.leaving or self.orphaned or self._context.loop.now >= self._until:
            self.leaving = True
        if not self.session.streams:
            if self.leaving:
                self.close("")
                return
            self._idle_until = self._context.loop.now + (self._cluster.config.http.idle_timeout or _IDLE)
        self._arm()
        if self._lane.pending and self.free:
            self.assign(next_of(self._cluster, self._lane))

    def fail(self, details: str) -> None:
        """The host breaks the protocol."""
        self.wake()
        for stream in list(self.session.streams.values()):
            upstream = stream.user
            if isinstance(upstream, Http2Upstream):
                upstream.broken(details)
        self.session.streams.clear()
        self.leaving = True

    def close(self, reason: str = "") -> None:
        """Close it and forget it."""
        if not self.connection.closed:
            self.connection.close()
            self._forget(reason, False)

    def _forget(self, reason: str, timed_out: bool) -> None:
        self._context.loop.forget(self)
        self.leaving = True
        lane = self._lane
        lane.multiplexed.remove(self)
        self.host.active_connections -= 1
        self._cluster.active_connections -= 1
        count_end(self._cluster.counters, self._by_host, bool(self.session.streams))
        waiting, self.waiting = self.waiting, []
        for upstream in waiting:
            upstream.refused(reason, timed_out)
        for stream in list(self.session.streams.values()):
            user = stream.user
            if isinstance(user, Http2Upstream):
                user.lost(reason)
        self.session.streams.clear()
        self.host.lanes.leave(lane)
        if lane.pending:
            begin(self._context, self._cluster, self.host, lane, next_of(self._cluster, lane))


def _settings(cluster: ClusterRuntime) -> Settings:
    options = cluster.config.http
    interval, timeout = options.keepalive or (None, None)
    usual = Settings()
    return Settings(
        max_concurrent_streams=options.max_concurrent_streams or usual.max_concurrent_streams,
        keepalive_interval=interval or 0.0,
        keepalive_timeout=timeout or 0.0,
    )


class _Answers(Handler):
    """What the session tells, told on."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        """An answer."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.on_head(head, end)

    def on_interim(self, stream: Stream, head: Head) -> None:
        """An interim answer."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.on_interim(head)

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        """A part of its body."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.on_content(data, end)

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        """Its end."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.on_end(fields)

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        """The host, or the protocol, gives it up."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.on_reset(code, details)

    def on_window(self, stream: Stream) -> None:
        """The host takes more of the request."""
        upstream = stream.user
        if isinstance(upstream, Http2Upstream):
            upstream.drained()

    def on_settings(self) -> None:
        """It may take more requests than before."""
        self._connection.rest()

    def on_pong(self, opaque: bytes) -> None:
        """Nobody asked."""

    def on_goaway(self, last: int, code: int) -> None:
        """It takes no more: others get those."""
        self._connection.rest()

    def on_failure(self, code: int, details: str) -> None:
        """Nothing goes on."""
        self._connection.fail(details)


class Http2Upstream(Upstream):
    """The place of one request."""

    __slots__ = ("_asked", "_connection", "_head", "_paused", "_stream", "_user")

    def __init__(self, connection: Http2Connection, user: User) -> None:
        super().__init__()
        self._connection = connection
        self._user: User | None = user
        self._stream: Stream | None = None
        self._head: Head | None = None
        self._paused = False
        self._asked: bool = False
        """Whether it was asked for another protocol, or for a tunnel."""
        self.local_address = connection.local_address
        self.facts = connection.facts

    # What the user says.

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        connection, user = self._connection, self._user
        scheme = user.head.scheme if user is not None else b"http"
        self._asked = user is not None and user.upgrading()
        session = connection.session
        if self._asked and user is not None and method != b"CONNECT":
            stream = session.connect(user.head.upgrade, scheme, authority, target, fields, connection.now)
        elif self._asked:
            stream = session.request(method, b"", authority, b"", fields, False, connection.now)
        else:
            stream = session.request(method, scheme, authority, target, fields, end, connection.now)
        self._stream = stream
        stream.user = self
        connection.wake()

    def content(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        if self._stream is not None:
            self._connection.session.data(self._stream, content, False)
            self._connection.wake()

    def finish(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        if self._stream is None:
            return
        if trailers:
            self._connection.session.trailers(self._stream, trailers)
        else:
            self._connection.session.data(self._stream, b"", True)
        self._connection.wake()

    def detach(self) -> None:
        """What comes back would be for nobody: the host is told."""
        self._user = None
        if self in self._connection.waiting:
            self._connection.waiting.remove(self)
        else:
            self._leave(frames.CANCEL)

    def _leave(self, code: int) -> None:
        connection, stream = self._connection, self._stream
        if stream is not None and stream.state != CLOSED:
            connection.session.reset(stream, code)
            if code == frames.CANCEL:
                connection.counters.add("upstream_rq_tx_reset")
        if stream is not None:
            stream.user = None  # they know each other, and the garbage collector is to have nothing to do
        connection.wake()
        connection.rest()

    def pause(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self._paused = True

    def resume(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        if self._paused and self._stream is not None:
            self._paused = False
            self._connection.session.consumed(self._stream, self._stream.unconsumed)
            self._connection.wake()

    def congested(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        return self._stream is not None and self._stream.queued > HIGH

    # What the host says.

    def ready(self) -> None:
        """The connection stands."""
        self.local_address = self._connection.local_address
        self.facts = self._connection.facts
        if self._user is not None:
            self._user.on_ready(self)

    def refused(self, reason: str, timed_out: bool) -> None:
        """It will not."""
        user, self._user = self._user, None
        if user is not None:
            user.on_failure(Failure.REFUSED, reason, timed_out)

    def on_head(self, head: Head, end: bool) -> None:
        """The answer's head."""
        user = self._user
        if user is None:
            return
        self._head = head
        if self._asked and 200 <= head.status < 300:
            user.on_switched(head)
        else:
            user.on_response(head, end)
        if end:
            self.on_end([])

    def on_interim(self, head: Head) -> None:
        """An interim answer."""
        if self._user is not None:
            self._user.on_interim(head)

    def on_content(self, content: bytes, end: bool) -> None:
        """A part of its body."""
        user, stream = self._user, self._stream
        if user is not None and content:
            user.on_response_data(content)
        if not self._paused and stream is not None:
            self._connection.session.consumed(stream, len(content))
        if end:
            self.on_end([])

    def on_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        user, self._user = self._user, None
        if user is None:
            return
        self._leave(frames.NO_ERROR)  # of a request that is not complete the rest is wanted by nobody
        user.on_response_end(trailers)

    def on_reset(self, code: int, details: str) -> None:
        """The host gives it up."""
        if self._user is not None:
            self._connection.rest()
        if not details.startswith("http2.remote"):
            self.broken(details)
            return
        refused = code == frames.REFUSED_STREAM
        if not refused:
            self._connection.counters.add("upstream_rq_rx_reset")
        user = self._unanswered(errors.ANSWER_RESET)
        if user is not None:
            failure = Failure.UNSENT if refused else Failure.RESET
            user.on_failure(failure, errors.REMOTE_REFUSED if refused else errors.REMOTE_RESET, False)

    def broken(self, details: str) -> None:
        """The connection breaks the protocol."""
        user = self._unanswered(errors.ANSWER_BROKEN)
        if user is not None:
            user.on_malformed(details)

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        user = self._unanswered(errors.ANSWER_ENDED)
        if user is not None:
            user.on_failure(Failure.RESET, reason, False)

    def _unanswered(self, how: LocalReply) -> User | None:
        """Lets the user go: who has had the head of an answer is told here that the rest will not come."""
        user, self._user = self._user, None
        if user is not None and self._head is not None:
            user.on_aborted(how)
            return None
        return user

    def drained(self) -> None:
        """Everything sent has gone out."""
        if self._user is not None:
            self._user.on_upstream_drained()


def acquire(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> bool:
    """Gets the user a stream, now or later; ``False`` when the cluster's limits forbid to wait."""
    connection: Http2Connection
    for connection in lane.multiplexed:
        if connection.free:
            connection.assign(user)
            return True
    turn = turn_of(cluster, host, lane, user)
    if turn == NOW:
        begin(context, cluster, host, lane, user)
    return turn != NEVER


def begin(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> None:
    """A new connection for a request."""
    if cluster.protocol == AUTO:
        from mesh_proxy.worker.upstream import negotiated  # which is made of this module

        negotiated.begin(context, cluster, host, lane, user)
        return
    try:
        connection = Http2Connection(context, cluster, host, lane)
    except OSError as error:
        refuse(cluster, user, error)
    else:
        connection.assign(user)
