"""The router on one side, a request's place on a connection to a host on the other."""

from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.telemetry.facts import ConnectionFacts
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.loop import Waiter


class Upstream(Owner):
    """Where a request is sent: a connection of HTTP/1.1, or a stream of one of HTTP/2."""

    __slots__ = ("facts", "local_address", "said", "unframed")

    def __init__(self) -> None:
        super().__init__()
        self.local_address: bytes = b""
        self.unframed: bool = False
        """Whether another protocol has no end of its own here, but the connection's."""
        self.facts: ConnectionFacts | None = None
        """What is known of the connection; ``None`` before it stands."""
        self.said: int = -1
        """The status that an answer began with whose head breaks the rules; -1: there is none."""

    def request(self, method: bytes, target: bytes, authority: bytes, fields: list[Field], end: bool) -> None:
        """The request's head; ``end``: no content follows."""
        raise NotImplementedError

    def content(self, content: bytes) -> None:
        """A part of its body; or of the other protocol's bytes, when the host has taken that."""
        raise NotImplementedError

    def finish(self, trailers: list[Field]) -> None:
        """The request is complete."""
        raise NotImplementedError

    def detach(self) -> None:
        """Its user gives up on it."""
        raise NotImplementedError

    def pause(self) -> None:
        """Take no more of the answer."""
        raise NotImplementedError

    def resume(self) -> None:
        """Take more of it again."""
        raise NotImplementedError

    def congested(self) -> bool:
        """Whether more waits to be sent than should."""
        raise NotImplementedError


class User(Waiter):
    """The request that an :class:`Upstream` works for."""

    __slots__ = ("head", "lane")

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.lane: Lane | None = None
        """Where it waits for a connection."""

    def on_begun(self, upstream: Upstream) -> None:
        """A connection is on its way."""
        raise NotImplementedError

    def on_ready(self, upstream: Upstream) -> None:
        """The connection stands: send the request."""
        raise NotImplementedError

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came."""
        raise NotImplementedError

    def on_switched(self, head: Head) -> None:
        """The host takes the other protocol: from now on there are only its bytes."""
        raise NotImplementedError

    def on_response(self, head: Head, end: bool) -> None:
        """The answer's head came; ``end``: no content follows."""
        raise NotImplementedError

    def on_response_data(self, content: bytes) -> None:
        """A part of its body came."""
        raise NotImplementedError

    def relays_to(self) -> Connection | None:
        """The connection that the rest of its body may go to without being looked at; ``None``: it must be looked at."""
        return None

    def on_response_relayed(self, amount: int) -> None:
        """So many bytes of its body went there."""

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """The attempt failed before an answer."""
        raise NotImplementedError

    def on_aborted(self, reply: LocalReply) -> None:
        """The answer broke off; flags and details say how."""
        raise NotImplementedError

    def on_malformed(self, details: str) -> None:
        """The answer breaks the protocol."""
        raise NotImplementedError

    def on_upstream_drained(self) -> None:
        """Everything sent to the host has gone out."""
        raise NotImplementedError

    def request_complete(self) -> bool:
        """Whether the whole request was handed over."""
        raise NotImplementedError

    def upgrading(self) -> bool:
        """Whether the request asks for another protocol."""
        raise NotImplementedError
