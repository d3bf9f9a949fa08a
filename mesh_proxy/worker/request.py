"""A request, as whoever sends it on sees it."""

from mesh_api.config.routes import InternalRedirects
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.snapshot import Snapshot
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.asking import Asker
from mesh_proxy.worker.connection import Connection
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.request_body import RequestBody


class Request(Asker):
    """Whose request it is; :class:`~mesh_proxy.worker.exchange.Exchange`."""

    __slots__ = ("answered", "at_edge", "body", "client", "head", "record", "snapshot", "suppresses", "tunnel")

    def __init__(self, client: Client, head: Head, record: Record, snapshot: Snapshot, at_edge: bool) -> None:
        super().__init__()
        self.client = client
        self.head = head
        self.record = record
        self.snapshot = snapshot
        self.at_edge = at_edge
        """Whether clients are strangers, whose words about the proxy do not count."""
        self.suppresses: bool = False
        """Whether hosts are not told what Envoy tells of itself (``suppress_envoy_headers``)."""
        self.body = RequestBody()
        self.tunnel: bool = False
        """Whether the host has taken the other protocol that was asked for."""
        self.answered: bool = False
        """Whether the client has been sent an answer's head."""

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came."""
        raise NotImplementedError

    def on_switched(self, head: Head, destination_fields: list[Field]) -> None:
        """The host takes the other protocol."""
        raise NotImplementedError

    def on_redirect(self, head: Head, policy: InternalRedirects, target: bytes) -> bool:
        """The host, asked for ``target``, sends elsewhere: whether that is followed, which is done then."""
        raise NotImplementedError

    def on_response(self, head: Head, routed: list[Field], end: bool) -> None:
        """The answer's head came, with its fields as the route wants them; ``end``: no content follows."""
        raise NotImplementedError

    def on_response_data(self, content: bytes) -> None:
        """A part of its body came."""
        raise NotImplementedError

    def relays_to(self) -> Connection | None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        raise NotImplementedError

    def on_response_relayed(self, amount: int) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        raise NotImplementedError

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def reply(self, reply: LocalReply, fields: list[Field] | None = None) -> None:
        """No host answers: this is the answer."""
        raise NotImplementedError

    def on_late(self, reply: LocalReply, counted: str) -> None:
        """One of the connection manager's time limits is over (counted under that name): ``reply`` is the answer, if there is
        none yet."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The answer broke off."""
        raise NotImplementedError
