"""What of an AuthorizationPolicy cannot be enforced.

Passing such a condition over would open a door, or shut one for everybody.
"""

from collections.abc import Iterator

from mesh_policy.security.authorization_policy import AuthorizationPolicy, Rule

_ATTRIBUTES = {
    "experimental.envoy.filters.": "needs what another filter leaves behind, and there is none that does; remove it",
}
"""Attributes, by the beginning of their names."""


def unenforceable(policy: AuthorizationPolicy) -> Iterator[tuple[str, str]]:
    """Field and why, for everything that cannot be enforced."""
    spec = policy.spec
    targets = {} if spec.target_ref is None else {"spec.targetRef": spec.target_ref}
    targets |= {f"spec.targetRefs[{place}]": target for place, target in enumerate(spec.target_refs or ())}
    for field, target in targets.items():
        if target.kind != "Gateway":
            yield f"{field}.kind", f"{target.kind} is for waypoints, which there are not; use a selector"
    for place, rule in enumerate(spec.rules or ()):
        yield from _rule(f"spec.rules[{place}]", rule)


def _rule(path: str, rule: Rule) -> Iterator[tuple[str, str]]:
    for place, condition in enumerate(rule.when or ()):
        why = next((why for name, why in _ATTRIBUTES.items() if condition.key.startswith(name)), None)
        if why is not None:
            yield f"{path}.when[{place}].key", f"{condition.key} {why}"
