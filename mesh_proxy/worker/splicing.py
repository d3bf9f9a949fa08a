"""Bytes that go from one socket to another without coming up from the kernel (Linux ``splice``): for long streams, of which
half of the cost is copying.

A pipe lies between the two. It takes what the source has, whether the target takes it or not, up to its size.
"""

import contextlib
import fcntl
import os
from typing import Final

SIZE: Final = 1 << 20
"""Bytes of a pipe, where the kernel gives an unprivileged process as much."""
MOST: Final = 64
"""Pipes of one worker: more connections than these go on by copying."""
_FLAGS: Final = 0x01 | 0x02  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK
_SET_SIZE: Final = 1031  # F_SETPIPE_SZ


class Pipe:
    """One direction of a connection's two halves. Raises :class:`OSError` when there is no pipe to be had."""

    __slots__ = ("_reader", "_writer", "held")

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held: int = 0
        """Bytes in it."""
        with contextlib.suppress(OSError):  # the user has many pipes: this one is smaller
            fcntl.fcntl(self._writer, _SET_SIZE, SIZE)

    def fill(self, source: int, most: int = SIZE) -> int:
        """Take what a socket has, up to ``most`` bytes: how many; 0 at its end, -1 where there is nothing now, or no room.
        Raises :class:`OSError`."""
        try:
            taken = os.splice(source, self._writer, most, flags=_FLAGS)
        except BlockingIOError:
            return -1
        self.held += taken
        return taken

    def drain(self, target: int) -> int:
        """Give a socket what it takes: how many bytes. Raises :class:`OSError`."""
        try:
            given = os.splice(self._reader, target, self.held, flags=_FLAGS)
        except BlockingIOError:
            return 0
        self.held -= given
        return given

    def close(self) -> None:
        """What it holds is lost."""
        if self._reader >= 0:
            os.close(self._reader)
            os.close(self._writer)
            self._reader = -1
