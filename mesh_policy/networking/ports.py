"""Ports and what is spoken on them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from mesh_policy.base import Unsigned, Whole
from mesh_policy.hosts import is_label

PROTOCOLS = (
    "HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-WEB", "HTTP_PROXY", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP",
)  # fmt: skip
HTTP_PROTOCOLS = ("HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB")
"""Those whose requests are seen."""
TLS_PROTOCOLS = ("HTTPS", "TLS")
"""Those that tell the host before anything else (SNI)."""
MOST = 65535


def check_protocol(value: str) -> str:
    """The protocol, whose case does not matter; :class:`ValueError` for one that Istio does not know."""
    if value.upper() not in PROTOCOLS:
        raise ValueError(f"protocol {value!r}: allowed are {', '.join(PROTOCOLS)}")
    return value


def _protocol_or_unset(value: str) -> str:
    return check_protocol(value) if value else value


def _port_name(value: str) -> str:
    if not is_label(value):
        raise ValueError(
            f"{value!r} is no name of a port; allowed are letters, digits and dashes between them, at most 63"
        )
    return value


Protocol = Annotated[str, AfterValidator(check_protocol)]
"""What is spoken on a port, in any case."""
SniffedProtocol = Annotated[str, AfterValidator(_protocol_or_unset)]
"""As :data:`Protocol`; empty says that the proxy finds out."""
PortName = Annotated[str, AfterValidator(_port_name)]
"""Name of a port: a label of DNS."""
PortOrZero = Annotated[Whole, Field(ge=0, le=MOST)]
"""A port, or 0, which Istio reads as one that is not given."""
NoPort = Annotated[Unsigned, Field(le=0)]
"""A field that Istio has and honours nowhere: it takes nothing but 0."""
