"""Compiles the world to the configuration of one proxy. Pure and deterministic: equal worlds give equal values.

One module for one kind of resource, and one for each policy kind that decides about it; :func:`compile_proxy` lists them.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, Listener, ProxyConfig, RouteConfiguration
from mesh_control.compiler import (
    clusters,
    connections,
    defaults,
    endpoints,
    explicit,
    forward_proxies,
    gateways,
    header_case,
    inbound,
    outbound,
    outbound_policy,
    virtual_hosts,
)
from mesh_control.compiler.gateways import sni_clusters
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.world import World

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Compiled:
    """All resources of a proxy. Each section has those that many proxies share, which are the same tuple for all of them,
    and those that may be this proxy's alone."""

    listeners: tuple[tuple[Listener, ...], tuple[Listener, ...]]
    routes: tuple[tuple[RouteConfiguration, ...], tuple[RouteConfiguration, ...]]
    clusters: tuple[tuple[Cluster, ...], tuple[Cluster, ...]]
    endpoints: tuple[tuple[ClusterLoadAssignment, ...], tuple[ClusterLoadAssignment, ...]]


def compile_proxy(world: World, proxy: Proxy) -> ProxyConfig:
    """All resources of a proxy, each sorted by name, complete (:meth:`ProxyConfig.missing` is empty)."""
    made = compile_shared(world, proxy)
    return ProxyConfig(
        listeners=_sorted(*made.listeners),
        routes=_sorted(*made.routes),
        clusters=_sorted(*made.clusters),
        endpoints=_sorted(*made.endpoints),
    )


def compile_shared(world: World, proxy: Proxy) -> Compiled:
    """The same, as it is shared."""
    scope = Scope(world, proxy)
    listeners, routes, own = _gateway(scope) if proxy.is_gateway else _sidecar(scope)
    return Compiled(
        (connections.dressed_together(scope, listeners[0]), tuple(connections.dressed(scope, listeners[1]))),
        (connections.announced_together(scope, routes[0]), tuple(connections.announced(scope, routes[1]))),
        (header_case.kept_together(scope, _clusters(scope)), tuple(header_case.kept(scope, own))),
        _assignments(scope),
    )


def unknown_targets(world: World, proxy: Proxy) -> list[str]:
    """``HOST:PORT`` of the proxy's egress ports for which there is no service, so that nothing listens there."""
    return explicit.unknown_targets(Scope(world, proxy))


def _name(resource: Any) -> str:
    name: str = resource.cluster_name if isinstance(resource, ClusterLoadAssignment) else resource.name
    return name


_Made = tuple[
    tuple[tuple[Listener, ...], Iterable[Listener]],
    tuple[tuple[RouteConfiguration, ...], Iterable[RouteConfiguration]],
    list[Cluster],
]
"""Listeners and routes, those that are shared first, and the proxy's own clusters."""


def _gateway(scope: Scope) -> _Made:
    listeners, routes = gateways.listeners(scope)
    by_name = sni_clusters.clusters(scope, _clusters(scope)) if sni_clusters.are_wanted(scope) else ()
    return ((), listeners), ((), routes), [clusters.black_hole(scope), *by_name]


def _sidecar(scope: Scope) -> _Made:
    proxy = scope.proxy
    if not proxy.intercepted and (proxy.egress_ports or proxy.ingress_ports):
        listeners = [*explicit.egress_listeners(scope), *explicit.ingress_listeners(scope)]
        own = [clusters.black_hole(scope), *explicit.inbound_clusters(scope)]
        return ((), listeners), ((), explicit.routes(scope)), own
    what = ("listeners", outbound.surroundings(scope))
    reached = _together(scope, what, lambda: outbound.deciding(scope), lambda: outbound.listeners(scope))
    virtual = [outbound.virtual(scope)] if proxy.intercepted else []
    own = [
        clusters.black_hole(scope),
        clusters.passthrough(scope),
        *([forward_proxies.unknown(scope)] if outbound_policy.looks_up_unknown(scope) else []),
        clusters.inbound_passthrough(scope),
        *inbound.clusters(scope),
    ]
    tables = tuple(outbound.tables(reached))
    addressing = outbound_policy.addressing(proxy)
    routes = scope.once(
        ("routes", tables, addressing), lambda: _sorted(virtual_hosts.route_configurations(scope, tables))
    )
    return (reached, [*virtual, *inbound.listeners(scope)]), (routes, ()), own


def _sorted(*made: Iterable[T]) -> tuple[T, ...]:
    """Resources by name."""
    return tuple(sorted(chain(*made), key=_name))


def _together(
    scope: Scope, what: Hashable, inputs: Callable[[], Iterable[object]], make: Callable[[], Iterable[T]]
) -> Any:
    """Resources that proxies with one view have alike, by name; the same tuple as in a former world as long as the inputs are
    the same, and the rules for services."""

    def made() -> tuple[T, ...]:
        known = (*inputs(), *scope.world.destination_rules)
        return scope.shared((what, scope.view), known, lambda: _sorted(make()))

    return scope.once(what, made)


def _hosted(scope: Scope) -> Iterable[object]:
    """The services that are seen, and who their hosts are."""
    return chain(scope.services, map(scope.world.members_of, scope.services))


def _clusters(scope: Scope) -> tuple[Cluster, ...]:
    """Those that proxies share, by name."""
    found: tuple[Cluster, ...] = _together(
        scope, ("clusters", clusters.surroundings(scope)), lambda: _hosted(scope), lambda: clusters.outbound(scope)
    )
    return found


def _assignments(scope: Scope) -> tuple[tuple[ClusterLoadAssignment, ...], tuple[ClusterLoadAssignment, ...]]:
    """Those that a cluster takes its hosts from: others would never be asked for."""

    def made() -> Iterable[ClusterLoadAssignment]:
        wanted = {cluster.assignment_name for cluster in _clusters(scope) if cluster.type is ClusterType.EDS}
        return (assignment for assignment in endpoints.assignments(scope) if assignment.cluster_name in wanted)

    what = "endpoints", clusters.surroundings(scope), scope.proxy.cluster == defaults.CLUSTER
    found = _together(scope, what, lambda: _hosted(scope), made)
    if not scope.proxy.is_gateway or not sni_clusters.are_wanted(scope):
        return found, ()
    return found, tuple(sni_clusters.assignments(scope, found))
