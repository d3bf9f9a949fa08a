"""A connection that begins with a header of the PROXY protocol: read and taken away before anything else looks at it.

The header is peeked at until it is complete; the kernel is asked to wake us only when there is more of it (``SO_RCVLOWAT``).
"""

import socket
from collections.abc import Callable
from typing import Final

from mesh_api.config import ProxyProtocol
from mesh_proxy.protocol import proxy_protocol
from mesh_proxy.protocol.proxy_protocol import Address, Announcement
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.inspection import Gone
from mesh_proxy.worker.loop import READ, Waiter

_AT_FIRST: Final = 256
"""Bytes that are looked at first: most headers have fewer."""
Finished = Callable[[socket.socket, Address | None, Address | None], None]


class Announced(Waiter):
    """Reads the header of one connection, then hands it on with its two ends, ``None`` where the header says nothing of them.

    After ``seconds`` without a whole header (0: never) it is handed on as it is where ``goes_on``, and closed otherwise.
    """

    __slots__ = ("_context", "_counters", "_finished", "_goes_on", "_gone", "_needed", "_rules", "_sock")

    def __init__(
        self,
        context: Context,
        sock: socket.socket,
        rules: ProxyProtocol,
        counters: Counters,
        finished: Finished,
        gone: Gone,
        seconds: float,
        goes_on: bool,
    ) -> None:
        super().__init__()
        self._context = context
        self._sock = sock
        self._rules = rules
        self._counters = counters
        self._finished = finished
        self._gone = gone
        self._goes_on = goes_on
        self._needed = 1
        context.connections[self] = None
        context.loop.add(sock.fileno(), READ, self)
        if seconds:
            context.loop.watch(self, context.loop.now + seconds)

    def on_event(self, event: int) -> None:
        """More of the header is there, or the client is gone."""
        try:
            data = self._sock.recv(max(_AT_FIRST, self._needed), socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._rules.optional and data and not proxy_protocol.may_begin(data):
            self._counters.add("not_found_allowed")
            self._finish(None, None)
            return
        found = proxy_protocol.read(data)
        if found.wrong or found.version in self._rules.disallowed:
            self._refuse(found)
        elif not found.needed:
            self._counters.add(f"versions.{found.version.lower()}.found")
            self._sock.recv(found.length)
            self._finish(found.source, found.destination)
        elif len(data) < self._needed:
            self.close()  # gone before it said everything
        else:
            self._needed = found.needed
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, found.needed)

    def _refuse(self, found: Announcement) -> None:
        scope = f"versions.{found.version.lower()}"
        if not found.version:
            self._counters.add("not_found_disallowed")
        elif found.version in self._rules.disallowed:
            self._counters.add(f"{scope}.found")
            self._counters.add(f"{scope}.disallowed")
        else:
            self._counters.add(f"{scope}.error")
        self.close()

    def on_deadline(self, now: float) -> None:
        """No whole header came in time."""
        if self._goes_on:
            self._finish(None, None)
        else:
            self.close()

    def _finish(self, source: Address | None, destination: Address | None) -> None:
        self._leave()
        if self._needed > 1:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._finished(self._sock, source, destination)

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
