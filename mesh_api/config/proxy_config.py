"""The whole configuration of one proxy."""

from dataclasses import dataclass

from mesh_api.config.clusters import Cluster, ClusterType
from mesh_api.config.endpoints import ClusterLoadAssignment
from mesh_api.config.listeners import FilterChain, HttpConnectionManager, Listener
from mesh_api.config.routes import RouteConfiguration
from mesh_api.config.tls import (
    CommonTls,
    DownstreamTls,
    SecretSource,
    UpstreamProxyProtocol,
    UpstreamSocket,
    UpstreamTls,
)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """All resources of one proxy, each tuple sorted by name so that equal worlds give equal values."""

    listeners: tuple[Listener, ...] = ()
    routes: tuple[RouteConfiguration, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterLoadAssignment, ...] = ()

    def missing(self) -> tuple[str, ...]:
        """Names of route configurations and endpoint assignments that are referred to and not here, sorted.

        An empty result means that the configuration is complete and may be applied as a whole.
        """
        routes = {route.name for route in self.routes}
        assignments = {assignment.cluster_name for assignment in self.endpoints}
        wanted_routes = {
            f"route configuration {chain.filter.rds_name}"
            for listener in self.listeners
            for chain in filter_chains(listener)
            if isinstance(chain.filter, HttpConnectionManager)
            and chain.filter.route_config is None
            and chain.filter.rds_name not in routes
        }
        wanted_endpoints = {
            f"endpoints {cluster.assignment_name}"
            for cluster in self.clusters
            if cluster.type is ClusterType.EDS and cluster.assignment_name not in assignments
        }
        return tuple(sorted(wanted_routes | wanted_endpoints))


def filter_chains(listener: Listener) -> tuple[FilterChain, ...]:
    """The chains of a listener with its default chain, when there is one, as the last."""
    if listener.default_filter_chain is None:
        return listener.filter_chains
    return (*listener.filter_chains, listener.default_filter_chain)


def secret_sources(config: ProxyConfig) -> tuple[SecretSource, ...]:
    """The secrets that a configuration names, each once, sorted by name."""
    found: set[SecretSource] = set()
    for listener in config.listeners:
        for chain in filter_chains(listener):
            found |= _named(chain.tls)
    for cluster in config.clusters:
        for socket in (cluster.tls, *(match.socket for match in cluster.tls_matches)):
            found |= _named(socket)
    return tuple(sorted(found, key=lambda source: (source.name, source.cluster)))


def _named(socket: DownstreamTls | UpstreamSocket | None) -> set[SecretSource]:
    if isinstance(socket, UpstreamProxyProtocol):
        socket = socket.socket
    return set(secrets_of(socket.common)) if isinstance(socket, DownstreamTls | UpstreamTls) else set()


def secrets_of(common: CommonTls) -> tuple[SecretSource, ...]:
    """The secrets that one end's settings name."""
    roots = common.validation.roots if common.validation is not None else None
    return (*common.certificates, roots) if roots is not None else common.certificates
