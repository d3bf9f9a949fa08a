"""Whom a policy is for: workloads by their labels, or objects by name.

Two groups write labels differently: ``matchLabels`` in security and telemetry (here), ``labels`` in networking.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mesh_policy.base import Model

TARGETS = (
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
)
"""Group and kind of what a policy can be attached to; the group of Kubernetes' own kinds is empty or ``core``."""


def _label_name(value: str) -> str:
    if not value:
        raise ValueError("the name of a label must not be empty")
    return _no_wildcard(value)


def _no_wildcard(value: str) -> str:
    if "*" in value:
        raise ValueError(f"{value!r}: a selector takes no wildcard; leave the label out to match any value")
    return value


LabelName = Annotated[str, AfterValidator(_label_name)]
"""Name of a label that is selected by: not empty, no wildcard."""
LabelValue = Annotated[str, StringConstraints(max_length=63), AfterValidator(_no_wildcard)]
"""Value of a label that is selected by: at most 63 characters, no wildcard."""


class WorkloadSelector(Model):
    """Workloads that carry all these labels, in the policy's namespace (in the root namespace: in every one)."""

    match_labels: Annotated[dict[LabelName, LabelValue], Field(max_length=4096)] | None = None
    """Labels that a workload must carry, all of them; without any, every workload is selected."""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a workload with these labels is selected."""
        return all(labels.get(name) == value for name, value in (self.match_labels or {}).items())


def _same_namespace(value: str) -> str:
    if value:
        raise ValueError(f"{value!r}: a target stands in the policy's own namespace; remove the field")
    return value


class PolicyTargetReference(Model):
    """An object that the policy is for, in the policy's own namespace: see :data:`TARGETS`."""

    group: (
        Annotated[
            str,
            StringConstraints(
                max_length=253, pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
            ),
        ]
        | None
    ) = None
    """API group of the target; empty (default) or ``core`` for a Service."""
    kind: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    """Kind of the target: Service, ServiceEntry, Gateway or GatewayClass."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """Name of the target."""
    namespace: Annotated[str, AfterValidator(_same_namespace)] | None = None
    """Must be left out or empty: Istio takes no target in another namespace."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.target not in TARGETS:
            allowed = ", ".join(f"{kind} of {group or 'core'}" for group, kind in TARGETS)
            raise ValueError(f"{self.kind} of group {self.group or 'core'} is no target; allowed are {allowed}")
        return self

    @property
    def target(self) -> tuple[str, str]:
        """Group (empty for Kubernetes' own) and kind."""
        return "" if self.group in (None, "core") else str(self.group), self.kind


class Attached(Model):
    """The fields that say whom a policy is for; at most one of the three, and without any the whole namespace."""

    selector: WorkloadSelector | None = None
    """Workloads by their labels; unset means all of the namespace (of the mesh, in the root namespace)."""
    target_ref: PolicyTargetReference | None = None
    """One object the policy is for; the older spelling of ``targetRefs``."""
    target_refs: Annotated[tuple[PolicyTargetReference, ...], Field(max_length=16)] | None = None
    """Objects the policy is for: waypoints and gateways, or services behind a waypoint; at most 16."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = {"selector": self.selector, "targetRef": self.target_ref, "targetRefs": self.target_refs}
        chosen = [name for name, value in ways.items() if value is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        return self

    @property
    def targets(self) -> Sequence[PolicyTargetReference]:
        """The objects the policy is for, in either spelling."""
        return (self.target_ref,) if self.target_ref is not None else self.target_refs or ()
