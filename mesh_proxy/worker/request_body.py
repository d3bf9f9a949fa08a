"""The body of a request on its way: kept until there is a connection to send it on, and for another attempt."""

from typing import Final

from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import Field

REPLAY_LIMIT: Final = 64 * 1024
"""Bytes that are kept for another attempt; a longer body is sent once."""


@mypyc_attr(acyclic=True, free_list_len=1)
class RequestBody:
    """See the module's docstring. ``complete``: the client has sent all of it."""

    __slots__ = ("_parts", "_size", "complete", "replayable", "trailers")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.complete = False
        self.replayable = True
        self.trailers: list[Field] = []

    def keep(self, content: bytes, sent: bool) -> None:
        """A part came; ``sent``: it is on its way already."""
        if self.replayable:
            self._size += len(content)
            if self._size > REPLAY_LIMIT:
                self.replayable = False
                if sent:
                    self._parts.clear()
        if self.replayable or not sent:
            self._parts.append(content)

    def kept(self) -> list[bytes]:
        """Everything that is kept, for whoever only looks at it."""
        return self._parts

    def parts(self) -> list[bytes]:
        """Everything that is kept, for an attempt that begins."""
        kept = self._parts
        if not self.replayable:
            self._parts = []  # this attempt is the only one
        return kept
