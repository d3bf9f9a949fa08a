"""Rules as nested functions: compiled once, evaluated by one call.

On the hot path of every request, so that what is most asked for is put together: paths, methods and ports that are joined by
"or" become one look into a set and one ``startswith``. Of many policies those that may hold are looked up.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from mesh_api.config import HeaderMatch, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    AllOf,
    AnyOf,
    Anything,
    Not,
    Rbac,
    RbacAction,
    RbacPolicy,
    Rule,
    UrlPath,
)
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.conditions import Test, leaf
from mesh_proxy.authorization.selection import Select, selection
from mesh_proxy.routing.matchers import MatcherError


class Outcome(NamedTuple):
    """Whether the access is allowed, and the policy that matched (empty: none)."""

    allowed: bool
    policy: str


Engine = Callable[[Access], Outcome]
"""Rules, compiled."""


def compile_rules(rules: Rbac) -> Engine:
    """The rules as a function. Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for what cannot be run."""
    policies = tuple(
        (Outcome(_when_matched(rules.action), policy.name), policy_test(policy)) for policy in rules.policies
    )
    otherwise = Outcome(rules.action is not RbacAction.ALLOW, "")
    select = selection(rules.policies)  # after the tests are made: what cannot be run has been refused
    if select is not None:
        return _selecting(select, policies, otherwise)

    def evaluate(access: Access) -> Outcome:
        for outcome, matches in policies:
            if matches(access):
                return outcome
        return otherwise

    return evaluate


def _selecting(select: Select, policies: tuple[tuple[Outcome, Test], ...], otherwise: Outcome) -> Engine:
    def evaluate(access: Access) -> Outcome:
        for place in select(access):
            outcome, matches = policies[place]
            if matches(access):
                return outcome
        return otherwise

    return evaluate


def _when_matched(action: RbacAction) -> bool:
    return action is not RbacAction.DENY


def policy_test(policy: RbacPolicy) -> Test:
    """Whether one of the permissions and one of the principals holds."""
    what = rule_test(AnyOf(policy.permissions))
    who = rule_test(AnyOf(policy.principals))
    if who is _always:
        return what
    return who if what is _always else lambda access: what(access) and who(access)


def rule_test(rule: Rule) -> Test:
    """A rule with all of its parts."""
    if isinstance(rule, Anything):
        return _always
    if isinstance(rule, Not):
        test = rule_test(rule.rule)
        return lambda access: not test(access)
    if isinstance(rule, AllOf):
        return _all(_parts(rule.rules))
    if isinstance(rule, AnyOf):
        return _any(_parts(rule.rules))
    return leaf(rule)


def _parts(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    if not rules:
        raise MatcherError("a rule joins no conditions")  # Envoy refuses these, too
    return rules


def _always(access: Access) -> bool:
    return True


def _all(rules: Iterable[Rule]) -> Test:
    tests = tuple(test for test in map(rule_test, rules) if test is not _always)
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda access: first(access) and second(access)

    def every(access: Access) -> bool:
        for test in tests:  # noqa: SIM110 (a generator costs more than the tests)
            if not test(access):
                return False
        return True

    return every


def _any(rules: tuple[Rule, ...]) -> Test:
    tests = [*_together(rules), *(rule_test(rule) for rule in rules if _plain(rule) is None)]
    if _always in tests:
        return _always
    if len(tests) == 1:
        return tests[0]

    def some(access: Access) -> bool:
        for test in tests:  # noqa: SIM110 (as above)
            if test(access):
                return True
        return False

    return some


# What is put together.


def _plain(rule: Rule) -> tuple[str, StringMatchKind, bytes] | None:
    """Of a rule that can be put together with others: what it looks at, and how it is compared."""
    match: StringMatch | None = None
    if isinstance(rule, UrlPath):
        what, match = "path", rule.match
    elif isinstance(rule, HeaderMatch) and rule.name == ":method" and not rule.invert:
        what, match = "method", rule.match
    if match is None or match.ignore_case or not match.value or match.kind not in _PUT_TOGETHER:
        return None
    return what, match.kind, match.value.encode()


_PUT_TOGETHER: Final = (StringMatchKind.EXACT, StringMatchKind.PREFIX, StringMatchKind.SUFFIX)


def _together(rules: tuple[Rule, ...]) -> Iterable[Test]:
    found: dict[tuple[str, StringMatchKind], list[bytes]] = {}
    for rule in rules:
        plain = _plain(rule)
        if plain is not None:
            found.setdefault(plain[:2], []).append(plain[2])
    for (what, kind), values in found.items():
        yield _one_of(what, kind, tuple(values))


def _one_of(what: str, kind: StringMatchKind, values: tuple[bytes, ...]) -> Test:
    exact = frozenset(values)
    if what == "method":
        if kind is StringMatchKind.EXACT:
            return lambda access: access.head.method in exact
        if kind is StringMatchKind.PREFIX:
            return lambda access: access.head.method.startswith(values)
        return lambda access: access.head.method.endswith(values)
    if kind is StringMatchKind.EXACT:
        return lambda access: access.head.path in exact
    if kind is StringMatchKind.PREFIX:
        return lambda access: access.head.path.startswith(values)
    return lambda access: access.head.path.endswith(values)
