"""The environment's traffic policies, in force and acknowledged."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from mesh_policy import Policy, dump
from mesh_policy.analysis import subject
from stacks.providers.policy_set import PolicySet


def documents(policies: Sequence[Policy]) -> dict[str, str]:
    """YAML of each policy by ``KIND NAMESPACE/NAME``."""
    return {subject(p): dump([p]) for p in policies}


class Policies(pulumi.ComponentResource):
    """A set of policies that comes into force as a whole."""

    def __init__(
        self,
        *,
        owner: str,
        policies: Sequence[Policy],
        control: pulumi.Input[Mapping[str, Any]],
        wait_seconds: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("meshwright:index:Policies", "policies", None, opts)
        self.set = PolicySet(
            "policies",
            owner=owner,
            documents=documents(policies),
            control=control,  # type: ignore[arg-type]
            wait_seconds=wait_seconds,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"acknowledged_by": self.set.acknowledged_by})
