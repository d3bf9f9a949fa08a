"""Hosts, mesh and workloads, or hosts and cluster: the parts of a playbook, each a component after the one before."""

from collections.abc import Mapping, Sequence

import pulumi

from stacks.playbooks import KUBERNETES, MESH, WORKLOADS
from stacks.providers.playbook import Playbook

PARTS = {MESH: ("hosts", "mesh", "workloads"), KUBERNETES: ("hosts", "cluster"), WORKLOADS: ("workloads",)}
"""The tags of each playbook in their order; each is a component."""


class Installed(pulumi.ComponentResource):
    """What a part of a playbook installs on the machines. ``leaves``: see :class:`~stacks.providers.playbook.Playbook`."""

    def __init__(
        self,
        part: str,
        *,
        environment: str,
        inventory: pulumi.Input[str],
        secrets: Mapping[str, str],
        digest: pulumi.Input[str],
        playbook: str = MESH,
        leaves: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(f"meshwright:index:{part.capitalize()}", part, None, opts)
        self.playbook = Playbook(
            part,
            environment=environment,
            part=part,
            tags=[part],
            inventory=inventory,
            secrets=dict(secrets),
            digest=digest,
            playbook=playbook,
            leaves=leaves,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"hosts": self.playbook.hosts})
