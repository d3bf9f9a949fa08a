"""What the control plane knows, put together from its sources, and how a set of policies is checked. No sockets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mesh_control import validate
from mesh_control.addresses import plan
from mesh_control.addresses.given import Given
from mesh_control.addresses.plan import Allocated
from mesh_control.gateway_api.converted import united
from mesh_control.parts import Parts
from mesh_control.proxy_settings import passed_over
from mesh_control.sources import entries
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.key_sets import KeySets
from mesh_control.sources.registrations import Registrations
from mesh_control.sources.source import Parts as Said
from mesh_control.sources.source import Source
from mesh_control.world import World
from mesh_policy import Finding, Level, Policy, ServiceEntry, WorkloadGroup
from mesh_policy.analysis.finding import subject


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new set of an owner: its policies, the world as it would be with them, and what is found about it."""

    policies: list[Policy]
    world: World
    findings: list[Finding]


@dataclass(slots=True)
class State:
    """The sources and the world made of them. Sets are written to ``directory``, the first of the sources."""

    directory: PolicyDirectory
    others: tuple[Source, ...] = ()
    world: World = field(default_factory=World)
    unsynced: list[str] = field(default_factory=list)
    """The names of the sources that had not said everything when the world was made."""
    certified: bool = True
    """Whether workloads have certificates of the mesh."""
    given: Given = field(default_factory=Given)
    """Addresses for hosts that have none, but for those of a source that gives some by itself."""
    _parts: dict[str, Said] = field(default_factory=dict)
    """By the source's name, what it last said."""
    _made: Parts = field(default_factory=Parts)
    """Services of ServiceEntries."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source, in the order in which they count."""
        return (self.directory, *self.others)

    @property
    def registrations(self) -> Registrations | None:
        """The source that proxies register with."""
        return next((source for source in self.others if isinstance(source, Registrations)), None)

    def reload(self) -> World:
        """Read every source again; a broken one keeps its last good content and is told in :meth:`problems`."""
        self.unsynced = [source.name for source in self.sources if not source.synced]
        self._parts = {source.name: source.read() for source in self.sources}
        policies = self._policies()
        registered = self.registrations
        # Groups that are not known yet are not gone.
        if registered is not None and not self.unsynced:
            registered.reconcile(policy for policy in policies if isinstance(policy, WorkloadGroup))
            self._parts[registered.name] = registered.read()
            policies = self._policies()
        keys = next((source for source in self.others if isinstance(source, KeySets)), None)
        if keys is not None:
            keys.want(policies)
            self._parts[keys.name] = keys.read()
        self._made.sweep()
        give = self.given.foreseen if self.unsynced else self.given.give
        world = self._world(policies, self._made, give(*self._without_addresses(policies)))
        if world != self.world:  # an equal one keeps the indexes that it has built
            self.world = world.after(self.world)
        return self.world

    def _policies(self) -> list[Policy]:
        return _ranked(parts.policies for parts in self._parts.values())

    def world_with(self, policies: Sequence[Policy], made: Parts | None = None) -> World:
        """The world with exactly these policies. ``made`` has services of ServiceEntries that are known already."""
        return self._world(policies, made, self.given.foreseen(*self._without_addresses(policies)))

    def _world(self, policies: Sequence[Policy], made: Parts | None, given: Allocated) -> World:
        parts = self._parts.values()
        told = {owner: hosts for p in parts for owner, hosts in (p.allocated or {}).items()}
        allocated = {**given, **told}
        unhealthy = frozenset(key for p in parts for key in p.unhealthy)
        return World.of(
            (*(service for p in parts for service in p.services), *entries.services(policies, made, allocated)),
            (*(workload for p in parts for workload in p.workloads), *entries.workloads(policies, unhealthy)),
            policies,
            next((p.mesh for p in parts if p.mesh is not None), None),
            united([p.surroundings for p in parts if p.surroundings is not None]),
            networks=next((p.networks for p in parts if p.networks is not None), None),
            key_sets={place: keys for p in parts for place, keys in p.key_sets.items()},
            allocated=dict(sorted(allocated.items())),
        )

    def _without_addresses(self, policies: Sequence[Policy]) -> tuple[list[ServiceEntry], list[str]]:
        """The ServiceEntries whose hosts the control plane gives addresses by itself, and those that others have."""
        known = [policy for policy in policies if isinstance(policy, ServiceEntry)]
        giving = [p for p in self._parts.values() if p.allocated is not None]
        if not giving:
            return known, []
        theirs = {policy.key for p in giving for policy in p.policies if isinstance(policy, ServiceEntry)}
        told = [hosts for p in giving for hosts in (p.allocated or {}).values()]
        taken = [address for hosts in told for found in hosts.values() for address in found]
        taken += [address for entry in known if entry.key in theirs for address in plan.written(entry)]
        return [entry for entry in known if entry.key not in theirs], taken

    def problems(self) -> list[str]:
        """What is wrong with the sources: what cannot be used, and policies that contradict each other."""
        waiting = [f"{name}: has not said everything yet; no proxy is served before" for name in self.unsynced]
        settings = [
            f"settings of the mesh: defaultConfig.{line}" for line in passed_over(self.world.mesh.default_config)
        ]
        told = [problem for parts in self._parts.values() for problem in parts.problems]
        errors = (str(finding) for finding in self._findings() if finding.level is Level.ERROR)
        unkept = [self.given.problem] if self.given.problem else []
        return [*waiting, *settings, *told, *unkept, *self._doubles(), *errors]

    def _findings(self) -> list[Finding]:
        return self.world.once("findings", lambda: validate.findings(self.world, certified=self.certified))

    def _doubles(self) -> list[str]:
        """Objects of two sources: one of them has no effect."""
        first: dict[tuple[str, str, str], str] = {}
        return [
            f"{subject(policy)}: {source} has it, and {first[policy.key]}, whose counts; remove one"
            for source, parts in self._parts.items()
            for policy in parts.policies
            if first.setdefault(policy.key, source) != source
        ]

    def check(self, owner: str, policies: list[Policy]) -> Candidate:
        """The policies as the new set of ``owner``, and what is found: everything about them, and the errors that they bring
        to the policies of others."""
        kept = [p for other in self.directory.owners() if other != owner for p in self.directory.of_owner(other)]
        foreign = [self._parts[source.name].policies for source in self.others if source.name in self._parts]
        world = self.world_with(_ranked([[*kept, *policies], *foreign]), self._made).after(self.world)
        return Candidate(policies, world, [*self._news(world, policies), *_of_others(policies, (kept, *foreign))])

    def judge(self, policy: Policy, source: str) -> list[Finding]:
        """What is found about an object that ``source`` would have, in the place of one of that name: everything about it,
        and the errors that it brings to others. May be called by another thread."""
        return self.candidate([policy], source).findings

    def candidate(self, policies: Sequence[Policy], source: str) -> Candidate:
        """The policies as objects that ``source`` would have, in the place of those of their names, and what is found."""
        parts = {name: known.policies for name, known in self._parts.items()}
        others = [theirs for name, theirs in parts.items() if name != source]
        mine = {policy.key for policy in policies}
        parts[source] = (*(known for known in parts.get(source, ()) if known.key not in mine), *policies)
        world = self.world_with(_ranked(parts.values()))
        return Candidate(list(policies), world, [*self._news(world, policies), *_of_others(policies, others)])

    def _news(self, world: World, policies: Sequence[Policy]) -> list[Finding]:
        """What is found in a world about these policies, and the errors of others that are not in the present one."""
        mine = {subject(policy) for policy in policies}
        known = self._findings()
        return [
            finding
            for finding in validate.findings(world, certified=self.certified)
            if finding.subject in mine or (finding.level is Level.ERROR and finding not in known)
        ]


def _of_others(policies: Sequence[Policy], others: Iterable[Sequence[Policy]]) -> list[Finding]:
    """Those of the policies that somebody else has."""
    taken = {policy.key for theirs in others for policy in theirs}
    return [validate.belongs_to_other(policy) for policy in policies if policy.key in taken]


def _ranked(sources: Iterable[Sequence[Policy]]) -> list[Policy]:
    """The policies of all sources; of an object that several have, only the first's (:mod:`mesh_control.sources.table`)."""
    first, *others = [policies for policies in sources if policies] or [()]
    if not others:
        return list(first)
    found, taken = list(first), {policy.key for policy in first}
    for policies in others:
        found += [policy for policy in policies if policy.key not in taken]
        taken |= {policy.key for policy in policies}
    return found
