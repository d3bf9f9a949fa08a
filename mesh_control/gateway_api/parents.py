"""Where a route attaches: the listeners of Gateways, and the services of the mesh, that its parents name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_control.gateway_api.converted import Surroundings
from mesh_control.gateway_api.listeners import OpenListener
from mesh_policy import ServiceEntry
from mesh_policy.gateway_api.attachment import Route, allowed_kinds
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
        if not _attaches(route, ref, item):
            continue
        beside = (
            other.hostname
            for other in known
            if (other.listener.port, other.listener.protocol) == (item.listener.port, item.listener.protocol)
        )
        yield AtListener(item, tuple(sorted({host for host in beside if host != item.hostname})))


def _attaches(route: Route, ref: ParentRef, item: OpenListener) -> bool:
    listener = item.listener
    if ref.port not in (None, listener.port) or ref.section_name not in (None, "", listener.name):
        return False
    return _hosts_meet(route, item) and (route.GROUP, route.KIND) in allowed_kinds(listener)


def _hosts_meet(route: Route, item: OpenListener) -> bool:
    """Whether a host of the route and one of the listener fit each other, in the route's namespace."""
    hosts = () if isinstance(route, TCPRoute) else route.spec.hostnames
    for host in hosts or ("*",):
        for served in item.hosts:
            namespace, _, name = served.partition("/")
            if namespace in ("*", route.metadata.namespace) and (within(host, name) or within(name, host)):
                return True
    return False


def in_mesh(route: Route, parents: Parents) -> list[InMesh]:
    """The services and ServiceEntries that a route rules for clients in the mesh, by name."""
    refs = sorted(route.spec.parent_refs or (), key=lambda ref: _written(ref, route.metadata.namespace))
    return [made for ref in refs if (made := _in_mesh(route, ref, parents)) is not None]


def _written(ref: ParentRef, namespace: str) -> str:
    group, kind, owner, name = ref.target
    return f"{group}/{kind}/{name}/{ref.section_name or ''}/{ref.port or 0}.{owner or namespace}"


def _in_mesh(route: Route, ref: ParentRef, parents: Parents) -> InMesh | None:
    group, kind, owner, name = ref.target
    namespace = owner or route.metadata.namespace
    if (group, kind) == SERVICE:
        known = f"{namespace}/{name}" in parents.around.services
        return InMesh((f"{name}.{namespace}.{CLUSTER_DOMAIN}",), ref.port) if known else None
    if (group, kind) == SERVICE_ENTRY:
        entry = parents.entries.get((namespace, name))
        return None if entry is None else InMesh(entry.spec.hosts, ref.port)
    return None
