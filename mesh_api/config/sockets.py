"""Addresses (Envoy ``core.v3.Address``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """An IP address (or, for DNS clusters, a host name) and a TCP port 0..65535."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class PipeAddress:
    """A Unix domain socket; a leading ``@`` names the abstract namespace."""

    path: str

    def __str__(self) -> str:
        return self.path
