"""What an exchange needs of whoever asked; :class:`~mesh_proxy.worker.downstream.Downstream` is it for HTTP/1.1."""

from typing import Protocol


class Client(Protocol):
    """Who asked."""

    remote_address: bytes
    original_destination: tuple[str, int] | None

    def send(self, data: bytes) -> None:
        """Bytes of the answer."""
        ...

    def finished(self, close: bool) -> None:
        """The answer is complete; ``close``: so is the connection."""
        ...

    def abort(self) -> None:
        """The answer cannot be completed."""
        ...

    def switch(self) -> None:
        """From now on the connection carries bytes of another protocol."""
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
