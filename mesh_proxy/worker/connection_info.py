"""What is known of a connection from outside, for as long as it stands."""

from mesh_proxy.authorization import Access
from mesh_proxy.chains import Arrival
from mesh_proxy.telemetry.record import Record
from mesh_proxy.tls.peer import Peer
from mesh_proxy.worker.connection import address_text


class ConnectionInfo:
    """Where it came in (the listener's name), from where to where, and who is at the other end.

    ``peer`` is ``None`` for a connection without TLS.
    """

    __slots__ = ("arrival", "listener", "local_address", "peer", "remote_address")

    def __init__(self, listener: str, remote: tuple[str, int], arrival: Arrival) -> None:
        self.listener = listener
        self.arrival = arrival
        self.peer: Peer | None = None
        self.remote_address = address_text(remote)
        """``ADDRESS:PORT``, as the next one too."""
        self.local_address = address_text(arrival.destination)

    def access(self) -> Access:
        """For rules about connections."""
        principals = None if self.peer is None else self.peer.principals
        arrival = self.arrival
        return Access(
            None,
            self.remote_address,
            arrival.destination,
            server_name=arrival.server_name,
            principals=principals,
        )

    def describe(self, record: Record) -> None:
        """What the access log tells of it."""
        record.downstream_remote, record.downstream_local = self.remote_address, self.local_address
        record.sni = self.arrival.server_name
