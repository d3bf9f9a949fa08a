"""The messages in a body of gRPC: a byte of flags, the length in four, and so many bytes.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from typing import Final

_HEAD: Final = 5


class Frames:
    """Cuts a body into messages, each with its five bytes before it; what is not whole is kept."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: bytes = b""

    def take(self, content: bytes) -> list[bytes]:
        """The messages that a part of the body completes."""
        data = self._kept + content if self._kept else content
        found: list[bytes] = []
        place = 0
        while len(data) - place >= _HEAD:
            end = place + _HEAD + int.from_bytes(data[place + 1 : place + _HEAD], "big")
            if end > len(data):
                break
            found.append(data[place:end])
            place = end
        self._kept = data[place:]
        return found


class Count:
    """Counts messages without keeping any; a message counts when its length is known."""

    __slots__ = ("_head", "_left", "number")

    def __init__(self) -> None:
        self.number: int = 0
        self._left: int = 0
        """Bytes of a message that are still to come."""
        self._head: bytes = b""
        """The first bytes of a message, as far as they have come."""

    def take(self, content: bytes) -> None:
        """A part of the body."""
        place, size = 0, len(content)
        while place < size:
            if self._left:
                step = min(self._left, size - place)
                self._left -= step
                place += step
                continue
            if not self._head and size - place >= _HEAD:
                # Byte by byte: compiled, that is quicker than ``int.from_bytes``.
                length = (
                    content[place + 1] << 24 | content[place + 2] << 16 | content[place + 3] << 8 | content[place + 4]
                )
                self._left = length
                self.number += 1
                place += _HEAD
                continue
            needed = _HEAD - len(self._head)
            head = self._head + content[place : place + needed]
            place += needed
            if len(head) < _HEAD:
                self._head = head
                return
            self._head = b""
            self._left = int.from_bytes(head[1:], "big")
            self.number += 1
