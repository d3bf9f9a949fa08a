"""What is known of a connection from outside, for as long as it stands."""

from mesh_proxy.authorization import Access
from mesh_proxy.chains import Arrival
from mesh_proxy.protocol.sniffing import told_name
from mesh_proxy.resilience.token_bucket import TokenBucket
from mesh_proxy.telemetry.facts import ConnectionFacts
from mesh_proxy.telemetry.record import Record
from mesh_proxy.tls.client_cert import client_certificate
from mesh_proxy.worker.connection import address_text


class ConnectionInfo(ConnectionFacts):
    """Where it came in (the listener's name), from where to where, and who is at the other end.

    ``peer`` is ``None`` for a connection without TLS.
    """

    __slots__ = ("_sni", "_told", "_vouched", "arrival", "buckets", "looks_up", "remote", "source")

    def __init__(self, listener: str, remote: tuple[str, int], arrival: Arrival, number: int = 0) -> None:
        super().__init__(number)
        self.listener = listener
        self.arrival = arrival
        self.remote = remote
        """Address and port of the other end."""
        self.looks_up: bool = False
        """Whether hosts that its requests name are looked up by a filter."""
        self.source: str = ""
        """The address that hosts are to be connected to from; empty: our own."""
        self.buckets: dict[object, TokenBucket] = {}
        """Of rate limits that hold for one connection, by the limit."""
        self._vouched: tuple[tuple[str, ...], bytes] | None = None
        self._sni = self._told = b""
        """The name that was asked for when a log was told of it last, and how it was."""
        self.remote_address = self.direct_remote = address_text(remote)
        self.local_address = self.direct_local = address_text(arrival.destination)

    def announce(self, source: tuple[str, int], destination: tuple[str, int]) -> None:
        """Whose connection it is, as a proxy before us tells (PROXY protocol)."""
        self.remote, self.arrival = source, Arrival(destination, source[0])
        self.remote_address, self.local_address = address_text(source), address_text(destination)

    def vouched(self, details: tuple[str, ...]) -> bytes:
        """What is told of the client's certificate; empty: it has shown none."""
        peer = self.peer
        if peer is None or not peer.certificate:
            return b""
        known = self._vouched
        if known is None or known[0] != details:
            own = None if self.secured is None else self.secured.local
            known = self._vouched = (details, client_certificate(details, peer, own))
        return known[1]

    def access(self) -> Access:
        """For rules about connections."""
        principals = None if self.peer is None else self.peer.principals
        arrival = self.arrival
        made = Access(
            None,
            self.direct_remote,
            arrival.destination,
            remote=self.remote_address,
            server_name=arrival.server_name,
            principals=principals,
        )
        made.buckets = self.buckets
        return made

    def tell_all(self, access: Access) -> None:
        """What only those ask for who tell others of a connection."""
        own = None if self.secured is None else self.secured.local
        access.local, access.identity = self.local_address, b"%d" % self.number
        access.own_principal = own.uris[0] if own is not None and own.uris else b""

    def describe(self, record: Record) -> None:
        """What the access log tells of it."""
        record.downstream_remote, record.downstream_local = self.remote_address, self.local_address
        name = self.arrival.server_name
        if name is not self._sni:
            self._sni, self._told = name, told_name(name)
        record.sni = self._told
        record.connection = self
