"""What everything in one worker shares."""

import os
import sys
import time
from collections.abc import Callable
from typing import BinaryIO, Final

from mesh_proxy.protocol.http1 import Field, Parser, field_of
from mesh_proxy.protocol.http2.receiving import Tables
from mesh_proxy.resilience.connection_limits import ConnectionLimit
from mesh_proxy.snapshot import Snapshot
from mesh_proxy.telemetry.logs import Log, Output
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.named_hosts import NamedHosts
from mesh_proxy.worker.own_address import own_address

_BATCH: Final = 64 * 1024
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"
"""RFC 9110 5.6.7. The standard library has it with all that it knows of mails, which is a megabyte."""
_STREAMS: Final[dict[str, BinaryIO]] = {"/dev/stdout": sys.stdout.buffer, "/dev/stderr": sys.stderr.buffer}
"""The process's own, which are never closed."""


class LogFiles(Output):
    """Access logs. Lines are joined and written when there are many, at least once a second, and at the end."""

    __slots__ = ("_files", "_pending")

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[str, bytearray] = {}
        self._files: dict[str, BinaryIO] = {}

    def write(self, logs: tuple[Log, ...], record: Record) -> None:
        """Tell each log of a record."""
        for log in logs:
            log.tell(record, self)

    def line(self, path: str, text: bytes) -> None:
        """One more line of a file."""
        pending = self._pending.get(path)
        if pending is None:
            pending = self._pending[path] = bytearray()
        pending += text
        if len(pending) > _BATCH:
            self._flush(path)

    def flush(self, _now: float = 0.0) -> None:
        """Write what waits."""
        for path, pending in self._pending.items():
            if pending:
                self._flush(path)

    def _flush(self, path: str) -> None:
        pending = self._pending[path]
        file = self._files.get(path)
        if file is None:
            try:
                file = _STREAMS.get(path) or open(path, "ab", buffering=0)  # noqa: SIM115 (kept)
            except OSError as error:
                sys.stderr.write(f"access log {path}: {error}\n")
                pending.clear()
                return
            self._files[path] = file
        file.write(pending)
        file.flush()
        pending.clear()

    def reopen(self) -> None:
        """Open the files again at the next line: they were rotated."""
        self.flush()
        for path, file in self._files.items():
            if path not in _STREAMS:
                file.close()
        self._files.clear()


_VARIANTS: Final = {digit: b"89ab"[value % 4 : value % 4 + 1] for value, digit in enumerate(b"0123456789abcdef")}
"""The digit of a UUID that says how it is laid out (RFC 9562 4.1), by a random one."""


class RequestIds:
    """Version 4 UUIDs from random bytes drawn in bulk (a call for each costs three microseconds)."""

    __slots__ = ("_digits", "_place")

    def __init__(self) -> None:
        self._digits = b""
        self._place = 0

    def next(self) -> bytes:
        """A fresh id."""
        place = self._place
        if place >= len(self._digits):
            self._digits = os.urandom(16 * 256).hex().encode()
            place = 0
        self._place = end = place + 32
        d = self._digits
        return b"%b-%b-4%b-%b%b-%b" % (
            d[place : place + 8], d[place + 8 : place + 12], d[place + 13 : place + 16], _VARIANTS[d[place + 16]],
            d[place + 17 : place + 20], d[place + 20 : end],
        )  # fmt: skip


class Context:
    """The worker's loop, its snapshot, its logs; ``random`` gives numbers in [0, 1)."""

    def __init__(self, loop: Loop, random: Callable[[], float]) -> None:
        self.loop = loop
        self.random = random
        self.wall: Callable[[], float] = time.time
        self.snapshot = Snapshot()
        self.names = NamedHosts(loop, random)
        self.logs = LogFiles()
        self.parser = Parser()
        self.tables = Tables()
        self.request_ids = RequestIds()
        self._dated_at = -1
        self._date: Field = field_of(b"date", b"")
        self._number = 0
        self._own_address = b""
        self.introduction: list[Field] = []
        """What this proxy tells others of itself."""
        self.draining = False
        self.limits: dict[str, ConnectionLimit] = {}
        """Of connections from outside, by the name of a listener; under the empty name of all together."""
        self.connections: dict[object, None] = {}
        """Connections from outside that are open, for draining."""

    def own_address(self) -> bytes:
        """This machine's address, as others see it (Envoy's ``local_info`` address); asked of the system once."""
        if not self._own_address:
            self._own_address = own_address()
        return self._own_address

    def number(self) -> int:
        """For the next connection, unlike those of any before."""
        self._number += 1
        return self._number

    def date(self) -> Field:
        """The field ``Date`` of an answer that is made now (RFC 9110 6.6.1)."""
        second = int(self.wall())
        if second != self._dated_at:
            self._dated_at = second
            self._date = field_of(b"date", time.strftime(_HTTP_DATE, time.gmtime(second)).encode())
        return self._date
