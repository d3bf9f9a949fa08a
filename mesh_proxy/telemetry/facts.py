"""What is known of connections and clusters for as long as they stand: what records of requests point to rather than copy."""

from mesh_api.config import ServiceName
from mesh_proxy.tls.peer import Peer


class Secured:
    """What was agreed on for the TLS of a connection: version and cipher by OpenSSL's names, the session's id in
    hexadecimal digits; and what our own certificate says we are."""

    __slots__ = ("cipher", "local", "session", "version")

    def __init__(self, version: str, cipher: str, session: str = "", local: Peer | None = None) -> None:
        self.version = version.encode()
        self.cipher = cipher.encode()
        self.session = session.encode()
        self.local = local


class ConnectionFacts:
    """One connection. ``peer`` is who is at the other end (``None``: without TLS); addresses are ``ADDRESS:PORT``.

    ``number`` is unique in a worker for as long as it runs. ``chain`` is the name of the filter chain that took it.
    """

    __slots__ = (
        "began", "chain", "direct_local", "direct_remote", "failure", "listener", "local_address", "number", "peer",
        "protocol", "remote_address", "secured", "stood",
    )  # fmt: skip

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.remote_address: bytes = b""
        self.local_address: bytes = b""
        self.direct_remote: bytes = b""
        self.direct_local: bytes = b""
        """The ends by themselves, whatever the PROXY protocol tells of others."""
        self.listener: str = ""
        self.chain: bytes = b""
        self.protocol: bytes = b""
        """Of connections to hosts: the version of HTTP, as it is logged."""
        self.peer: Peer | None = None
        self.secured: Secured | None = None
        self.failure: bytes = b""
        """Why TLS did not come about."""
        self.began: float = 0.0
        self.stood: float = 0.0
        """When it was begun and when it stood, seconds of the loop's clock."""


class ClusterFacts:
    """A cluster as it is told of. ``observed`` is the name for people and statistics (Envoy ``alt_stat_name``)."""

    __slots__ = ("metadata", "name", "observed", "services")

    def __init__(
        self,
        name: str,
        observed: str,
        metadata: dict[str, object] | None = None,
        services: tuple[ServiceName, ...] = (),
    ) -> None:
        self.services = services
        self.name = name.encode()
        self.observed = observed.encode()
        self.metadata = metadata or {}
        """By namespace."""
