"""A connection on its way in: looked into, given its chain, through the handshake, past the guards; then it is served."""

import logging
import socket
from typing import Final

from mesh_proxy.chains import Arrival
from mesh_proxy.snapshot import Chain, HttpChain, ListenerRuntime
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.downstream.http1 import Http1Downstream
from mesh_proxy.worker.downstream.http2 import Http2Downstream
from mesh_proxy.worker.downstream.opening import Opening
from mesh_proxy.worker.inspection import Inspection
from mesh_proxy.worker.tcp import TcpSession
from mesh_proxy.worker.tls_connection import TlsConnection

log: Final = logging.getLogger("mesh_proxy.worker")


class Entrance(Owner):
    """See the module's docstring. One object for each connection, gone when it is served."""

    __slots__ = ("_chain", "_connection", "_context", "_counters", "_info", "_runtime")

    def __init__(self, context: Context, runtime: ListenerRuntime, counters: Counters, info: ConnectionInfo) -> None:
        super().__init__()
        self._context = context
        self._runtime = runtime
        self._counters = counters
        self._info = info
        self._chain: Chain | None = None
        self._connection: Connection | None = None

    def take(self, sock: socket.socket) -> None:
        """A connection that was just accepted."""
        runtime, arrival = self._runtime, self._info.arrival
        inspectors = runtime.inspectors(arrival.destination[1])
        if inspectors:
            goes_on = runtime.config.continue_on_listener_filters_timeout
            Inspection(self._context, sock, arrival, inspectors, self.inspected, runtime.inspection_seconds, goes_on)
        else:
            self.inspected(sock, arrival)

    def inspected(self, sock: socket.socket, arrival: Arrival) -> None:
        """It is known what can be known before it is read."""
        self._info.arrival = arrival
        self._chain = chain = self._runtime.chain(arrival)
        self._info.chain = b"" if chain is None else chain.name
        if chain is None:
            self._counters.add("no_filter_chain_match")
            sock.close()
            record = self._record()
            record.flag("NR")
            record.details, record.kind = "filter_chain_not_found", b"NotSet"
            self._context.logs.write(self._runtime.logs, record)
        elif chain.tls is None:
            self._admit(Connection(self._context.loop, sock), chain)
        else:
            self._connection = TlsConnection(self._context.loop, sock, self, chain.tls)
            self._context.connections[self] = None
            if chain.handshake_seconds:
                self._context.loop.watch(self, self._context.loop.now + chain.handshake_seconds)

    def _admit(self, connection: Connection, chain: Chain) -> None:
        info = self._info
        if chain.guards and (why := chain.refusal(info.access())):
            connection.close()
            record = self._record()
            record.termination, record.kind = why, b"TcpConnectionEnd"
            self._context.logs.write(chain.logs, record)
        elif isinstance(chain, HttpChain):
            self._speak(connection, chain, info)
        else:
            TcpSession(self._context, connection, chain, info)

    def _speak(self, connection: Connection, chain: HttpChain, info: ConnectionInfo) -> None:
        """HTTP of the version that the chain is for, that was agreed on, or that the client begins with."""
        codec = chain.config.codec
        agreed = connection.protocol if isinstance(connection, TlsConnection) else ""
        if codec == "HTTP2" or (codec == "AUTO" and agreed == "h2"):
            Http2Downstream(self._context, connection, chain, info)
        elif codec == "HTTP1" or agreed.startswith("http/1"):
            Http1Downstream(self._context, connection, chain, info)
        else:
            Opening(self._context, connection, chain, info)

    def _record(self) -> Record:
        record = Record(self._context.loop.now, self._context.wall())
        record.protocol = b""
        self._info.describe(record)
        return record

    # The handshake.

    def on_connected(self, connection: Connection) -> None:
        """TLS stands: see :class:`~mesh_proxy.worker.connection.Owner`."""
        self._leave()
        if isinstance(connection, TlsConnection) and self._chain is not None:
            self._info.peer, self._info.secured = connection.peer, connection.secured()
            self._info.stood = self._context.loop.now
            self._admit(connection, self._chain)

    def on_data(self, connection: Connection, data: bytes) -> None:
        """Never before the handshake is over."""

    def on_drained(self, connection: Connection) -> None:
        """Never: nothing was sent."""

    def on_lost(self, connection: Connection, reason: str) -> None:
        """TLS does not come about: see :class:`~mesh_proxy.worker.connection.Owner`."""
        self._leave()
        self._counters.add("ssl.connection_error")
        self._info.failure = reason.encode()
        log.info("listener %s: %s: %s", self._runtime.name, self._info.remote_address.decode(), reason)

    def on_deadline(self, now: float) -> None:
        """The handshake takes too long."""
        self.close()
        self._counters.add("downstream_cx_transport_socket_connect_timeout")

    def drain(self) -> None:
        """Nothing was asked yet."""
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._leave()
        if self._connection is not None:
            self._connection.close()

    def _leave(self) -> None:
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
