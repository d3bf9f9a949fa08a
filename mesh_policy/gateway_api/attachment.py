"""Which listeners routes attach to, and which references between namespaces are granted: the specification's rules, pure.

Both sides must agree: the route names the parent, and the listener allows the route's namespace and kind. A route that
attaches to no listener of a Gateway carries nothing there, and the reasons say why, in the specification's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.grpc_route import GRPCRoute
from mesh_policy.gateway_api.http_route import HTTPRoute
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.listeners import Listener
from mesh_policy.gateway_api.parent_refs import ParentRef
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.gateway_api.tls_route import TLSRoute

Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute
NamespaceLabels = Mapping[str, Mapping[str, str]]
"""Namespace to its labels; one that is not there has only those that Kubernetes gives it."""
NAME_LABEL = "kubernetes.io/metadata.name"
"""The label by which Kubernetes gives each namespace its own name."""


class Refused(StrEnum):
    """Why a route does not attach: reasons of its condition ``Accepted``."""

    NO_PARENT = "NoMatchingParent"
    """There is no such Gateway, or no listener with that name and port."""
    NOT_ALLOWED = "NotAllowedByListeners"
    """No such listener allows the route's namespace and kind."""
    NO_HOSTNAME = "NoMatchingListenerHostname"
    """No such listener has a host name in common with the route."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A route at a listener, for ``hostnames`` (none: for all)."""

    gateway: Gateway
    listener: Listener
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """What became of one reference to a Gateway: where the route attaches, or why it does not.

    ``place`` is that of the reference in ``parentRefs``; ``None`` for a default Gateway, which is not named.
    """

    place: int | None
    attachments: tuple[Attachment, ...]
    refused: Refused | None


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that is referred to, or refers: group (``""`` for the core), kind, namespace, name."""

    group: str
    kind: str
    namespace: str
    name: str


def attach(route: Route, gateways: Iterable[Gateway], namespaces: NamespaceLabels) -> tuple[Parent, ...]:
    """What becomes of each parent of a route that is a Gateway. Parents of other kinds (Services) are passed over."""
    by_name = {(g.metadata.namespace, g.metadata.name): g for g in gateways}
    found: list[Parent] = []
    named: set[tuple[str, str]] = set()
    for place, parent in enumerate(route.spec.parent_refs or ()):
        group, kind, namespace, name = parent.target
        if (group, kind) != (GROUP, "Gateway"):
            continue
        key = (namespace or route.metadata.namespace, name)
        named.add(key)
        found.append(_at(route, place, by_name.get(key), parent, namespaces))
    if route.spec.use_default_gateways == "All":
        for key, gateway in by_name.items():
            if gateway.spec.default_scope == "All" and key not in named:
                found.append(_at(route, None, gateway, ParentRef(name=gateway.metadata.name), namespaces))
    return tuple(found)


def _at(
    route: Route, place: int | None, gateway: Gateway | None, parent: ParentRef, namespaces: NamespaceLabels
) -> Parent:
    listeners = [item for item in gateway.spec.listeners if names(parent, item)] if gateway is not None else []
    if gateway is None or not listeners:
        return Parent(place, (), Refused.NO_PARENT)
    allowing = [item for item in listeners if allows(item, gateway, route, namespaces)]
    if not allowing:
        return Parent(place, (), Refused.NOT_ALLOWED)
    common = ((item, common_hostnames(item, route)) for item in allowing)
    attachments = tuple(Attachment(gateway, item, hosts) for item, hosts in common if hosts is not None)
    return Parent(place, attachments, None if attachments else Refused.NO_HOSTNAME)


def names(parent: ParentRef, listener: Listener) -> bool:
    """Whether a reference to a Gateway means this listener of it: section name and port, where they are given."""
    return parent.section_name in (None, listener.name) and parent.port in (None, listener.port)


def allows(listener: Listener, gateway: Gateway, route: Route, namespaces: NamespaceLabels) -> bool:
    """Whether a listener allows the route's namespace (by default only the Gateway's own) and kind."""
    return (route.GROUP, route.KIND) in allowed_kinds(listener) and _allows_namespace(
        listener, gateway.metadata.namespace, route.metadata.namespace, namespaces
    )


def _allows_namespace(listener: Listener, own: str, other: str, namespaces: NamespaceLabels) -> bool:
    allowed = listener.allowed_routes and listener.allowed_routes.namespaces
    origin = (allowed and allowed.from_) or "Same"
    if origin == "All":
        return True
    if origin == "Same":
        return own == other
    labels = {**namespaces.get(other, {}), NAME_LABEL: other}
    return bool(allowed and allowed.selector is not None and allowed.selector.holds(labels))


def allowed_kinds(listener: Listener) -> frozenset[tuple[str, str]]:
    """Group and kind of the routes that fit the protocol, and that ``allowedRoutes.kinds`` names if it names any."""
    fitting = frozenset((GROUP, kind) for kind in _fitting_kinds(listener))
    wanted = listener.allowed_routes and listener.allowed_routes.kinds
    if not wanted:
        return fitting
    return fitting & {(GROUP if item.group is None else item.group, item.kind) for item in wanted}


def _fitting_kinds(listener: Listener) -> tuple[str, ...]:
    match listener.protocol:
        case "HTTP" | "HTTPS":
            return "HTTPRoute", "GRPCRoute"
        case "TCP":
            return ("TCPRoute",)
        case "TLS":
            terminates = listener.tls is not None and listener.tls.terminates
            return ("TLSRoute", "TCPRoute") if terminates else ("TLSRoute",)
        case "HBONE":  # Istio's own, of waypoints
            return "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"
        case _:  # UDP, and protocols of other implementations
            return ()


def common_hostnames(listener: Listener, route: Route) -> tuple[str, ...] | None:
    """The host names that listener and route have in common: none (``()``) where neither restricts them, ``None`` where
    there are none. TCPRoute knows no hosts, so the listener's restricts nothing.
    """
    if isinstance(route, TCPRoute):
        return ()
    wanted = route.spec.hostnames or ()
    if listener.hostname is None:
        return wanted
    if not wanted:
        return (listener.hostname,)
    found = tuple(dict.fromkeys(host for own in wanted if (host := common_hostname(listener.hostname, own))))
    return found or None


def common_hostname(one: str, other: str) -> str | None:
    """The narrower of two host names when it lies within the other: ``*.`` stands for one or more labels."""
    if one == other or _covers(one, other):
        return other
    return one if _covers(other, one) else None


def _covers(pattern: str, host: str) -> bool:
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host.removeprefix("*") != pattern[1:]


def is_granted(referrer: Reference, target: Reference, grants: Sequence[ReferenceGrant]) -> bool:
    """Whether an object may refer to the target: in its own namespace always, in others by a ReferenceGrant there."""
    if referrer.namespace == target.namespace:
        return True
    return any(
        grant.metadata.namespace == target.namespace
        and any(
            (item.group, item.kind, item.namespace) == (referrer.group, referrer.kind, referrer.namespace)
            for item in grant.spec.from_
        )
        and any(
            (item.group, item.kind) == (target.group, target.kind) and item.name in (None, target.name)
            for item in grant.spec.to
        )
        for grant in grants
    )
