"""A server of HTTP/2 over loopback that sends requests back to whoever asks, made of a Session and an epoll."""

import select
import socket
import threading
import time

from mesh_proxy.protocol.http1 import Field, Head, field_of, is_grpc
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.session import Session, Tables
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import Stream

_PLAIN = [field_of(b"content-type", b"text/plain")]
_GRPC = [field_of(b"content-type", b"application/grpc")]
_OK = [field_of(b"grpc-status", b"0")]
_RECEIVE = 65536


class EchoServer:
    """Serves when made, on ``port``. Use as a context manager.

    ``/hello`` is answered with five bytes, ``/large`` with a million, anything else with the request's content and trailers;
    a call of gRPC with its messages.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._tables = Tables()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self._waking, self._wakes = socket.socketpair()
        self._connections: dict[int, _Connection] = {}
        self.errors: list[BaseException] = []
        """What a handler has raised: nothing, ever."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "EchoServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._wakes.close()
        self._thread.join()
        self._waking.close()
        self._listening.close()

    def _serve(self) -> None:
        poll = select.epoll()
        listening, waking = self._listening.fileno(), self._waking.fileno()
        poll.register(listening, select.EPOLLIN)
        poll.register(waking, select.EPOLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == waking:
                    for connection in self._connections.values():
                        connection.sock.close()
                    poll.close()
                    return
                if descriptor == listening:
                    sock, _ = self._listening.accept()
                    sock.setblocking(False)
                    self._connections[sock.fileno()] = _Connection(sock, self._settings, self._tables)
                    poll.register(sock, select.EPOLLIN)
                    descriptor = sock.fileno()
                self._turn(poll, descriptor)

    def _turn(self, poll: select.epoll, descriptor: int) -> None:
        connection = self._connections[descriptor]
        try:
            waits = connection.turn()
        except BaseException as error:
            self.errors.append(error)
            connection.over = True
        if connection.over:
            poll.unregister(descriptor)
            del self._connections[descriptor]
            connection.sock.close()
        else:
            poll.modify(descriptor, select.EPOLLIN | (select.EPOLLOUT if waits else 0))


class _Connection(Handler):
    def __init__(self, sock: socket.socket, settings: Settings, tables: Tables) -> None:
        self.sock = sock
        self.over = False
        self._unsent = b""
        self._calls: set[int] = set()
        self._session = Session(settings, self, tables, False, time.monotonic())

    def turn(self) -> bool:
        """Whatever can be done now; returns whether it waits to send more."""
        try:
            data = self.sock.recv(_RECEIVE)
            self.over = not data
            self._session.receive(data, time.monotonic())
        except BlockingIOError:
            pass
        except OSError:
            self.over = True
        try:
            while output := self._unsent or self._session.take_output():
                self._unsent = output
                self._unsent = output[self.sock.send(output) :]
        except BlockingIOError:
            return True
        except OSError:
            self.over = True
        if self._session.failed:
            self.over = True
        return False

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        if head.expect:
            self._session.interim(stream, 100, [])
        if is_grpc(head):
            self._calls.add(stream.id)
            self._session.respond(stream, 200, _GRPC, False)
            return
        content = {b"/hello": b"hello", b"/large": b"x" * 1_000_000}.get(head.target, b"")
        if content:
            stream.user = self
        self._session.respond(stream, 200, _PLAIN, end and not content)
        if content:
            self._session.data(stream, content, end)

    def on_interim(self, stream: Stream, head: Head) -> None:
        raise AssertionError("a client has sent an answer")

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        call = stream.id in self._calls
        self._session.data(stream, b"" if stream.user else data, end and not call)
        if end and call:
            self._session.trailers(stream, _OK)
        if not stream.queued:
            self._session.consumed(stream, len(data))

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        self._session.trailers(stream, fields)

    def on_window(self, stream: Stream) -> None:
        self._session.consumed(stream, stream.unconsumed)

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        pass

    def on_settings(self) -> None:
        pass

    def on_pong(self, opaque: bytes) -> None:
        pass

    def on_goaway(self, last: int, code: int) -> None:
        pass

    def on_failure(self, code: int, details: str) -> None:
        pass
