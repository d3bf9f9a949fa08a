"""Frames that cost us more than the peer: how many are too many, as Envoy counts (``ProtocolConstraints``, CVE-2019-9511 to
9518, CVE-2023-44487)."""

from typing import Final

from mesh_proxy.protocol.http2.settings import Settings

EMPTY_FRAMES: Final = "http2.inbound_empty_frames_flood"
PRIORITY_FRAMES: Final = "Too many PRIORITY frames"
WINDOW_UPDATES: Final = "Too many WINDOW_UPDATE frames"
CONTROL_FRAMES: Final = "Too many control frames in the outbound queue."
PREMATURE_RESETS: Final = "too_many_premature_resets"


class Floods:
    """Counts what one peer sends over the life of its connection."""

    __slots__ = (
        "_empty", "_max_empty", "_max_priority", "_max_updates", "_min_lifetime", "_premature", "_priority", "_total",
        "_updates", "closed", "data_sent", "streams",
    )  # fmt: skip

    def __init__(self, settings: Settings) -> None:
        self._max_empty: int = settings.max_consecutive_inbound_frames_with_empty_payload
        self._max_priority: int = settings.max_inbound_priority_frames_per_stream
        self._max_updates: int = settings.max_inbound_window_update_frames_per_data_frame_sent
        self._total: int = settings.premature_reset_total_stream_count
        self._min_lifetime: float = settings.premature_reset_min_stream_lifetime
        self._empty: int = 0
        self._priority: int = 0
        self._updates: int = 0
        self._premature: int = 0
        self.streams: int = 0
        """Streams that were opened by either side."""
        self.data_sent: int = 0
        """DATA frames of ours."""
        self.closed: int = 0
        """Requests that are over."""

    def on_payload(self) -> None:
        """A frame of a message with content, or the last one of it."""
        self._empty = 0

    def on_empty(self) -> str:
        """A HEADERS, CONTINUATION or DATA frame with nothing in it that ends nothing; returns what is wrong."""
        self._empty += 1
        return EMPTY_FRAMES if self._empty > self._max_empty else ""

    def on_priority(self) -> str:
        """A PRIORITY frame; returns what is wrong."""
        self._priority += 1
        return PRIORITY_FRAMES if self._priority > self._max_priority * (1 + self.streams) else ""

    def on_window_update(self) -> str:
        """A WINDOW_UPDATE frame; returns what is wrong."""
        self._updates += 1
        allowed = 5 + 2 * (self.streams + self._max_updates * self.data_sent)
        return WINDOW_UPDATES if self._updates > allowed else ""

    def on_reset(self, lifetime: float, answered: bool) -> str:
        """The client has given up a request after ``lifetime`` seconds; returns what is wrong.

        It is premature unless it was answered or is older than ``premature_reset_min_stream_lifetime`` (of which Envoy counts
        whole seconds). Half of the requests may be, once there were as many as are looked at.
        """
        self.closed += 1
        if answered or int(lifetime) > self._min_lifetime:
            return ""
        self._premature += 1
        return PREMATURE_RESETS if self._premature * 2 >= max(self._total, self.closed) else ""
