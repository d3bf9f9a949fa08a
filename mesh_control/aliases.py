"""Services of type ExternalName: further names of the services that they lead to (istiod's ``resolveServiceAliases``)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mesh_control.services import Resolution, Service

Alias = tuple[str, str]
"""A host name, and the namespace that it is of."""


def resolved(services: Iterable[Service]) -> tuple[list[Service], list[Service]]:
    """The services that have hosts, each with the aliases that lead to it; and the aliases themselves."""
    others: list[Service] = []
    named: list[Service] = []
    for service in services:
        (named if service.resolution is Resolution.ALIAS else others).append(service)
    found = _by_target(named)
    return [_with(service, found.get(service.hostname, ())) for service in others], named


def _with(service: Service, aliases: tuple[Alias, ...]) -> Service:
    return service if service.aliases == aliases else replace(service, aliases=aliases)


def _by_target(named: Sequence[Service]) -> Mapping[str, tuple[Alias, ...]]:
    """Host name to the aliases that lead to it, over however many of them. One that leads round in a circle leads nowhere,
    as with Kubernetes' DNS."""
    next_ = {alias.hostname: alias.stands_for for alias in named}
    found: dict[str, list[Alias]] = {}
    for alias in named:
        passed, target = {alias.hostname}, alias.stands_for
        while target in next_ and target not in passed:
            passed.add(target)
            target = next_[target]
        if target not in passed:
            found.setdefault(target, []).append((alias.hostname, alias.namespace))
    return {host: tuple(sorted(names, key=lambda name: (name[1], name[0]))) for host, names in found.items()}
