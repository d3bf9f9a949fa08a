"""The half of a session that sends: frames are collected, and leave together when the output is taken.

Content that a window does not admit, or that the output has no room for, waits in its stream; they take turns, a frame each.
"""

from collections import deque
from typing import Final

from mesh_proxy.protocol.http1 import Field
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.floods import CONTROL_FRAMES, Floods
from mesh_proxy.protocol.http2.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    MAX_FRAME,
    NO_ERROR,
    framed,
    head_of,
)
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.hpack_encoder import Encoder
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import AFTER_END_SENT, CLOSED, RECEIVES, SENDS, Stream

_OUTPUT_LIMIT: Final = 262144
"""Bytes of content that are made into frames before the output is taken: what comes later can still overtake the rest."""
_JOINED: Final = 4096
"""Up to so many bytes of content are copied behind their frame's head, rather than kept as a part of their own."""


class Sending:
    """See the module's docstring. What cannot be sent any more, because the stream or the connection is over, is dropped."""

    __slots__ = (
        "_accepted", "_control", "_credit", "_discarded", "_encoder", "_floods", "_half_window", "_last",
        "_max_control", "_max_discarded", "_next", "_out", "_ready", "_receive_window", "_size", "_stream_half_window",
        "_stream_window", "client", "failed", "handler", "leaving", "peer_connects", "peer_streams", "peer_window",
        "streams", "window",
    )  # fmt: skip

    def __init__(self, settings: Settings, handler: Handler, client: bool) -> None:
        self.handler = handler
        self.client: bool = client
        self.streams: dict[int, Stream] = {}
        """Streams that are not over, by their number."""
        self.failed: bool = False
        """Whether the connection is of no use any more."""
        self.leaving: bool = False
        """Whether the peer has said that it takes no more streams."""
        self.window: int = DEFAULT_WINDOW
        """Bytes of content that the peer still takes on the connection."""
        self.peer_window: int = DEFAULT_WINDOW
        """What it takes on a new stream."""
        self.peer_streams: int = settings.max_concurrent_streams if client else 0
        """How many streams of ours it takes at a time; before it has said so, as many as we would."""
        self.peer_connects: bool = False
        """Whether it takes an extended CONNECT."""
        self._encoder = Encoder()
        self._floods = Floods(settings)
        self._out: list[bytes] = [settings.opening(client)]
        self._size: int = 0
        self._control: int = 0
        self._max_control: int = settings.max_outbound_control_frames
        self._ready: deque[Stream] = deque()
        self._next: int = 1
        self._last: int = 0
        """The highest stream that the peer has opened."""
        self._accepted: int = frames.LAST_STREAM
        """The highest that we have said to take."""
        self._discarded: dict[int, None] = {}
        """Streams that we gave up, of which the peer may not know yet."""
        self._max_discarded: int = 2 * settings.max_concurrent_streams
        self._receive_window: int = max(DEFAULT_WINDOW, settings.initial_connection_window_size)
        self._half_window: int = self._receive_window // 2
        self._stream_half_window: int = max(1, settings.initial_stream_window_size // 2)
        self._stream_window: int = max(DEFAULT_WINDOW, settings.initial_stream_window_size)
        """What the peer may send on a new stream; less than the default once it has agreed to that."""
        self._credit: int = 0

    @property
    def can_open(self) -> bool:
        """Whether a client may open one more stream."""
        if self.failed or self.leaving or self._next > frames.LAST_STREAM:
            return False
        return len(self.streams) < self.peer_streams

    def take_output(self) -> bytes:
        """What is to be sent; empty: nothing, now. To be taken only when what was taken before has been sent or nearly so,
        and again until it is empty."""
        if self._ready and not self.failed:
            self._pump()
        out = self._out
        if not out:
            return b""
        taken = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._size = self._control = 0
        return taken

    def request(
        self, method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: list[Field], end: bool, now: float
    ) -> Stream:
        """Open a stream with a request, which :attr:`can_open` has allowed. ``path`` and ``scheme`` are empty for CONNECT.

        Of ``fields`` those that are about the connection, and ``host``, are left out, here and elsewhere.
        """
        stream = self._open(now)
        stream.bodiless = method == b"HEAD"
        stream.tunnel = method == b"CONNECT"
        self._head(stream, self._encoder.request(method, scheme, authority, path, fields), end)
        return stream

    def connect(
        self, protocol: bytes, scheme: bytes, authority: bytes, path: bytes, fields: list[Field], now: float
    ) -> Stream:
        """Open a stream with an extended CONNECT (RFC 8441), which :attr:`peer_connects` has allowed."""
        stream = self._open(now)
        stream.tunnel = True
        self._head(stream, self._encoder.connect(authority, protocol, scheme, path, fields), False)
        return stream

    def respond(self, stream: Stream, status: int, fields: list[Field], end: bool) -> None:
        """The answer's head; ``end``: no content follows, and no trailers."""
        if SENDS[stream.state] and not self.failed and not stream.head_sent:
            stream.head_sent = True
            self._head(stream, self._encoder.response(status, fields), end)

    def interim(self, stream: Stream, status: int, fields: list[Field]) -> None:
        """An interim answer (1xx, but 101)."""
        if SENDS[stream.state] and not self.failed and not stream.head_sent:
            self._head(stream, self._encoder.response(status, fields), False)

    def data(self, stream: Stream, data: bytes, end: bool) -> None:
        """Content; ``end``: nothing follows."""
        if stream.ending or not SENDS[stream.state] or self.failed:
            return
        size = len(data)
        stream.ending = end
        if stream.queued == 0:
            if size == 0:
                if end:
                    self._data(stream, data, True)
                return
            fits = size <= MAX_FRAME and size <= self.window and size <= stream.send_window
            if fits and self._size < _OUTPUT_LIMIT and not self._ready:
                self._data(stream, data, end)
                return
        if size:
            pending = stream.pending
            if pending is None:
                pending = stream.pending = deque()
            if size <= MAX_FRAME:
                pending.append(data)
            else:
                pending.extend([data[at : at + MAX_FRAME] for at in range(0, size, MAX_FRAME)])
            stream.queued += size
            self._make_ready(stream)

    def trailers(self, stream: Stream, fields: list[Field]) -> None:
        """The message ends, with these fields."""
        if stream.ending or not SENDS[stream.state] or self.failed:
            return
        stream.ending = True
        if stream.queued:
            stream.trailers = fields
        else:
            self._trailers(stream, fields)

    def reset(self, stream: Stream, code: int) -> None:
        """Give the stream up; what waits in it is dropped, and what was not consumed of it counts as consumed."""
        if stream.state == CLOSED or self.failed:
            return
        if RECEIVES[stream.state]:
            self._discarded[stream.id] = None
            if len(self._discarded) > self._max_discarded:
                del self._discarded[next(iter(self._discarded))]
        self._forget(stream)
        self._send_control(frames.frame(frames.RST_STREAM, 0, stream.id, frames.NUMBER.pack(code)))

    def consumed(self, stream: Stream, size: int) -> None:
        """Bytes of content have gone where they go to: the peer may send as many more."""
        if size > stream.unconsumed:
            size = stream.unconsumed
        stream.unconsumed -= size
        self._credit_connection(size)
        if RECEIVES[stream.state]:
            stream.credit += size
            if stream.credit >= self._stream_half_window:
                stream.receive_window += stream.credit
                self._window_update(stream.id, stream.credit)
                stream.credit = 0

    def shutdown_notice(self) -> None:
        """The first of two steps of a graceful end: the peer is to open no more streams; those on the way are still taken."""
        self._send(frames.goaway(frames.LAST_STREAM, NO_ERROR, b""))

    def goaway(self, code: int = NO_ERROR, text: bytes = b"") -> None:
        """The second step: streams that come from now on are ignored. Those under way go on; :attr:`streams` is empty
        when all are over."""
        if not self.client:
            self._accepted = self._last
        self._send(frames.goaway(self._last, code, text))

    def ping(self, opaque: bytes) -> None:
        """A PING with these 8 bytes."""
        self._send(frames.frame(frames.PING, 0, 0, opaque))

    # Frames.

    def _open(self, now: float) -> Stream:
        stream = Stream(self._next, self.peer_window, self._stream_window, now)
        self._next += 2
        self.streams[stream.id] = stream
        self._floods.streams += 1
        return stream

    def _send(self, frame: bytes) -> None:
        if not self.failed:
            self._out.append(frame)

    def _send_control(self, frame: bytes) -> None:
        """A frame that the peer can ask for: a peer that asks and does not read is a flood."""
        if self.failed:
            return
        self._out.append(frame)
        self._control += 1
        if self._control > self._max_control:
            self._fail(ENHANCE_YOUR_CALM, CONTROL_FRAMES)

    def _window_update(self, number: int, size: int) -> None:
        self._send(frames.frame(frames.WINDOW_UPDATE, 0, number, frames.NUMBER.pack(size)))

    def _credit_connection(self, size: int) -> None:
        self._credit += size
        if self._credit >= self._half_window:
            self._receive_window += self._credit
            self._window_update(0, self._credit)
            self._credit = 0

    def _head(self, stream: Stream, block: bytes, end: bool) -> None:
        length = len(block)
        flags = END_STREAM if end else 0
        if length <= MAX_FRAME:
            self._out.append(framed(HEADERS, flags | END_HEADERS, stream.coded, block))
        else:
            self._out.append(frames.frame(HEADERS, flags, stream.id, block[:MAX_FRAME]))
            for at in range(MAX_FRAME, length, MAX_FRAME):
                flags = END_HEADERS if at + MAX_FRAME >= length else 0
                self._out.append(frames.frame(CONTINUATION, flags, stream.id, block[at : at + MAX_FRAME]))
        if end:
            self._end(stream)

    def _data(self, stream: Stream, data: bytes, end: bool) -> None:
        length = len(data)
        flags = END_STREAM if end else 0
        if length <= _JOINED:
            self._out.append(framed(DATA, flags, stream.coded, data))
        else:
            self._out.append(head_of(length, DATA, flags, stream.coded))
            self._out.append(data)
        self._size += length
        self.window -= length
        stream.send_window -= length
        self._floods.data_sent += 1
        if end:
            self._end(stream)

    def _trailers(self, stream: Stream, fields: list[Field]) -> None:
        block = self._encoder.trailers(fields)
        if block:
            self._head(stream, block, True)
        else:  # none of them may be sent
            self._data(stream, b"", True)

    # Turns.

    def _make_ready(self, stream: Stream) -> None:
        if not stream.waiting and stream.send_window > 0:
            stream.waiting = True
            self._ready.append(stream)

    def _pump(self) -> None:
        """A frame of each stream in turn, as far as windows and output allow."""
        ready = self._ready
        drained: list[Stream] = []
        while ready and self.window > 0 and self._size < _OUTPUT_LIMIT:
            stream = ready.popleft()
            stream.waiting = False
            if stream.queued == 0 or stream.send_window <= 0:
                continue
            piece = _piece(stream, min(MAX_FRAME, self.window, stream.send_window))
            last = stream.queued == 0
            self._data(stream, piece, last and stream.ending and stream.trailers is None)
            if last:
                drained.append(stream)
                if stream.trailers is not None:
                    self._trailers(stream, stream.trailers)
            else:
                self._make_ready(stream)
        for stream in drained:
            self.handler.on_window(stream)

    # Ends.

    def _end(self, stream: Stream) -> None:
        """Our side of it has ended."""
        stream.ending = True
        stream.state = AFTER_END_SENT[stream.state]
        if stream.state == CLOSED:
            self._remove(stream)

    def _remove(self, stream: Stream) -> None:
        self.streams.pop(stream.id, None)
        self._floods.closed += 1

    def _forget(self, stream: Stream) -> None:
        """It is over before its end."""
        self._remove(stream)
        stream.state = CLOSED
        stream.pending = stream.trailers = None
        stream.queued = 0
        unconsumed, stream.unconsumed = stream.unconsumed, 0
        self._credit_connection(unconsumed)

    def _fail(self, code: int, details: str) -> None:
        """The connection is over: what the peer is told, and the handler."""
        if self.failed:
            return
        self._out.append(frames.goaway(self._last, code, details.encode()))
        self._ready.clear()
        self.failed = True
        self.handler.on_failure(code, details)


def _piece(stream: Stream, room: int) -> bytes:
    """Up to ``room`` bytes of what waits in a stream, which are taken from it."""
    pending = stream.pending
    if pending is None:
        return b""
    first = pending.popleft()
    if len(first) > room:
        pending.appendleft(first[room:])
        first = first[:room]
    elif len(first) < room and pending:
        parts = [first]
        room -= len(first)
        while pending and len(pending[0]) <= room:
            room -= len(pending[0])
            parts.append(pending.popleft())
        first = b"".join(parts)
    stream.queued -= len(first)
    return first
