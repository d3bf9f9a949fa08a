"""The environment's releases, each moved by the control plane; the update ends with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from mesh_policy.releases.machine import Rollout
from stacks.providers.release import ReleaseResource

WAIT_SECONDS = 3600.0
"""How long an update waits for the end of a release where nothing else is said."""


class Releases(pulumi.ComponentResource):
    """One resource for each release. Policies of a service that is released belong to its rollout, not to the set."""

    def __init__(
        self,
        *,
        rollouts: Sequence[Rollout],
        control: pulumi.Input[Mapping[str, Any]],
        wait_seconds: float = WAIT_SECONDS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("meshwright:index:Releases", "releases", None, opts)
        self.releases = {
            rollout.name: ReleaseResource(
                f"release/{rollout.name}",
                name=rollout.name,
                rollout=rollout.to_document(),
                control=control,  # type: ignore[arg-type]
                wait_seconds=wait_seconds,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for rollout in rollouts
        }
        self.register_outputs({"phases": {name: release.phase for name, release in self.releases.items()}})
