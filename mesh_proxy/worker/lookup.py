"""The addresses of one name, asked of servers of DNS on the worker's loop: over UDP, over TCP where an answer is cut off.

Every question has a socket and a port of its own, and a number that nobody can foresee (RFC 5452).
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final, Protocol

from mesh_proxy.protocol import dns
from mesh_proxy.worker.loop import READ, WRITE, Loop, Waiter
from mesh_proxy.worker.name_service import NameService, Server

_LARGEST: Final = 65535
_NO_NAME: Final = "Domain name not found"
_NO_DATA: Final = "DNS server returned answer with no data"
_TIMEOUT: Final = "Timeout while contacting DNS servers"
_REFUSED: Final = "DNS server refused query"
_REASONS: Final = {
    1: "DNS server claims query was misformatted",
    2: "DNS server returned general failure",
    4: "DNS server does not implement requested operation",
}
_KINDS: Final = {
    "V4_ONLY": ((dns.A,),),
    "V6_ONLY": ((dns.AAAA,),),
    "AUTO": ((dns.AAAA,), (dns.A,)),
    "V4_PREFERRED": ((dns.A,), (dns.AAAA,)),
    "ALL": ((dns.A, dns.AAAA),),
}
"""Envoy's ``dns_lookup_family``: what is asked for together; what comes later is asked for only when nothing was found."""


class Asker(Protocol):
    """Who wants to know."""

    def on_found(self, lookup: "Lookup", addresses: Sequence[str], ttl: int) -> None:
        """These are all; there may be none, when servers say that there is no such name. ``ttl`` seconds they hold."""

    def on_failed(self, lookup: "Lookup") -> None:
        """No server said anything of it."""


class Lookup(Waiter):
    """One name's. Ends with one call of its :class:`Asker`, unless it is closed before."""

    def __init__(self, loop: Loop, asker: Asker, system: NameService, servers: Sequence[Server], family: str) -> None:
        super().__init__()
        self._loop = loop
        self._asker = asker
        self._system = system
        self._servers = list(servers)
        self._groups = [*_KINDS[family]]
        self._names: list[str] = []
        self._open: list[tuple[str, int]] = []
        self._tries = 0
        self._number = 0
        self._sock: socket.socket | None = None
        self._stream = False
        self._received = bytearray()
        self._addresses: list[str] = []
        self._ttls: list[int] = []
        self._silent = False
        self.reason: str = ""
        """Why there are no addresses, in the words of c-ares, which Envoy asks."""

    def start(self, name: str) -> None:
        """Ask for a name."""
        self._names = self._system.names(name)
        self._next_group()

    def close(self) -> None:
        """Nobody wants to know any more."""
        self._drop()
        self._loop.forget(self)

    def _next_group(self) -> None:
        """Ask for what comes next, or tell what was found."""
        if self._addresses or not self._groups:
            self._finish()
            return
        kinds = self._groups.pop(0)
        self._open = [(name, kind) for name in self._names for kind in kinds]
        self._tries = 0
        self._ask(False)

    def _finish(self) -> None:
        self.close()
        if self._addresses or not self._silent:
            self._asker.on_found(self, tuple(dict.fromkeys(self._addresses)), min(self._ttls, default=0))
        else:
            self._asker.on_failed(self)

    def _ask(self, stream: bool) -> None:
        """Send the question that is next, to the server whose turn it is."""
        self._drop()
        name, kind = self._open[0]
        self._number = int.from_bytes(os.urandom(2), "big")
        question = dns.question(self._number, name, kind)
        if question is None:
            self._answered(dns.Answer(dns.NO_SUCH_NAME, False, (), 0))
            return
        self.reason = _TIMEOUT
        self._stream = stream
        try:
            self._send(question)
        except OSError:
            self._retry()
            return
        self._loop.watch(self, self._loop.now + self._system.timeout)

    def _send(self, question: bytes) -> None:
        server = self._servers[self._tries % len(self._servers)]
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._sock = sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        code = sock.connect_ex(server)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            self._sock = None
            raise OSError(code, os.strerror(code))
        self._received.clear()
        if self._stream:
            self._received += question
            self._loop.add(sock.fileno(), WRITE, self)
        else:
            self._loop.add(sock.fileno(), READ, self)
            sock.send(question)

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove(sock.fileno())
            sock.close()

    def on_event(self, event: int) -> None:
        """The server takes the question, or answers."""
        sock = self._sock
        if sock is None:
            return
        try:
            if self._stream and event & WRITE:
                question = bytes(self._received)
                self._received.clear()
                sock.send(struct.pack(">H", len(question)) + question)
                self._loop.modify(sock.fileno(), READ)
                return
            data = sock.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:
            self._retry()
            return
        self._on_data(data)

    def _on_data(self, data: bytes) -> None:
        name, kind = self._open[0]
        if self._stream:
            self._received += data
            if not data:
                self._retry()
                return
            if len(self._received) < 2 or len(self._received) - 2 < int.from_bytes(self._received[:2], "big"):
                return
            data = bytes(self._received[2:])
        answer = dns.parse(data, self._number, name, kind)
        if answer is None:
            if self._stream:
                self._retry()
            return  # of somebody else: the right one may still come
        if answer.truncated and not self._stream:
            self._ask(True)
        elif answer.truncated or answer.code not in (dns.NO_ERROR, dns.NO_SUCH_NAME):
            self.reason = _REASONS.get(answer.code, _REFUSED)
            self._retry()
        else:
            self._answered(answer)

    def _answered(self, answer: dns.Answer) -> None:
        name, _ = self._open.pop(0)
        self.reason = _NO_NAME if answer.code == dns.NO_SUCH_NAME else _NO_DATA
        if answer.addresses:
            self._addresses += answer.addresses
            self._ttls.append(answer.ttl)
            # Another domain of the search list is another host.
            self._open = [(other, kind) for other, kind in self._open if other == name]
        self._go_on()

    def _retry(self) -> None:
        """No answer: another server, as often as the system's options say."""
        self._tries += 1
        if self._tries < self._system.attempts * len(self._servers):
            self._ask(False)
            return
        self._silent = True
        self._open.pop(0)
        self._tries = 0
        self._go_on()

    def _go_on(self) -> None:
        self._tries = 0
        if self._open:
            self._ask(False)
        else:
            self._drop()
            self._next_group()

    def on_deadline(self, now: float) -> None:
        """No answer in time."""
        self._retry()
