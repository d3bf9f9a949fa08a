"""Where a route attaches: the listeners of Gateways, and the services of the mesh, that its parents name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_control.gateway_api.converted import Surroundings
from mesh_control.gateway_api.listeners import OpenListener
from mesh_policy import ServiceEntry
from mesh_policy.gateway_api.attachment import Refused, Route, allowed_kinds
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.parent_refs import ParentRef
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.hosts import CLUSTER_DOMAIN, within

MESH = "mesh"
SERVICE, SERVICE_ENTRY = ("", "Service"), ("networking.istio.io", "ServiceEntry")


@dataclass(frozen=True, slots=True)
class Parents:
    """All that routes can attach to: listeners by the Gateway's namespace and name, and what the mesh has."""

    listeners: Mapping[tuple[str, str], Sequence[OpenListener]]
    entries: Mapping[tuple[str, str], ServiceEntry]
    around: Surroundings
    gateways: frozenset[tuple[str, str]] = frozenset()
    """All Gateways of this mesh, those with no listener that can be used among them."""


@dataclass(frozen=True, slots=True)
class AtListener:
    """A route at a listener. ``others`` are the hosts of the Gateway's other listeners of this port and protocol."""

    listener: OpenListener
    others: tuple[str, ...]

    def takes(self, host: str) -> bool:
        """Whether a host of the route belongs to this listener rather than to another one that is more precise."""
        own = self.listener.hostname
        if own and not own.startswith("*"):
            return True
        if own and not (within(host, own) or within(own, host)):
            return False
        return not any(len(own) <= len(other) and within(host, other) for other in self.others)


@dataclass(frozen=True, slots=True)
class InMesh:
    """A route for what clients in the mesh send to ``hosts``, on one port or on all."""

    hosts: tuple[str, ...]
    port: int | None


def at_listeners(route: Route, parents: Parents) -> list[AtListener]:
    """The listeners that a route attaches to, by name."""
    found = (made for ref in route.spec.parent_refs or () for made in _at_gateway(route, ref, parents))
    return sorted(found, key=lambda item: item.listener.name)


def _at_gateway(route: Route, ref: ParentRef, parents: Parents) -> Iterator[AtListener]:
    group, kind, namespace, name = ref.target
    if (group, kind) != (GROUP, "Gateway"):
        return
    known = parents.listeners.get((namespace or route.metadata.namespace, name), ())
    for item in known:
        if denied(route, ref, item) is not None:
            continue
        beside = (
            other.hostname
            for other in known
            if (other.listener.port, other.listener.protocol) == (item.listener.port, item.listener.protocol)
        )
        yield AtListener(item, tuple(sorted({host for host in beside if host != item.hostname})))


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a route does not attach to a listener; ``message`` says it to people."""

    reason: Refused
    message: str


def denied(route: Route, ref: ParentRef, item: OpenListener) -> Denied | None:
    """Why a listener of the Gateway that ``ref`` names does not take a route; ``None``: it does. In Istio's order."""
    listener = item.listener
    if ref.port not in (None, listener.port):
        return Denied(Refused.NO_PARENT, f"port {ref.port} not found")
    if ref.section_name not in (None, "", listener.name):
        return Denied(Refused.NO_PARENT, f'sectionName "{ref.section_name}" not found')
    meeting = [served.partition("/")[0] for served in item.hosts if _meets(route, served.partition("/")[2])]
    if not meeting:
        return Denied(Refused.NO_HOSTNAME, f'no hostnames matched parent hostname "{item.hostname}"')
    own = route.metadata.namespace
    if "*" not in meeting and own not in meeting:
        told = (
            f'hostnames matched parent hostname "{item.hostname}", but namespace "{own}" is not allowed by the parent'
        )
        return Denied(Refused.NOT_ALLOWED, told)
    if (route.GROUP, route.KIND) not in allowed_kinds(listener):
        return Denied(Refused.NOT_ALLOWED, f"kind {route.KIND} is not allowed")
    return None


def _meets(route: Route, name: str) -> bool:
    """Whether a host of the route and one of a listener fit each other."""
    hosts = () if isinstance(route, TCPRoute) else route.spec.hostnames
    return any(within(host, name) or within(name, host) for host in hosts or ("*",))


def in_mesh(route: Route, parents: Parents) -> list[InMesh]:
    """The services and ServiceEntries that a route rules for clients in the mesh, by name."""
    refs = sorted(route.spec.parent_refs or (), key=lambda ref: written(ref, route.metadata.namespace))
    return [made for ref in refs if (made := at_service(route, ref, parents)) is not None]


def is_of_mesh(ref: ParentRef) -> bool:
    """Whether a reference is to a service rather than to a Gateway."""
    return ref.target[:2] in (SERVICE, SERVICE_ENTRY)


def written(ref: ParentRef, namespace: str) -> str:
    """A reference in one line, by which those of a route are put in order (Istio's ``parentRefString``)."""
    group, kind, owner, name = ref.target
    return f"{group}/{kind}/{name}/{ref.section_name or ''}/{ref.port or 0}.{owner or namespace}"


def at_service(route: Route, ref: ParentRef, parents: Parents) -> InMesh | None:
    """The service that a reference names; ``None``: it names none that is there."""
    group, kind, owner, name = ref.target
    namespace = owner or route.metadata.namespace
    if (group, kind) == SERVICE:
        known = f"{namespace}/{name}" in parents.around.services
        return InMesh((f"{name}.{namespace}.{CLUSTER_DOMAIN}",), ref.port) if known else None
    if (group, kind) == SERVICE_ENTRY:
        entry = parents.entries.get((namespace, name))
        return None if entry is None else InMesh(entry.spec.hosts, ref.port)
    return None
