"""A connection that is one too many: closed, at once or after a while in which nothing is read, so that a client that comes
again and again is slowed down."""

from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.context import Context


class Shed(Owner):
    """Closes one connection after ``seconds`` (0: at once)."""

    __slots__ = ("_connection", "_context")

    def __init__(self, context: Context, connection: Connection, seconds: float) -> None:
        super().__init__()
        self._context = context
        self._connection = connection
        if not seconds:
            connection.close()
            return
        connection.owner = self
        connection.pause()
        context.connections[self] = None
        context.loop.watch(self, context.loop.now + seconds)

    def on_deadline(self, now: float) -> None:
        """It has waited long enough."""
        self.close()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.close()

    def drain(self) -> None:
        """Nothing will be asked."""
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
        self._connection.close()
