"""The environment's traffic policies, in force and acknowledged."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from mesh_policy import Policy, dump
from mesh_policy.analysis.finding import subject
from stacks import behaviour
from stacks.control import ControlPlane
from stacks.providers.policy_set import PolicySet


def documents(policies: Sequence[Policy]) -> dict[str, str]:
    """YAML of each policy by ``KIND NAMESPACE/NAME``."""
    return {subject(p): dump([p]) for p in policies}


class Policies(pulumi.ComponentResource):
    """A set of policies that comes into force as a whole.

    A preview tells which requests would be treated differently, among the services and workloads of ``inventory``.
    """

    def __init__(
        self,
        *,
        owner: str,
        policies: Sequence[Policy],
        control: pulumi.Input[Mapping[str, Any]],
        wait_seconds: float,
        inventory: Mapping[str, Any] | None = None,
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
        if pulumi.runtime.is_dry_run() and inventory is not None:
            wanted = "---\n".join(documents(policies).values())
            pulumi.Output.from_input(control).apply(lambda found: self._foretell(found, owner, wanted, inventory))
        self.register_outputs({"acknowledged_by": self.set.acknowledged_by})

    def _foretell(self, control: Mapping[str, Any], owner: str, wanted: str, inventory: Mapping[str, Any]) -> None:
        """Say what changes for requests. That it cannot be told is no reason to stop."""
        try:
            found = behaviour.changes(ControlPlane.at(control).read(owner), wanted, inventory)
        except (RuntimeError, OSError) as error:
            pulumi.log.info(f"what changes for requests cannot be told: {error}", self)
            return
        for line in found:
            pulumi.log.info(f"behaviour: {line}", self)
