"""Host names with wildcards as Istio compares them (``pkg/config/host``): what stands behind ``*`` is a suffix."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def starred(hosts: Iterable[str]) -> tuple[str, ...]:
    """The wildcards among hosts, the narrowest first, as :func:`most_specific` wants them."""
    return tuple(sorted((host for host in hosts if host.startswith("*")), key=lambda host: (-len(host), host)))


def most_specific(host: str, known: Mapping[str, T], wildcards: Iterable[str]) -> T | None:
    """What is known for the very name, else for the narrowest of the ``wildcards`` around it (``MostSpecificHostMatch``)."""
    found = known.get(host)
    if found is not None:
        return found
    name = host.removeprefix("*")
    return next((known[pattern] for pattern in wildcards if name.endswith(pattern[1:])), None)
