"""Listeners of applications that read the mesh's configuration themselves (Envoy ``listener.v3.ApiListener``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiListener:
    """What a client of gRPC asks for as ``xds:///NAME``: nothing listens, the name leads to a route configuration.

    ``address`` is the service's, which gRPC does not look at.
    """

    name: str
    route_name: str
    address: str
    port: int
