"""Sockets that accept: bound with SO_REUSEPORT, one for each worker, kept across configurations while their address stays."""

import errno
import os
import socket
import struct
from typing import Final

from mesh_api.config import Listener, PipeAddress, SocketAddress
from mesh_proxy.chains import Arrival
from mesh_proxy.snapshot import Snapshot, SnapshotError, scope_of
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.connection import address_text, let_through
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.entrance import Entrance
from mesh_proxy.worker.loop import READ, Waiter
from mesh_proxy.worker.presence import Presence

_SO_ORIGINAL_DST: Final = 80
_IPPROTO_IPV6: Final = 41
_BACKLOG: Final = 1024
_BATCH: Final = 64
Address = tuple[str, int]
Place = tuple[str, SocketAddress | PipeAddress]
"""A listener's name, and one of its addresses."""


class Listeners:
    """All bound sockets of a worker."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sockets: dict[Place, socket.socket] = {}
        self.counters: dict[str, Counters] = {}

    def prepare(self, listeners: tuple[Listener, ...]) -> dict[Place, socket.socket]:
        """Bind what they need beyond what is bound. Raises :class:`SnapshotError`; nothing is kept then."""
        made: dict[Place, socket.socket] = {}
        try:
            for listener in listeners:
                for place in _places(listener):
                    if place not in self._sockets:
                        made[place] = _bind(*place, bool(listener.additional_addresses))
                    _let_through(made.get(place) or self._sockets[place], *place, listener.transparent)
        except SnapshotError:
            for sock in made.values():
                sock.close()
            raise
        return made

    def commit(self, snapshot: Snapshot, made: dict[Place, socket.socket]) -> None:
        """Accept on the new sockets, and no more on those that the snapshot does not have."""
        wanted = {place for runtime in snapshot.listeners.values() for place in _places(runtime.config)}
        for place in [place for place in self._sockets if place not in wanted]:
            self._close(place)
        for place, sock in made.items():
            self._sockets[place] = sock
            name = place[0]
            scope = scope_of(snapshot.listeners[name].config.address)
            if name not in self.counters or self.counters[name].scope != scope:
                self.counters[name] = Counters(scope)
            self._context.loop.add(sock.fileno(), READ, _Acceptor(self, name, sock))

    def _close(self, place: Place) -> None:
        sock, address = self._sockets.pop(place), place[1]
        self._context.loop.remove(sock.fileno())
        sock.close()
        if isinstance(address, PipeAddress) and not address.path.startswith("@") and os.path.exists(address.path):
            os.unlink(address.path)

    def close_all(self) -> None:
        """Accept nothing more."""
        for place in list(self._sockets):
            self._close(place)

    def addresses(self) -> dict[str, str]:
        """Name of each bound listener to its address, the first one where it has several."""
        found: dict[str, str] = {}
        for (name, _), sock in self._sockets.items():
            found.setdefault(name, address_text(sock.getsockname()).decode())
        return found

    def accepted(self, name: str, sock: socket.socket, peer: Address) -> None:
        """A connection came: find who serves it."""
        runtime = self._context.snapshot.listeners.get(name)
        if runtime is None:
            sock.close()
            return
        local = _address(sock.getsockname())
        destination = (_original_destination(sock) or local) if runtime.wants_original else local
        if runtime.config.use_original_dst and (destination != local or runtime.config.transparent):
            runtime = self._context.snapshot.hand_over(destination) or runtime
        info = ConnectionInfo(runtime.name, peer, Arrival(destination, peer[0]), self._context.number())
        info.began = self._context.loop.now
        presence = Presence(self._context, runtime.logs, info) if runtime.logs or self._context.limits else None
        if presence is not None and self._context.limits and not self._has_room(name, presence):
            sock.close()
            presence.refuse()
            return
        self.counters[name].add("downstream_cx_total")
        Entrance(self._context, runtime, self.counters[name], info, presence).take(sock)

    def _has_room(self, name: str, presence: Presence) -> bool:
        """Whether one more connection may come, to this listener and to any; it is shed where not (Envoy)."""
        whole, own = self._context.limits.get(""), self._context.limits.get(name)
        if whole is not None and not presence.hold(whole):
            self.counters[name].add("downstream_global_cx_overflow")
            return False
        if own is not None and not presence.hold(own):
            self.counters[name].add("downstream_cx_overflow")
            return False
        return True


class _Acceptor(Waiter):
    """One listening socket's handler."""

    __slots__ = ("_listeners", "_name", "_sock")

    def __init__(self, listeners: Listeners, name: str, sock: socket.socket) -> None:
        super().__init__()
        self._listeners = listeners
        self._name = name
        self._sock = sock

    def break_down(self) -> bool:
        """See :class:`~mesh_proxy.worker.loop.Waiter`: the connection that was to be taken is gone with its handler."""
        return True

    def on_event(self, event: int) -> None:
        """Accept what waits."""
        for _ in range(_BATCH):
            try:
                accepted, peer = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.ECONNABORTED, errno.EINTR):
                    continue
                return  # out of descriptors: they wait in the backlog, the loop tells again
            accepted.setblocking(False)
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._listeners.accepted(self._name, accepted, _address(peer))


def _address(address: object) -> Address:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), int(address[1])
        return (host.removeprefix("::ffff:") if "." in host else host), port
    return "unix", 0


def _places(listener: Listener) -> tuple[Place, ...]:
    """Where a listener is bound, the address that it is known by first."""
    if not listener.bind_to_port:
        return ()
    return tuple((listener.name, address) for address in (listener.address, *listener.additional_addresses))


def _bind(name: str, address: SocketAddress | PipeAddress, apart: bool) -> socket.socket:
    """``apart``: one of IPv6 takes no connections of IPv4, for which there is another."""
    family = socket.AF_UNIX
    if isinstance(address, SocketAddress):
        family = socket.AF_INET6 if ":" in address.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if isinstance(address, SocketAddress):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if apart and family == socket.AF_INET6:
                sock.setsockopt(_IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address.address, address.port))
        else:
            sock.bind("\0" + address.path[1:] if address.path.startswith("@") else address.path)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = f"{address} cannot be bound: {error.strerror}"
        raise SnapshotError(f"listener {name}", reason) from None
    return sock


def _let_through(sock: socket.socket, name: str, address: SocketAddress | PipeAddress, transparent: bool) -> None:
    if isinstance(address, PipeAddress):
        return
    try:
        let_through(sock, transparent)
    except OSError as error:
        reason = f"{address} cannot be transparent: {error.strerror}"
        raise SnapshotError(f"listener {name}", reason) from None


def _original_destination(sock: socket.socket) -> Address | None:
    """Where the connection was going before it was redirected (``SO_ORIGINAL_DST``); ``None``: it was not."""
    try:
        if sock.family == socket.AF_INET:
            raw = sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
            port, packed = struct.unpack_from("!2xH4s", raw)
            return socket.inet_ntop(socket.AF_INET, packed), port
        if sock.family == socket.AF_INET6:
            raw = sock.getsockopt(_IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
            port, packed = struct.unpack_from("!2xH4x16s", raw)
            return socket.inet_ntop(socket.AF_INET6, packed).removeprefix("::ffff:"), port
    except OSError:
        return None
    return None
