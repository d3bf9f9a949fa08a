"""One end of a connection of HTTP/2, for a client or a server: bytes of the peer in, a handler's methods called (RFC 9113).

A fault of a message ends its stream or the connection, as the settings say; any other fault ends the connection, and the
peer is told with a code and a text. The words are those of nghttp2, which Envoy has.
"""

from typing import Final

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2 import settings as names
from mesh_proxy.protocol.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADER_LENGTH,
    HEADERS,
    MAX_FRAME,
    MAX_WINDOW,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.keepalive import OPAQUE, KeepAlive
from mesh_proxy.protocol.http2.receiving import UNKNOWN, Receiving, Tables, depends_on
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import SENDS

REMOTE_RESET: Final = "http2.remote_reset"
REMOTE_REFUSED: Final = "http2.remote_refuse"
KEEPALIVE_TIMEOUT: Final = "http2_ping_timeout"
_FIXED_LENGTHS: Final = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_ON_CONNECTION: Final = (SETTINGS, PING, GOAWAY)
_ON_STREAM: Final = (DATA, HEADERS, PRIORITY, RST_STREAM)


class Session(Receiving):
    """See the module's docstring. ``now`` is a monotonic clock's, in seconds."""

    __slots__ = ("_acknowledged", "_greeted", "_keepalive", "_preface", "_rest")

    def __init__(self, settings: Settings, handler: Handler, tables: Tables, client: bool, now: float) -> None:
        super().__init__(settings, handler, tables, client, now)
        self._keepalive = KeepAlive(
            settings.keepalive_interval, settings.keepalive_timeout, settings.keepalive_jitter, now
        )
        self._rest: bytes = b""
        self._preface: bytes = b"" if client else PREFACE
        """What is still to come of the client's preface."""
        self._greeted: bool = False
        self._acknowledged: bool = False

    @property
    def deadline(self) -> float:
        """When to call :meth:`on_timer`; 0: never."""
        return self._keepalive.deadline

    def on_timer(self, now: float, chance: float) -> None:
        """The deadline has come. ``chance`` is from 0 to 1, of the jitter of the keep-alive."""
        if self._keepalive.is_lost(now):
            self._fail(frames.NO_ERROR, KEEPALIVE_TIMEOUT)
        elif self._keepalive.is_due(now, chance):
            self.ping(OPAQUE)

    def receive(self, data: bytes, now: float) -> None:
        """What the peer has sent, in any pieces. After a failure everything is ignored."""
        if self.failed:
            return
        self._now = now
        at = 0
        rest = self._rest
        if rest:
            # Of what came, only what completes the frame is copied behind its beginning.
            at = frames.length_of(rest) - len(rest) if len(rest) >= HEADER_LENGTH else 0
            if 0 < at <= len(data):
                self._take_frames(rest + data[:at], 0)
            else:
                data, at = rest + data, 0
        elif self._preface:
            at = min(len(data), len(self._preface))
            if data[:at] != self._preface[:at]:
                self._fail(PROTOCOL_ERROR, "bad client magic byte string")
            self._preface = self._preface[at:]
        self._keepalive.on_frame(now)
        at = self._take_frames(data, at)
        self._rest = data[at:] if at < len(data) and not self.failed else b""

    def _take_frames(self, data: bytes, at: int) -> int:
        """The whole frames of it from ``at`` on; returns where the rest begins."""
        end = len(data)
        while end - at >= HEADER_LENGTH and not self.failed:
            # Byte by byte: compiled, that is quicker than what unpacks any structure.
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind, flags = data[at + 3], data[at + 4]
            number = data[at + 5] << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
            if length > MAX_FRAME:
                self._fail(FRAME_SIZE_ERROR, "too large frame size")
                break
            start = at + HEADER_LENGTH
            if start + length > end:
                break
            at = start + length
            number &= frames.LAST_STREAM
            if self._block_of or not self._greeted or kind > HEADERS or number == 0:
                self._on_frame(kind, flags, number, data[start:at])
            elif kind == DATA:
                self._on_data(number, flags, data, start, at)
            else:
                self._on_headers(number, flags, data[start:at])
        return at

    def _on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """A frame that is none of a message, or stands where not every frame may."""
        if self._block_of:
            if kind == CONTINUATION and number == self._block_of:
                self._on_continuation(flags, payload)
            else:
                self._fail(PROTOCOL_ERROR, "unexpected non-CONTINUATION frame or stream_id is invalid")
        elif not self._greeted and (kind != SETTINGS or flags & ACK):
            self._fail(PROTOCOL_ERROR, "SETTINGS expected")
        elif (number and kind in _ON_CONNECTION) or (not number and kind in _ON_STREAM):
            self._fail(PROTOCOL_ERROR, f"{frames.NAMES[kind]}: invalid stream_id")
        elif kind in _FIXED_LENGTHS and len(payload) != _FIXED_LENGTHS[kind]:
            self._fail(FRAME_SIZE_ERROR, f"{frames.NAMES[kind]}: invalid length")
        elif kind == WINDOW_UPDATE:
            self._on_window_update(number, payload)
        elif kind == RST_STREAM:
            self._on_reset(number, payload)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING:
            self._on_ping(flags, payload)
        elif kind == PRIORITY:
            self._on_priority(number, payload)
        elif kind == GOAWAY:
            self._on_goaway(payload)
        elif kind in (CONTINUATION, PUSH_PROMISE):
            # Nothing is pushed: a client cannot, and a server was told not to (RFC 9113 8.4).
            self._fail(PROTOCOL_ERROR, f"{frames.NAMES[kind]}: unexpected")

    # Frames about streams and the connection.

    def _on_window_update(self, number: int, payload: bytes) -> None:
        flood = self._floods.on_window_update()
        if flood:
            self._fail(ENHANCE_YOUR_CALM, flood)
            return
        more = int.from_bytes(payload, "big") & MAX_WINDOW
        stream = self.streams.get(number)
        if number == 0:
            if more == 0 or self.window + more > MAX_WINDOW:
                code = FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR
                self._fail(code, "WINDOW_UPDATE: invalid increment")
            else:
                self.window += more
        elif stream is not None:
            if more == 0 or stream.send_window + more > MAX_WINDOW:
                self._break(stream, FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR, UNKNOWN)
                return
            stream.send_window += more
            if stream.queued:
                self._make_ready(stream)
        elif self._is_idle(number):
            self._fail(PROTOCOL_ERROR, "WINDOW_UPDATE: stream in idle")

    def _on_reset(self, number: int, payload: bytes) -> None:
        stream = self.streams.get(number)
        if stream is None:
            if self._is_idle(number):
                self._fail(PROTOCOL_ERROR, "RST_STREAM: stream in idle")
            return
        code = int.from_bytes(payload, "big")
        self._forget(stream)
        self.handler.on_reset(stream, code, REMOTE_REFUSED if code == REFUSED_STREAM else REMOTE_RESET)
        if not self.client:
            flood = self._floods.on_reset(self._now - stream.opened, stream.head_sent)
            if flood:
                self._fail(ENHANCE_YOUR_CALM, flood)

    def _on_priority(self, number: int, payload: bytes) -> None:
        flood = self._floods.on_priority()
        if flood:
            self._fail(ENHANCE_YOUR_CALM, flood)
        elif depends_on(payload) == number:
            self._fail(PROTOCOL_ERROR, "PRIORITY: depend on itself")

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if not flags & ACK:
            self._send_control(frames.frame(PING, ACK, 0, payload))
        elif payload == OPAQUE:
            self._keepalive.on_answer(self._now)
        else:
            self.handler.on_pong(payload)

    def _on_goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            self._fail(FRAME_SIZE_ERROR, "GOAWAY: invalid length")
            return
        last, code = frames.TWO_NUMBERS.unpack_from(payload)
        last &= frames.LAST_STREAM
        self.leaving = True
        self.handler.on_goaway(last, code)
        if self.client:
            for stream in [stream for number, stream in self.streams.items() if number > last]:
                self._forget(stream)
                self.handler.on_reset(stream, REFUSED_STREAM, REMOTE_REFUSED)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            if payload:
                self._fail(FRAME_SIZE_ERROR, "SETTINGS: invalid length")
            elif self._acknowledged:
                self._fail(PROTOCOL_ERROR, "SETTINGS: unexpected ACK")
            else:
                self._acknowledged = True
                self._reader.allow(self._settings.hpack_table_size)
                self._change_receive_window(self._settings.initial_stream_window_size)
            return
        if len(payload) % 6:
            self._fail(FRAME_SIZE_ERROR, "SETTINGS: invalid length")
            return
        for at in range(0, len(payload), 6):
            name, value = frames.SETTING.unpack_from(payload, at)
            self._on_setting(name, value)
            if self.failed:
                return
        self._greeted = True
        self._send_control(frames.frame(SETTINGS, ACK, 0, b""))
        if not self.failed:
            self.handler.on_settings()

    def _on_setting(self, name: int, value: int) -> None:
        if name == names.HEADER_TABLE_SIZE:
            self._encoder.resize(value)
        elif name == names.ENABLE_PUSH:
            if value > (0 if self.client else 1):
                self._fail(PROTOCOL_ERROR, "SETTINGS: invalid SETTINGS_ENABLE_PUSH")
        elif name == names.MAX_CONCURRENT_STREAMS:
            if self.client:
                self.peer_streams = min(value, self._settings.max_concurrent_streams)
        elif name == names.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW or not self._change_send_window(value):
                self._fail(FLOW_CONTROL_ERROR, "SETTINGS: too large SETTINGS_INITIAL_WINDOW_SIZE")
        elif name == names.MAX_FRAME_SIZE:
            if not MAX_FRAME <= value < 1 << 24:
                self._fail(PROTOCOL_ERROR, "SETTINGS: invalid SETTINGS_MAX_FRAME_SIZE")
        elif name == names.ENABLE_CONNECT_PROTOCOL:
            if value > 1 or (self.peer_connects and not value):
                self._fail(PROTOCOL_ERROR, "SETTINGS: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL")
            self.peer_connects = value == 1

    def _change_send_window(self, size: int) -> bool:
        """Another initial window, also of the streams that there are, which may be below 0 then (RFC 9113 6.9.2)."""
        more = size - self.peer_window
        self.peer_window = size
        for stream in self.streams.values():
            stream.send_window += more
            if stream.send_window > MAX_WINDOW:
                return False
            if stream.queued and SENDS[stream.state]:
                self._make_ready(stream)
        return True

    def _change_receive_window(self, size: int) -> None:
        """The peer has agreed to our initial window, which counts at once where it is larger than the default."""
        if size < DEFAULT_WINDOW:
            for stream in self.streams.values():
                stream.receive_window += size - DEFAULT_WINDOW
            self._stream_window = size
