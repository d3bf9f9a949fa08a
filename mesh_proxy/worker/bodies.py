"""What filters do to the bodies of one request and its answer; made only where one of them does something."""

from mesh_proxy.filters import Answer, Whole
from mesh_proxy.filters.bodies import BodyChange, BodyChanges
from mesh_proxy.protocol.http1 import LENGTH, Field, Head
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.worker.downstream.client import Client


class Bodies:
    """See the module's docstring. ``whole``: the request is waited for, ``gathered`` bytes of its body have come, and
    ``found`` is what is done then."""

    __slots__ = ("_held", "_held_fields", "found", "gathered", "incoming", "outgoing", "whole")

    def __init__(self) -> None:
        self.incoming: BodyChanges | None = None
        self.outgoing: BodyChanges | None = None
        self.whole: Whole | None = None
        self.gathered: int = 0
        self.found: CompiledRoute | Answer | None = None
        self._held: Head | None = None
        self._held_fields: list[Field] = []
        """Of an answer whose head waits for its body."""

    def change_incoming(self, change: BodyChange) -> None:
        """One more change of the request's body."""
        if self.incoming is None:
            self.incoming = BodyChanges()
        self.incoming.add(change)

    def change_outgoing(self, change: BodyChange) -> None:
        """One more change of the answer's."""
        if self.outgoing is None:
            self.outgoing = BodyChanges()
        self.outgoing.add(change)

    def answer(self, client: Client, head: Head, fields: list[Field], end: bool) -> None:
        """The answer's head, at once or later."""
        if self.outgoing is not None and self.outgoing.holds and not end:
            self._held, self._held_fields = head, fields
        else:
            client.answer(head, fields, end)

    def take(self, content: bytes) -> bytes:
        """What goes on at once of a part of the answer's body."""
        return content if self.outgoing is None else self.outgoing.take(content)

    def finish(self, client: Client, trailers: list[Field]) -> int:
        """The answer is complete: what was kept of it is sent, so many bytes."""
        outgoing, self.outgoing = self.outgoing, None
        if outgoing is None:
            return 0
        rest = outgoing.finish(trailers)
        head = self._held
        if head is not None:
            outgoing.complete(head, self._held_fields)
            head.replace(self._held_fields)  # what the access log is to tell
            client.answer(head, self._held_fields, not rest)
        if rest:
            client.content(rest)
        return len(rest)


def give_length(head: Head, length: int) -> None:
    """The request is complete, and its body so long: its host is told, whatever the client has said (Envoy)."""
    if head.length < 0:
        head.length, head.chunked = length, False
        text = b"%d" % length
        head.add(Field(LENGTH, b"content-length", text, b"content-length: %b\r\n" % text))
