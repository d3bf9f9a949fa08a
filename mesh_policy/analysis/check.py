"""Checks of a set of policies for the control plane: against each other, and against what is known of the mesh. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mesh_policy.analysis import destination_rules, gateways, matches, virtual_services
from mesh_policy.analysis.codes import CODES, Level
from mesh_policy.analysis.context import Check, Context, Knowledge, run
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.hosts import KnownService
from mesh_policy.analysis.pods import KnownWorkload
from mesh_policy.base import Policy
from mesh_policy.networking.workload_entry import WorkloadEntry

__all__ = ["Finding", "KnownService", "KnownWorkload", "Level", "check"]

AT_CONTROL_PLANE: Mapping[str, str] = {"IST0173": "MESH0004", "IST0174": "MESH0009"}
"""What is told by a code of ours there: a set may well come before the services and workloads that it is for."""
TOLD = frozenset(
    {"IST0101", "IST0109", "IST0112", "IST0130", "MESH0001", "MESH0002", "MESH0003", "MESH0004", "MESH0009", "MESH0011"}
)
"""What is told of a set. An error among them refuses it: each is one by which requests would fail or go astray."""


def check(
    policies: Sequence[Policy],
    services: Sequence[KnownService] | None = None,
    workloads: Sequence[KnownWorkload] | None = None,
) -> list[Finding]:
    """Every finding, errors first. ``None`` for services or workloads: nothing is known, nothing is said about them."""
    if any(isinstance(policy, WorkloadEntry) for policy in policies) and not services:
        workloads = None  # whose workloads they are is not known
    context = Context(tuple(Placed(policy) for policy in policies), Knowledge(services=services, workloads=workloads))
    told = (_as_told(finding) for finding in run(CHECKS, context))
    findings = [finding for finding in told if finding.code in TOLD]
    return sorted(findings, key=lambda finding: (-finding.level, finding.subject, finding.field, finding.code))


def _as_told(finding: Finding) -> Finding:
    code = AT_CONTROL_PLANE.get(finding.code)
    return finding if code is None else replace(finding, code=code, level=CODES[code].level)


def twice(context: Context) -> Iterator[Finding]:
    """MESH0003: one object of a set stands in it twice."""
    seen: set[tuple[str, str, str]] = set()
    for placed in context.objects:
        if isinstance(placed.value, Policy):
            if placed.value.key in seen:
                yield found("MESH0003", placed, (), "the object stands twice; remove one")
            seen.add(placed.value.key)


CHECKS: Sequence[Check] = (
    twice,
    *virtual_services.CHECKS,
    *matches.CHECKS,
    *destination_rules.CHECKS,
    gateways.references,
)
"""The checks that the control plane needs: those of objects of Kubernetes are none of its business."""
