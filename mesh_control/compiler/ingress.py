"""Ports on which a Sidecar lets an application be reached, in place of those of its services. Pure."""

from dataclasses import dataclass, replace
from ipaddress import ip_address

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LbPolicy,
    LocalityEndpoints,
    PipeAddress,
    SocketAddress,
)
from mesh_control.compiler import defaults, names, outbound_policy
from mesh_control.compiler.scope import Scope
from mesh_control.services import Service, ServicePort, declared_protocol
from mesh_policy import Sidecar
from mesh_policy.networking.destination_rule import ConnectionPool
from mesh_policy.networking.sidecar import IngressListener
from mesh_policy.networking.workload_entry import UNIX

PRIVILEGED = 1024
"""The first port on which anybody may listen."""


@dataclass(frozen=True, slots=True)
class Ingress:
    """A listener of a Sidecar: the port that is opened, and the service that statistics and traces name for it."""

    policy: IngressListener
    service: Service
    port: ServicePort


def rules(scope: Scope) -> Sidecar | None:
    """The Sidecar that says on which ports the application is reached."""
    found = scope.sidecar
    return found if found is not None and found.spec.ingress else None


def ports(sidecar: Sidecar) -> tuple[Ingress, ...]:
    """Its listeners by port, the first of a port counts. Without a service behind it, the Sidecar stands for one."""
    name, namespace = sidecar.metadata.name, sidecar.metadata.namespace
    found: dict[int, Ingress] = {}
    for policy in sidecar.spec.ingress or ():
        number = policy.port.number or 0
        port = ServicePort(policy.port.name or "", number, declared_protocol(policy.port.protocol or ""), number)
        service = Service(f"{name}.{namespace}", namespace, (port,), name=name, external=True)
        found.setdefault(number, Ingress(policy, service, port))
    return tuple(found[number] for number in sorted(found))


def bind(scope: Scope, number: int) -> str:
    """The address that a Sidecar gives to a port of the application; where it gives none, the proxy's own. Every one of the
    machine for ports of services."""
    sidecar = rules(scope)
    if sidecar is None:
        return wildcard(scope)
    given = (item.bind for item in sidecar.spec.ingress or () if item.port.number == number)
    return next(given, None) or _reachable(scope) or wildcard(scope)


def wildcard(scope: Scope) -> str:
    """The address that stands for all of the machine, in the first of the proxy's versions of IP."""
    return defaults.WILDCARD if scope.proxy.own else outbound_policy.wildcards(scope.proxy)[0]


def _reachable(scope: Scope) -> str | None:
    """The first of the proxy's addresses that others can dial: no loopback and the like (Go's ``IsGlobalUnicast``)."""
    for text in scope.proxy.addresses or (scope.proxy.address,):
        own = ip_address(text)
        if not (own.is_loopback or own.is_link_local or own.is_multicast or own.is_unspecified):
            return text
    return None


def is_redirected(scope: Scope, item: Ingress) -> bool:
    """Whether connections come to the port by redirection, rather than that the proxy listens on it itself."""
    mode = item.policy.capture_mode
    return scope.proxy.intercepted if mode in (None, "DEFAULT") else mode != "NONE"


def may_listen(scope: Scope, item: Ingress) -> bool:
    """Whether a port can be served: one below 1024 needs rights to listen on it, and the proxy's own ports are taken."""
    proxy, number = scope.proxy, item.port.number
    if not is_redirected(scope, item) and number < PRIVILEGED and proxy.unprivileged:
        return False
    given = item.policy.bind
    everywhere = given == wildcard(scope) if given else item.port.protocol.is_http  # as Istio asks
    return not (everywhere and number in proxy.reserved)


def pool(scope: Scope, number: int) -> ConnectionPool | None:
    """The limits that a Sidecar sets towards the application, those of the very port first."""
    sidecar = scope.sidecar
    if sidecar is None:
        return None
    own = (item.connection_pool for item in sidecar.spec.ingress or () if item.port.number == number)
    return next((found for found in own if found is not None), sidecar.spec.inbound_connection_pool)


def metadata(sidecar: Sidecar | None) -> tuple[tuple[str, str], ...]:
    """What telemetry and tools learn of a filter chain that a Sidecar asks for."""
    return () if sidecar is None else (("config", names.config_path("sidecar", sidecar.metadata)),)


def to_application(scope: Scope, cluster: Cluster, endpoint: str | None) -> Cluster:
    """The cluster at ``defaultEndpoint``: its own loopback, the workload's address (``0.0.0.0``) or a Unix domain socket;
    without one, the address that was dialled."""
    address = _address(scope, endpoint) if endpoint else None
    if address is None:
        return cluster
    host = LocalityEndpoints((Endpoint(address),))
    # Loopback is not redirected to the proxy again, so that no address of its own has to say whose connection it is.
    local = isinstance(address, SocketAddress) and address.address in (defaults.LOOPBACK, "::1")
    return replace(
        cluster,
        type=ClusterType.STATIC,
        lb_policy=LbPolicy.ROUND_ROBIN,
        load_assignment=ClusterLoadAssignment(cluster.name, (host,)),
        bind_address="" if local else cluster.bind_address,
        cleanup_interval=Cluster("", ClusterType.STATIC).cleanup_interval,
    )


def _address(scope: Scope, endpoint: str) -> SocketAddress | PipeAddress | None:
    if endpoint.startswith(UNIX):
        return PipeAddress(endpoint.removeprefix(UNIX))
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    v6 = ":" in host
    if host in (defaults.WILDCARD, "::"):
        known = scope.proxy.addresses or (scope.proxy.address,)
        host = next((own for own in known if (":" in own) is v6), "::1" if v6 else defaults.LOOPBACK)
    elif host in (defaults.LOOPBACK, "::1"):
        own = outbound_policy.loopbacks(scope.proxy)
        host = host if host in own else own[0]
    return SocketAddress(host, int(port)) if host else None
