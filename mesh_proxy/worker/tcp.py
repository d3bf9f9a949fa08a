"""TCP proxying: bytes both ways, each side ended when the other is (half-close)."""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.snapshot import TcpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.service_metrics import Series
from mesh_proxy.worker.connection import HIGH, Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.dialling import dial, stands

_IDLE: Final = 3600.0


class TcpSession(Owner):
    """One connection from a client and the one to a host."""

    __slots__ = (
        "_chain", "_client", "_cluster", "_context", "_counted", "_destination", "_done", "_ended", "_host", "_idle",
        "_tries", "_upstream", "record",
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
        self._cluster: ClusterRuntime | None = None
        self._host: Host | None = None
        self._upstream: Connection | None = None
        self._counted: Series | None = None
        self._tries = 0
        self._ended: set[Connection] = set()
        self._done = False
        self._idle = _IDLE if chain.config.idle_timeout is None else chain.config.idle_timeout
        self.record = Record(context.loop.now, context.wall())
        self.record.protocol, self.record.kind = b"", b"TcpConnectionEnd"
        info.describe(self.record)
        self._client = connection
        connection.owner = self
        self._client.pause()
        context.connections[self] = None
        chain.stats.add("downstream_cx_total")
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
        host = cluster.pick(self._destination, [], 0)
        if host is None:
            cluster.counters.add("upstream_cx_none_healthy")
            self._end("UH", "")
            return
        if cluster.active_connections >= cluster.thresholds.max_connections:
            cluster.counters.add("upstream_cx_overflow")
            self._end("UO", "")
            return
        self._try(cluster, host)

    def _try(self, cluster: ClusterRuntime, host: Host) -> None:
        self._host, self._tries = host, self._tries + 1
        self.record.chose(host, self._tries)
        host.active_connections += 1
        host.total_requests += 1
        cluster.active_connections += 1
        cluster.counters.add("upstream_cx_total")
        cluster.counters.add("upstream_rq_pending_total")
        try:
            self._upstream = dial(self._context.loop, cluster, host, self)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._context.loop.watch(self, self._context.loop.now + cluster.config.connect_timeout)

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
        self._context.loop.watch(self, self._context.loop.now + self._idle if self._idle else 0.0)

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
        if connection is self._client:
            self.record.bytes_received += len(data)
        else:
            self.record.bytes_sent += len(data)
        if self._idle:
            self.deadline = self._context.loop.now + self._idle
        other.send(data)
        if other.queued > HIGH:
            connection.pause()

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._touch()
        upstream = self._upstream
        if upstream is None:
            return
        other = upstream if connection is self._client else self._client
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
        if other is None or not other.queued:
            if other is not None:
                other.reset()  # a reset is passed on (Envoy)
            self._end("", "")
            return
        # What came before is delivered first; nothing else will come.
        self._ended |= {connection, other}
        other.pause()
        other.end()

    def _failed(self, reason: str) -> None:
        """No connection to the host: another one, as often as the chain allows."""
        self._upstream = None
        cluster, host = self._cluster, self._host
        self._release()
        self.record.failure = errors.transport_failure(reason)
        if cluster is None or host is None:
            return
        cluster.counters.add("upstream_cx_connect_fail")
        cluster.on_local_failure(host, self._context.loop.now)
        other = cluster.pick(self._destination, [host], 3)
        if self._tries < max(self._chain.config.max_connect_attempts, 1) and other is not None:
            self._try(cluster, other)
        else:
            self._end("UF,URX", "")  # also after a single try (Envoy)

    def on_deadline(self, now: float) -> None:
        """Connecting took too long, or nothing moved for long."""
        if self._upstream is not None and not self.record.upstream_local:
            self._upstream.close()
            self._failed("connection timeout")
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
        cluster = self._cluster
        self._client.close()
        if self._upstream is not None:
            self._upstream.close()
        self._release()
        self._context.loop.watch(self, 0.0)
        self._context.connections.pop(self, None)
        self.record.flag(flag)
        self.record.termination = details
        self.record.ended = self._context.loop.now
        record = self.record
        for counters, way in ((self._chain.stats, "downstream"), (cluster and cluster.counters, "upstream")):
            if counters:
                sent, received = record.bytes_sent, record.bytes_received
                counters.add(f"{way}_cx_rx_bytes_total", received if way == "downstream" else sent)
                counters.add(f"{way}_cx_tx_bytes_total", sent if way == "downstream" else received)
        metrics = self._chain.metrics
        if metrics is not None:
            metrics.ended(self.record, self._counted)
        self._context.logs.write(self._chain.logs, self.record)

    def drain(self) -> None:
        """Bytes have no end that could be waited for: they go on until the time is over."""

    def close(self) -> None:
        """Close at once."""
        self._end("", "")
