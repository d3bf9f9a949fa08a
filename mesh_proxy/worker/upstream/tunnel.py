"""The end of a tunnel: what a client sends within CONNECT goes to the host as it is (Envoy's ``connect_config``)."""

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.worker.connection import HIGH, Connection, address_text
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.waiting import refuse


class TunnelUpstream(Upstream):
    """A connection of bytes to a host, for one request."""

    __slots__ = ("_cluster", "_connecting", "_connection", "_context", "_host", "_user")

    def __init__(self, context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> None:
        """Begins to connect. Raises :class:`OSError` when that fails at once."""
        super().__init__()
        self._context = context
        self._cluster = cluster
        self._host = host
        self._user: User | None = user
        self._connecting = True
        self._connection = dial(context.loop, cluster, host, self, lane)
        host.active_connections += 1
        host.total_connections += 1
        cluster.active_connections += 1
        cluster.counters.add("upstream_cx_total")
        context.loop.watch(self, context.loop.now + cluster.config.connect_timeout)

    # What the user says.

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """Nothing of it goes to the host: the tunnel stands."""
        answer = Head()
        answer.status = 200
        if self._user is not None:
            self._user.on_switched(answer)

    def content(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self._connection.send(content)

    def finish(self, trailers: list[Field]) -> None:
        """The client says no more: the host may go on."""
        self._connection.end()

    def detach(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self._user = None
        self._close()

    def pause(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self._connection.pause()

    def resume(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        self._connection.resume()

    def congested(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.Upstream`."""
        return self._connection.queued > HIGH

    # What the host says.

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._connecting = False
        self._cluster.on_connected(self._host, self._context.loop.now)
        self._context.loop.watch(self, 0.0)
        self.local_address = address_text(connection.sock.getsockname())
        if self._user is not None:
            self._user.on_ready(self)

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        user = self._user
        if user is None:
            self._close()
        elif data:
            user.on_response_data(data)
        else:
            user.on_response_end([])

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if self._user is not None:
            self._user.on_upstream_drained()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        user, connecting = self._user, self._connecting
        self._forget()
        if user is None:
            return
        if connecting:
            self._cluster.counters.add("upstream_cx_connect_fail")
            user.on_failure(Failure.REFUSED, reason, False)
        else:
            user.on_aborted(errors.ANSWER_ENDED)

    def on_deadline(self, now: float) -> None:
        """Connecting took too long."""
        user = self._user
        self._close()
        self._cluster.counters.add("upstream_cx_connect_timeout")
        self._cluster.counters.add("upstream_cx_connect_fail")  # as well (Envoy)
        if user is not None:
            user.on_failure(Failure.REFUSED, "connection timeout", True)

    def _close(self) -> None:
        if not self._connection.closed:
            self._connection.close()
            self._forget()

    def _forget(self) -> None:
        self._user = None
        self._context.loop.forget(self)
        self._host.active_connections -= 1
        self._cluster.active_connections -= 1
        self._cluster.counters.add("upstream_cx_destroy")


def begin(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> None:
    """A connection for the tunnel of one request; it is never one that others had."""
    try:
        upstream = TunnelUpstream(context, cluster, host, lane, user)
    except OSError as error:
        refuse(cluster, user, error)
    else:
        user.on_begun(upstream)
