"""What is given back and told when a connection from outside ends, whatever it was: its places under limits, and its line in
the listener's logs (Envoy's ``Listener.access_log``)."""

from mesh_proxy.resilience.connection_limits import ConnectionLimit
from mesh_proxy.telemetry.logs import Log
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.connection import Ending
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context


class Presence(Ending):
    """One connection. There is none for a connection of which nothing is to be given back or told."""

    __slots__ = ("_context", "_info", "_limits", "_logs", "_started", "record")

    def __init__(self, context: Context, logs: tuple[Log, ...], info: ConnectionInfo) -> None:
        self._context = context
        self._logs = logs
        self._info = info
        self._limits: list[ConnectionLimit] = []
        self._started = context.wall()
        self.record: Record | None = None
        """Of the bytes that it carried; ``None``: it carried requests, which are told of one by one."""

    def hold(self, limit: ConnectionLimit) -> bool:
        """Takes a place until the end; ``False``: there is none left."""
        if not limit.enter():
            return False
        self._limits.append(limit)
        return True

    def refuse(self) -> None:
        """It is not taken in, and nothing is told of it."""
        self._logs = ()
        self.end()

    def end(self, flag: str = "", details: str = "") -> None:
        """It is over; a connection that came to nothing may say why."""
        limits, self._limits = self._limits, []
        for limit in limits:
            limit.leave()
        logs, self._logs = self._logs, ()
        if not logs:
            return
        record, self.record = self.record, None
        if record is None:
            record = Record(self._info.began, self._started)
            record.protocol = b""
            record.ended = self._context.loop.now
            self._info.describe(record)
            record.flag(flag)
            record.details = details
        kind, record.kind = record.kind, b"NotSet"
        self._context.logs.write(logs, record)
        record.kind = kind

    def on_end(self) -> None:
        """See :class:`~mesh_proxy.worker.connection.Ending`."""
        self.end()
