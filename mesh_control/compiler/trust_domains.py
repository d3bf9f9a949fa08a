"""Trust domains and their aliases in principals (Istio, ``pilot/pkg/security/trustdomain``)."""

from collections.abc import Iterable

LOCAL = "cluster.local"
"""The trust domain where none is configured; in a policy it points to the mesh's own, whatever that is called."""


def principals(values: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Each principal of the mesh's own trust domain once for it and for each of its aliases.

    ``domains`` is the trust domain and then its aliases. One without a trust domain, with ``*`` for it, or of a foreign trust
    domain stays as it is.
    """
    found: list[str] = []
    for value in values:
        parts = value.split("/")
        own = len(parts) == 5 and parts[0] != "*" and (parts[0] == LOCAL or _is_one_of(parts[0], domains))
        found += _for_each(value, parts, domains) if own else (value,)
    return tuple(found)


def _for_each(value: str, parts: list[str], domains: tuple[str, ...]) -> Iterable[str]:
    made = (value if _ends(domain, parts[0]) else "/".join((domain, *parts[1:])) for domain in domains)
    return dict.fromkeys(made)


def expanded(values: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Trust domains, with the mesh's aliases where its own (or one of them) is among them."""
    found: list[str] = []
    for value in values:
        found += domains if value in domains else (value,)
    return tuple(dict.fromkeys(found))


def _is_one_of(domain: str, known: tuple[str, ...]) -> bool:
    return any(
        domain == other
        or other == "*"
        or any(_begins(one, two) or _ends(one, two) for one, two in ((domain, other), (other, domain)))
        for other in known
    )


def _begins(text: str, pattern: str) -> bool:
    return pattern.endswith("*") and text.startswith(pattern[:-1])


def _ends(text: str, pattern: str) -> bool:
    return pattern.startswith("*") and text.endswith(pattern[1:])
