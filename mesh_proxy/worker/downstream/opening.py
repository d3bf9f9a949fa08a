"""A connection of which it is not known yet which version of HTTP its client speaks: its first bytes tell."""

from mesh_proxy.protocol.sniffing import PREFACE
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.downstream.http1 import Http1Downstream
from mesh_proxy.worker.downstream.http2 import Http2Downstream


class Opening(Owner):
    """See the module's docstring."""

    __slots__ = ("_chain", "_connection", "_context", "_data", "_info")

    def __init__(self, context: Context, connection: Connection, chain: HttpChain, info: ConnectionInfo) -> None:
        super().__init__()
        self._context = context
        self._connection = connection
        self._chain = chain
        self._info = info
        self._data = b""
        connection.owner = self
        context.connections[self] = None
        context.loop.watch_slowly(self)
        longest = chain.limits.connection
        self.deadline = chain.limits.rest_until(context.loop.now, context.loop.now + longest if longest else 0.0)

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if not data:
            self.close()
            return
        self._data = data = self._data + data
        if PREFACE.startswith(data[: len(PREFACE)]):
            if len(data) < len(PREFACE):
                return  # it may still turn out to be either
            self._forget()
            Http2Downstream(self._context, connection, self._chain, self._info).on_data(connection, data)
        else:
            self._forget()
            Http1Downstream(self._context, connection, self._chain, self._info).on_data(connection, data)

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._forget()

    def on_deadline(self, now: float) -> None:
        """It says nothing."""
        self.close()

    def drain(self) -> None:
        """Nothing was asked yet."""
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._connection.close()
        self._forget()

    def _forget(self) -> None:
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
