"""How the hosts of a cluster are spoken to: plainly, or with which TLS, and whether they are told first who asks."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from mesh_api.config import Cluster, ClusterType, Endpoint, UpstreamProxyProtocol, UpstreamTls
from mesh_api.config.tls import UpstreamSocket
from mesh_proxy.balancing.host import Host
from mesh_proxy.tls.contexts import Tls

_VERSIONS: Final = ("h2", "http/1.1")
Make = Callable[[UpstreamTls], Tls]


class Transports:
    """The TLS of each host of a cluster, by the labels that its endpoint has (Envoy's ``transport_socket_matches``).

    ``config`` is the same object for as long as hosts are spoken to in the same way, whatever secrets have come since.
    """

    __slots__ = ("_announces", "_default", "_matches", "config")

    def __init__(self, cluster: Cluster, make: Make, before: "Transports | None" = None) -> None:
        """``make`` makes what a setting of TLS says; raises what it raises."""
        config: object = (cluster.tls, cluster.tls_matches)  # compiled, a tuple that is known as one has no identity
        if before is not None and before.config == config:
            config = before.config
        self.config: object = config
        if cluster.http.protocol == "auto":
            make = partial(_agreeing, make)
        self._default = _Way(cluster.tls, make)
        self._matches = tuple((match.match, _Way(match.socket, make)) for match in cluster.tls_matches)
        self._announces = any(way.version for way in (self._default, *(way for _, way in self._matches)))

    def of(self, host: Host) -> Tls | None:
        """The TLS to a host; ``None``: it is spoken to plainly."""
        return self._way(host).tls

    def announces(self, host: Host) -> str:
        """The version of the PROXY protocol (``V1``, ``V2``) in which a host is told whose connection it is; empty: it is
        not."""
        return self._way(host).version if self._announces else ""

    def _way(self, host: Host) -> "_Way":
        for labels, way in self._matches:
            if _has(host.endpoint, labels):
                return way
        return self._default


class _Way:
    """One of the ways to speak to hosts."""

    __slots__ = ("tls", "version")

    def __init__(self, socket: UpstreamSocket | None, make: Make) -> None:
        self.version = ""
        if isinstance(socket, UpstreamProxyProtocol):
            self.version, socket = socket.version, socket.socket
        self.tls: Tls | None = make(socket) if isinstance(socket, UpstreamTls) else None


def _agreeing(make: Make, config: UpstreamTls) -> Tls:
    """TLS that agrees on a version of HTTP: what the configuration offers hosts, else both (Envoy)."""
    return make(config if config.common.alpn else replace(config, common=replace(config.common, alpn=_VERSIONS)))


def _has(endpoint: Endpoint | None, labels: tuple[tuple[str, str], ...]) -> bool:
    mode = endpoint.tls_mode if endpoint is not None else ""
    return all(name == "tlsMode" and value == mode for name, value in labels)


PLAIN = Transports(Cluster("", ClusterType.STATIC), lambda config: Tls(config, {}))
"""Of a cluster without TLS."""
