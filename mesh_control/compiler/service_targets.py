"""The services that a proxy itself stands behind, by which gateways translate ports."""

from dataclasses import dataclass

from mesh_control.compiler.scope import Scope
from mesh_control.services import Origin, Service, ServicePort, Workload


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """One port of such a service: its ``number`` there, and the ``port`` that connections arrive at here."""

    service: Service
    number: int
    port: int


def service_targets(scope: Scope) -> tuple[ServiceTarget, ...]:
    """By host name, then as the service lists its ports; of several for one port and protocol here the first one counts."""
    found: list[ServiceTarget] = []
    selecting = _selecting(scope)
    for service in sorted(scope.world.services, key=lambda service: service.hostname):
        own = next((member for member in scope.world.members_of(service) if _is_self(scope, service, member)), None)
        if own is None and service not in selecting:
            continue
        own = own or scope.workload
        taken: set[tuple[int, object]] = set()
        for port in service.ports:
            number = _arrives_at(port, own)
            if number and (number, port.protocol) not in taken:
                taken.add((number, port.protocol))
                found.append(ServiceTarget(service, port.number, number))
    return tuple(found)


def _arrives_at(port: ServicePort, own: Workload | None) -> int:
    return port.target if own is None else own.port(port)


def _selecting(scope: Scope) -> list[Service]:
    """The Services that choose the proxy, whether it is among their members or not. A pod belongs to what selects it, however
    ready it is: while it ends it is no member, and still serves. One whose pod is not known (yet) is judged by the labels
    that it tells (Istio)."""
    pod, world = scope.workload, scope.world
    if pod is not None:
        found = world.services_of(pod) if pod.origin is Origin.POD else []
    else:
        near = world.services_in(scope.proxy.namespace)
        found = [service for service in near if service.selector.items() <= scope.labels.items()]
    return [service for service in found if service.name and service.selector]


def _is_self(scope: Scope, service: Service, member: Workload) -> bool:
    """By name, or by address: for a ServiceEntry as istiod does, within the proxy's namespace; for other services with the
    labels as well, since an address alone may be shared by many."""
    proxy = scope.proxy
    if (member.name, member.namespace) == (proxy.name, proxy.namespace):
        return True
    if member.address != proxy.address:
        return False
    if not service.name:
        return service.namespace == proxy.namespace
    return bool(member.labels) and member.labels.items() <= scope.labels.items()
