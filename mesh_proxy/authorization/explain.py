"""Why: the rules once more, slowly, with what each condition wanted and what it saw.

Nothing here runs on the hot path. Leaves are those of the engine, so the two cannot compare differently; a property
test holds the rest of them together.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mesh_api.config.authorization import (
    AllOf,
    AnyOf,
    Anything,
    NetworkRbac,
    Not,
    Rbac,
    RbacAction,
    RbacFilter,
    RbacPolicy,
    Rule,
)
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.conditions import leaf
from mesh_proxy.authorization.wording import describe, seen_by, subject


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: what it is about, in Istio's words (``path``, ``source.ip``, ``request.headers[x-token]``), what it
    wanted, what it saw, and whether it held."""

    subject: str
    wanted: str
    seen: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.subject}: wanted {self.wanted}, saw {self.seen}"


@dataclass(frozen=True, slots=True)
class Miss:
    """A policy that did not match: the first condition that failed, of each of its alternatives."""

    policy: str
    clauses: tuple[Clause, ...]

    def __str__(self) -> str:
        return f"{self.policy}: " + "; or ".join(map(str, self.clauses))


@dataclass(frozen=True, slots=True)
class Decision:
    """What one set of rules says of an access.

    ``policy`` is the one that matched (empty: none), ``clauses`` what held in it. ``misses`` are the policies that were
    looked at and did not match.
    """

    allowed: bool
    action: RbacAction
    policy: str = ""
    clauses: tuple[Clause, ...] = ()
    misses: tuple[Miss, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all filters say together, in their order up to the first that denies. ``shadow`` are those only counted."""

    allowed: bool
    decisions: tuple[Decision, ...] = ()
    shadow: tuple[Decision, ...] = ()


class PolicyName(NamedTuple):
    """The parts of a policy's name as Istio makes it: which AuthorizationPolicy, and which of its rules (from 0)."""

    namespace: str
    name: str
    rule: int


_NAME = re.compile(r".*?ns\[(?P<namespace>[^]]*)]-policy\[(?P<name>[^]]*)]-rule\[(?P<rule>[0-9]+)]")


def parse_name(policy: str) -> PolicyName | None:
    """The parts of ``ns[NAMESPACE]-policy[NAME]-rule[INDEX]``; ``None`` for a name of another form."""
    found = _NAME.fullmatch(policy)
    return None if found is None else PolicyName(found["namespace"], found["name"], int(found["rule"]))


def decide(filters: Iterable[RbacFilter | NetworkRbac], access: Access) -> Verdict:
    """All filters in their order; the first that denies ends it."""
    decisions: list[Decision] = []
    shadow: list[Decision] = []
    for item in filters:
        if item.shadow_rules is not None:
            shadow.append(explain(item.shadow_rules, access))
        if item.rules is not None:
            decisions.append(explain(item.rules, access))
            if not decisions[-1].allowed:
                return Verdict(False, tuple(decisions), tuple(shadow))
    return Verdict(True, tuple(decisions), tuple(shadow))


def explain(rules: Rbac, access: Access) -> Decision:
    """Decides as :func:`~mesh_proxy.authorization.engine.compile_rules` does, with the reasons.

    Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for rules that cannot be run.
    """
    misses: list[Miss] = []
    for policy in rules.policies:
        holds, clauses = _policy(policy, access)
        if holds:
            return Decision(rules.action is not RbacAction.DENY, rules.action, policy.name, clauses, tuple(misses))
        misses.append(Miss(policy.name, clauses))
    return Decision(rules.action is not RbacAction.ALLOW, rules.action, misses=tuple(misses))


_Trace = tuple[bool, tuple[Clause, ...]]
"""Whether a rule holds; and what held in it, or the first condition of each alternative that did not."""


def _policy(policy: RbacPolicy, access: Access) -> _Trace:
    what, whats = _trace(AnyOf(policy.permissions), access)
    if not what:
        return False, whats
    who, whos = _trace(AnyOf(policy.principals), access)
    return who, whats + whos if who else whos


def _trace(rule: Rule, access: Access) -> _Trace:
    if isinstance(rule, Anything):
        return True, ()
    if isinstance(rule, AllOf):
        return _every(rule, access)
    if isinstance(rule, AnyOf):
        return _some(rule, access)
    if isinstance(rule, Not):
        holds = not _trace(rule.rule, access)[0]
        return holds, (_clause(rule, access, holds),)
    holds = leaf(rule)(access)
    return holds, (_clause(rule, access, holds),)


def _every(rule: AllOf, access: Access) -> _Trace:
    held: list[Clause] = []
    for part in rule.rules:
        holds, clauses = _trace(part, access)
        if not holds:
            return False, clauses
        held += clauses
    return True, tuple(held)


def _some(rule: AnyOf, access: Access) -> _Trace:
    failed: list[Clause] = []
    for part in rule.rules:
        holds, clauses = _trace(part, access)
        if holds:
            return True, clauses
        failed += clauses
    if all(not isinstance(part, AllOf | AnyOf | Not) for part in rule.rules):
        return False, (_clause(rule, access, False),)  # several values of one field are one condition
    return False, tuple(dict.fromkeys(failed))


def _clause(rule: Rule, access: Access, holds: bool) -> Clause:
    return Clause(subject(rule), describe(rule), seen_by(rule, access), holds)
