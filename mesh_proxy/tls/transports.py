"""How the hosts of a cluster are spoken to: plainly, or with which TLS."""

from collections.abc import Callable

from mesh_api.config import Cluster, ClusterType, Endpoint, UpstreamTls
from mesh_proxy.balancing.host import Host
from mesh_proxy.tls.contexts import Tls

Make = Callable[[UpstreamTls], Tls]


class Transports:
    """The TLS of each host of a cluster, by the labels that its endpoint has (Envoy's ``transport_socket_matches``).

    ``config`` is the same object for as long as hosts are spoken to in the same way, whatever secrets have come since.
    """

    __slots__ = ("_matches", "_tls", "config")

    def __init__(self, cluster: Cluster, make: Make, before: "Transports | None" = None) -> None:
        """``make`` makes what a setting of TLS says; raises what it raises."""
        config: object = (cluster.tls, cluster.tls_matches)  # compiled, a tuple that is known as one has no identity
        if before is not None and before.config == config:
            config = before.config
        self.config: object = config
        self._tls = make(cluster.tls) if isinstance(cluster.tls, UpstreamTls) else None
        self._matches = tuple(
            (match.match, make(match.socket) if isinstance(match.socket, UpstreamTls) else None)
            for match in cluster.tls_matches
        )

    def of(self, host: Host) -> Tls | None:
        """The TLS to a host; ``None``: it is spoken to plainly."""
        for labels, tls in self._matches:
            if _has(host.endpoint, labels):
                return tls
        return self._tls


def _has(endpoint: Endpoint | None, labels: tuple[tuple[str, str], ...]) -> bool:
    mode = endpoint.tls_mode if endpoint is not None else ""
    return all(name == "tlsMode" and value == mode for name, value in labels)


PLAIN = Transports(Cluster("", ClusterType.STATIC), lambda config: Tls(config, {}))
"""Of a cluster without TLS."""
