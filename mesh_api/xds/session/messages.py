"""What the two ends say to each other, and what the server tells its owner."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_api.node import Node


@dataclass(frozen=True, slots=True)
class Request:
    """``DiscoveryRequest``. ``error_detail`` makes it a NACK; ``node`` is set on the first request of a stream."""

    type_url: str
    version_info: str = ""
    nonce: str = ""
    resource_names: tuple[str, ...] = ()
    error_detail: str | None = None
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """``DiscoveryResponse``. ``resources`` are pairs of name and serialized message, sorted by name."""

    type_url: str
    version_info: str
    nonce: str
    resources: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Acked:
    """The proxy accepted ``version`` of one type."""

    type_url: str
    version: str


@dataclass(frozen=True, slots=True)
class Nacked:
    """The proxy refused ``version`` of one type; ``message`` is its reason."""

    type_url: str
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class Synced:
    """The proxy has accepted everything that it asked for, as of ``version``."""

    version: str


Output = Response | Acked | Nacked | Synced
"""What comes out of the server: responses to send, in this order, and events for its owner."""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """``DeltaDiscoveryRequest``. With a ``nonce`` it is an answer, which ``error_detail`` makes a NACK. ``initial`` has the
    versions of what the client has, by name; it is looked at in the first request of a type on a stream."""

    type_url: str
    nonce: str = ""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = field(default_factory=dict)
    error_detail: str | None = None
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    """``DeltaDiscoveryResponse``. ``resources`` are triples of name, version and serialized message, sorted by name;
    ``removed`` are names of which there is no resource (any more)."""

    type_url: str
    version_info: str
    nonce: str
    resources: tuple[tuple[str, str, bytes], ...] = ()
    removed: tuple[str, ...] = ()


DeltaOutput = DeltaResponse | Acked | Nacked | Synced
"""What comes out of the server of the delta protocol."""
