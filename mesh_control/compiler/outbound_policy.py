"""Where a sidecar binds what its application sends, which addresses of services it knows, and what happens to the unknown."""

from mesh_control.compiler import defaults, names
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.services import Service

REFUSED = 502
"""Status for hosts that nobody declared, where only declared ones may be reached."""
IPV4, IPV6 = 4, 6


def wildcards(proxy: Proxy) -> tuple[str, ...]:
    """The addresses that stand for all of a host, the first one first."""
    return tuple(defaults.WILDCARD if family == IPV4 else "::" for family in proxy.families)


def loopbacks(proxy: Proxy) -> tuple[str, ...]:
    """The host's own addresses."""
    return tuple(defaults.LOOPBACK if family == IPV4 else "::1" for family in proxy.families)


def loop_breaker(proxy: Proxy) -> str:
    """The address from which connections to the application leave, by which they are not redirected to the proxy again."""
    return defaults.LOOP_BREAKER if proxy.limited or IPV4 in proxy.families else defaults.LOOP_BREAKER_V6


def loop_breakers_besides(proxy: Proxy) -> tuple[str, ...]:
    """The same for the other version of IP, where the proxy has both."""
    return (defaults.LOOP_BREAKER_V6,) if proxy.families == (IPV4, IPV6) and not proxy.limited else ()


def addresses(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """On which addresses a service is reached, each for itself; none: it has no address of its own. Of a Service of
    Kubernetes the first one of the proxy's versions of IP counts (Istio, as long as it is not told to serve both)."""
    if not service.of_kubernetes:
        return service.addresses
    own = (address for address in service.addresses if (IPV6 if ":" in address else IPV4) in proxy.families)
    return tuple(own)[:1] or service.addresses[:1]


def addresses_in_tables(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """The addresses among the domains of a service: of a ServiceEntry only the last one is (Istio)."""
    return addresses(proxy, service) if service.name else service.addresses[-1:]


def unknown_cluster(scope: Scope) -> str:
    """Cluster of what nobody declared: as the Sidecar says, else the mesh."""
    sidecar = scope.sidecar.spec.outbound_traffic_policy if scope.sidecar is not None else None
    mode = (sidecar.mode or "REGISTRY_ONLY") if sidecar is not None else scope.world.mesh.outbound_traffic_policy.mode
    if mode == "REGISTRY_ONLY" or mode is None:
        return defaults.BLACK_HOLE
    proxy = sidecar.egress_proxy if sidecar is not None else None
    if proxy is None:
        return defaults.PASSTHROUGH
    return names.outbound(proxy.port.number if proxy.port is not None else 0, proxy.subset or "", proxy.host)
