"""What an exchange needs of whoever asked, whatever protocol that is."""

from typing import Protocol

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.worker.connection_info import ConnectionInfo


class Client(Protocol):
    """Who asked: one request of a connection. An answer is one :meth:`answer`, its content, and :meth:`finish`."""

    info: ConnectionInfo

    def interim(self, head: Head, fields: list[Field]) -> None:
        """An interim answer (1xx)."""
        ...

    def answer(self, head: Head, fields: list[Field], end: bool) -> None:
        """The answer's head, of which ``head`` says the status and how long its body is. The protocol's own fields are added
        to ``fields``. ``end``: no content follows."""
        ...

    def content(self, content: bytes) -> None:
        """A part of the answer's body; or of the other protocol's bytes, after :meth:`switch`."""
        ...

    def finish(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        ...

    def abort(self) -> None:
        """The answer cannot be completed."""
        ...

    def switch(self, head: Head, fields: list[Field]) -> None:
        """The host takes the other protocol that the client asked for; from now on there are only its bytes."""
        ...

    def pause(self) -> None:
        """Take no more of the request."""
        ...

    def resume(self) -> None:
        """Take more of it again."""
        ...

    def congested(self) -> bool:
        """Whether more waits to be sent than should."""
        ...
