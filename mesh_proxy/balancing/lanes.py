"""The connections to a host that requests may share: those that said the same of themselves when they began."""

from typing import Any, Final

_MOST: Final = 1024
"""Lanes of a host beyond which idle connections of the oldest one are closed: clients choose the names."""


class Lane:
    """Connections to one host, and the requests that wait for one of them.

    ``server_name`` is the name that they ask for in the place of the configured one, ``subject`` whom the host's certificate
    must be for besides; ``header`` stands before everything that is sent, TLS as well; ``source`` is the address that they
    come from. Empty: nothing of the kind.
    """

    __slots__ = ("connections", "header", "idle", "key", "multiplexed", "pending", "server_name", "source", "subject")

    def __init__(
        self, key: bytes = b"", server_name: str = "", subject: str = "", header: bytes = b"", source: str = ""
    ) -> None:
        self.key = key
        """By which it is known among those of its host; empty: it is the one of requests that have no wishes."""
        self.server_name = server_name
        self.subject = subject
        self.header = header
        self.source = source
        self.idle: list[Any] = []
        self.multiplexed: list[Any] = []
        self.pending: list[Any] = []
        self.connections: int = 0
        """Open, or begun."""


class Lanes:
    """Those of one host, but for the one without wishes."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[bytes, Lane] = {}

    def get(self, key: bytes) -> Lane | None:
        """The one that is known so."""
        return self._lanes.get(key)

    def add(self, lane: Lane) -> None:
        """One more."""
        if len(self._lanes) >= _MOST:
            self._make_room()
        self._lanes[lane.key] = lane

    def _make_room(self) -> None:
        for lane in self._lanes.values():
            if not lane.connections and not lane.pending:
                del self._lanes[lane.key]  # its first connection never came about
                return
            resting = [*lane.idle, *(one for one in lane.multiplexed if one.resting)]
            if resting:
                for connection in resting:
                    connection.close()
                return

    def leave(self, lane: Lane) -> None:
        """One of its connections is gone, and it with the last one."""
        lane.connections -= 1
        if lane.key and not lane.connections and not lane.pending and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return sum(len(lane.pending) for lane in self._lanes.values())

    def idle(self) -> list[Any]:
        """All idle connections."""
        return [connection for lane in self._lanes.values() for connection in lane.idle]
