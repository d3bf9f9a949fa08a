"""Connections to hosts that speak HTTP/1.1: kept alive, pooled per host, within the cluster's limits."""

import math
from typing import Final

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import AUTO, ClusterRuntime
from mesh_proxy.protocol.body import EMPTY, LAST_CHUNK, Body, Chunked, Sized, UntilClose, chunk
from mesh_proxy.protocol.http1 import BadMessage, Field, Head
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.worker import heads
from mesh_proxy.worker.connection import HIGH, Connection
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial, stands
from mesh_proxy.worker.upstream.endings import count_end
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.waiting import NEVER, NOW, next_of, refuse, turn_of

_MAX_HEAD: Final = 96 * 1024
_WITHOUT_LENGTH: Final = frozenset({b"GET", b"HEAD", b"DELETE", b"CONNECT", b"TRACE"})
"""Methods whose requests have no content unless they say so (RFC 9110 8.6; the others say 0, as Envoy does)."""
_BULK: Final = 32 * 1024
_LONG: Final = 128 * 1024
"""Bytes of a large piece of a body, and of what is left of a long one: beyond, a pipe costs less than copies."""
_IDLE: Final = 3600.0
"""Seconds that an unused connection is kept (Envoy's default)."""


class Http1Upstream(Upstream):
    """One connection to a host, which has one request at a time."""

    __slots__ = (
        "_began", "_body", "_buffer", "_by_host", "_chunk", "_cluster", "_context", "_head", "_idle", "_lane", "_most",
        "_requests", "_sent", "_to", "_tunnel", "_until", "_way", "connecting", "connection", "host", "user",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        cluster: ClusterRuntime,
        host: Host,
        lane: Lane,
        user: User,
        given: Connection | None = None,
    ) -> None:
        """Begins to connect, unless a connection that stands is ``given``. Raises :class:`OSError` when it fails at once."""
        super().__init__()
        self._context = context
        self._cluster = cluster
        self._buffer = bytearray()
        self._head: Head | None = None
        self._body: Body = EMPTY
        self._chunk = False
        self._requests = 0
        self._sent = False
        self._by_host: bool = False
        """Whether it was the host that ended it."""
        self._tunnel = False
        self._to: Connection | None = None
        """Where the rest of the answer's body goes without being looked at."""
        self.host = host
        self._lane = lane
        self.user: User | None = user
        self.connecting = True
        config = cluster.config
        self.connection = dial(context.loop, cluster, host, self, lane) if given is None else given
        self.connection.owner = self
        longest = config.http.max_connection_duration
        self._idle: float = config.http.idle_timeout or _IDLE
        self._most: int = config.http.max_requests_per_connection or 0
        self._way = cluster.transports.config
        self._began = context.loop.now
        self._until = context.loop.now + longest if longest else math.inf
        host.active_connections += 1
        lane.connections += 1
        host.total_connections += 1
        cluster.active_connections += 1
        cluster.counters.add("upstream_cx_total")
        cluster.counters.add("upstream_cx_http1_total")
        context.loop.watch(self, context.loop.now + config.connect_timeout)

    def assign(self, user: User) -> None:
        """An idle connection gets a request."""
        self.user, self._to = user, None
        self.deadline = 0.0
        user.on_ready(self)

    @property
    def orphaned(self) -> bool:
        """Whether the configuration in force has its host no more, or speaks to it in another way."""
        cluster, host = self._cluster, self.host
        return (
            self._context.snapshot.clusters.get(cluster.name) is not cluster
            or cluster.hosts.get(host.name) is not host
            or cluster.transports.config is not self._way
        )

    # What the user says.

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        user = self.user
        asked = user.head if user is not None else Head()
        # A body without a length has one from a client of HTTP/1.1 only in chunks; one of HTTP/2 need not say.
        self._chunk = asked.chunked or (asked.length < 0 and not end and not asked.upgrade)
        if self._chunk:
            fields.append(heads.CHUNKED)
        elif end and asked.length < 0 and method not in _WITHOUT_LENGTH:
            fields.append(heads.NO_CONTENT)
        self._sent = True
        form = authority if method == b"CONNECT" else target
        self.connection.send(heads.request(method, form, authority, fields))
        if self._chunk and end:
            self.connection.send(LAST_CHUNK)

    def content(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self.connection.send(chunk(content) if self._chunk else content)

    def finish(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        if self._chunk:
            self.connection.send(heads.last_chunk(trailers))
        elif self._tunnel:
            self.connection.end()

    def detach(self) -> None:
        """What comes back would be for nobody: the connection is closed."""
        self.user = None
        self.close()

    def pause(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self.connection.pause()

    def resume(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self.connection.resume()

    def congested(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        return self.connection.queued > HIGH

    # What the host says.

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.connecting = False
        self._cluster.on_connected(self.host, self._context.loop.now)
        self._context.loop.watch(self, 0.0)
        self._context.loop.watch_slowly(self)
        self.facts = stands(self._context, connection, b"HTTP/1.1", self._began)
        self.local_address = self.facts.local_address
        if self.user is not None:
            self.user.on_ready(self)
        else:
            self._release()

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        user = self.user
        if not data:
            self._by_host = True
        if user is None:
            # Nobody asked for anything: the end of an idle connection, or a host that talks out of turn.
            self.close()
        elif self._tunnel:
            if data:
                user.on_response_data(data)
            else:
                user.on_response_end([])
        elif not data:
            self._ended(user)
        elif self._head is not None and not self._buffer and self._body.direct(data):
            user.on_response_data(data)
            if self._body.done and self.user is user:
                self._finish(user)
            elif len(data) >= _BULK:
                self._relay(user)
        elif self._head is not None or self._buffer or not self._take_whole(user, data):
            self._buffer += data
            self._process(user)

    def _take_whole(self, user: User, data: bytes) -> bool:
        """Takes an answer that came in one piece, as most do; ``False``: it is not one."""
        told, end, content = data.partition(b"\r\n\r\n")
        if not end or data[9:10] == b"1" or user.head.method == b"CONNECT":
            return False
        try:
            head = self._context.parser.response(told)
        except BadMessage:
            return False  # to be told where all such answers are
        bodiless = user.head.method == b"HEAD" or head.status in (204, 304)
        if head.chunked or len(content) != (0 if bodiless else head.length):
            return False
        self._head = head
        user.on_response(head, not content)
        if content and self.user is user:
            user.on_response_data(content)
        if self.user is user:
            self._finish(user)
        return True

    def _relay(self, user: User) -> None:
        """Of a long body, which comes in large pieces, the rest need not be looked at."""
        body = self._body
        if isinstance(body, Sized) and body.left >= _LONG and self.user is user:
            target = user.relays_to()
            if target is not None and self.connection.relay(target, body.left):
                self._to = target

    def on_relayed(self, connection: Connection, amount: int) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        user, body, target = self.user, self._body, self._to
        if user is None or target is None or not isinstance(body, Sized):
            return
        body.pass_by(amount)
        user.on_response_relayed(amount)
        if self.user is not user:
            return
        if body.done:
            self._to = None
            self._buffer += connection.surplus()  # with which it is not to be used again
            self._finish(user)
        elif target.queued:
            connection.pause()  # until the client has taken what is in the pipe

    def _ended(self, user: User) -> None:
        if self._head is not None and isinstance(self._body, UntilClose):
            self._finish(user)
            return
        self.close()
        if self._head is not None:
            user.on_aborted(errors.ANSWER_BROKEN)  # Envoy's parser is not done
        else:
            user.on_failure(Failure.RESET if self._sent else Failure.UNSENT, errors.TERMINATION, False)

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if self.user is not None:
            self.user.on_upstream_drained()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        user, connecting, head = self.user, self.connecting, self._head
        self._by_host = True
        self._forget()
        if connecting:
            self.host.connect_failures += 1
            self._cluster.counters.add("upstream_cx_connect_fail")
        if user is None:
            return
        if connecting:
            user.on_failure(Failure.REFUSED, reason, False)
        elif head is not None:
            user.on_aborted(errors.ANSWER_BROKEN)
        else:
            user.on_failure(Failure.RESET if self._sent else Failure.UNSENT, errors.TERMINATION, False)

    def on_deadline(self, now: float) -> None:
        """Connecting took too long, or nobody needed the connection for long."""
        user, connecting = self.user, self.connecting
        self.close()
        if connecting:
            self.host.connect_failures += 1
            self._cluster.counters.add("upstream_cx_connect_timeout")
            self._cluster.counters.add("upstream_cx_connect_fail")  # as well (Envoy)
            if user is not None:
                user.on_failure(Failure.REFUSED, "connection timeout", True)

    def _process(self, user: User) -> None:
        """Everything that can be done with what is in the buffer."""
        try:
            if self._head is None:
                self._take_head(user)
            else:
                content = self._body.take(self._buffer)
                if content:
                    user.on_response_data(content)
            if self._head is not None and self._body.done and self.user is user:
                self._finish(user)
        except BadMessage as error:
            if self.user is not user:
                return  # it has turned away already
            told = self._head is not None
            if not told and self.said < 0:
                self.said = heads.status_said(self._buffer)
            self.close()
            if told:
                user.on_aborted(errors.ANSWER_BROKEN)
            else:
                user.on_malformed(str(error))

    def _take_head(self, user: User) -> None:
        """The answer's head, when it is complete, after any number of interim ones."""
        buffer = self._buffer
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = self._context.parser.response(bytes(buffer[:end]))
            del buffer[: end + 4]
            if head.status == 101 or (user.head.method == b"CONNECT" and 200 <= head.status < 300):
                self._switch(user, head)
                return
            if head.status >= 200:
                self._begin(user, head)
                return
            user.on_interim(head)
        if len(buffer) > _MAX_HEAD:
            raise BadMessage("http1.headers_too_large")
        if heads.broken(buffer):
            raise BadMessage("http1.codec_error")

    def _switch(self, user: User, head: Head) -> None:
        if not user.upgrading():
            self.said = head.status
            raise BadMessage("http1.codec_error")
        self._tunnel = self.unframed = True
        rest = bytes(self._buffer)
        self._buffer.clear()
        user.on_switched(head)
        if rest and self.user is user:
            user.on_response_data(rest)

    def _begin(self, user: User, head: Head) -> None:
        """The answer, with what of its body is there: most answers are one piece, and leave as one."""
        self._head = head
        self._body = body = _body_of(head, user.head.method)
        user.on_response(head, body.done)
        if self._buffer and self.user is user:
            content = body.take(self._buffer)
            if content:
                user.on_response_data(content)

    def _finish(self, user: User) -> None:
        head, body = self._head, self._body
        self._head, self._body, self.user = None, EMPTY, None
        trailers = body.trailers if isinstance(body, Chunked) else []
        # Envoy closes what it cannot trust: an unfinished request, bytes nobody asked for, a host that says so.
        reusable = head is not None and not head.close and not isinstance(body, UntilClose)
        reusable = reusable and not self._buffer and user.request_complete()
        self._requests += 1
        self._sent = not user.request_complete()
        limit = self._most
        if not reusable or (limit and self._requests >= limit) or self._context.loop.now >= self._until:
            self.close()
        else:
            self._release()  # before its user is told, whose client may have its next request ready
        user.on_response_end(trailers)

    def _release(self) -> None:
        """To the next request that waits, or among the idle ones."""
        self._sent = False
        self.connection.resume()  # the last client may have been slow to read
        if self._lane.pending:
            self.assign(next_of(self._cluster, self._lane))
            return
        if self.orphaned:
            self.close()
            return
        self._lane.idle.append(self)
        self.deadline = self._context.loop.now + self._idle

    def close(self) -> None:
        """Close it and forget it."""
        if not self.connection.closed:
            self.connection.close()
            self._forget()

    def _forget(self) -> None:
        self.user = None
        self._context.loop.forget(self)
        lane = self._lane
        if self in lane.idle:
            lane.idle.remove(self)
        self.host.active_connections -= 1
        self._cluster.active_connections -= 1
        count_end(self._cluster.counters, self._by_host, self._sent)
        self.host.lanes.leave(lane)
        if lane.pending:
            begin(self._context, self._cluster, self.host, lane, next_of(self._cluster, lane))


def _body_of(head: Head, method: bytes) -> Body:
    """How the body of an answer ends (RFC 9112 6.3)."""
    if method == b"HEAD" or head.status in (204, 304):
        return EMPTY
    if head.chunked:
        return Chunked()
    return Sized(head.length) if head.length >= 0 else UntilClose()


def acquire(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> bool:
    """Gets the user a connection, now or later; ``False`` when the cluster's limits forbid to wait."""
    while lane.idle:
        upstream: Http1Upstream = lane.idle.pop()
        if not upstream.connection.closed:
            upstream.assign(user)
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
        upstream = Http1Upstream(context, cluster, host, lane, user)
    except OSError as error:
        refuse(cluster, user, error)
    else:
        user.on_begun(upstream)
