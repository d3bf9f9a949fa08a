"""Clients and servers that say exactly what they are told, byte for byte."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.worker_process import LIMIT


class EndedError(ConnectionError):
    """The peer ended where something was still to come."""


class Wire:
    """A connection that is read by hand; a read gives up after :data:`LIMIT` seconds."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(LIMIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def end(self) -> None:
        """End this side; the other may go on."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close as a process does that dies: with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def more(self) -> bool:
        """Read once; ``False`` at the end."""
        data = self.sock.recv(1 << 18)
        self._buffer += data
        return bool(data)

    def exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self.more():
                self._broken()
        content = bytes(self._buffer[:length])
        del self._buffer[:length]
        return content

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with ``mark``; empty when the peer ends before it."""
        while (place := self._buffer.find(mark)) < 0:
            if not self.more():
                return b""
        return self.exactly(place + len(mark))

    def rest(self) -> bytes:
        """Everything until the peer ends its side."""
        while self.more():
            pass
        return self.exactly(len(self._buffer))

    def until_reset(self) -> bytes:
        """Everything until the peer resets the connection, which it must."""
        with contextlib.suppress(ConnectionResetError):
            self.rest()
            raise EndedError("the peer ended in order")
        return self.taken()

    def taken(self) -> bytes:
        """What was read, and not taken yet."""
        return self.exactly(len(self._buffer))

    def ended(self) -> bool:
        """Whether the peer's next word is the end."""
        with contextlib.suppress(ConnectionResetError):
            return not self._buffer and not self.more()
        return True

    def head(self) -> bytes:
        """The next head with its empty line; empty at the end."""
        return self.until(b"\r\n\r\n")

    def chunks(self) -> tuple[bytes, bytes]:
        """A body in chunks: content and trailers."""
        parts = []
        while size := int((self.until(b"\r\n") or self._broken()).split(b";")[0], 16):
            parts.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        trailers = b""
        while (line := self.until(b"\r\n")) != b"\r\n":
            trailers += line or self._broken()
        return b"".join(parts), trailers

    def _broken(self) -> bytes:
        raise EndedError(f"the peer ended after {bytes(self._buffer[:200])!r}")


def fields_of(head: bytes) -> dict[str, str]:
    """Lower-case names to values; several of one name are joined by a comma."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a server got it; ``connection`` counts the server's connections from 1."""

    head: bytes
    body: bytes = b""
    trailers: bytes = b""
    connection: int = 0

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode("latin-1")

    @property
    def method(self) -> str:
        return self.head.split(b" ")[0].decode()

    @property
    def fields(self) -> dict[str, str]:
        return fields_of(self.head)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client got it."""

    head: bytes
    status: int
    fields: dict[str, str]
    body: bytes = b""
    trailers: bytes = b""


class Client(Wire):
    """A client of a proxy on loopback; ``source`` is the address that it comes from."""

    def __init__(self, port: int, receive_buffer: int | None = None, source: str = "") -> None:
        sock = socket.socket()
        if source:
            sock.bind((source, 0))
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(LIMIT)
        sock.connect(("127.0.0.1", port))
        super().__init__(sock)

    def __enter__(self) -> "Client":
        return self

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None, **fields: str) -> None:
        """Send a request; ``x_a="1"`` is the field ``x-a: 1``."""
        given = {"host": "test"} | {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None:
            given["content-length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None, **fields: str) -> Reply:
        """Send a request and read its answer."""
        self.ask(path, method, body, **fields)
        return self.reply(method)

    def reply_head(self) -> Reply:
        """The head of the next answer alone."""
        head = self.head()
        assert head, "the proxy ended the connection without an answer"
        return Reply(head, int(head.split(b" ")[1]), fields_of(head))

    def reply(self, method: str = "GET") -> Reply:
        """The next answer, whole."""
        got = self.reply_head()
        body, trailers = self.body_and_trailers(got, method)
        return Reply(got.head, got.status, got.fields, body, trailers)

    def body_of(self, head: bytes, method: str = "GET") -> bytes:
        """The body of the answer with that head."""
        return self.body_and_trailers(Reply(head, int(head.split(b" ")[1]), fields_of(head)), method)[0]

    def body_and_trailers(self, got: Reply, method: str) -> tuple[bytes, bytes]:
        """What follows the head of an answer."""
        if method == "HEAD" or got.status in (204, 304) or got.status < 200:
            return b"", b""
        if got.fields.get("transfer-encoding") == "chunked":
            return self.chunks()
        if "content-length" in got.fields:
            return self.exactly(int(got.fields["content-length"])), b""
        return self.rest(), b""


def listening_socket(receive_buffer: int | None = None) -> socket.socket:
    """A listening socket on loopback."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind(("127.0.0.1", 0))
    sock.listen(256)
    sock.settimeout(LIMIT)
    return sock


class ScriptedServer:
    """Accepts connections and hands each, in a thread, to ``serve`` with its number; what fails there fails the test."""

    def __init__(self, serve: Callable[[Wire, int], None], receive_buffer: int | None = None) -> None:
        self._listening = listening_socket(receive_buffer)
        self._listening.settimeout(None)
        self.port = int(self._listening.getsockname()[1])
        self.connections = 0
        self._serve = serve
        self._open: list[socket.socket] = []
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._run, args=(Wire(sock), self.connections), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, wire: Wire, number: int) -> None:
        with wire:
            try:
                self._serve(wire, number)
            except OSError:
                pass  # the proxy closed: tests see that at its other side
            except BaseException as error:
                self._failures.append(error)  # told by close()

    def close(self) -> None:
        """End every connection. Raises what failed while serving."""
        for sock in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(LIMIT)
        if self._failures:
            raise self._failures[0]


class ManualServer:
    """A server without a thread: the test itself takes each connection and plays its part."""

    def __init__(self, receive_buffer: int | None = None) -> None:
        self._listening = listening_socket(receive_buffer)
        self._open: list[Wire] = []
        self.port = int(self._listening.getsockname()[1])

    def accept(self) -> Wire:
        """The next connection."""
        wire = Wire(self._listening.accept()[0])
        self._open.append(wire)
        return wire

    def idle(self) -> bool:
        """Whether nobody has connected whose connection was not taken."""
        return not select.select([self._listening], [], [], 0)[0]

    def close(self) -> None:
        self._listening.close()
        for wire in self._open:
            wire.sock.close()


def answer(body: bytes = b"ok", status: str = "200 OK", extra: str = "") -> bytes:
    """An answer with a length; ``extra`` are whole lines."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


@dataclass(slots=True)
class Backend:
    """A server of HTTP: keeps what it is asked, answers what ``answering`` says (``None``: it closes)."""

    answering: Callable[[Request], bytes | None] = field(default=lambda request: answer())
    requests: list[Request] = field(default_factory=list)

    def serve(self, wire: Wire, number: int) -> None:
        while head := wire.head():
            fields = fields_of(head)
            body = trailers = b""
            if fields.get("transfer-encoding") == "chunked":
                body, trailers = wire.chunks()
            elif "content-length" in fields:
                body = wire.exactly(int(fields["content-length"]))
            request = Request(head, body, trailers, number)
            self.requests.append(request)
            said = self.answering(request)
            if said is None:
                return
            wire.send(said)


def echo(request: Request) -> bytes:
    """Answers with the head that came."""
    return answer(request.head)
