"""A handler of sessions of HTTP/2 that writes down what it is told, and frames made by hand for what no good peer sends."""

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.session import Session, Tables
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import Stream


class Recorder(Handler):
    """``events`` are tuples of what was told, its stream's number first; ``heads`` and ``streams`` by number."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.heads: dict[int, Head] = {}
        self.streams: dict[int, Stream] = {}
        self.content: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.failure: tuple[int, str] | None = None

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        self.streams[stream.id] = stream
        self.heads[stream.id] = head
        self.events.append((stream.id, "head", end))
        self._on_end(stream, end)

    def on_interim(self, stream: Stream, head: Head) -> None:
        self.events.append((stream.id, "interim", head.status))

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        self.content[stream.id] = self.content.get(stream.id, b"") + data
        self.events.append((stream.id, "data", data, end))
        self._on_end(stream, end)

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        self.trailers[stream.id] = pairs(fields)
        self.events.append((stream.id, "trailers", pairs(fields)))
        self._on_end(stream, True)

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        self.events.append((stream.id, "reset", code, details))

    def on_window(self, stream: Stream) -> None:
        self.events.append((stream.id, "window"))

    def on_settings(self) -> None:
        self.events.append((0, "settings"))

    def on_pong(self, opaque: bytes) -> None:
        self.events.append((0, "pong", opaque))

    def on_goaway(self, last: int, code: int) -> None:
        self.events.append((0, "goaway", last, code))

    def on_failure(self, code: int, details: str) -> None:
        assert self.failure is None, "told twice"
        self.failure = (code, details)

    def _on_end(self, stream: Stream, end: bool) -> None:
        if end:
            assert stream.id not in self.ended, "ended twice"
            self.ended.add(stream.id)


class End:
    """A session with its recorder. ``greeted``: the peer's settings have come and ours are acknowledged."""

    def __init__(self, settings: Settings | None = None, client: bool = False, greeted: bool = True) -> None:
        self.recorder = Recorder()
        self.session = Session(settings or Settings(), self.recorder, Tables(), client, 0.0)
        if greeted:
            self.give(b"" if client else frames.PREFACE, GREETING)
            self.take()
            self.recorder.events.clear()

    def give(self, *data: bytes, now: float = 0.0) -> None:
        """Bytes of the peer."""
        self.session.receive(b"".join(data), now)

    def output(self) -> bytes:
        """Everything that is to be sent."""
        parts = []
        while part := self.session.take_output():
            parts.append(part)
        return b"".join(parts)

    def take(self) -> list[tuple[int, int, int, bytes]]:
        """The frames of it."""
        output = self.output()
        return list(split(output.removeprefix(frames.PREFACE)))


def split(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Frames as type, flags, stream and payload; there is nothing but whole ones."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        assert len(data) >= 9 + length
        data = data[9 + length :]
    return found


def pairs(fields: list[Field]) -> list[tuple[bytes, bytes]]:
    """Names and values."""
    return [(field.name, field.value) for field in fields]


def literals(*fields: tuple[bytes, bytes]) -> bytes:
    """A header block that spells everything out and changes no table."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes([length]) + text
    length -= 127
    coded = bytearray(b"\x7f")
    while length >= 128:
        coded.append(length & 127 | 128)
        length >>= 7
    return bytes(coded) + bytes([length]) + text


def headers(number: int, block: bytes, end: bool = True) -> bytes:
    """A block in as many frames as it needs."""
    flags = frames.END_STREAM if end else 0
    if len(block) <= frames.MAX_FRAME:
        return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, number, block)
    pieces = [block[at : at + frames.MAX_FRAME] for at in range(0, len(block), frames.MAX_FRAME)]
    sent = frames.frame(frames.HEADERS, flags, number, pieces[0])
    sent += b"".join(frames.frame(frames.CONTINUATION, 0, number, piece) for piece in pieces[1:-1])
    return sent + frames.frame(frames.CONTINUATION, frames.END_HEADERS, number, pieces[-1])


def data(number: int, content: bytes, end: bool = False) -> bytes:
    """Content in one frame."""
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, number, content)


def rst(number: int, code: int = frames.CANCEL) -> bytes:
    """RST_STREAM."""
    return frames.frame(frames.RST_STREAM, 0, number, frames.NUMBER.pack(code))


def window_update(number: int, more: int) -> bytes:
    """WINDOW_UPDATE."""
    return frames.frame(frames.WINDOW_UPDATE, 0, number, frames.NUMBER.pack(more))


def settings(*values: tuple[int, int]) -> bytes:
    """SETTINGS."""
    return frames.frame(frames.SETTINGS, 0, 0, b"".join(frames.SETTING.pack(*value) for value in values))


ACKNOWLEDGEMENT = frames.frame(frames.SETTINGS, frames.ACK, 0, b"")
GREETING = settings() + ACKNOWLEDGEMENT
GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a"))
