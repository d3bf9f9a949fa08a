"""Which DestinationRules count for a service: by namespace and ``exportTo``, and those of one host merged (Istio)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from mesh_control.compiler.exports import PRIVATE, PUBLIC
from mesh_control.compiler.wildcards import most_specific, starred
from mesh_control.world import World
from mesh_policy import DestinationRule
from mesh_policy.hosts import qualify

Rules = tuple[DestinationRule, ...]


@dataclass(slots=True)
class Group:
    """Rules for one host that count together, the first of them before the others: its settings, the subsets of all.

    ``selector``: labels of the workloads that they are for; ``None``: every one.
    """

    export_to: frozenset[str]
    selector: Mapping[str, str] | None
    rules: Rules


@dataclass(slots=True)
class ByHost:
    """Groups by the host that they are for."""

    groups: dict[str, list[Group]] = field(default_factory=dict)
    _wildcards: tuple[str, ...] | None = None

    def add(self, rule: DestinationRule, export_to: frozenset[str]) -> None:
        """Merges a rule into the groups of its host: into those that are seen from no place where it is not seen itself."""
        selector = rule.spec.workload_selector
        labels = None if selector is None else dict(selector.match_labels or {})
        groups = self.groups.setdefault(qualify(rule.spec.host, rule.metadata.namespace), [])
        alone = True
        for group in groups:
            alone = export_to != group.export_to
            if alone and not (group.export_to and export_to >= group.export_to):
                continue
            if labels is not None and group.selector is not None and labels != group.selector:
                alone = True
                continue
            if (labels is None) is (group.selector is None):
                alone = False
            group.rules = (*group.rules, rule)
        if alone:
            groups.append(Group(export_to, labels, (rule,)))

    def find(self, host: str) -> list[Group]:
        """The groups for the very name, else for the narrowest wildcard around it."""
        if self._wildcards is None:
            self._wildcards = starred(self.groups)
        return most_specific(host, self.groups, self._wildcards) or []


@dataclass(frozen=True, slots=True)
class Index:
    """The rules of a world: by namespace those that proxies in it see, and those that others see; those of the root namespace
    that only proxies in it see."""

    local: Mapping[str, ByHost]
    exported: Mapping[str, ByHost]
    of_root: ByHost

    def groups(self, host: str, owner: str, namespace: str, root: str) -> list[Group]:
        """Those that count for a service of ``owner`` in proxies of ``namespace``: its own, else the service's, else those of
        the root namespace, which in that namespace itself come last as well."""
        own = self.of_root if namespace == root else self.local.get(namespace)
        if own is not None and (found := own.find(host)):
            return found
        for place in (owner, root):
            known = self.exported.get(place)
            seen = [g for g in known.find(host) if _sees(g, namespace)] if known is not None else []
            if seen:
                return seen
        return []


def _sees(group: Group, namespace: str) -> bool:
    return not group.export_to or PUBLIC in group.export_to or namespace in group.export_to


def index(world: World) -> Index:
    """Made once for a world."""
    return world.once("DestinationRules", partial(_index, world))


def _index(world: World) -> Index:
    local: dict[str, ByHost] = {}
    exported: dict[str, ByHost] = {}
    of_root = ByHost()
    hidden = PRIVATE in world.mesh.default_destination_rule_export_to
    for rule in _selecting_first(world.destination_rules):
        owner = rule.metadata.namespace
        # What selects workloads is never exported.
        export_to = (
            frozenset(rule.spec.export_to or ()) if rule.spec.workload_selector is None else frozenset({PRIVATE})
        )
        if not export_to or export_to & {PUBLIC, PRIVATE, owner}:
            local.setdefault(owner, ByHost()).add(rule, export_to)
        if (export_to and export_to not in ({PRIVATE}, {owner})) or (not export_to and not hidden):
            exported.setdefault(owner, ByHost()).add(rule, export_to)
        elif owner == world.mesh.root_namespace:
            of_root.add(rule, export_to)
    return Index(local, exported, of_root)


def _selecting_first(rules: Iterable[DestinationRule]) -> list[DestinationRule]:
    return sorted(rules, key=lambda rule: rule.spec.workload_selector is None)
