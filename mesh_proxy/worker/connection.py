"""A non-blocking socket with an output queue, and the one place that touches its readiness."""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
from typing import Any, Final

from mesh_proxy.native import mypyc_attr
from mesh_proxy.worker.loop import READ, WRITE, Loop, Waiter
from mesh_proxy.worker.splicing import MOST, SIZE, Pipe

RECEIVE: Final = 65536
HIGH: Final = 262144
"""Queued bytes above which whoever feeds the queue is to pause."""
_JOIN: Final = 16384
"""Up to so many bytes pieces are joined before they are sent; above it the kernel gathers them."""
_VECTOR: Final = 64
_FAILED: Final = 0x008 | 0x010  # EPOLLERR | EPOLLHUP
_TRANSPARENT: Final = {socket.AF_INET: (socket.SOL_IP, 19), socket.AF_INET6: (41, 75)}
"""``IP_TRANSPARENT`` and ``IPV6_TRANSPARENT`` (ip(7)), with their levels, by family."""
_BIND_ADDRESS_NO_PORT: Final = 24
ISTIO_MARK: Final = 1337
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@mypyc_attr(allow_interpreted_subclasses=True)
class Owner(Waiter):
    """Who is told what happens on a connection; this one does nothing about it."""

    __slots__ = ()

    def on_connected(self, connection: "Connection") -> None:
        """The connection that was asked for stands."""

    def on_data(self, connection: "Connection", data: bytes) -> None:
        """Bytes came; empty bytes: the peer has ended its side."""

    def on_relayed(self, connection: "Connection", amount: int) -> None:
        """So many bytes came, and went into the queue of another (:meth:`Connection.relay`)."""

    def on_drained(self, connection: "Connection") -> None:
        """The output queue is empty again."""

    def on_lost(self, connection: "Connection", reason: str) -> None:
        """The connection failed, with the system's word for it; it is closed already."""


NOBODY: Final = Owner()


class Ending:
    """Who is told once that a connection is over, however it ended and whoever had it then."""

    __slots__ = ()

    def on_end(self) -> None:
        """It is over."""
        raise NotImplementedError


class Connection(Waiter):
    """See the module's docstring.

    What is sent waits until the handler that runs now has returned, and those of a few events more, and leaves in one call:
    head and body of a message, and whatever else one event brings about, are one packet where they fit.
    """

    __slots__ = (
        "_closing", "_connecting", "_events", "_from", "_full", "_loop", "_most", "_out", "_paused", "_to", "_way",
        "descriptor", "ending", "owner", "queued", "sock",
    )  # fmt: skip

    def __init__(self, loop: Loop, sock: socket.socket, owner: Owner = NOBODY, connecting: bool = False) -> None:
        super().__init__()
        self._loop = loop
        self.sock = sock
        self.owner = owner
        self.ending: Ending | None = None
        self.descriptor = sock.fileno()
        self.queued = 0
        """Bytes that wait to be sent."""
        self._out: list[bytes | memoryview] = []
        self._full = False
        self._paused = False
        self._closing = False
        self._connecting = connecting
        self._from: Pipe | None = None
        self._way: Pipe | None = None
        self._to: Connection | None = None
        self._most: int = -1
        self._events = WRITE if connecting else READ
        loop.add(self.descriptor, self._events, self)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self.descriptor < 0

    @property
    def connecting(self) -> bool:
        """Whether it does not stand yet."""
        return self._connecting

    @property
    def undelivered(self) -> bool:
        """Whether something of what was sent is not with the peer yet, as far as its kernel has told ours: a reset would lose
        it."""
        if self.queued or self.descriptor < 0:
            return self.queued > 0
        waiting = bytearray(4)
        with contextlib.suppress(OSError):  # a kind of socket that does not tell
            fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, waiting)
        return any(waiting)

    def send(self, data: bytes) -> None:
        """Queue, to be sent when the handler that runs now has returned."""
        if self.descriptor < 0 or not data:
            return
        if not self._out and not self._connecting:
            self._loop.flush_after(self)
        self._out.append(data)
        self.queued += len(data)
        if self.queued > _JOIN:
            self._loop.much = True
            if self.queued > HIGH:
                self._full = True  # whoever feeds it may have paused, and is to be told

    def relay(self, target: "Connection", most: int = -1) -> bool:
        """Let what comes from now on (of that ``most`` bytes; -1: all) go to ``target`` without being looked at; whether that
        can be had: only between plain sockets, where ``target`` takes all that it is sent, and for so many of them. Nothing
        else may be sent to it until these have come."""
        if type(self) is not Connection or type(target) is not Connection:
            return False
        target.flush()
        if target.queued or self.descriptor < 0 or target.descriptor < 0:
            return False
        pipe = target._from  # of what went through one before
        if pipe is None:
            if self._loop.pipes >= MOST:
                return False
            try:
                pipe = Pipe()
            except OSError:
                return False
            self._loop.pipes += 1
        self._way, self._to, self._most, target._from = pipe, target, most, pipe
        return True

    def surplus(self) -> bytes:
        """What has come beyond what was relayed, now; empty: nothing."""
        try:
            return self.sock.recv(RECEIVE)
        except OSError:  # there is nothing, or the next event tells that it has failed
            return b""

    def forgo(self) -> None:
        """Give the pipe back that what it is sent came through, unless something is still in it."""
        pipe = self._from
        if pipe is not None and not pipe.held:
            self._from = None
            pipe.close()
            self._loop.pipes -= 1

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
        if not self.queued and not self._connecting:
            self._shutdown()

    def close(self) -> None:
        """Close at once; of what is queued goes out what the kernel takes."""
        if self.descriptor >= 0:
            if self._part() and self._out and not self._connecting:
                with contextlib.suppress(OSError):
                    self.sock.send(b"".join(self._out))
            self._loop.remove(self.descriptor)
            self.descriptor = -1
            self.sock.close()
            self._out.clear()
            self.queued = 0
            self.owner = NOBODY  # they know each other, and the garbage collector is to have nothing to do
            if self.ending is not None:
                ending, self.ending = self.ending, None
                ending.on_end()

    def _part(self) -> bool:
        """From those that it is joined to by pipes: what it filled may still be drained. Whether nothing of them is left that
        should have been sent."""
        pipe, self._from, self._way, self._to = self._from, None, None, None
        if pipe is None:
            return True
        with contextlib.suppress(OSError):
            if pipe.held:
                pipe.drain(self.descriptor)
        pipe.close()
        self._loop.pipes -= 1
        return not pipe.held

    def reset(self) -> None:
        """Close it so that the peer is told of no orderly end (RST)."""
        if self.descriptor >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.close()

    def _shutdown(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                self._lose(error)

    def _watch(self) -> None:
        events = (0 if self._paused else READ) | (WRITE if self._full or self._connecting else 0)
        if events != self._events and self.descriptor >= 0:
            self._events = events
            self._loop.modify(self.descriptor, events)

    def on_event(self, event: int) -> None:
        if self._connecting:
            self._finish_connecting()
            return
        if event & WRITE:
            self.flush()
            if self.descriptor < 0:
                return
        if event & _FAILED:
            self._way, self._to = None, None  # what is left is read and kept, as a pipe may have no room for it
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
        if self._out:
            self._loop.flush_after(self)
        self.owner.on_connected(self)

    def flush(self) -> None:
        """Send what the kernel takes of the queue."""
        if self._from is not None and self._from.held:  # which is older than what is in the queue
            self._drain(self._from)
            if self.descriptor < 0 or self._from.held:
                return
        out = self._out
        if not out or self.descriptor < 0 or self._connecting:
            return
        try:
            if len(out) == 1:
                sent = self.sock.send(out[0])
            elif self.queued <= _JOIN:
                sent = self.sock.send(b"".join(out))
            else:
                sent = self.sock.sendmsg(out[:_VECTOR])
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        self.queued -= sent
        if self.queued:
            self._keep(sent)
        else:
            if len(out) == 1:
                out.pop()
            else:
                out.clear()
            self._emptied()

    def _drain(self, pipe: Pipe) -> None:
        try:
            sent = pipe.drain(self.descriptor)
        except OSError as error:
            self._lose(error)
            return
        self.queued -= sent
        if self.queued:
            self._full = True
            self._watch()
        else:
            self._emptied()

    def _keep(self, sent: int) -> None:
        """The rest waits until the kernel takes more."""
        out = self._out
        place = 0
        while sent >= len(out[place]):
            sent -= len(out[place])
            place += 1
        del out[:place]
        if sent:
            out[0] = memoryview(out[0])[sent:]
        self._full = True
        self._watch()

    def _emptied(self) -> None:
        full, self._full = self._full, False
        if self._closing:
            self._shutdown()
        elif not full:
            return
        if self.descriptor >= 0:
            self._watch()
            self.owner.on_drained(self)

    def _relay(self, pipe: Pipe, target: "Connection") -> None:
        try:
            came = pipe.fill(self.descriptor, SIZE if self._most < 0 else min(self._most, SIZE))
        except OSError as error:
            if error.errno != errno.EINVAL:
                self._lose(error)
                return
            self._way, self._to = None, None  # these two cannot: the copies go on
            self._receive()
            return
        if came > 0:
            if self._most >= 0:
                self._most -= came
                if not self._most:
                    self._way, self._to = None, None
            target.queued += came
            target.flush()
            self.owner.on_relayed(self, came)
        elif came == 0:
            self.pause()
            self.owner.on_data(self, b"")
        elif pipe.held:
            self.owner.on_relayed(self, 0)  # it is full

    def _receive(self) -> None:
        if self._way is not None and self._to is not None:
            self._relay(self._way, self._to)
            return
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

    def break_down(self) -> bool:
        """See :class:`~mesh_proxy.worker.loop.Waiter`: it breaks off, as if the peer had."""
        with contextlib.suppress(Exception):  # whoever has it may be what failed
            self._break_off("a defect of the proxy")
        return True

    def _lose(self, error: OSError) -> None:
        self._break_off(os.strerror(error.errno) if error.errno else str(error))

    def _break_off(self, reason: str) -> None:
        """Close it, and tell the owner why."""
        owner, ending = self.owner, self.ending
        self.ending = None  # who had it tells first what it knows
        self.close()
        owner.on_lost(self, reason)
        if ending is not None:
            ending.on_end()


Keepalive = tuple[int | None, int | None, int | None]
"""Unanswered probes, seconds until the first, seconds between them; ``None``: the system's."""


def connect(target: Any, bind_address: str = "", keepalive: Keepalive | None = None, source: str = "") -> socket.socket:
    """A socket that begins to connect to ``target`` (address and port, or a path). Raises :class:`OSError` when that fails at
    once. ``source`` is an address that is not ours to connect from, which the system must let us do (``CAP_NET_ADMIN``)."""
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive is not None:
                keep_alive(sock, keepalive)
        if source and (":" in source) is (family == socket.AF_INET6) and family != socket.AF_UNIX:
            come_from(sock, source)
        elif bind_address and family == socket.AF_INET:
            sock.bind((bind_address, 0))
        code = sock.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError:
        sock.close()
        raise
    return sock


def come_from(sock: socket.socket, source: str) -> None:
    """Let a connection come from an address that is not ours, with the mark by which routes know the way back (Istio's rules
    for ``TPROXY``; ip(7))."""
    level, transparent = _TRANSPARENT[sock.family]
    sock.setsockopt(level, transparent, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, ISTIO_MARK)
    sock.setsockopt(
        socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1
    )  # a port is chosen with the destination, of which there are many
    sock.bind((source, 0))


def let_through(sock: socket.socket, wanted: bool) -> None:
    """Have a socket that listens take connections to addresses that are not ours, as they are redirected (``TPROXY``), or no
    longer. Raises :class:`OSError` where the system does not let us."""
    level, transparent = _TRANSPARENT[sock.family]
    if bool(sock.getsockopt(level, transparent)) is not wanted:
        sock.setsockopt(level, transparent, int(wanted))


def keep_alive(sock: socket.socket, settings: Keepalive) -> None:
    """Let the kernel find out when the peer is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (socket.TCP_KEEPCNT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
    for option, value in zip(options, settings, strict=True):
        if value is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def address_text(address: Any) -> bytes:
    """``ADDRESS:PORT`` of a socket's name."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()
    return str(address).encode()
