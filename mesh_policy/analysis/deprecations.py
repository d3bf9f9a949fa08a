"""What is on its way out."""

from collections.abc import Iterator, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, found
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.objects import CustomResourceDefinition

REMOVED = frozenset({"ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding"})
"""Kinds of ``rbac.istio.io`` that Istio no longer reads."""


def faults(context: Context) -> Iterator[Finding]:
    """IST0002: the share of a delay as a whole number."""
    for placed in context.of(VirtualService):
        for place, route in enumerate(placed.value.spec.http or ()):
            delay = route.fault.delay if route.fault is not None else None
            if delay is not None and delay.percent:
                message = "percent is deprecated; write percentage: {value: " + f"{delay.percent}" + "}"
                yield found("IST0002", placed, ("spec", "http", place, "fault", "delay", "percent"), message)


def definitions(context: Context) -> Iterator[Finding]:
    """IST0002: kinds that are gone."""
    for placed in context.of(CustomResourceDefinition):
        if placed.value.group == "rbac.istio.io" and placed.value.kind in REMOVED:
            message = f"{placed.value.kind} is no longer read; use AuthorizationPolicy"
            yield found("IST0002", placed, ("spec", "names", "kind"), message)


CHECKS: Sequence[Check] = (faults, definitions)
