"""Where services of telemetry are, by the clusters of the configuration in force. Pure.

The supervisor speaks to them itself: without the balancing of the workers, and with the TLS that the cluster asks for
(:mod:`mesh_proxy.supervisor.bridges`).
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from mesh_api.config import (
    Cluster,
    HealthStatus,
    HttpService,
    ProxyConfig,
    SocketAddress,
    UpstreamProxyProtocol,
    UpstreamTls,
)
from mesh_api.config.endpoints import ClusterLoadAssignment


class CollectorError(LookupError):
    """A service that cannot be reached, and why."""


class Reached(NamedTuple):
    """A host: its address (``HOST:PORT``), its name where it has one, and the TLS by which it is spoken to; ``None``:
    plainly.

    ``asks_for_subject``: by TLS the host of the request is asked for, ``checks_subject``: and the certificate must be for it.
    """

    address: str
    tls: UpstreamTls | None = None
    name: str = ""
    asks_for_subject: bool = False
    checks_subject: bool = False


class Collector(NamedTuple):
    """Those that can be reached."""

    hosts: tuple[Reached, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each ``HOST:PORT``."""
        return tuple(host.address for host in self.hosts)

    @property
    def plain(self) -> bool:
        """Whether none of them is spoken to by TLS."""
        return all(host.tls is None for host in self.hosts)

    @property
    def target(self) -> str:
        """For gRPC."""
        if all(_is_v4(address) for address in self.addresses):
            return "ipv4:" + ",".join(self.addresses)
        return f"dns:///{self.addresses[0]}"


def collector(config: ProxyConfig, name: str) -> Collector:
    """The hosts of a cluster. Raises :class:`CollectorError`."""
    cluster = next((cluster for cluster in config.clusters if cluster.name == name), None)
    if cluster is None:
        raise CollectorError(f"there is no cluster {name}")
    known = {assignment.cluster_name: assignment for assignment in config.endpoints}
    assignment = cluster.load_assignment or known.get(cluster.assignment_name)
    hosts = tuple(_hosts(cluster, assignment))
    if not hosts:
        raise CollectorError(f"cluster {name} has no host that can be reached")
    return Collector(hosts)


def _hosts(cluster: Cluster, assignment: ClusterLoadAssignment | None) -> list[Reached]:
    """One that wants to be told by the PROXY protocol whose connection it is, is none: it is nobody's."""
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
            if isinstance(socket, UpstreamProxyProtocol) or not isinstance(endpoint.address, SocketAddress):
                continue
            if usable:
                tls = socket if isinstance(socket, UpstreamTls) else None
                http = cluster.http
                asked = tls is not None and http.auto_sni, tls is not None and http.auto_san_validation
                found.append(Reached(str(endpoint.address), tls, endpoint.hostname, *asked))
    return found


def url(service: HttpService, address: str) -> tuple[str, str]:
    """What to ask a host for, and the name that it is asked by."""
    parts = urlsplit(service.uri)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"http://{address}{path or '/'}", parts.netloc or service.cluster


def _is_v4(address: str) -> bool:
    return address.rpartition(":")[0].replace(".", "").isdigit()
