"""Where discovery puts hosts: each endpoint with its priority and its locality, and the names that stand for addresses."""

from collections.abc import Iterator

from mesh_api.config import ClusterLoadAssignment, Endpoint, PipeAddress, SocketAddress
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.host_set import Locality


class Place:
    """An endpoint of a cluster."""

    __slots__ = ("endpoint", "locality", "priority")

    def __init__(self, endpoint: Endpoint, priority: int = 0, locality: Locality = ("", "", "")) -> None:
        self.endpoint = endpoint
        self.priority: int = priority
        self.locality: Locality = locality

    def at(self, address: SocketAddress) -> "Place":
        """The same with an address that its name was resolved to."""
        found = self.endpoint
        made = Endpoint(
            address, found.weight, found.health, found.hostname or self.name, found.tls_mode, found.metadata,
            found.lb_metadata, found.health_check,
        )  # fmt: skip
        return Place(made, self.priority, self.locality)

    @property
    def name(self) -> str:
        """The name to be resolved."""
        return self.endpoint.address.address if isinstance(self.endpoint.address, SocketAddress) else ""

    @property
    def port(self) -> int:
        """Its port."""
        return self.endpoint.address.port if isinstance(self.endpoint.address, SocketAddress) else 0

    def host(self) -> Host:
        """A new host there."""
        endpoint = self.endpoint
        return Host(str(endpoint.address), target_of(endpoint), endpoint, self.priority, self.locality)


def places_of(assignment: ClusterLoadAssignment | None) -> Iterator[Place]:
    """All endpoints of an assignment, in its order."""
    if assignment is None:
        return
    for locality in assignment.localities:
        name = (locality.region, locality.zone, locality.sub_zone)
        for endpoint in locality.endpoints:
            yield Place(endpoint, locality.priority, name)


def target_of(endpoint: Endpoint) -> tuple[str, int] | str:
    """What a socket connects to."""
    address = endpoint.address
    if isinstance(address, PipeAddress):
        return "\0" + address.path[1:] if address.path.startswith("@") else address.path
    return address.address, address.port
