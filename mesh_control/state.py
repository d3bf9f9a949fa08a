"""What the control plane knows, put together from its sources, and how a set of policies is checked. No sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_control import validate
from mesh_control.sources import entries, inventory
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.world import Service, Workload, World
from mesh_policy import Finding, Level, Policy
from mesh_policy.analysis.finding import subject


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new set of an owner: its policies, the world as it would be with them, and what is found about it."""

    policies: list[Policy]
    world: World
    findings: list[Finding]


@dataclass(slots=True)
class State:
    """The sources and the world made of them."""

    directory: PolicyDirectory
    inventory_file: Path | None = None
    services: tuple[Service, ...] = ()
    workloads: tuple[Workload, ...] = ()
    world: World = field(default_factory=World)
    inventory_problem: str = ""
    contradictions: tuple[str, ...] = ()

    def reload(self) -> World:
        """Read every source again; a broken one keeps its last good content and is told in :meth:`problems`."""
        if self.inventory_file is not None:
            try:
                self.services, self.workloads = inventory.read(self.inventory_file).parts()
                self.inventory_problem = ""
            except inventory.InventoryError as error:
                self.inventory_problem = str(error)
        world = self.world_with(self.directory.read())
        if world != self.world:  # an equal one keeps the indexes that it has built
            self.world = world
            errors = (finding for finding in validate.findings(world) if finding.level is Level.ERROR)
            self.contradictions = tuple(map(str, errors))
        return self.world

    def world_with(self, policies: Sequence[Policy]) -> World:
        """The world with exactly these policies."""
        return World.of(
            (*self.services, *entries.services(policies)), (*self.workloads, *entries.workloads(policies)), policies
        )

    def problems(self) -> list[str]:
        """What is wrong with the sources: files that cannot be used, and policies that contradict each other."""
        return [*self.inventory_problem.splitlines(), *self.directory.problems, *self.contradictions]

    def check(self, owner: str, policies: list[Policy]) -> Candidate:
        """The policies as the new set of ``owner``, and what is found: everything about them, and the errors that they bring
        to the policies of others."""
        kept = [p for other in self.directory.owners() if other != owner for p in self.directory.of_owner(other)]
        world = self.world_with([*kept, *policies])
        mine = {subject(policy) for policy in policies}
        known = validate.findings(self.world)
        found = [
            finding
            for finding in validate.findings(world)
            if finding.subject in mine or (finding.level is Level.ERROR and finding not in known)
        ]
        taken = {policy.key for policy in kept}
        found += [validate.belongs_to_other(policy) for policy in policies if policy.key in taken]
        return Candidate(policies, world, found)
