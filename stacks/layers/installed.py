"""Hosts, mesh and workloads: the parts of the playbook, each a component that depends on the one before."""

from collections.abc import Mapping

import pulumi

from stacks.providers.playbook import Playbook

PARTS = ("hosts", "mesh", "workloads")
"""Tags of ``mesh.yml`` in their order; each is a component."""


class Installed(pulumi.ComponentResource):
    """What a part of the playbook installs on the machines."""

    def __init__(
        self,
        part: str,
        *,
        environment: str,
        inventory: pulumi.Input[str],
        secrets: Mapping[str, str],
        digest: pulumi.Input[str],
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
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"hosts": self.playbook.hosts})
