"""Mutual TLS in front of the gRPC server, where a client may show a certificate and need not.

grpcio's own TLS either demands a certificate or never asks for one; but who joins has none, and who renews has one, on the
same port (as in istiod). So TLS ends here, and the bytes go on to gRPC by a Unix socket that only this user can open. Each
connection's end of it has a name that cannot be guessed, by which gRPC knows whose calls these are.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography import x509

from mesh_control.ca.guests import PROOF_SECONDS, Guests, place_of

log = logging.getLogger("mesh_control.ca")

HANDSHAKE_SECONDS = 10.0
"""After which a client that does not finish its handshake is given up."""
CLOSING_SECONDS = 2.0
CHUNK = 64 * 1024
_LONGEST_PATH = 100
"""Bytes of a Unix socket's path that every system takes."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: where it is, and the certificate that it has shown, if any, and that was verified."""

    address: str
    certificate: x509.Certificate | None


@dataclass(slots=True)
class _Guest:
    """One connection, and whether it has proven who it is."""

    place: str
    address: str
    proven: bool = False


def server_context(chain_file: Path, bundle: str) -> ssl.SSLContext:
    """TLS 1.2 or later with the key and the chain of a file; who shows a certificate needs one of the bundle's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain_file)
    context.load_verify_locations(cadata=bundle)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    # A session that goes on would not be looked at again: neither its time nor whether its root is still trusted.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


@dataclass(slots=True)
class Front:
    """Takes connections at ``address`` and hands them on to the Unix socket ``backend``. ``context`` may be replaced at any
    time; connections that are there keep theirs."""

    address: str
    backend: Path
    context: ssl.SSLContext
    port: int = 0
    _socket: socket.socket = field(init=False)
    refused: Callable[[str], None] = lambda reason: None
    """Told of each connection that was refused or ended: ``all``, ``address`` (too many from there) or ``silent``."""
    guests: Guests = field(default_factory=Guests)
    proof_seconds: float = PROOF_SECONDS
    _peers: dict[str, Peer] = field(default_factory=dict)
    _names: dict[str, _Guest] = field(default_factory=dict)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _accepting: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        host = host.strip("[]")
        if len(str(self.backend)) > _LONGEST_PATH:
            raise OSError(f"state_dir: {self.backend} is too long for a socket; use a shorter one")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            both = host == "::" and socket.has_dualstack_ipv6()  # as gRPC takes [::] elsewhere
            self._socket = socket.create_server((host, int(port)), family=family, backlog=256, dualstack_ipv6=both)
        except OSError as error:
            raise OSError(f"ca.address: {self.address} cannot be bound: {error.strerror}; set another one") from None
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    def peer(self, name: str) -> Peer | None:
        """Whose connection has that name at gRPC's end."""
        return self._peers.get(name)

    def proven(self, name: str) -> None:
        """Who is at the connection of that name has proven who they are."""
        guest = self._names.get(name)
        if guest is not None and not guest.proven:
            guest.proven = True
            self.guests.proven(guest.place)

    def start(self) -> None:
        """Accept connections."""
        self._accepting = asyncio.create_task(self._accept(), name="ca front")

    async def stop(self) -> None:
        """End every connection."""
        tasks = [task for task in (self._accepting, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._socket)
            except OSError as error:  # as when there are too many files: others will be closed
                log.warning("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(0.2)
                continue
            guest = _Guest(place_of(address[0]), f"{address[0].removeprefix('::ffff:')}:{address[1]}")
            if reason := self.guests.enter(guest.place):
                connection.close()
                self._tell(guest, reason)
                continue
            task = asyncio.create_task(self._serve(connection, guest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(partial(self._gone, guest))

    def _gone(self, guest: _Guest, _task: "asyncio.Task[None]") -> None:
        self.guests.leave(guest.place, proven=guest.proven)

    def _tell(self, guest: _Guest, reason: str) -> None:
        self.refused(reason)
        if told := self.guests.refused(guest.place, reason, asyncio.get_running_loop().time()):
            log.warning("%s", told)

    def _end_silent(self, guest: _Guest, transport: asyncio.WriteTransport) -> None:
        if not guest.proven and not transport.is_closing():
            self._tell(guest, "silent")
            transport.abort()

    async def _serve(self, connection: socket.socket, guest: _Guest) -> None:
        address = guest.address
        try:
            reader, writer = await _handshake(connection, self.context)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.info("no handshake with %s: %s", address, error)
            connection.close()
            return
        except BaseException:
            connection.close()
            raise
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        name = f"meshwright-{secrets.token_hex(16)}"
        self._names[name] = guest
        if shown:
            self.proven(name)
        silent = asyncio.get_running_loop().call_later(self.proof_seconds, self._end_silent, guest, writer.transport)
        try:
            certificate = x509.load_der_x509_certificate(shown) if shown else None
            self._peers[name] = Peer(address, certificate)
            await self._pass_on(reader, writer, name)
        except (OSError, ssl.SSLError, ValueError) as error:
            log.info("the connection with %s ended: %s", address, error)
        finally:
            silent.cancel()
            self._peers.pop(name, None)
            self._names.pop(name, None)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner.bind(f"\0{name}")
            inner.setblocking(False)
            await asyncio.get_running_loop().sock_connect(inner, str(self.backend))
            from_grpc, to_grpc = await asyncio.open_connection(sock=inner)
        except BaseException:
            inner.close()
            raise
        pumps = [asyncio.create_task(_pump(reader, to_grpc)), asyncio.create_task(_pump(from_grpc, writer))]
        try:
            # One direction that ends, ends both: neither TLS here nor HTTP/2 knows half of a connection.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await writer.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_grpc.transport.abort()


async def _handshake(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        connection,
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
        ssl_shutdown_timeout=CLOSING_SECONDS,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
