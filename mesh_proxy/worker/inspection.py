"""A connection that is looked into before its filter chain is chosen: what it begins with is peeked at, and nothing is taken.

The kernel is asked to wake us only for more bytes than were seen (``SO_RCVLOWAT``), so that a client that sends its
ClientHello in pieces costs nothing meanwhile.
"""

import socket
from collections.abc import Callable

from mesh_api.config import ListenerFilter
from mesh_proxy.chains import TLS, Arrival
from mesh_proxy.protocol import sniffing
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.loop import READ, Waiter

Finished = Callable[[socket.socket, Arrival], None]
Gone = Callable[[], None]
"""Told that a connection has ended, or was ended, before it was known."""


class Inspection(Waiter):
    """Looks into one connection, then hands it on with what it found.

    ``filters`` are the inspectors that are on for it. After ``seconds`` without an answer (0: never) it is handed on as it is
    where ``goes_on``, and closed otherwise (Envoy's ``continue_on_listener_filters_timeout``).
    """

    __slots__ = ("_arrival", "_context", "_filters", "_finished", "_goes_on", "_gone", "_seen", "_sock")

    def __init__(
        self,
        context: Context,
        sock: socket.socket,
        arrival: Arrival,
        filters: tuple[ListenerFilter, ...],
        finished: Finished,
        gone: Gone,
        seconds: float,
        goes_on: bool,
    ) -> None:
        super().__init__()
        self._context = context
        self._sock = sock
        self._arrival = arrival
        self._filters = filters
        self._finished = finished
        self._gone = gone
        self._goes_on = goes_on
        self._seen = 0
        context.connections[self] = None
        context.loop.add(sock.fileno(), READ, self)
        if seconds:
            context.loop.watch(self, context.loop.now + seconds)

    def on_event(self, event: int) -> None:
        """More of what the client says is there."""
        try:
            data = self._sock.recv(sniffing.LIMIT, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()  # gone before it said anything
            return
        ended = len(data) <= self._seen or len(data) >= sniffing.LIMIT
        self._seen = len(data)
        found = self._look(data)
        if found is not None:
            self._finish(found)
        elif ended:
            self._finish(self._arrival)  # there will be no more to see
        else:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(data) + 1)

    def _look(self, data: bytes) -> Arrival | None:
        """What is known of the connection with these first bytes; ``None``: more are needed."""
        if ListenerFilter.TLS_INSPECTOR in self._filters and sniffing.may_be_tls(data):
            hello = sniffing.client_hello(data)
            if hello is None:
                return None
            return self._arrival._replace(transport=TLS, server_name=hello.server_name, protocols=hello.protocols)
        if ListenerFilter.HTTP_INSPECTOR in self._filters:
            version = sniffing.http_version(data)
            if version is None:
                return None
            return self._arrival._replace(protocols=(version,)) if version else self._arrival
        return self._arrival

    def on_deadline(self, now: float) -> None:
        """Nothing that tells came in time."""
        if self._goes_on:
            self._finish(self._arrival)
        else:
            self.close()

    def _finish(self, arrival: Arrival) -> None:
        self._leave()
        if self._seen:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._finished(self._sock, arrival)

    def _leave(self) -> None:
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
        self._context.loop.remove(self._sock.fileno())

    def break_down(self) -> bool:
        """See :class:`~mesh_proxy.worker.loop.Waiter`: it is closed, unless it was handed on."""
        if self in self._context.connections:
            self.close()
        return True

    def drain(self) -> None:
        """Nothing was asked yet."""
        self.close()

    def close(self) -> None:
        """Look no more, and close the connection."""
        self._leave()
        self._sock.close()
        self._gone()
