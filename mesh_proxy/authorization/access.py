"""What authorization may look at: one request, or one connection that carries bytes."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from mesh_proxy.protocol.http1 import Head
from mesh_proxy.resilience.token_bucket import TokenBucket
from mesh_proxy.routing.metadata import NOTHING

NO_HEAD: Final = Head()
"""Of a connection that carries bytes: no field, no method, no path."""

NO_BODY: Final[list[bytes]] = []
"""Of what has none, or none that anybody looks at; never to be changed."""

NO_BUCKETS: Final[dict[object, TokenBucket]] = {}
"""Of who has no connection; never to be changed."""

Address = tuple[int, int]
"""Bits of the address family (32, 128) and the address as a number."""


class Access:
    """Who asks for what.

    ``head`` is a request's, admitted (:func:`mesh_proxy.worker.admission.admit`: the path is normalised, ``path`` has no
    query); ``None`` for bytes. ``peer`` is the connection's other end, ``remote`` the client as ``x-forwarded-for`` tells it
    where that is believed (default: the peer), both ``ADDRESS:PORT``. ``destination`` is what was dialled. ``principals`` are
    all names in the peer's certificate: URIs, DNS names and the subject, each of which may match; one empty name for TLS
    without a certificate, ``None`` without TLS (Envoy 1.40, measured). ``metadata`` is what earlier filters left, by filter:
    the claims of a token are ``{"envoy.filters.http.jwt_authn": {"payload": {"iss": ...}}}``.
    """

    __slots__ = (
        "body", "buckets", "destination", "head", "identity", "local", "metadata", "own_principal", "peer", "principals",
        "protocol", "received", "remote", "server_name", "started",
    )  # fmt: skip

    def __init__(
        self,
        head: Head | None,
        peer: bytes,
        destination: tuple[str, int],
        *,
        remote: bytes | None = None,
        server_name: bytes = b"",
        principals: tuple[bytes, ...] | None = None,
        metadata: Mapping[str, object] = NOTHING,
    ) -> None:
        self.head = NO_HEAD if head is None else head
        self.peer = peer
        self.remote = peer if remote is None else remote
        self.destination = destination
        self.server_name = server_name
        self.principals = principals
        self.metadata = metadata
        self.buckets: dict[object, TokenBucket] = NO_BUCKETS
        """Those of the connection, by the limit that they are of."""
        # What is known to those filters alone that tell others of a request: of its body what has come, its number of bytes,
        # its protocol and wall time, where it came to (``ADDRESS:PORT``) and who we are there.
        self.body: list[bytes] = NO_BODY
        self.received: int = 0
        self.protocol: bytes = b""
        self.started: float = 0.0
        self.local: bytes = b""
        self.identity: bytes = b""
        self.own_principal: bytes = b""


def peer_ip(access: Access) -> Address | None:
    """The address of the connection's other end; ``None``: it has none (a Unix socket)."""
    return parse_address(_host(access.peer))


def remote_ip(access: Access) -> Address | None:
    """The address of the client."""
    return parse_address(_host(access.remote))


def destination_ip(access: Access) -> Address | None:
    """The address that was dialled."""
    return parse_address(access.destination[0])


def _host(address: bytes) -> str:
    return address.rpartition(b":")[0].strip(b"[]").decode("latin-1")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An address as a number; ``None`` for what is no address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.max_prefixlen, int(found)
