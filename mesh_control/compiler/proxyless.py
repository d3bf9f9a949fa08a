"""Configuration for applications whose gRPC reads it itself (node metadata ``GENERATOR: grpc``): istiod's ``grpcgen``.

A client asks for a listener ``HOST:PORT``, which names a route configuration; that names clusters, and these their endpoints.
gRPC refuses what it does not know, so of listeners and clusters only what it takes is told. Listeners of servers are not
made: whoever asks for one is not answered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    LbPolicy,
    RouteConfiguration,
    VirtualHost,
)
from mesh_api.config.api_listener import ApiListener
from mesh_control.compiler import (
    clusters,
    defaults,
    domains,
    endpoints,
    names,
    outbound_policy,
    traffic_policies,
    virtual_hosts,
)
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.services import Service, ServicePort
from mesh_control.world import World

UNADDRESSED = "0.0.0.0"  # noqa: S104 (nothing is bound: istiod's address of a service that has none)
TAKEN = (LbPolicy.ROUND_ROBIN, LbPolicy.LEAST_REQUEST, LbPolicy.RING_HASH)


@dataclass(frozen=True, slots=True)
class ProxylessConfig:
    """Everything that a client may ask for, each sorted by name; it asks by name, and sees nothing else."""

    listeners: tuple[ApiListener, ...] = ()
    routes: tuple[RouteConfiguration, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterLoadAssignment, ...] = ()


def compile_proxyless(world: World, proxy: Proxy) -> ProxylessConfig:
    """All that the gRPC of one application may ask for; one object for all that see the same. Pure and deterministic, as
    ``compile_proxy``."""
    scope = Scope(world, proxy)
    (made,) = scope.once(("proxyless", proxy.families), lambda: (_compiled(scope),))
    return made


def _compiled(scope: Scope) -> ProxylessConfig:
    made = tuple(sorted(_clusters(scope), key=lambda cluster: cluster.name))
    wanted = {cluster.name for cluster in made}
    hosts = (item for item in endpoints.assignments(scope) if item.cluster_name in wanted)
    return ProxylessConfig(
        listeners=tuple(sorted(_listeners(scope), key=lambda listener: listener.name)),
        routes=tuple(sorted(_routes(scope), key=lambda route: route.name)),
        clusters=made,
        endpoints=tuple(sorted(hosts, key=lambda item: item.cluster_name)),
    )


def _ports(scope: Scope) -> Iterator[tuple[Service, ServicePort]]:
    return ((service, port) for service in scope.services for port in service.ports)


def _listeners(scope: Scope) -> Iterator[ApiListener]:
    """One for each name that the application may ask for: in full, or as short as its own namespace allows."""
    taken: set[str] = set()
    for service, port in _ports(scope):
        route = names.outbound(port.number, "", service.hostname)
        address = next(iter(service.addresses or outbound_policy.allocated(scope.proxy, service)), UNADDRESSED)
        for host in domains.of_service(service, scope.proxy.namespace, ()):
            name = names.authority(host, port.number)
            if name not in taken:
                taken.add(name)
                yield ApiListener(name, route, address, port.number)


def _routes(scope: Scope) -> Iterator[RouteConfiguration]:
    """A table for each port of each service, with its own virtual host alone: others would only change it."""
    ports = list(_ports(scope))
    numbers = dict.fromkeys(str(port.number) for _, port in ports)
    tables = {table.name: table for table in virtual_hosts.route_configurations(scope, numbers)}
    found = {name: _by_domain(table) for name, table in tables.items()}
    for service, port in ports:
        hosts = found[str(port.number)].get(service.hostname.lower())
        if hosts is not None:
            name = names.outbound(port.number, "", service.hostname)
            yield RouteConfiguration(name, (_with_ports(hosts, port.number),))


def _by_domain(table: RouteConfiguration) -> dict[str, VirtualHost]:
    return {domain.lower(): host for host in table.virtual_hosts for domain in host.domains}


def _with_ports(host: VirtualHost, port: int) -> VirtualHost:
    """gRPC compares the name with its port, and cannot leave it out."""
    named = (domain for domain in host.domains if domain != "*")
    both = dict.fromkeys(name for domain in named for name in (domain, f"{domain}:{port}"))
    return replace(host, domains=tuple(both) or host.domains)


def _clusters(scope: Scope) -> Iterator[Cluster]:
    """Those whose hosts are told, with what gRPC can do about them: balancing, and a bound on requests (gRFC A32)."""
    for cluster in clusters.outbound(scope):
        if cluster.type is ClusterType.EDS:
            yield Cluster(
                name=cluster.name,
                type=ClusterType.EDS,
                eds_service_name=cluster.assignment_name,
                lb_policy=_balancing(scope, cluster),
                ring_hash=cluster.ring_hash,
                thresholds=_bounds(cluster),
                alt_stat_name=cluster.alt_stat_name,
            )


def _balancing(scope: Scope, cluster: Cluster) -> LbPolicy:
    """What a DestinationRule asks for; where nothing does, gRPC takes turns."""
    _, port, subset, host = cluster.name.split("|", 3)
    service = scope.by_host.get(host)
    rules = scope.destination_rules(service) if service is not None else ()
    chosen = next((s for s in traffic_policies.subsets(rules) if s.name == subset), None)
    asked = traffic_policies.settings(rules, int(port), chosen).load_balancer
    return cluster.lb_policy if asked is not None and cluster.lb_policy in TAKEN else LbPolicy.ROUND_ROBIN


def _bounds(cluster: Cluster) -> CircuitBreakerThresholds | None:
    limit = cluster.thresholds.max_requests if cluster.thresholds is not None else 0
    unbounded = limit in (0, defaults.THRESHOLDS.max_requests)
    return None if unbounded else CircuitBreakerThresholds(max_requests=limit)
