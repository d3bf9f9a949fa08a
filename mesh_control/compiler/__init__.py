"""Compiles the world to the configuration of one proxy. Pure and deterministic: equal worlds give equal values.

One module for one kind of resource, and one for each policy kind that decides about it; :func:`compile_proxy` lists them.
"""

from bisect import insort_left
from operator import attrgetter

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, Listener, ProxyConfig, RouteConfiguration
from mesh_control.compiler import (
    clusters,
    connections,
    endpoints,
    explicit,
    gateways,
    header_case,
    inbound,
    outbound,
    virtual_hosts,
)
from mesh_control.compiler.gateways import sni_clusters
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.world import World


def compile_proxy(world: World, proxy: Proxy) -> ProxyConfig:
    """All resources of a proxy, each sorted by name, complete (:meth:`ProxyConfig.missing` is empty)."""
    scope = Scope(world, proxy)
    listeners, routes, own = _gateway(scope) if proxy.is_gateway else _sidecar(scope)
    return ProxyConfig(
        listeners=tuple(sorted(connections.dressed(scope, listeners), key=_NAME)),
        routes=tuple(sorted(connections.announced(scope, routes), key=_NAME)),
        clusters=_with_own(header_case.kept(scope, _clusters(scope)), header_case.kept(scope, own)),
        endpoints=_assignments(scope),
    )


def unknown_targets(world: World, proxy: Proxy) -> list[str]:
    """``HOST:PORT`` of the proxy's egress ports for which there is no service, so that nothing listens there."""
    return explicit.unknown_targets(Scope(world, proxy))


_NAME = attrgetter("name")

Parts = tuple[list[Listener], list[RouteConfiguration], list[Cluster]]


def _gateway(scope: Scope) -> Parts:
    listeners, routes = gateways.listeners(scope)
    by_name = sni_clusters.clusters(_clusters(scope)) if sni_clusters.are_wanted(scope) else ()
    return listeners, routes, [clusters.black_hole(scope), *by_name]


def _sidecar(scope: Scope) -> Parts:
    proxy = scope.proxy
    if not proxy.intercepted and (proxy.limited or proxy.egress_ports or proxy.ingress_ports):
        listeners = [*explicit.egress_listeners(scope), *explicit.ingress_listeners(scope)]
        return listeners, explicit.routes(scope), [clusters.black_hole(scope), *explicit.inbound_clusters(scope)]
    reached = scope.once(("listeners", outbound.surroundings(scope)), lambda: tuple(outbound.listeners(scope)))
    virtual = [outbound.virtual(scope)] if proxy.intercepted else []
    listeners = [*virtual, *reached, *inbound.listeners(scope)]
    own = [
        clusters.black_hole(scope),
        clusters.passthrough(scope),
        clusters.inbound_passthrough(scope),
        *inbound.clusters(scope),
    ]
    tables = tuple(outbound.tables(reached))
    routes = scope.once(("routes", tables), lambda: tuple(virtual_hosts.route_configurations(scope, tables)))
    return listeners, list(routes), own


def _clusters(scope: Scope) -> tuple[Cluster, ...]:
    """Those that proxies share, by name."""
    return scope.once("clusters", lambda: tuple(sorted(clusters.outbound(scope), key=_NAME)))


def _with_own(shared: list[Cluster], own: list[Cluster]) -> tuple[Cluster, ...]:
    """The shared ones, which are in their order, with a proxy's own, which are few."""
    for cluster in own:
        insort_left(shared, cluster, key=_NAME)
    return tuple(shared)


def _assignments(scope: Scope) -> tuple[ClusterLoadAssignment, ...]:
    """Those that a cluster takes its hosts from: others would never be asked for."""

    def made() -> tuple[ClusterLoadAssignment, ...]:
        wanted = {cluster.assignment_name for cluster in _clusters(scope) if cluster.type is ClusterType.EDS}
        found = (assignment for assignment in endpoints.assignments(scope) if assignment.cluster_name in wanted)
        return tuple(sorted(found, key=lambda assignment: assignment.cluster_name))

    found = scope.once("endpoints", made)
    if not scope.proxy.is_gateway or not sni_clusters.are_wanted(scope):
        return found
    return tuple(sorted([*found, *sni_clusters.assignments(found)], key=lambda assignment: assignment.cluster_name))
