"""What one side of a connection allows and guards against, by the names and defaults of Envoy's ``Http2ProtocolOptions``."""

from dataclasses import dataclass
from typing import Final

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.heads import ALLOW

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6
ENABLE_CONNECT_PROTOCOL: Final = 8
"""Identifiers (RFC 9113 6.5.2, RFC 8441)."""

DEFAULT_TABLE_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults are what Envoy 1.40 sends and does (measured). Sizes are bytes, times seconds."""

    hpack_table_size: int = 4096
    max_concurrent_streams: int = 1024
    initial_stream_window_size: int = 16 << 20
    initial_connection_window_size: int = 24 << 20
    allow_connect: bool = False
    """Extended CONNECT (RFC 8441)."""
    max_headers: int = 60 << 10
    """Names and values of a head (``max_request_headers_kb``)."""
    max_headers_count: int = 100
    headers_with_underscores_action: str = ALLOW
    stream_error_on_invalid_http_message: bool = False
    """Whether a malformed message ends its stream alone, and not the connection
    (``override_stream_error_on_invalid_http_message``)."""
    max_outbound_control_frames: int = 1000
    max_consecutive_inbound_frames_with_empty_payload: int = 1
    max_inbound_priority_frames_per_stream: int = 100
    max_inbound_window_update_frames_per_data_frame_sent: int = 10
    premature_reset_total_stream_count: int = 500
    premature_reset_min_stream_lifetime: float = 1.0
    keepalive_interval: float = 0.0
    """Seconds from an answer to the next PING of ours; 0: none is sent (``connection_keepalive``)."""
    keepalive_timeout: float = 0.0
    keepalive_jitter: float = 0.15
    """Up to such a share of the interval is added."""

    def opening(self, client: bool) -> bytes:
        """What a connection begins with: its settings and the connection's window, after the preface of a client."""
        values = [(ENABLE_PUSH, 0)] if client else []
        values += [
            (HEADER_TABLE_SIZE, self.hpack_table_size),
            (ENABLE_CONNECT_PROTOCOL, int(self.allow_connect)),
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.initial_stream_window_size),
        ]
        payload = b"".join([frames.SETTING.pack(name, value) for name, value in values])
        opening = (frames.PREFACE if client else b"") + frames.frame(frames.SETTINGS, 0, 0, payload)
        more = self.initial_connection_window_size - frames.DEFAULT_WINDOW
        if more > 0:
            opening += frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.NUMBER.pack(more))
        return opening
