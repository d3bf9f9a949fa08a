"""Bodies of HTTP/1.1 messages: where one ends, and its content without the framing (RFC 9112 6 and 7)."""

from typing import Final

from mesh_proxy.protocol.http1 import PASS, BadMessage, Field, parse_field

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_MAX_LINE: Final = 4096
_MAX_TRAILERS: Final = 32 * 1024


class Body:
    """Takes bytes, gives content. ``done`` when the message is over; what follows it is left in the buffer."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def take(self, buffer: bytearray) -> bytes:
        """Removes what belongs to the body from the front of ``buffer`` and returns its content.

        Raises :class:`BadMessage`.
        """
        raise NotImplementedError

    def direct(self, data: bytes) -> bool:
        """Whether all of ``data``, with nothing before it in the buffer, is content; it counts as taken then."""
        return False


class Empty(Body):
    """No body."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.done = True

    def take(self, buffer: bytearray) -> bytes:
        """Nothing."""
        return b""


EMPTY: Final = Empty()
"""There is nothing to it that could change."""


class Sized(Body):
    """A body of a declared length."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        super().__init__()
        self.left: int = length
        """Bytes that are still to come."""
        self.done = length == 0

    def pass_by(self, amount: int) -> None:
        """So many of them went another way."""
        self.left -= amount
        self.done = self.left == 0

    def take(self, buffer: bytearray) -> bytes:
        """Up to the declared length."""
        if len(buffer) <= self.left:
            content = bytes(buffer)
            buffer.clear()
        else:
            content = bytes(buffer[: self.left])
            del buffer[: self.left]
        self.left -= len(content)
        self.done = self.left == 0
        return content

    def direct(self, data: bytes) -> bool:
        """As long as the declared length reaches."""
        if len(data) > self.left:
            return False
        self.left -= len(data)
        self.done = self.left == 0
        return True


class UntilClose(Body):
    """A body that ends with its connection."""

    __slots__ = ()

    def take(self, buffer: bytearray) -> bytes:
        """Everything."""
        content = bytes(buffer)
        buffer.clear()
        return content

    def direct(self, data: bytes) -> bool:
        """Always."""
        return True


_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3


class Chunked(Body):
    """A body in chunks. Extensions are dropped; trailers are kept in ``trailers``.

    Trailers that would frame, route or vouch for a message had they stood in its head are dropped (RFC 9110 6.5.1).
    """

    __slots__ = ("_left", "_state", "_trailing", "trailers")

    def __init__(self) -> None:
        super().__init__()
        self._state = _SIZE
        self._left = 0
        self._trailing = 0
        self.trailers: list[Field] = []

    def take(self, buffer: bytearray) -> bytes:
        """The content of the chunks, as far as it is there."""
        parts: list[bytes] = []
        while buffer and not self.done:
            if self._state == _DATA:
                piece = bytes(buffer[: self._left])
                del buffer[: len(piece)]
                self._left -= len(piece)
                parts.append(piece)
                if self._left == 0:
                    self._state = _DATA_END
            elif not self._take_line(buffer):
                break
        return b"".join(parts)

    def _take_line(self, buffer: bytearray) -> bool:
        """One line of framing; ``False`` when it is not complete yet."""
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > _MAX_LINE:
                raise BadMessage("http1.codec_error")
            return False
        if end == 0 or buffer[end - 1] != 13 or end > _MAX_LINE:
            # A line that ends in a bare line feed is read differently by different servers.
            raise BadMessage("http1.codec_error")
        line = bytes(buffer[: end - 1])
        del buffer[: end + 1]
        if self._state == _SIZE:
            self._start_chunk(line)
        elif self._state == _DATA_END:
            if line:
                raise BadMessage("http1.codec_error")
            self._state = _SIZE
        elif line:
            self._trailer(line)
        else:
            self.done = True
        return True

    def _start_chunk(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        size = size.rstrip(b" \t")
        if not size or len(size) > 16 or not _HEX.issuperset(size) or b"\r" in extension:
            raise BadMessage("http1.codec_error")
        self._left = int(size, 16)
        self._state = _DATA if self._left else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        self._trailing += len(line) + 2
        if self._trailing > _MAX_TRAILERS:
            raise BadMessage("http1.headers_too_large")
        field = parse_field(line)
        if field.kind == PASS:
            self.trailers.append(field)


LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """Content as one chunk."""
    return b"%x\r\n%b\r\n" % (len(content), content)
