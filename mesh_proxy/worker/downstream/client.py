"""What an exchange needs of whoever asked, whatever protocol that is."""

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo


class Client(Owner):
    """Who asked: one request of a connection. An answer is one :meth:`answer`, its content, and :meth:`finish`."""

    __slots__ = ("info",)

    def __init__(self, info: ConnectionInfo) -> None:
        super().__init__()
        self.info = info

    def interim(self, head: Head, fields: list[Field]) -> None:
        """An interim answer (1xx)."""
        raise NotImplementedError

    def answer(self, head: Head, fields: list[Field], end: bool) -> None:
        """The answer's head, of which ``head`` says the status and how long its body is. The protocol's own fields are added
        to ``fields``. ``end``: no content follows."""
        raise NotImplementedError

    def content(self, content: bytes) -> None:
        """A part of the answer's body; or of the other protocol's bytes, after :meth:`switch`."""
        raise NotImplementedError

    def relays_to(self) -> Connection | None:
        """The connection that takes content as it is, whoever sends it there; ``None``: it must come by :meth:`content`."""
        return None

    def finish(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def abort(self) -> None:
        """The answer cannot be completed."""
        raise NotImplementedError

    def switch(self, head: Head, fields: list[Field]) -> None:
        """The host takes the other protocol that the client asked for; from now on there are only its bytes."""
        raise NotImplementedError

    def pause(self) -> None:
        """Take no more of the request."""
        raise NotImplementedError

    def resume(self) -> None:
        """Take more of it again."""
        raise NotImplementedError

    def congested(self) -> bool:
        """Whether more waits to be sent than should."""
        raise NotImplementedError
