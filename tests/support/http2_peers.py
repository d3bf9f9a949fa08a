"""A client and a server of HTTP/2 that are not ours (the library h2), played by hand over blocking sockets."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events

from tests.support.worker_process import LIMIT

Fields = list[tuple[bytes, bytes]]
HEAD, PREFACE = 9, 24
"""Lengths of a frame's head, and of what a client begins with."""


@dataclass
class Message:
    """What came on a stream so far."""

    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields | None = None
    ended: bool = False
    whole: bool = False
    """Whether all of it has come, also where the stream was reset after that."""
    reset: int | None = None
    interim: list[Fields] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The first field of that name."""
        return next((value.decode("latin-1") for key, value in self.fields if key == name.encode()), None)

    @property
    def status(self) -> int:
        return int(self.get(":status") or 0)


class Peer:
    """One end of a connection. Content is acknowledged as it comes, unless ``stingy``."""

    def __init__(self, sock: socket.socket, client: bool, stingy: bool = False) -> None:
        sock.settimeout(LIMIT)
        self.sock = sock
        self.client = client
        self.h2: Any = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding=None, validate_inbound_headers=False)
        )
        self.h2.initiate_connection()
        self.messages: dict[int, Message] = {}
        self.gone: Any = None
        self.closed = False
        self.stingy = stingy
        self._rest = b""
        self._preface = 0 if client else PREFACE
        self.flush()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def read(self) -> bool:
        """What is there; ``False`` at the end."""
        data = self.sock.recv(1 << 18)
        if not data:
            self.closed = True
            return False
        for piece in self._pieces(data):
            for event in self.h2.receive_data(piece):
                self._on_event(event)
        self.flush()
        return True

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Frame by frame: what follows a GOAWAY is read as well, which the library has to be told in between."""
        self._rest += data
        if self._preface:
            if len(self._rest) < self._preface:
                return
            yield self._rest[: self._preface]
            self._rest, self._preface = self._rest[self._preface :], 0
        while len(self._rest) >= HEAD and len(self._rest) >= (end := HEAD + int.from_bytes(self._rest[:3], "big")):
            piece, self._rest = self._rest[:end], self._rest[end:]
            yield piece

    def _on_event(self, event: Any) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.gone = event
            # What is under way goes on (RFC 9113 6.8), which the library does not know.
            states = h2.connection.ConnectionState
            self.h2.state_machine.state = states.CLIENT_OPEN if self.client else states.SERVER_OPEN
            return
        number = getattr(event, "stream_id", None)
        if not number:
            return
        message = self.messages.setdefault(number, Message())
        if isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
            message.fields = event.headers
        elif isinstance(event, h2.events.InformationalResponseReceived):
            message.interim.append(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            message.body += event.data
            if not self.stingy and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.TrailersReceived):
            message.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            message.ended = message.whole = True
        elif isinstance(event, h2.events.StreamReset):
            message.reset = event.error_code
            message.ended = True

    def until(self, holds: Callable[[], bool]) -> None:
        """Reads until something is so."""
        while not holds():
            assert self.read(), "the peer ended the connection"

    def send(self, number: int, content: bytes, end: bool = True) -> None:
        """Content, as windows allow."""
        at = 0
        while at < len(content):
            self.until(lambda: self.h2.local_flow_control_window(number) > 0)
            size = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(content) - at)
            self.h2.send_data(number, content[at : at + size])
            at += size
            self.flush()
        if end:
            self.h2.end_stream(number)
            self.flush()


class Http2Client(Peer):
    """A client of a proxy on loopback."""

    def __init__(self, sock: socket.socket | int, stingy: bool = False) -> None:
        made = socket.create_connection(("127.0.0.1", sock), LIMIT) if isinstance(sock, int) else sock
        super().__init__(made, True, stingy)

    def ask(self, path: str = "/", method: str = "GET", end: bool = True, **fields: str) -> int:
        """Begins a request; its stream."""
        number: int = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
        self.h2.send_headers(number, head + [(name.replace("_", "-"), v) for name, v in fields.items()], end_stream=end)
        self.messages[number] = Message()
        self.flush()
        return number

    def reply(self, number: int) -> Message:
        """The whole answer."""
        self.until(lambda: self.messages[number].ended)
        return self.messages[number]

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None, **fields: str) -> Message:
        """A request and its answer."""
        number = self.ask(path, method, body is None, **fields)
        if body is not None:
            self.send(number, body)
        return self.reply(number)


def serve(
    answering: Callable[[Message], tuple[Fields, bytes, Fields | None]], seen: list[Message] | None = None
) -> Callable[[socket.socket], None]:
    """What a server does with a connection: every request is answered, when it is whole, as ``answering`` says."""

    def run(sock: socket.socket) -> None:
        with Peer(sock, False) as peer:
            done: set[int] = set()
            while peer.read():
                for number, message in list(peer.messages.items()):
                    if message.ended and number not in done and message.reset is None:
                        done.add(number)
                        if seen is not None:
                            seen.append(message)
                        fields, body, trailers = answering(message)
                        peer.h2.send_headers(number, fields, end_stream=not body and trailers is None)
                        if body:
                            peer.send(number, body, end=trailers is None)
                        if trailers is not None:
                            peer.h2.send_headers(number, trailers, end_stream=True)
                        peer.flush()

    return run
