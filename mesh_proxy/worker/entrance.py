"""A connection on its way in: looked into, given its chain, through the handshake, past the guards; then it is served."""

import logging
import socket
from typing import Final

from mesh_proxy.authorization import Access
from mesh_proxy.chains import Arrival
from mesh_proxy.protocol.proxy_protocol import Address
from mesh_proxy.snapshot import Chain, HttpChain, ListenerRuntime, TcpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.announced import Announced
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.downstream.http1 import Http1Downstream
from mesh_proxy.worker.downstream.http2 import Http2Downstream
from mesh_proxy.worker.downstream.opening import Opening
from mesh_proxy.worker.inspection import Inspection
from mesh_proxy.worker.judging import Judging
from mesh_proxy.worker.presence import Presence
from mesh_proxy.worker.shed import Shed
from mesh_proxy.worker.tcp import TcpSession
from mesh_proxy.worker.tls_connection import TlsConnection

log: Final = logging.getLogger("mesh_proxy.worker")


class Entrance(Owner):
    """See the module's docstring. One object for each connection, gone when it is served."""

    __slots__ = ("_chain", "_connection", "_context", "_counters", "_info", "_presence", "_runtime")

    def __init__(
        self,
        context: Context,
        runtime: ListenerRuntime,
        counters: Counters,
        info: ConnectionInfo,
        presence: Presence | None,
    ) -> None:
        super().__init__()
        self._context = context
        self._runtime = runtime
        self._counters = counters
        self._info = info
        self._presence = presence
        self._chain: Chain | None = None
        self._connection: Connection | None = None

    def take(self, sock: socket.socket) -> None:
        """A connection that was just accepted."""
        runtime, config = self._runtime, self._runtime.config
        if runtime.announced(self._info.arrival.destination[1]):
            goes_on, seconds = config.continue_on_listener_filters_timeout, runtime.inspection_seconds
            Announced(
                self._context,
                sock,
                config.proxy_protocol,
                runtime.headers,
                self.announced,
                self._gone,
                seconds,
                goes_on,
            )
        else:
            self._inspect(sock)

    def announced(self, sock: socket.socket, source: Address | None, destination: Address | None) -> None:
        """It is known whose connection it is; where it was going counts as if it had come so."""
        if source is not None and destination is not None:
            self._info.announce(source, destination)
            if self._runtime.config.use_original_dst:
                self._runtime = self._context.snapshot.hand_over(destination) or self._runtime
                self._info.listener = self._runtime.name
        self._inspect(sock)

    def _inspect(self, sock: socket.socket) -> None:
        runtime, arrival = self._runtime, self._info.arrival
        inspectors = runtime.inspectors(arrival.destination[1])
        if inspectors:
            goes_on = runtime.config.continue_on_listener_filters_timeout
            Inspection(
                self._context,
                sock,
                arrival,
                inspectors,
                self.inspected,
                self._gone,
                runtime.inspection_seconds,
                goes_on,
            )
        else:
            self.inspected(sock, arrival)

    def inspected(self, sock: socket.socket, arrival: Arrival) -> None:
        """It is known what can be known before it is read."""
        self._info.arrival = arrival
        if self._runtime.keeps_source:
            self._info.source = self._info.remote[0]
        self._chain = chain = self._runtime.chain(arrival)
        self._info.chain = b"" if chain is None else chain.name
        if chain is None:
            self._counters.add("no_filter_chain_match")
            sock.close()
            if self._presence is not None:
                self._presence.end("NR", "filter_chain_not_found")
        elif chain.tls is None:
            connection = Connection(self._context.loop, sock)
            connection.ending = self._presence
            self._admit(connection, chain)
        else:
            self._connection = TlsConnection(self._context.loop, sock, self, chain.tls, self._counters)
            self._connection.ending = self._presence
            self._context.connections[self] = None
            if isinstance(chain, HttpChain):
                chain.stats.add("downstream_cx_ssl_total")
            if chain.handshake_seconds:
                self._context.loop.watch(self, self._context.loop.now + chain.handshake_seconds)

    def _gone(self) -> None:
        """It ended while it was looked into."""
        if self._presence is not None:
            self._presence.end()

    def _admit(self, connection: Connection, chain: Chain) -> None:
        info = self._info
        if chain.gates and not self._passes(connection, chain):
            return
        if chain.guards or chain.askings:
            access = info.access()
            if why := chain.refusal(access):
                self._refuse(connection, chain, why)
                return
            if chain.askings:
                self._let_judge(connection, chain, access)
                return
        self._serve(connection, chain)

    def _refuse(self, connection: Connection, chain: Chain, why: str, flag: str = "", details: str = "") -> None:
        connection.close()
        record = self._record()
        record.termination, record.kind, record.details = why, b"TcpConnectionEnd", details
        record.flag(flag)
        self._context.logs.write(chain.logs, record)

    def _let_judge(self, connection: Connection, chain: Chain, access: Access) -> None:
        """Servers say whether it may come in."""
        info = self._info
        info.tell_all(access)

        def then(why: str) -> None:
            if why:
                self._refuse(connection, chain, "", "UAEX", why)
            else:
                self._serve(connection, chain)

        Judging(self._context, connection, chain.askings, access, then).ask()

    def _serve(self, connection: Connection, chain: Chain) -> None:
        info = self._info
        if isinstance(chain, HttpChain):
            self._speak(connection, chain, info)
        else:
            session = TcpSession(self._context, connection, chain, info)
            if self._presence is not None:
                self._presence.record = session.record
            session.start()

    def _passes(self, connection: Connection, chain: Chain) -> bool:
        """Past what counts connections; one that is too many is closed."""
        for gate in chain.gates:
            if not gate.admits(self._context.loop.now):
                self._shed(connection, chain, gate.delay)
                return False
        held = [gate.limit for gate in chain.gates if gate.limit is not None]
        if held:
            presence = self._presence
            if presence is None:
                presence = self._presence = Presence(self._context, (), self._info)
                connection.ending = presence
            for limit in held:
                presence.hold(limit)
        return True

    def _shed(self, connection: Connection, chain: Chain, delay: float) -> None:
        """What would carry bytes counts, and is told of, all the same (Envoy)."""
        Shed(self._context, connection, delay)
        if isinstance(chain, TcpChain):
            chain.stats.add("downstream_cx_total")
            record = self._record()
            record.flag("URX")
            record.kind = b"TcpConnectionEnd"
            self._context.logs.write(chain.logs, record)

    def _speak(self, connection: Connection, chain: HttpChain, info: ConnectionInfo) -> None:
        """HTTP of the version that the chain is for, that was agreed on, or that the client begins with."""
        codec, info.looks_up = chain.config.codec, chain.looks_up
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
        self._end()
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
        self._end()
        if self._connection is not None:
            self._connection.close()

    def _end(self) -> None:
        """TLS never stood. Envoy's manager has had the connection from its first byte on, and counts it."""
        self._leave()
        if isinstance(self._chain, HttpChain):
            self._chain.stats.add("downstream_cx_total")
            self._chain.stats.add("downstream_cx_destroy")

    def _leave(self) -> None:
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
