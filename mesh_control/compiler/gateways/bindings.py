"""Which VirtualServices are bound to a Gateway, and which hosts they have in common with its servers."""

from collections.abc import Mapping

from mesh_control.compiler.gateways.servers import Bound
from mesh_control.compiler.scope import Scope
from mesh_policy import VirtualService
from mesh_policy.hosts import common, gateway_name, qualify, within


def virtual_services(scope: Scope, gateway: str) -> tuple[VirtualService, ...]:
    """Those that name the Gateway and are exported to the proxy's namespace, in the order in which they count."""
    (found,) = scope.once(f"bound to gateways, seen from {scope.proxy.namespace}", lambda: (_by_gateway(scope),))
    return found.get(gateway, ())


def _by_gateway(scope: Scope) -> Mapping[str, tuple[VirtualService, ...]]:
    found: dict[str, list[VirtualService]] = {}
    for service in scope.visible_virtual_services:
        names = (gateway_name(name, service.metadata.namespace) for name in service.spec.gateways or ())
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(service)
    return {gateway: tuple(services) for gateway, services in found.items()}


def common_hosts(bound: Bound, service: VirtualService) -> tuple[str, ...]:
    """The hosts that a server serves for a VirtualService: of two that fit, the narrower one."""
    own = service.metadata.namespace
    served = (host.rpartition("/") for host in bound.hosts)
    hosts = [qualify(host, own) for host in service.spec.hosts or ()]
    return common([name for namespace, slash, name in served if not slash or namespace == own], hosts)


def serves_any(bound: Bound, service: VirtualService) -> bool:
    """Whether a server and a VirtualService have a host in common, for bytes: a wildcard on either side will do."""
    return any(
        within(name, host) or within(host, name)
        for namespace, slash, name in (served.rpartition("/") for served in bound.hosts)
        if not slash or namespace == service.metadata.namespace
        for host in (qualify(host, service.metadata.namespace) for host in service.spec.hosts or ())
    )
