"""The router on one side, a request's place on a connection to a host on the other."""

from typing import Protocol

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.resilience.retry import Failure


class Upstream(Protocol):
    """Where a request is sent: a connection of HTTP/1.1, or a stream of one of HTTP/2."""

    local_address: bytes

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """The request's head; ``end``: no content follows."""
        ...

    def content(self, content: bytes) -> None:
        """A part of its body; or of the other protocol's bytes, when the host has taken that."""
        ...

    def finish(self, trailers: list[Field]) -> None:
        """The request is complete."""
        ...

    def detach(self) -> None:
        """Its user gives up on it."""
        ...

    def pause(self) -> None:
        """Take no more of the answer."""
        ...

    def resume(self) -> None:
        """Take more of it again."""
        ...

    def congested(self) -> bool:
        """Whether more waits to be sent than should."""
        ...


class User(Protocol):
    """The request that an :class:`Upstream` works for."""

    head: Head

    def on_begun(self, upstream: Upstream) -> None:
        """A connection is on its way."""
        ...

    def on_ready(self, upstream: Upstream) -> None:
        """The connection stands: send the request."""
        ...

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came."""
        ...

    def on_switched(self, head: Head) -> None:
        """The host takes the other protocol: from now on there are only its bytes."""
        ...

    def on_response(self, head: Head, end: bool) -> None:
        """The answer's head came; ``end``: no content follows."""
        ...

    def on_response_data(self, content: bytes) -> None:
        """A part of its body came."""
        ...

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        ...

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """The attempt failed before an answer."""
        ...

    def on_aborted(self) -> None:
        """The answer broke off."""
        ...

    def on_malformed(self, details: str) -> None:
        """The answer breaks the protocol."""
        ...

    def on_upstream_drained(self) -> None:
        """Everything sent to the host has gone out."""
        ...

    def request_complete(self) -> bool:
        """Whether the whole request was handed over."""
        ...

    def upgrading(self) -> bool:
        """Whether the request asks for another protocol."""
        ...
