"""What the access log says of an access that no policy allows: of the first policies, which of their conditions failed
first.

Conditions are named, and no more: what they want and what they saw may be secret. `mesh authz why` tells that. It is said
when the access is denied, since what is behind may change the request, and so on the hot path: what can be blamed is found
out once, and a policy that fails by one condition alone is not even tested again.
"""

from typing import Final

from mesh_api.config import Rbac
from mesh_api.config.authorization import AllOf, AnyOf, Anything, Not, RbacPolicy, Rule
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.conditions import Test
from mesh_proxy.authorization.engine import rule_test
from mesh_proxy.authorization.wording import subject

NAMED: Final = 3
"""Of so many policies it is said: whoever is refused should not cost more than whoever is served."""
_SPACES: Final = str.maketrans(dict.fromkeys(" \t\n\v\f\r", "_"))


def without_spaces(text: str) -> str:
    """As Envoy writes names into details, which end at a space."""
    return text.translate(_SPACES)


class Denials:
    """What is said of accesses that none of these policies allows. Raises
    :class:`~mesh_proxy.routing.matchers.MatcherError` for rules that cannot be run."""

    __slots__ = ("_always", "_blamed", "_more")

    def __init__(self, rules: Rbac) -> None:
        self._blamed: list[_Blame] = [_of_policy(policy) for policy in rules.policies[:NAMED]]
        self._more: bool = len(rules.policies) > NAMED
        fixed = all(not blame.steps for blame in self._blamed)
        self._always: str | None = self._joined([blame.otherwise for blame in self._blamed]) if fixed else None

    def failed(self, access: Access) -> str:
        """``POLICY:CONDITION``, joined by commas and without spaces; empty where there is no policy."""
        if self._always is not None:
            return self._always
        return self._joined([blame.of(access) for blame in self._blamed])

    def _joined(self, told: list[str]) -> str:
        return ",".join([*told, "..."] if self._more else told)


class _Blame:
    """Of a rule that fails, what failed first: the first of ``steps`` that does not hold says it, else it is
    ``otherwise``."""

    __slots__ = ("otherwise", "steps")

    def __init__(self, steps: list[tuple[Test, "_Blame"]], otherwise: str) -> None:
        while steps and not steps[-1][1].steps and steps[-1][1].otherwise == otherwise:
            steps.pop()  # it would be the same word
        self.steps: tuple[tuple[Test, _Blame], ...] = tuple(steps)
        self.otherwise: str = otherwise

    def of(self, access: Access) -> str:
        """What failed first for this access."""
        for holds, blame in self.steps:
            if not holds(access):
                return blame.of(access)
        return self.otherwise


def _of_policy(policy: RbacPolicy) -> _Blame:
    return _of_rule(AllOf((AnyOf(policy.permissions), AnyOf(policy.principals))), without_spaces(f"{policy.name}:"))


def _of_rule(rule: Rule, name: str) -> _Blame:
    """See :func:`~mesh_proxy.authorization.explain.explain`, which says the same of one access, slowly and in full."""
    if isinstance(rule, AnyOf) and any(isinstance(part, AllOf | AnyOf | Not) for part in rule.rules):
        return _of_rule(rule.rules[0], name)  # where all alternatives fail, the first of them fails first
    parts = [part for part in rule.rules if not _always_holds(part)] if isinstance(rule, AllOf) else []
    if not parts:
        return _Blame([], name + without_spaces(subject(rule)))
    last = _of_rule(parts[-1], name)  # where all the others hold, it is that one
    steps = [(rule_test(part), _of_rule(part, name)) for part in parts[:-1]]
    return _Blame([*steps, *last.steps], last.otherwise)


def _always_holds(rule: Rule) -> bool:
    if isinstance(rule, AnyOf):
        return any(map(_always_holds, rule.rules))
    return isinstance(rule, Anything) or (isinstance(rule, AllOf) and all(map(_always_holds, rule.rules)))
