"""Where services of telemetry are, by the clusters of the configuration in force. Pure.

The supervisor speaks to them itself, as they are: without the balancing of the workers, and without TLS of the mesh.
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from mesh_api.config import Cluster, HealthStatus, HttpService, ProxyConfig, SocketAddress, UpstreamTls
from mesh_api.config.endpoints import ClusterLoadAssignment


class CollectorError(LookupError):
    """A service that cannot be reached, and why."""


class Collector(NamedTuple):
    """Addresses, each ``HOST:PORT``."""

    addresses: tuple[str, ...]

    @property
    def target(self) -> str:
        """For gRPC."""
        if all(_is_v4(address) for address in self.addresses):
            return "ipv4:" + ",".join(self.addresses)
        return f"dns:///{self.addresses[0]}"


def collector(config: ProxyConfig, name: str, *, tls: bool = False) -> Collector:
    """The hosts of a cluster; ``tls``: also those that are spoken to by TLS. Raises :class:`CollectorError`."""
    cluster = next((cluster for cluster in config.clusters if cluster.name == name), None)
    if cluster is None:
        raise CollectorError(f"there is no cluster {name}")
    known = {assignment.cluster_name: assignment for assignment in config.endpoints}
    assignment = cluster.load_assignment or known.get(cluster.assignment_name)
    addresses = tuple(_addresses(cluster, assignment, tls))
    if not addresses:
        raise CollectorError(f"cluster {name} has no host that can be reached{'' if tls else ' without TLS'}")
    return Collector(addresses)


def _addresses(cluster: Cluster, assignment: ClusterLoadAssignment | None, tls: bool) -> list[str]:
    if assignment is None:
        return []
    found = []
    for locality in sorted(assignment.localities, key=lambda locality: locality.priority):
        for endpoint in locality.endpoints:
            socket = cluster.tls
            for match in cluster.tls_matches:
                if all(name == "tlsMode" and value == endpoint.tls_mode for name, value in match.match):
                    socket = match.socket
                    break
            usable = endpoint.health not in (HealthStatus.UNHEALTHY, HealthStatus.DRAINING)
            plain = tls or not isinstance(socket, UpstreamTls)
            if usable and plain and isinstance(endpoint.address, SocketAddress):
                found.append(str(endpoint.address))
    return found


def url(service: HttpService, address: str) -> tuple[str, str]:
    """What to ask a host for, and the name that it is asked by."""
    parts = urlsplit(service.uri)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"http://{address}{path or '/'}", parts.netloc or service.cluster


def _is_v4(address: str) -> bool:
    return address.rpartition(":")[0].replace(".", "").isdigit()
