"""What an object's own status says: that it was not taken."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, found
from mesh_policy.objects import Condition, Fields, ObjectError
from mesh_policy.objects.metadata import read_conditions

_BOUND = frozenset({"istio.io/WaypointBound"})
_ROUTE = frozenset({"Accepted", "Programmed", "ResolvedRefs"})
WATCHED: Mapping[str, frozenset[str]] = {
    "Service": _BOUND,
    "ServiceEntry": _BOUND,
    "WorkloadEntry": _BOUND,
    "AuthorizationPolicy": frozenset({"ZtunnelAccepted", "WaypointAccepted"}),
    "Gateway.gateway.networking.k8s.io": _ROUTE,
    "HTTPRoute": _ROUTE,
    "GRPCRoute": _ROUTE,
}
"""Conditions that are told when they are false, by kind (Istio's list)."""


def negative(context: Context) -> Iterator[Finding]:
    """IST0171: a condition that is false."""
    for placed in context.objects:
        watched = WATCHED.get(placed.kind)
        if watched is None or placed.document is None or not placed.document.value.get("status"):
            continue
        for condition in _conditions(placed.document.value):
            partly = condition.type == "WaypointAccepted" and condition.reason == "PartiallyInvalid"
            if condition.type in watched and (condition.status == "False" or partly):
                message = (
                    f"its status says {condition.type}={condition.status}, {condition.reason}: {condition.message}"
                )
                yield found("IST0171", placed, ("status",), message)


def _conditions(value: Mapping[str, object]) -> Sequence[Condition]:
    try:
        status = Fields.of(value).inner("status")
        parents = [condition for parent in status.items("parents") for condition in read_conditions(parent)]
        return (*read_conditions(status), *parents)
    except ObjectError:
        return ()  # a status is written by programs, and read by nobody else here


CHECKS: Sequence[Check] = (negative,)
