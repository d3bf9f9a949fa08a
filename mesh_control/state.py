"""What the control plane knows, put together from its sources, and how a set of policies is checked. No sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_control import validate
from mesh_control.sources import entries, inventory
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.world import Service, Workload, World
from mesh_policy import Finding, Policy, load_documents


@dataclass(slots=True)
class State:
    """The sources and the world made of them."""

    directory: PolicyDirectory
    inventory_file: Path | None = None
    services: tuple[Service, ...] = ()
    workloads: tuple[Workload, ...] = ()
    world: World = field(default_factory=World)
    inventory_problem: str = ""

    def reload(self) -> World:
        """Read every source again; a broken one keeps its last good content and is told in :meth:`problems`."""
        if self.inventory_file is not None:
            try:
                self.services, self.workloads = inventory.read(self.inventory_file).parts()
                self.inventory_problem = ""
            except inventory.InventoryError as error:
                self.inventory_problem = str(error)
        self.world = self.world_with(self.directory.read())
        return self.world

    def world_with(self, policies: Sequence[Policy]) -> World:
        """The world with exactly these policies."""
        return World.of(
            (*self.services, *entries.services(policies)), (*self.workloads, *entries.workloads(policies)), policies
        )

    def problems(self) -> list[str]:
        """What is wrong with the sources."""
        return [*self.inventory_problem.splitlines(), *self.directory.problems]

    def check(self, owner: str, text: str) -> tuple[list[Policy], list[Finding]]:
        """The policies of a stream of documents as the new set of ``owner``, and what is found about them.

        Raises :class:`PolicyError` for documents that are no valid policies.
        """
        policies = load_documents(text, "set")
        kept = [p for other in self.directory.owners() if other != owner for p in self.directory.of_owner(other)]
        taken = {policy.key: policy for policy in kept}
        mine = {policy.key for policy in policies}
        found = validate.findings(self.world_with([*kept, *policies]), only=mine)
        found += [validate.belongs_to_other(policy) for policy in policies if policy.key in taken]
        return policies, found
