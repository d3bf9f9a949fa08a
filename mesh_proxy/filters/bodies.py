"""What filters do to the bodies of messages: one object for each message that a filter changes, and these in a row."""

from mesh_proxy.errors import LocalReply
from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import LENGTH, Field, Head


@mypyc_attr(allow_interpreted_subclasses=True)
class BodyChange:
    """What one filter does to one body."""

    __slots__ = ("holds", "refusal")

    def __init__(self) -> None:
        self.refusal: LocalReply | None = None
        """The answer to a request whose body is none of the kind; set by :meth:`take` or :meth:`finish`."""
        self.holds: bool = False
        """Whether an answer's head waits for the end of its body, nothing of which goes on then."""

    def take(self, content: bytes) -> bytes:
        """What goes on of a part of the body, never an empty one; it may be nothing yet."""
        raise NotImplementedError

    def finish(self, trailers: list[Field]) -> bytes:
        """What is left when the body is complete; trailers that do not go on are taken out."""
        raise NotImplementedError

    def complete(self, answer: Head, fields: list[Field]) -> None:
        """The head that has waited is sent: what the body has told goes into its fields."""


class BodyChanges(BodyChange):
    """Those of several filters, in the order in which a body passes them."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        super().__init__()
        self._changes: list[BodyChange] = []

    def add(self, change: BodyChange) -> None:
        """One more, behind the others."""
        self._changes.append(change)
        self.holds = self.holds or change.holds

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        for change in self._changes:
            content = change.take(content)
            if change.refusal is not None:
                self.refusal = change.refusal
            if not content:
                return b""
        return content

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        rest = b""
        for change in self._changes:
            rest = (change.take(rest) if rest else b"") + change.finish(trailers)
            if change.refusal is not None:
                self.refusal = change.refusal
        return rest

    def complete(self, answer: Head, fields: list[Field]) -> None:
        """See :class:`BodyChange`."""
        for change in self._changes:
            change.complete(answer, fields)


def without_length(head: Head, fields: list[Field]) -> None:
    """The body will have another length, and nobody knows which; ``fields`` are the head's, or become so."""
    head.length = -1
    fields[:] = [field for field in fields if field.kind != LENGTH and field.name != b"content-length"]
