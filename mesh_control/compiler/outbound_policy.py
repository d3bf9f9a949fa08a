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


def looked_up(proxy: Proxy) -> str:
    """Addresses of which version names are resolved to: IPv6 where the proxy has nothing else (Istio)."""
    return "V6_ONLY" if proxy.families == (IPV6,) and not proxy.own else "V4_ONLY"


def loop_breaker(proxy: Proxy) -> str:
    """The address from which connections to the application leave, by which they are not redirected to the proxy again."""
    return defaults.LOOP_BREAKER if proxy.own or IPV4 in proxy.families else defaults.LOOP_BREAKER_V6


def loop_breakers_besides(proxy: Proxy) -> tuple[str, ...]:
    """The same for the other version of IP, where the proxy has both."""
    return (defaults.LOOP_BREAKER_V6,) if proxy.families == (IPV4, IPV6) and not proxy.own else ()


def addresses(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """On which addresses a service is reached, each for itself; none: it has no address of its own. Of a Service of
    Kubernetes the first one of the proxy's versions of IP counts (Istio, as long as it is not told to serve both)."""
    if not service.of_kubernetes:
        return service.addresses
    return _near(proxy, service)[:1] or service.addresses[:1]


def allocated(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """The address that a service without any was given, in the proxy's version of IP. It counts where the application asks
    the proxy's agent for names, which answers with it (Istio)."""
    return _of_families(proxy, service.allocated) if proxy.captures_dns and not service.addresses else ()


def addresses_in_tables(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """The addresses among the domains of a service, in the proxy's versions of IP: of a ServiceEntry only the last one is,
    whichever it has (Istio)."""
    if not service.of_kubernetes:
        known = service.addresses if service.name else service.addresses[-1:]
        return known or allocated(proxy, service)
    return _near(proxy, service) or _of_families(proxy, service.addresses[:1])


def addressing(proxy: Proxy) -> tuple[object, ...]:
    """What of a proxy decides about the addresses of services."""
    return proxy.families, _knows_cluster(proxy), proxy.captures_dns


def _near(proxy: Proxy, service: Service) -> tuple[str, ...]:
    """The addresses that a Service of Kubernetes has in the proxy's own cluster. One that does not say where it is knows only
    the first one that there is anywhere (Istio)."""
    return _of_families(proxy, service.addresses) if _knows_cluster(proxy) else ()


def _knows_cluster(proxy: Proxy) -> bool:
    return proxy.own or proxy.cluster == defaults.CLUSTER


def _of_families(proxy: Proxy, found: tuple[str, ...]) -> tuple[str, ...]:
    """A proxy of both versions of IP takes the one that comes first (Istio)."""
    if len(proxy.families) > 1:
        return tuple(address for address in found if _family(address) == _family(found[0]))
    return tuple(address for address in found if _family(address) in proxy.families)


def _family(address: str) -> int:
    return IPV6 if ":" in address else IPV4


def _mode(scope: Scope) -> str:
    """What happens to what nobody declared: as the Sidecar says, else the mesh."""
    sidecar = scope.sidecar.spec.outbound_traffic_policy if scope.sidecar is not None else None
    if sidecar is not None:
        return sidecar.mode or "REGISTRY_ONLY"
    return scope.world.mesh.outbound_traffic_policy.mode


def looks_up_unknown(scope: Scope) -> bool:
    """Whether requests to hosts that nobody declared go to these by name, not to the address that was dialled."""
    return _mode(scope) == "ALLOW_ANY_DYNAMIC_DNS" and not scope.proxy.is_gateway


def unknown_cluster(scope: Scope) -> str:
    """Cluster of what nobody declared: as the Sidecar says, else the mesh."""
    sidecar = scope.sidecar.spec.outbound_traffic_policy if scope.sidecar is not None else None
    mode = _mode(scope)
    if mode == "REGISTRY_ONLY":
        return defaults.BLACK_HOLE
    proxy = sidecar.egress_proxy if sidecar is not None else None
    if proxy is None:
        return defaults.PASSTHROUGH
    return names.outbound(proxy.port.number if proxy.port is not None else 0, proxy.subset or "", proxy.host)
