"""TCP proxying: bytes both ways, each side ended when the other is (half-close)."""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.routing.hash_policies import address_key
from mesh_proxy.snapshot import TcpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.service_metrics import Series
from mesh_proxy.worker.connection import HIGH, Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial, stands
from mesh_proxy.worker.named_hosts import default_port
from mesh_proxy.worker.upstream.sharing import lane_of

_IDLE: Final = 3600.0
_BULK: Final = 16384
_LONG: Final = 1 << 20
"""So many bytes in pieces of that size make it worth while to spare the copies of what follows."""
_DELIVERY: Final = 1.0
"""Seconds in which a peer that reads has told that it has what was sent to it; a delayed acknowledgement takes 0.2."""
_LOOK: Final = 0.02


class TcpSession(Owner):
    """One connection from a client and the one to a host."""

    __slots__ = (
        "_bulk_received", "_bulk_sent",
        "_chain", "_client", "_cluster", "_context", "_counted", "_destination", "_done", "_ended", "_host", "_idle",
        "_info", "_key", "_left", "_left_until", "_told_received", "_told_sent", "_tries", "_until", "_upstream",
        "presence", "record",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        connection: Connection,
        chain: TcpChain,
        info: ConnectionInfo,
    ) -> None:
        super().__init__()
        self._context = context
        self._chain = chain
        self._destination = info.arrival.destination
        self._info = info
        self._cluster: ClusterRuntime | None = None
        self._host: Host | None = None
        self._upstream: Connection | None = None
        self._counted: Series | None = None
        self._told_received = 0
        self._told_sent = 0
        self._tries = 0
        self._bulk_received = 0
        self._bulk_sent = 0
        self._ended: set[Connection] = set()
        self._left: Connection | None = None
        """The one that still stands, after the other was reset."""
        self._left_until = 0.0
        self._done = False
        self._idle = _IDLE if chain.config.idle_timeout is None else chain.config.idle_timeout
        longest = chain.config.max_connection_duration
        self._until: float = context.loop.now + longest if longest else 0.0
        self._key = address_key(info.remote_address) if chain.config.hash_source_ip else -1
        self.record = Record(context.loop.now, context.wall())
        self.record.protocol, self.record.kind = b"", b"TcpConnectionEnd"
        info.describe(self.record)
        self._client = connection
        self.presence, connection.ending = connection.ending, None
        connection.owner = self
        self._client.pause()
        context.connections[self] = None
        chain.stats.add("downstream_cx_total")

    def start(self) -> None:
        """Find a host; to be called once."""
        self._connect()

    def _connect(self) -> None:
        name = self._chain.choose(self._context.random())
        self.record.cluster = name.encode()
        cluster = self._context.snapshot.clusters.get(name)
        if cluster is None:
            self._end("NC", "")
            return
        self._cluster = cluster
        self.record.destination = cluster.facts
        self._reach()

    def _reach(self) -> None:
        """Choose a host of the cluster, when it is known which one the connection names, where it names one."""
        cluster = self._cluster
        if cluster is None or self._done or (cluster.by_name and not self._named(cluster)):
            return
        host = cluster.pick(self._destination, [], 0, self._key)
        if host is None:
            cluster.counters.add("upstream_cx_none_healthy")
            self._end("UH", "")
            return
        if cluster.active_connections >= cluster.thresholds.max_connections or (
            0 <= cluster.max_per_host <= host.active_connections and host.active_connections
        ):  # where a host has enough of them, Envoy lets the client wait for its turn
            cluster.counters.add("upstream_cx_overflow")
            self._end("UO", "")
            return
        self._try(cluster, host)

    def _named(self, cluster: ClusterRuntime) -> bool:
        """Whether the server name was looked up, to whatever end."""
        port = self._chain.names_port
        name = (self._info.arrival.server_name.decode("latin-1"), default_port(cluster) if port < 0 else port)
        cache = self._context.names.of(cluster)
        self._destination = name
        if cache is None or not name[0]:
            return True
        found = cache.find(name)
        if found is None:
            if port >= 0:
                self.record.cluster = b""  # the filter has closed it, without a word (Envoy)
            self._end("" if port >= 0 else "UH", "")
            return False
        if not found.resolved:
            found.waiting.append(self._reach)
            return False
        if found.addresses:
            cluster.name_host(name, found.addresses)
        return True

    def _try(self, cluster: ClusterRuntime, host: Host) -> None:
        self._host, self._tries = host, self._tries + 1
        self.record.chose(host, self._tries)
        host.active_connections += 1
        host.total_requests += 1
        cluster.active_connections += 1
        cluster.counters.add("upstream_cx_total")
        cluster.counters.add("upstream_rq_pending_total")
        lane = lane_of(cluster, host, b"", self._info) if cluster.parts or self._info.source else host.lane
        try:
            self._upstream = dial(self._context.loop, cluster, host, self, lane)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._wait(cluster.config.connect_timeout)

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        facts = stands(self._context, connection, b"", self._context.loop.now)
        self.record.upstream, self.record.upstream_local = facts, facts.local_address
        metrics = self._chain.metrics
        if metrics is not None:
            self._counted = metrics.opened(self.record)
        if self._cluster is not None and self._host is not None:
            self._cluster.counters.add("upstream_rq_total")
            self._cluster.on_status(self._host, 200, self._context.loop.now)
        self._client.resume()
        self._touch()

    def _touch(self) -> None:
        self._wait(self._idle)

    def _wait(self, seconds: float) -> None:
        """For so long (0: without end), but not longer than the connection may last."""
        deadline = self._context.loop.now + seconds if seconds else 0.0
        if self._until:
            deadline = min(deadline or self._until, self._until)
        self._context.loop.watch(self, deadline)

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        upstream = self._upstream
        if upstream is None:
            return
        other = upstream if connection is self._client else self._client
        if not data:
            self._ended.add(connection)
            if len(self._ended) == 2 and not other.queued and not connection.queued:
                self._end("", "")
            else:
                other.end()
            return
        self._moved(connection, len(data))
        other.send(data)
        if len(data) >= _BULK and self._is_long(connection, len(data)):
            connection.relay(other)
        if other.queued > HIGH:
            connection.pause()

    def _is_long(self, connection: Connection, amount: int) -> bool:
        """One more large piece: whether a direction has had so much in such pieces that it is worth a pipe."""
        if connection is self._client:
            self._bulk_received += amount
            return self._bulk_received >= _LONG
        self._bulk_sent += amount
        return self._bulk_sent >= _LONG

    def on_relayed(self, connection: Connection, amount: int) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        upstream = self._upstream
        if upstream is None:
            return
        self._moved(connection, amount)
        other = upstream if connection is self._client else self._client
        if other.queued:
            connection.pause()

    def _moved(self, connection: Connection, amount: int) -> None:
        if connection is self._client:
            self.record.bytes_received += amount
        else:
            self.record.bytes_sent += amount
        if self._idle:
            deadline = self._context.loop.now + self._idle
            self.deadline = deadline if not self._until or deadline < self._until else self._until

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._touch()
        upstream = self._upstream
        if upstream is None:
            return
        other = upstream if connection is self._client else self._client
        if self._left is not None:
            self._await_delivery()
            return
        if len(self._ended) == 2 and not other.queued:
            self._end("", "")
            return
        if other not in self._ended:
            other.resume()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if connection is self._upstream and not self.record.upstream_local:
            self._failed(reason)
            return
        other = self._upstream if connection is self._client else self._client
        if connection is self._upstream:
            self.record.flag("UR")
        if other is None:
            self._end("", "")
            return
        self._ended |= {connection, other}  # nothing else will come
        other.pause()
        self._left = other
        if not other.queued:  # else it is told when that is sent
            self._await_delivery()

    def _await_delivery(self) -> None:
        """Everything is sent to the one that is left."""
        self._left_until = self._context.loop.now + _DELIVERY
        self._pass_on_reset()

    def _pass_on_reset(self) -> None:
        """A reset is passed on (Envoy); what came before it is delivered first, where Envoy's would lose it."""
        left, now = self._left, self._context.loop.now
        if left is None:
            return
        if not left.undelivered:
            left.reset()
            self._end("", "")
        elif now >= self._left_until:
            self._end("", "")  # the peer stands still: in order, so that the kernel delivers it whenever that is
        else:
            self._context.loop.watch(self, now + _LOOK)

    def _failed(self, reason: str) -> None:
        """No connection to the host: another one, as often as the chain allows."""
        self._upstream = None
        cluster, host = self._cluster, self._host
        self._release()
        self.record.failure = errors.transport_failure(reason)
        if cluster is None or host is None:
            return
        cluster.counters.add("upstream_cx_connect_fail")
        host.connect_failures += 1
        cluster.on_local_failure(host, self._context.loop.now)
        other = cluster.pick(self._destination, [host], 3, self._key)
        if self._tries < max(self._chain.config.max_connect_attempts, 1) and other is not None:
            self._try(cluster, other)
        else:
            self._end("UF,URX", "")  # also after a single try (Envoy)

    def on_deadline(self, now: float) -> None:
        """Connecting took too long, nothing moved for long, or it has lasted as long as it may."""
        if self._until and now >= self._until:
            self._chain.stats.add("max_downstream_connection_duration")
            self._end("DT", "")
        elif self._upstream is not None and not self.record.upstream_local:
            self._upstream.close()
            if self._cluster is not None:
                self._cluster.counters.add("upstream_cx_connect_timeout")
            self._failed("connection timeout")
        elif self._left is not None and not self._left.queued:
            self._pass_on_reset()
        elif self._client.queued or (self._upstream is not None and self._upstream.queued):
            self._touch()
        else:
            self._end("", "idle_timeout")

    def _release(self) -> None:
        if self._host is not None and self._cluster is not None:
            self._host.active_connections -= 1
            self._cluster.active_connections -= 1
            self._host = None

    def _end(self, flag: str, details: str) -> None:
        if self._done:
            return
        self._done = True
        self._client.close()
        if self._upstream is not None:
            self._upstream.close()
        self._release()
        self._context.loop.watch(self, 0.0)
        self._context.connections.pop(self, None)
        self.record.flag(flag)
        self.record.termination = details
        self.record.ended = self._context.loop.now
        received, sent = self._count_bytes()
        metrics = self._chain.metrics
        if metrics is not None:
            metrics.ended(self.record, self._counted, received, sent)
        if self.presence is not None:
            self.presence.on_end()  # the listener's logs tell it first (Envoy)
        self._context.logs.write(self._chain.logs, self.record)

    def _count_bytes(self) -> tuple[int, int]:
        """Counts the bytes that were not counted yet, and says how many: from the client, and to it."""
        received, sent = self.record.bytes_received - self._told_received, self.record.bytes_sent - self._told_sent
        self._told_received += received
        self._told_sent += sent
        down, cluster = self._chain.stats, self._cluster
        down.add("downstream_cx_rx_bytes_total", received)
        down.add("downstream_cx_tx_bytes_total", sent)
        if cluster is not None:
            cluster.counters.add("upstream_cx_rx_bytes_total", sent)
            cluster.counters.add("upstream_cx_tx_bytes_total", received)
        return received, sent

    def tell(self) -> None:
        """Numbers are about to be read: what has passed until now is counted."""
        if self._done:
            return
        received, sent = self._count_bytes()
        metrics, counted = self._chain.metrics, self._counted
        if metrics is not None and counted is not None:
            metrics.passed(counted, self._context.loop.now, received, sent)

    @property
    def listener(self) -> str:
        """Its listener's name."""
        return self._info.listener

    def drain(self) -> None:
        """Bytes have no end that could be waited for: they go on until the time is over."""

    def close(self) -> None:
        """Close at once."""
        self._end("", "")
