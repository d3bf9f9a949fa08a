"""Frames as they stand on the wire (RFC 9113 4 and 6), and the codes of errors (7)."""

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9
NAMES: Final = (
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
    "CONTINUATION",
)  # fmt: skip

ACK: Final = 1
END_STREAM: Final = 1
END_HEADERS: Final = 4
PADDED: Final = 8
WITH_PRIORITY: Final = 0x20

HEADER_LENGTH: Final = 9
MAX_FRAME: Final = 16384
"""The longest payload that we take and send: the least that every peer takes; Envoy asks for no more either."""
MAX_WINDOW: Final = 0x7FFFFFFF
DEFAULT_WINDOW: Final = 65535
LAST_STREAM: Final = 0x7FFFFFFF

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
SETTINGS_TIMEOUT: Final = 4
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
CONNECT_ERROR: Final = 10
ENHANCE_YOUR_CALM: Final = 11
INADEQUATE_SECURITY: Final = 12
HTTP_1_1_REQUIRED: Final = 13

NUMBER: Final = struct.Struct(">I")
TWO_NUMBERS: Final = struct.Struct(">II")
SETTING: Final = struct.Struct(">HI")

_BYTES: Final = tuple([bytes((value,)) for value in range(256)])


def framed(kind: int, flags: int, stream: bytes, payload: bytes) -> bytes:
    """A frame with a payload of less than 64 KB; ``stream`` is the number in its four bytes. Compiled, it is quicker put
    together of such pieces than packed."""
    length = len(payload)
    return b"\x00%b%b%b%b%b%b" % (
        _BYTES[length >> 8], _BYTES[length & 255], _BYTES[kind], _BYTES[flags], stream, payload
    )  # fmt: skip


def head_of(length: int, kind: int, flags: int, stream: bytes) -> bytes:
    """The head of such a frame."""
    return b"\x00%b%b%b%b%b" % (_BYTES[length >> 8], _BYTES[length & 255], _BYTES[kind], _BYTES[flags], stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A whole frame; its payload is at most :data:`MAX_FRAME` bytes."""
    return framed(kind, flags, NUMBER.pack(stream), payload)


def length_of(frame: bytes) -> int:
    """The length of a whole frame, of which at least the head is there."""
    return HEADER_LENGTH + (frame[0] << 16 | frame[1] << 8 | frame[2])


def goaway(last: int, code: int, text: bytes) -> bytes:
    """GOAWAY: the last stream that was or might be worked on, and why."""
    return frame(GOAWAY, 0, 0, TWO_NUMBERS.pack(last, code) + text)
