"""Where a rule for bytes leads: proxies of TCP to its destinations, with what DestinationRules say about connections."""

from collections.abc import Sequence
from dataclasses import replace

from mesh_api.config import TcpProxy, Tunnel, WeightedCluster
from mesh_control.compiler import filter_chains, names, statistics, traffic_policies
from mesh_control.compiler.destinations import Place, cluster_of
from mesh_control.compiler.scope import Scope
from mesh_control.services import Protocol, Service, ServicePort
from mesh_policy import DestinationRule, VirtualService
from mesh_policy.hosts import qualify
from mesh_policy.networking.virtual_service import WeightedDestination


def to_destinations(
    scope: Scope, owner: VirtualService, routes: Sequence[WeightedDestination], place: Place
) -> TcpProxy:
    """To the destinations of a rule; the DestinationRule of the first one says how long connections are kept."""
    first = routes[0].destination
    service = scope.by_host.get(qualify(first.host, owner.metadata.namespace))
    rules = scope.destination_rules(service) if service is not None else ()
    if len(routes) == 1:
        proxy = filter_chains.tcp(cluster_of(scope, owner, first, place))
        if service is not None:
            port, pattern = _port(place), scope.world.mesh.outbound_cluster_stat_name
            proxy = counted_as(scope, proxy, pattern, service, port, first.subset or "")
        return with_rules(scope, proxy, rules, first.subset or "")
    weighted = tuple(
        WeightedCluster(cluster_of(scope, owner, item.destination, place), item.weight)
        for item in routes
        if item.weight
    )
    prefix = f"{owner.metadata.name}.{owner.metadata.namespace}"
    proxy = replace(filter_chains.tcp(""), stat_prefix=prefix, weighted_clusters=weighted)
    return with_rules(scope, proxy, rules, "")


def counted_as(
    scope: Scope, proxy: TcpProxy, pattern: str, service: Service, port: ServicePort, subset: str = ""
) -> TcpProxy:
    """The proxy with the name in statistics that the mesh asks for, if it does."""
    if not pattern:
        return proxy
    return replace(proxy, stat_prefix=statistics.named(pattern, service, port, subset=subset, target=0))


def _port(place: Place) -> ServicePort:
    return ServicePort(place.port_name, place.port, Protocol.TCP, place.port)


def with_rules(scope: Scope, proxy: TcpProxy, rules: Sequence[DestinationRule], subset: str) -> TcpProxy:
    """What DestinationRules say for all ports of the service; what they say for one port does not count here (Istio)."""
    policy = next((rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None), None)
    pool = policy.connection_pool if policy is not None else None
    tcp = pool.tcp if pool is not None else None
    idle = tcp.idle_timeout.total_seconds() if tcp is not None and tcp.idle_timeout is not None else None
    longest = tcp.max_connection_duration if tcp is not None else None
    return replace(
        proxy,
        idle_timeout=scope.proxy.idle_timeout if idle is None else idle,
        max_connection_duration=None if longest is None else longest.total_seconds(),
        hash_source_ip=_hashes_clients(rules, subset),
        tunnel=None if scope.proxy.own else _tunnel(rules, subset),
    )


def _tunnel(rules: Sequence[DestinationRule], name: str) -> Tunnel | None:
    """The way through a proxy of HTTP: a subset has its own alone, whatever is said for all (Istio)."""
    if name:
        policy = next((s.traffic_policy for s in traffic_policies.subsets(rules) if s.name == name), None)
    else:
        policy = traffic_policies.general(rules)
    asked = policy.tunnel if policy is not None else None
    if asked is None:
        return None
    return Tunnel(names.authority(asked.target_host, asked.target_port), asked.protocol == "POST")


def _hashes_clients(rules: Sequence[DestinationRule], name: str) -> bool:
    """Whether connections of one client stay together: as the subset's balancer says, if it has any, else the general one."""
    policies = [rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None]
    subset = next((s for rule in rules for s in rule.spec.subsets or () if s.name == name), None)
    if subset is not None and subset.traffic_policy is not None and subset.traffic_policy.load_balancer is not None:
        policies = [subset.traffic_policy]
    balancer = policies[0].load_balancer if policies else None
    hashed = balancer.consistent_hash if balancer is not None else None
    return hashed is not None and bool(hashed.use_source_ip)
