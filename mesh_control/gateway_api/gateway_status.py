"""What a Gateway is told about itself: whether it can be used, where it is reached, and the same of each listener. Pure.

Which listeners are opened is :mod:`listeners`' and :mod:`certificates`' decision, and which routes attach :mod:`parents`':
what is told is what is done. Reasons and words are Istio's (``reportGatewayStatus`` in
``pilot/pkg/config/kube/gateway/conversion.go``), which are the specification's where that has one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_control.conditions import Condition
from mesh_control.gateway_api.certificates import CertificateError, server_tls
from mesh_control.gateway_api.conversion import Objects
from mesh_control.gateway_api.listeners import BYTES, HTTP_LIKE, is_managed, services_of, without_conflicts
from mesh_control.gateway_api.parents import denied
from mesh_policy.gateway_api.attachment import Route, allowed_kinds
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.listeners import Listener

KINDS = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
_FINE = "No errors found"
_CONFLICT = "Listener has a conflict with another listener attached to the same Gateway"


@dataclass(frozen=True, slots=True)
class Front:
    """A Service of Kubernetes in front of a gateway's proxies, as the cluster has it.

    ``addresses`` are those in the cluster, ``external`` what a load balancer was given; ``pending``: it is to get some.
    ``ports`` are those that have hosts behind them.
    """

    addresses: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    pending: bool = False
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ListenerState:
    """One listener: kinds of routes that may attach, how many do, and its conditions."""

    name: str
    kinds: tuple[tuple[str, str], ...]
    attached: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What a Gateway is told. ``addresses``: those under which it is reached, IP addresses or host names."""

    conditions: tuple[Condition, ...]
    addresses: tuple[str, ...]
    listeners: tuple[ListenerState, ...]


def state(gateway: Gateway, objects: Objects, fronts: Mapping[str, Front]) -> GatewayState:
    """``fronts`` are Services by their host name."""
    counts = _attached(gateway, objects)
    kept = without_conflicts(gateway.spec.listeners)
    listeners, usable = [], []
    for listener in gateway.spec.listeners:
        conditions = tuple(_of_listener(gateway, listener, kept, objects))
        listeners.append(ListenerState(listener.name, _kinds(listener), counts.get(listener.name, 0), conditions))
        if conditions[0].holds and conditions[1].holds:
            usable.append(listener)
    found = [(host, fronts[host]) for host in services_of(gateway) if host in fronts]
    assigned = [
        f"{host}:{port}"
        for host, front in found
        for port in sorted({listener.port for listener in usable} & front.ports)
    ]
    reached = [front for host, front in found if any(place.startswith(f"{host}:") for place in assigned)]
    programmed = _programmed(gateway, assigned, tuple(_missing(gateway, usable, fronts)))
    return GatewayState(
        (_accepted(gateway, len(usable)), programmed),
        _addresses(reached, assigned),
        tuple(listeners),
    )


def _attached(gateway: Gateway, objects: Objects) -> Mapping[str, int]:
    """By listener, the routes that attach, each once."""
    place = (gateway.metadata.namespace, gateway.metadata.name)
    found: dict[str, int] = {}
    for item in objects.parents.listeners.get(place, ()):
        found[item.listener.name] = sum(
            any(_names(route, ref.target, place) and denied(route, ref, item) is None for ref in route.spec.parent_refs)
            for route in objects.routes_of(place)
            if route.spec.parent_refs
        )
    return found


def _names(route: Route, target: tuple[str, str, str | None, str], place: tuple[str, str]) -> bool:
    group, kind, namespace, name = target
    return (group, kind) == (GROUP, "Gateway") and (namespace or route.metadata.namespace, name) == place


def _kinds(listener: Listener) -> tuple[tuple[str, str], ...]:
    allowed = allowed_kinds(listener)
    return tuple((GROUP, kind) for kind in KINDS if (GROUP, kind) in allowed)


def _of_listener(
    gateway: Gateway, listener: Listener, kept: Sequence[Listener], objects: Objects
) -> Iterator[Condition]:
    """``Accepted`` and ``Programmed`` first."""
    references = _references(listener)
    if listener not in kept:
        reason = _conflict(listener, kept)
        yield Condition("Accepted", False, reason, _CONFLICT)
        yield Condition("Programmed", False, reason, _CONFLICT)
        yield Condition("Conflicted", True, reason, _CONFLICT)
        yield references
        return
    accepted = Condition("Accepted", True, "Accepted", _FINE)
    programmed = Condition("Programmed", True, "Programmed", _FINE)
    try:
        server_tls(gateway, listener, objects.grants, objects.parents.around)
    except CertificateError as error:
        programmed = Condition("Programmed", False, "Invalid", "Bad TLS configuration")
        if references.holds:
            references = Condition("ResolvedRefs", False, error.reason, str(error))
        if error.of_clients:
            accepted = Condition("Accepted", False, "NoValidCACertificate", str(error))
    if listener.protocol not in (*HTTP_LIKE, "TCP"):
        accepted = Condition("Accepted", False, "UnsupportedProtocol", _unsupported(listener.protocol))
        programmed = Condition("Programmed", False, "Invalid", accepted.message)
    yield accepted
    yield programmed
    yield Condition("Conflicted", False, "NoConflicts", _FINE)
    yield references


def _references(listener: Listener) -> Condition:
    wanted = listener.allowed_routes.kinds if listener.allowed_routes is not None else None
    if wanted and len(_kinds(listener)) != len(wanted):
        return Condition("ResolvedRefs", False, "InvalidRouteKinds", "Invalid route kinds")
    return Condition("ResolvedRefs", True, "ResolvedRefs", _FINE)


def _conflict(listener: Listener, kept: Sequence[Listener]) -> str:
    """With the first that it cannot be told apart from: their hosts are the same, or one port has two protocols."""
    first = next(other for other in kept if len(without_conflicts((other, listener))) == 1)
    same = first.protocol == listener.protocol and listener.protocol not in BYTES
    return "HostnameConflict" if same else "ProtocolConflict"


def _unsupported(protocol: str) -> str:
    hint = f'. hint: "{protocol.upper()}" (uppercase) may be supported' if protocol.upper() in HTTP_LIKE else ""
    return f'protocol "{protocol}" is unsupported{hint}'


def _accepted(gateway: Gateway, usable: int) -> Condition:
    skipped = (
        [] if is_managed(gateway) else [a for a in gateway.spec.addresses or () if a.type not in (None, "Hostname")]
    )
    if skipped:
        told = f"only Hostname is supported, ignoring {', '.join(address.value or '' for address in skipped)}"
        return Condition("Accepted", False, "UnsupportedAddress", told)
    if not usable:
        return Condition("Accepted", False, "ListenersNotValid", "None of the Gateway's listeners are valid")
    if usable < len(gateway.spec.listeners):
        return Condition("Accepted", True, "ListenersNotValid", "One or more of the Gateway's listeners are invalid")
    return Condition("Accepted", True, "Accepted", "Resource accepted")


def _missing(gateway: Gateway, usable: Iterable[Listener], fronts: Mapping[str, Front]) -> Iterator[tuple[bool, str]]:
    """What is missing at the Services: whether it may still come, and what it is."""
    for host in services_of(gateway):
        front = fronts.get(host)
        if front is None:
            yield False, f'hostname "{host}" not found'
        elif not front.ports:
            yield True, f'no instances found for hostname "{host}"'
        else:
            for port in sorted({listener.port for listener in usable} - front.ports):
                yield False, f'port {port} not found for hostname "{host}"'
            if front.pending and not front.external:
                yield True, f'address pending for hostname "{host}"'


def _programmed(gateway: Gateway, assigned: Sequence[str], missing: Sequence[tuple[bool, str]]) -> Condition:
    services = f"assigned to service(s) {' and '.join(assigned)}"
    if not services_of(gateway):
        return Condition("Programmed", False, "UnsupportedAddress", "Failed to assign to any requested addresses")
    if not missing:
        return Condition("Programmed", True, "Programmed", f"Resource programmed, {services}")
    reason = "AddressNotAssigned" if all(may_come for may_come, _ in missing) else "AddressNotUsable"
    told = "; ".join(sorted(message for _, message in missing))
    if assigned:
        part = f"Assigned to service(s) {' and '.join(assigned)}, but failed to assign to all requested addresses"
        return Condition("Programmed", False, reason, f"{part}: {told}")
    return Condition("Programmed", False, reason, f"Failed to assign to any requested addresses: {told}")


def _addresses(reached: Sequence[Front], assigned: Sequence[str]) -> tuple[str, ...]:
    """Those from outside; where there are none, those in the cluster and the host names."""
    external = sorted({address for front in reached for address in front.external})
    if external:
        return tuple(external)
    pending = {id(front) for front in reached if front.pending}
    hosts = dict.fromkeys(place.rpartition(":")[0] for place in assigned)
    own = sorted({address for front in reached for address in front.addresses})
    return (*own, *(hosts if not pending else ()))
