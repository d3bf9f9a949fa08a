"""Connections of which TLS decides what is spoken over them (Envoy's ``auto_config``).

It is HTTP/2 where the host agrees to that, else HTTP/1.1. Every connection is agreed on for itself, so that hosts may change.
"""

from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.http1 import Field
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.worker.connection import Connection
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial
from mesh_proxy.worker.tls_connection import TlsConnection
from mesh_proxy.worker.upstream.http1 import Http1Upstream
from mesh_proxy.worker.upstream.http2 import Http2Connection
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.waiting import NEVER, NOW, next_of, refuse, turn_of


class Scout(Upstream):
    """A connection on its way, for one request; what it turns out to be takes its place."""

    __slots__ = ("_cluster", "_connection", "_context", "_host", "_lane", "_user")

    def __init__(self, context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> None:
        """Begins to connect. Raises :class:`OSError` when that fails at once."""
        super().__init__()
        self._context = context
        self._cluster = cluster
        self._host = host
        self._lane = lane
        self._user: User | None = user
        self._connection = dial(context.loop, cluster, host, self, lane)
        lane.connections += 1
        host.active_connections += 1
        cluster.active_connections += 1
        context.loop.watch(self, context.loop.now + cluster.config.connect_timeout)

    # What the user says, who cannot send anything yet.

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """Never: it is not ready."""

    def content(self, content: bytes) -> None:
        """Never: it is not ready."""

    def finish(self, trailers: list[Field]) -> None:
        """Never: it is not ready."""

    def pause(self) -> None:
        """Nothing comes yet."""

    def resume(self) -> None:
        """Nothing comes yet."""

    def congested(self) -> bool:
        """Nothing was sent."""
        return False

    def detach(self) -> None:
        """Nobody needs it any more."""
        self._user = None
        self._connection.close()
        self._leave()
        self._next()

    # What becomes of the connection.

    def on_connected(self, connection: Connection) -> None:
        """It is agreed what is spoken."""
        user, self._user = self._user, None
        agreed = connection.protocol if isinstance(connection, TlsConnection) else ""
        self._leave()
        if user is None:
            connection.close()
        elif agreed == "h2":
            made = Http2Connection(self._context, self._cluster, self._host, self._lane, connection)
            made.on_connected(connection)
            made.assign(user)
        else:
            Http1Upstream(self._context, self._cluster, self._host, self._lane, user, connection).on_connected(
                connection
            )

    def on_lost(self, connection: Connection, reason: str) -> None:
        """The host cannot be reached, or TLS does not come about."""
        self._fail(reason, False)

    def on_deadline(self, now: float) -> None:
        """It takes too long."""
        self._connection.close()
        self._cluster.counters.add("upstream_cx_connect_timeout")
        self._fail("connection timeout", True)

    def _fail(self, reason: str, timed_out: bool) -> None:
        user, self._user = self._user, None
        self._leave()
        self._host.connect_failures += 1
        for name in ("upstream_cx_total", "upstream_cx_connect_fail", "upstream_cx_destroy"):
            self._cluster.counters.add(name)
        self._next()
        if user is not None:
            user.on_failure(Failure.REFUSED, reason, timed_out)

    def _leave(self) -> None:
        """Whoever comes after it counts for itself."""
        self._context.loop.forget(self)
        self._host.active_connections -= 1
        self._cluster.active_connections -= 1
        self._lane.connections -= 1

    def _next(self) -> None:
        if self._lane.pending:
            begin(self._context, self._cluster, self._host, self._lane, next_of(self._cluster, self._lane))


def acquire(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> bool:
    """Gets the user a place on a connection of either kind; ``False`` when the cluster's limits forbid to wait."""
    for connection in lane.multiplexed:
        if connection.free:
            connection.assign(user)
            return True
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
    try:
        scout = Scout(context, cluster, host, lane, user)
    except OSError as error:
        refuse(cluster, user, error)
    else:
        user.on_begun(scout)
