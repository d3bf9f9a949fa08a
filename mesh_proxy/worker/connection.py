"""A non-blocking socket with an output queue, and the one place that touches its readiness."""

import errno
import os
import socket
from typing import Any, Final, Protocol

from mesh_proxy.worker.loop import READ, WRITE, Loop

RECEIVE: Final = 65536
HIGH: Final = 262144
"""Queued bytes above which whoever feeds the queue is to pause."""
_FAILED: Final = 0x008 | 0x010  # EPOLLERR | EPOLLHUP


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def on_connected(self, connection: "Connection") -> None:
        """The connection that was asked for stands."""
        ...

    def on_data(self, connection: "Connection", data: bytes) -> None:
        """Bytes came; empty bytes: the peer has ended its side."""
        ...

    def on_drained(self, connection: "Connection") -> None:
        """The output queue is empty again."""
        ...

    def on_lost(self, connection: "Connection", reason: str) -> None:
        """The connection failed, with the system's word for it; it is closed already."""
        ...


class Connection:
    """See the module's docstring."""

    __slots__ = ("_closing", "_connecting", "_events", "_loop", "_out", "_paused", "descriptor", "owner", "sock")

    def __init__(self, loop: Loop, sock: socket.socket, owner: Owner, connecting: bool = False) -> None:
        self._loop = loop
        self.sock = sock
        self.owner = owner
        self.descriptor = sock.fileno()
        self._out = bytearray()
        self._paused = False
        self._closing = False
        self._connecting = connecting
        self._events = WRITE if connecting else READ
        loop.add(self.descriptor, self._events, self._on_event)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self.descriptor < 0

    @property
    def queued(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._out)

    def send(self, data: bytes) -> None:
        """Send now what the kernel takes, and queue the rest."""
        if self._out or self._connecting:
            self._out += data
            return
        if self.descriptor < 0:
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent < len(data):
            self._out += data[sent:]
            self._watch()

    def pause(self) -> None:
        """Read no more until :meth:`resume`."""
        if not self._paused:
            self._paused = True
            self._watch()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._watch()

    def end(self) -> None:
        """End our side when everything queued is sent; the peer may go on."""
        self._closing = True
        if not self._out and not self._connecting:
            self._shutdown()

    def close(self) -> None:
        """Close at once; what is queued is lost."""
        if self.descriptor >= 0:
            self._loop.remove(self.descriptor)
            self.descriptor = -1
            self.sock.close()
            self._out.clear()

    def _shutdown(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                self._lose(error)

    def _watch(self) -> None:
        events = (0 if self._paused else READ) | (WRITE if self._out or self._connecting else 0)
        if events != self._events and self.descriptor >= 0:
            self._events = events
            self._loop.modify(self.descriptor, events)

    def _on_event(self, event: int) -> None:
        if self._connecting:
            self._finish_connecting()
            return
        if event & WRITE:
            self._flush()
            if self.descriptor < 0:
                return
        if event & READ or event & _FAILED:
            if self._paused and not event & _FAILED:
                return
            self._receive()

    def _finish_connecting(self) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lose(OSError(code, os.strerror(code)))
            return
        self._connecting = False
        self._watch()
        self.owner.on_connected(self)
        if self.descriptor >= 0 and self._out:
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self.sock.send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        del self._out[:sent]
        if not self._out:
            self._watch()
            if self._closing:
                self._shutdown()
            if self.descriptor >= 0:
                self.owner.on_drained(self)

    def _receive(self) -> None:
        try:
            data = self.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self.pause()  # level-triggered: the end of the stream would be told for ever
        self.owner.on_data(self, data)

    def _lose(self, error: OSError) -> None:
        self.close()
        self.owner.on_lost(self, os.strerror(error.errno) if error.errno else str(error))


def connect(loop: Loop, target: Any, owner: Owner, bind_address: str = "") -> Connection:
    """Begin a connection to ``target`` (address and port, or a path). Raises :class:`OSError` when it fails at once."""
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if bind_address and family == socket.AF_INET:
            sock.bind((bind_address, 0))
        code = sock.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError:
        sock.close()
        raise
    return Connection(loop, sock, owner, connecting=True)


def address_text(address: Any) -> bytes:
    """``ADDRESS:PORT`` of a socket's name."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()
    return str(address).encode()
