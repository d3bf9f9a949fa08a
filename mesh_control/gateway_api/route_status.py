"""What a route is told about itself: for each parent, whether it attaches there, and whether what it names is there. Pure.

The rules by which it attaches and by which its rules are converted are :mod:`parents`' and :mod:`backends`' own, so what is
told is what is done. Reasons and their order are Istio's (``pilot/pkg/config/kube/gateway/conditions.go``), which are the
specification's where that has one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mesh_control.conditions import Condition
from mesh_control.gateway_api.backends import NOBODY as UNUSABLE
from mesh_control.gateway_api.backends import Referrer, RuleError, destination, is_permitted, is_there, streams, weight
from mesh_control.gateway_api.http_rules import rules
from mesh_control.gateway_api.parents import Denied, Parents, at_service, denied, is_of_mesh, written
from mesh_policy.gateway_api.attachment import Refused, Route
from mesh_policy.gateway_api.backend_refs import Backend
from mesh_policy.gateway_api.grpc_route import GRPCRoute
from mesh_policy.gateway_api.http_route import HTTPRoute
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.parent_refs import ParentRef
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.hosts import CLUSTER_DOMAIN

_RANK = (Refused.NOT_ALLOWED, Refused.NO_HOSTNAME, Refused.NO_PARENT)
"""Which of the reasons of several listeners is told: the first that one of them has (Istio)."""


@dataclass(frozen=True, slots=True)
class AtParent:
    """What a route is told about one of its references to parents."""

    ref: ParentRef
    conditions: tuple[Condition, ...]


def at_parents(route: Route, parents: Parents, grants: Sequence[ReferenceGrant]) -> tuple[AtParent, ...]:
    """For each reference to something that is this mesh's; what is another controller's is left to that."""
    refs = sorted(route.spec.parent_refs or (), key=lambda ref: written(ref, route.metadata.namespace), reverse=True)
    told: list[AtParent] = []
    resolved: dict[bool, Condition] = {}
    for ref in refs:
        if (found := _denials(route, ref, parents)) is None:
            continue
        checked = not is_of_mesh(ref)  # in the mesh no grant is asked for
        if checked not in resolved:
            resolved[checked] = _resolved(Referrer(route, grants, parents.around, checked))
        told.append(AtParent(ref, (_accepted(found), resolved[checked])))
    return tuple(told)


def refused(route_refs: Sequence[ParentRef], namespace: str, parents: Parents, why: str) -> tuple[AtParent, ...]:
    """What a route is told that this mesh cannot honour, at each of its parents."""
    condition = Condition("Accepted", False, "UnsupportedValue", why)
    return tuple(
        AtParent(ref, (condition,))
        for ref in route_refs
        if is_of_mesh(ref) or _place(ref, namespace) in parents.gateways
    )


def _denials(route: Route, ref: ParentRef, parents: Parents) -> list[Denied | None] | None:
    """By listener or service, why the route does not attach there; ``None``: the parent is none of this mesh's."""
    if is_of_mesh(ref):
        if at_service(route, ref, parents) is not None:
            return [None]
        what = "service" if ref.target[1] == "Service" else "service entry"
        return [Denied(Refused.NO_PARENT, f'parent {what}: "{ref.name}" not found')]
    place = _place(ref, route.metadata.namespace)
    if place not in parents.gateways:
        return None
    found = [denied(route, ref, item) for item in parents.listeners.get(place, ())]
    return found or [Denied(Refused.NO_PARENT, "the Gateway has no listener that can be used")]


def _place(ref: ParentRef, namespace: str) -> tuple[str, str] | None:
    group, kind, owner, name = ref.target
    return (owner or namespace, name) if (group, kind) == (GROUP, "Gateway") else None


def _accepted(found: Sequence[Denied | None]) -> Condition:
    attached = sum(denial is None for denial in found)
    if attached:
        more = f", bound to {attached} parents" if attached > 1 else ""
        return Condition("Accepted", True, "Accepted", f"Route was valid{more}")
    denials = [denial for denial in found if denial is not None]
    reason = min((denial.reason for denial in denials), key=_RANK.index)
    messages = dict.fromkeys(denial.message for denial in denials if denial.reason is reason)
    return Condition("Accepted", False, reason.value, "; ".join(messages))


def _resolved(referrer: Referrer) -> Condition:
    for reason, message in _problems(referrer):
        return Condition("ResolvedRefs", False, reason, message)
    return Condition("ResolvedRefs", True, "ResolvedRefs", "All references resolved")


def _problems(referrer: Referrer) -> Iterator[tuple[str, str]]:
    """What is wrong with the rules; first what keeps all of them from coming into force."""
    route = referrer.route
    try:
        if isinstance(route, HTTPRoute | GRPCRoute):
            rules(referrer)
        else:
            for rule in route.spec.rules or ():
                streams(referrer, rule.backend_refs or ())
    except RuleError as error:
        yield error.reason, str(error)
        return
    for backend in _backends(route):
        if (found := _problem(referrer, backend)) is not None:
            yield found


def _backends(route: Route) -> Iterator[Backend]:
    """Every backend that gets requests, and those that get copies of them."""
    for rule in route.spec.rules or ():
        yield from (backend for backend in rule.backend_refs or () if weight(backend))
        for item in getattr(rule, "filters", None) or ():
            if (mirror := getattr(item, "request_mirror", None)) is not None:
                yield mirror.backend_ref


def _problem(referrer: Referrer, backend: Backend) -> tuple[str, str] | None:
    route, namespace = referrer.route, backend.namespace or referrer.route.metadata.namespace
    if not is_permitted(referrer, backend):
        place = f'{backend.name}/{namespace} not accessible to a {route.KIND} in namespace "{route.metadata.namespace}"'
        return "RefNotPermitted", f"backendRef {place} (missing a ReferenceGrant?)"
    if destination(referrer, backend) is UNUSABLE:
        return "InvalidKind", f'unsupported backendRef: group "{backend.group or ""}" kind "{backend.kind or ""}"'
    if not is_there(referrer, backend):
        host = backend.name if backend.kind == "Hostname" else f"{backend.name}.{namespace}.{CLUSTER_DOMAIN}"
        return "BackendNotFound", f"backend({host}) not found"
    return None
