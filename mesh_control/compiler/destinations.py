"""Where the rules of a VirtualService lead: clusters, and what the DestinationRules of these say about routes."""

from dataclasses import dataclass

from mesh_api.config import HashPolicy
from mesh_control.compiler import names
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.services import Resolution, Service
from mesh_policy import VirtualService
from mesh_policy.hosts import qualify
from mesh_policy.networking.destination_rule import ConsistentHash, TrafficPolicy
from mesh_policy.networking.virtual_service import Destination

UNKNOWN = "UnknownService"
"""A cluster that never is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rules will stand: the gateway (``mesh`` for sidecars) and the port of the listener, 0 for one that serves
    every port. ``stream``: for bytes. ``tls``: a gateway ends TLS there. ``port_name`` is what statistics call the port."""

    gateway: str
    port: int
    stream: bool = False
    tls: bool = False
    port_name: str = ""


def service_of(scope: Scope, owner: VirtualService, destination: Destination) -> Service | None:
    """The service that a destination names, if the proxy can reach it."""
    return scope.by_host.get(qualify(destination.host, owner.metadata.namespace))


def cluster_of(scope: Scope, owner: VirtualService, destination: Destination, place: Place) -> str:
    """Name of the destination's cluster; an alias leads to the host that it is for, which may be another alias, of which
    there is no cluster. Backends that a route of the Gateway API may not use have no host: there is none either (Istio)."""
    if not destination.host:
        return UNKNOWN
    host = qualify(destination.host, owner.metadata.namespace)
    target = led_to(scope, host, place)
    return names.outbound(_port(scope, host, destination, place), destination.subset or "", target)


def led_to(scope: Scope, host: str, place: Place) -> str:
    """The host that an alias is for. For requests in sidecars only one that the listener has, with its port, is known
    (Istio)."""
    known = scope.by_host.get(host)
    if known is None or known.resolution is not Resolution.ALIAS:
        return host
    if place.gateway != MESH or place.stream or not place.port:
        return known.stands_for
    listed = (s for item in scope.egress if item.port in (None, place.port) for s in item.services)
    seen = any(port.number == place.port for s in listed if s.hostname == host for port in s.ports)
    return known.stands_for if seen else host


def _port(scope: Scope, host: str, destination: Destination, place: Place) -> int:
    """The port that is named, else the service's only one, else the listener's. For requests in sidecars Istio only looks at
    services that have the listener's port, so that there it is that one in any case."""
    if destination.port is not None:
        return destination.port.number
    if place.gateway == MESH and place.port and not place.stream:
        return place.port
    known = scope.by_host.get(host)
    return known.ports[0].number if known is not None and len(known.ports) == 1 else place.port


def hash_of_service(scope: Scope, service: Service, port: int) -> tuple[HashPolicy, ...]:
    """What requests to a port of a service without a VirtualService are hashed by; nothing without a consistent hash."""
    policy = _policy(scope, service)
    hashed = _of_port(policy, port) or _general(policy)
    return () if hashed is None else (_hash_policy(hashed),)


def hash_of_destination(scope: Scope, owner: VirtualService, destination: Destination) -> tuple[HashPolicy, ...]:
    """What requests to a destination are hashed by: as is said for the port of its subset, its subset, its port or in
    general; a port counts where the destination names one.
    """
    service = service_of(scope, owner, destination)
    if service is None:
        return ()
    rules = scope.destination_rules(service)
    name, port = destination.subset or "", destination.port.number if destination.port is not None else 0
    subset = next((s for rule in rules for s in rule.spec.subsets or () if s.name == name), None)
    own, policy = subset.traffic_policy if subset is not None else None, _policy(scope, service)
    hashed = _of_port(own, port) or _general(own) or _of_port(policy, port) or _general(policy)
    return () if hashed is None else (_hash_policy(hashed),)


def _policy(scope: Scope, service: Service) -> TrafficPolicy | None:
    rules = scope.destination_rules(service)
    return next((rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None), None)


def _general(policy: TrafficPolicy | None) -> ConsistentHash | None:
    balancer = policy.load_balancer if policy is not None else None
    return balancer.consistent_hash if balancer is not None else None


def _of_port(policy: TrafficPolicy | None, port: int) -> ConsistentHash | None:
    settings = policy.port_level_settings or () if policy is not None else ()
    own = next((item for item in settings if item.port.number == port), None)
    return own.load_balancer.consistent_hash if own is not None and own.load_balancer is not None else None


def _hash_policy(hashed: ConsistentHash) -> HashPolicy:
    if hashed.http_cookie is not None:
        cookie = hashed.http_cookie
        return HashPolicy(
            cookie=cookie.name,
            cookie_ttl=None if cookie.ttl is None else cookie.ttl.total_seconds(),
            cookie_path=cookie.path or "",
            cookie_attributes=tuple((item.name, item.value or "") for item in cookie.attributes or ()),
        )
    if hashed.http_header_name is not None:
        return HashPolicy(header=hashed.http_header_name)
    if hashed.http_query_parameter_name is not None:
        return HashPolicy(query_parameter=hashed.http_query_parameter_name)
    return HashPolicy(source_ip=True)
