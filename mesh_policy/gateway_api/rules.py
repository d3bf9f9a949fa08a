"""What rules of all kinds of routes have in common."""

from collections.abc import Iterable
from typing import Protocol

from mesh_policy.gateway_api.refusals import Refusal

MOST_MATCHES = 128
"""How many matches all rules of a route may have together."""


class NamedRule(Protocol):
    """A rule that may have a name."""

    @property
    def name(self) -> str | None:
        """Name of the rule within its route."""


def same_names(rules: Iterable[NamedRule]) -> list[Refusal]:
    """Refusals of rules whose name an earlier one has."""
    seen: set[str] = set()
    refusals: list[Refusal] = []
    for place, rule in enumerate(rules):
        if rule.name in seen:
            refusals.append(((place, "name"), f"{rule.name!r} stands twice; rename one"))
        if rule.name is not None:
            seen.add(rule.name)
    return refusals


def too_many_matches(count: int) -> list[Refusal]:
    """A refusal when all rules together have too many matches."""
    if count <= MOST_MATCHES:
        return []
    return [((), f"have {count} matches together; at most {MOST_MATCHES} are allowed: split the route")]
