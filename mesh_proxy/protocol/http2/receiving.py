"""The part of a session that receives messages: heads, content and trailers, each allowed by the state of its stream."""

from typing import Final

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.fields import Names
from mesh_proxy.protocol.http2.frames import (
    COMPRESSION_ERROR,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    HEADER_LENGTH,
    INTERNAL_ERROR,
    PADDED,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    WITH_PRIORITY,
)
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.heads import ALLOW, BROKEN_RULE, TOO_LARGE, TOO_MANY, UNDERSCORE, HeadReader
from mesh_proxy.protocol.http2.hpack_decoder import DEFAULT_TABLE, Decoder
from mesh_proxy.protocol.http2.huffman import Huffman
from mesh_proxy.protocol.http2.sending import Sending
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import AFTER_END_RECEIVED, CLOSED, RECEIVES, Stream

UNKNOWN: Final = "http2.unknown.nghttp2.error"
_OF_THE_LIST: Final = (TOO_MANY, TOO_LARGE, UNDERSCORE)
"""Faults for which Envoy resets the stream whatever the settings say."""
_BLOCK_OVERHEAD: Final = 16384
"""Bytes by which a block may be longer than the fields that it may hold."""


class Tables:
    """What connections of one worker share: names and strings that are known."""

    __slots__ = ("huffman", "names")

    def __init__(self) -> None:
        self.names = Names()
        self.huffman = Huffman()


class Receiving(Sending):
    """See the module's docstring."""

    __slots__ = (
        "_block", "_block_flags", "_block_of", "_block_size", "_max_block", "_now", "_reader", "_settings",
    )  # fmt: skip

    def __init__(self, settings: Settings, handler: Handler, tables: Tables, client: bool, now: float) -> None:
        super().__init__(settings, handler, client)
        self._settings = settings
        decoder = Decoder(tables.names, tables.huffman, settings.max_headers, settings.max_headers_count)
        if settings.hpack_table_size > DEFAULT_TABLE:
            decoder.allow(settings.hpack_table_size)
        underscores = ALLOW if client else settings.headers_with_underscores_action
        self._reader = HeadReader(decoder, underscores, settings.allow_connect)
        self._now: float = now
        self._block: list[bytes] = []
        self._block_of: int = 0
        """The stream whose header block is not complete; 0: none."""
        self._block_flags: int = 0
        self._block_size: int = 0
        self._max_block: int = settings.max_headers + _BLOCK_OVERHEAD

    # Content.

    def _on_data(self, number: int, flags: int, data: bytes, start: int, stop: int) -> None:
        length = stop - start
        self._receive_window -= length
        if self._receive_window < 0:
            self._fail(FLOW_CONTROL_ERROR, "DATA: connection window exceeded")
            return
        stream = self.streams.get(number)
        if stream is None or not RECEIVES[stream.state]:
            self._on_stray_data(number, length, stream)
            return
        if flags & PADDED:
            if length == 0 or data[start] >= length:
                self._fail(PROTOCOL_ERROR, "DATA: invalid padding")
                return
            content = data[start + 1 : stop - data[start]]
        else:
            content = data[start:stop]
        ended = flags & END_STREAM != 0
        size = len(content)
        if size == 0 and not ended:
            flood = self._floods.on_empty()
            if flood:
                self._fail_stream(stream, flood)
                return
        else:
            self._floods.on_payload()
        stream.receive_window -= length
        stream.unconsumed += length
        if stream.receive_window < 0:
            self._break(stream, FLOW_CONTROL_ERROR, UNKNOWN)
            return
        if not stream.head_received or not _fits(stream, size, ended):
            self._break(stream, PROTOCOL_ERROR, BROKEN_RULE)
            return
        if size != length:
            self.consumed(stream, length - size)
        if ended:
            self._peer_ended(stream)
        if size or ended:
            self.handler.on_data(stream, content, ended)

    def _on_stray_data(self, number: int, length: int, stream: Stream | None) -> None:
        """Content of a stream that takes none."""
        if stream is not None:
            self._fail(STREAM_CLOSED, "DATA: stream in half-closed(remote)")
        elif number in self._discarded or number > self._accepted:
            self._credit_connection(length)
        elif self._is_idle(number):
            self._fail(PROTOCOL_ERROR, "DATA: stream in idle")
        else:
            self._fail(STREAM_CLOSED, "DATA: stream closed")

    def _is_idle(self, number: int) -> bool:
        """Whether the stream was not opened yet by whom it is for to open."""
        if number & 1 == int(self.client):
            return number >= self._next
        return self._last < number <= self._accepted

    def _peer_ended(self, stream: Stream) -> None:
        stream.state = AFTER_END_RECEIVED[stream.state]
        if stream.state == CLOSED:
            self._remove(stream)

    # Heads.

    def _on_headers(self, number: int, flags: int, payload: bytes) -> None:
        if flags & (PADDED | WITH_PRIORITY):
            at, stop = 0, len(payload)
            if flags & PADDED:
                at = 1
                stop -= payload[0] if stop else 0
            if flags & WITH_PRIORITY:
                at += 5
            if at > stop:
                self._fail(PROTOCOL_ERROR, "HEADERS: invalid padding")
                return
            if flags & WITH_PRIORITY and depends_on(payload[at - 5 : at]) == number:
                self._fail(PROTOCOL_ERROR, "HEADERS: depend on itself")
                return
            payload = payload[at:stop]
        if payload or flags & END_STREAM:
            self._floods.on_payload()
        elif not self._note_empty(number):
            return
        if flags & END_HEADERS:
            self._on_block(number, flags & END_STREAM != 0, payload)
        else:
            self._block_of, self._block_flags = number, flags
            self._block_size = len(payload)
            self._block.append(payload)

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        if payload:
            self._floods.on_payload()
        elif not self._note_empty(self._block_of):
            return
        self._block.append(payload)
        self._block_size += len(payload) + HEADER_LENGTH
        if self._block_size > self._max_block:
            # It cannot be skipped: the table of the rest of the connection depends on it.
            self._fail(COMPRESSION_ERROR, TOO_LARGE)
        elif flags & END_HEADERS:
            number, block = self._block_of, b"".join(self._block)
            self._block_of = 0
            self._block.clear()
            self._on_block(number, self._block_flags & END_STREAM != 0, block)

    def _note_empty(self, number: int) -> bool:
        flood = self._floods.on_empty()
        if flood:
            stream = self.streams.get(number)
            if stream is not None:
                self._fail_stream(stream, flood)
            else:
                self._fail(ENHANCE_YOUR_CALM, flood)
        return not flood

    def _on_block(self, number: int, end: bool, block: bytes) -> None:
        """A whole header block: of a new stream, of an answer, or of trailers."""
        stream = self.streams.get(number)
        if stream is None:
            if not self.client and number & 1 and number > self._last:
                self._on_new_stream(number, end, block)
            elif number in self._discarded or number > self._accepted:
                self._skip(block)
            elif self._is_idle(number) or number & 1 == 0:
                self._fail(PROTOCOL_ERROR, "HEADERS: invalid stream_id")
            else:
                self._fail(STREAM_CLOSED, "HEADERS: stream closed")
        elif not RECEIVES[stream.state]:
            self._fail(STREAM_CLOSED, "HEADERS: stream in half-closed(remote)")
        elif stream.head_received:
            self._on_trailers(stream, end, block)
        else:
            self._on_response(stream, end, block)

    def _skip(self, block: bytes) -> bool:
        if not self._reader.skip(block):
            self._fail(COMPRESSION_ERROR, "HEADERS: could not decode")
            return False
        return True

    def _on_new_stream(self, number: int, end: bool, block: bytes) -> None:
        if number > self._accepted:
            self._skip(block)
            return
        self._last = number
        self._floods.streams += 1
        stream = Stream(number, self.peer_window, self._stream_window, self._now)
        if len(self.streams) >= self._settings.max_concurrent_streams:
            if self._skip(block):
                self.reset(stream, REFUSED_STREAM)
            return
        self.streams[number] = stream
        head = self._reader.request(block)
        if head is None:
            self._on_unreadable(stream)
            return
        stream.head_received = True
        if head.method != b"CONNECT":
            stream.left = head.length
            if end and head.length > 0:
                self._on_malformed(stream, BROKEN_RULE)
                return
            head.chunked = not end and head.length < 0
        if end:
            self._peer_ended(stream)
        self.handler.on_head(stream, head, end)

    def _on_response(self, stream: Stream, end: bool, block: bytes) -> None:
        head = self._reader.response(block)
        if head is None:
            self._on_unreadable(stream)
        elif head.status >= 200:
            stream.head_received = True
            self._on_final(stream, head, end)
        elif end:
            self._on_malformed(stream, BROKEN_RULE)
        else:
            self.handler.on_interim(stream, head)

    def _on_final(self, stream: Stream, head: Head, end: bool) -> None:
        if stream.tunnel and head.status < 300:
            head.length = -1  # to be ignored (RFC 9110 9.3.6)
        elif stream.bodiless or head.status in (204, 304):
            stream.left = 0
        else:
            stream.left = head.length
            head.chunked = not end and head.length < 0
            if end and head.length > 0:
                self._on_malformed(stream, BROKEN_RULE)
                return
        if end:
            self._peer_ended(stream)
        self.handler.on_head(stream, head, end)

    def _on_trailers(self, stream: Stream, end: bool, block: bytes) -> None:
        fields: list[Field] | None = self._reader.trailers(block)
        if fields is None:
            self._on_unreadable(stream)
        elif not end:
            self._on_malformed(stream, BROKEN_RULE)
        elif stream.left > 0:
            self._break(stream, PROTOCOL_ERROR, BROKEN_RULE)
        else:
            self._peer_ended(stream)
            self.handler.on_trailers(stream, fields)

    # Faults.

    def _on_unreadable(self, stream: Stream) -> None:
        """A block that the reader has refused."""
        error = self._reader.error
        if not error:
            self._fail(COMPRESSION_ERROR, "HEADERS: could not decode")
        elif error in _OF_THE_LIST:
            self._break(stream, INTERNAL_ERROR, error)
        else:
            self._on_malformed(stream, error)

    def _on_malformed(self, stream: Stream, details: str) -> None:
        """A message that breaks the rules (RFC 9113 8.1.1); Envoy ends the connection for it unless it is told otherwise."""
        if self._settings.stream_error_on_invalid_http_message:
            self._break(stream, PROTOCOL_ERROR, details)
        else:
            self._fail_stream(stream, details)

    def _break(self, stream: Stream, code: int, details: str) -> None:
        """End a stream for what the peer has done on it."""
        self.reset(stream, code)
        if not self.failed:
            self.handler.on_reset(stream, code, details)

    def _fail_stream(self, stream: Stream, details: str) -> None:
        """End the connection for what the peer has done on a stream, of which that is told before."""
        self._forget(stream)
        self.handler.on_reset(stream, PROTOCOL_ERROR, details)
        self._fail(PROTOCOL_ERROR, details)


def _fits(stream: Stream, size: int, ended: bool) -> bool:
    """Whether content keeps to the length that was declared for it."""
    if stream.left < 0:
        return True
    stream.left -= size
    return stream.left >= 0 and not (ended and stream.left)


def depends_on(priority: bytes) -> int:
    """The stream on which a priority makes one depend."""
    return int.from_bytes(priority[:4], "big") & frames.LAST_STREAM
