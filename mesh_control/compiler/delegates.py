"""VirtualServices that hand rules on to others: the rules of a delegate, narrowed by the root's (Istio)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from mesh_control.compiler.exports import exported
from mesh_control.world import World
from mesh_policy import VirtualService
from mesh_policy.hosts import gateway_name, qualify
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.virtual_service import Destination, HttpMatch, HttpRoute, HttpRouteDestination, Mirror

INHERITED = (
    "rewrite", "direct_response", "timeout", "retries", "fault", "mirror", "mirror_percent", "mirror_percentage",
    "cors_policy", "mirrors", "headers",
)  # fmt: skip
"""Fields of a rule that a delegate's rule has of the root's, where it has none of its own."""
COMPARED = ("uri", "scheme", "method", "authority")


@dataclass(frozen=True)
class Merged:
    """Every VirtualService with hosts, oldest first, its delegates' rules in place of those that name them.

    ``origins`` has, by the identity of a VirtualService with delegates, the root's rule that each of its rules comes from.
    """

    virtual_services: tuple[VirtualService, ...]
    origins: Mapping[int, tuple[int, ...]]

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str], VirtualService]:
        """Namespace and name to the VirtualService."""
        return {(found.metadata.namespace, found.metadata.name): found for found in self.virtual_services}


def merged(world: World) -> Merged:
    """Made once for a world."""
    return world.once("merged VirtualServices", partial(_merged, world))


def _merged(world: World) -> Merged:
    delegates = {(v.metadata.namespace, v.metadata.name): v for v in world.virtual_services if not v.spec.hosts}
    made: list[VirtualService] = []
    origins: dict[int, tuple[int, ...]] = {}
    for root in world.virtual_services:
        if not root.spec.hosts:
            continue
        if any(rule.delegate is not None for rule in root.spec.http or ()):
            rules = list(_rules(world, root, delegates))
            spec = root.spec.model_copy(update={"http": tuple(rule for _, rule in rules)})
            made.append(root.model_copy(update={"spec": spec}))
            origins[id(made[-1])] = tuple(place for place, _ in rules)
        else:
            made.append(root)
    return Merged(tuple(made), origins)


def _rules(
    world: World, root: VirtualService, delegates: Mapping[tuple[str, str], VirtualService]
) -> Iterator[tuple[int, HttpRoute]]:
    """The rules with the place of the root's rule that each comes from; nothing of a delegate that is not there for it."""
    home = root.metadata.namespace
    default = world.mesh.default_virtual_service_export_to
    for place, rule in enumerate(root.spec.http or ()):
        if rule.delegate is None:
            yield place, rule
            continue
        delegate = delegates.get((rule.delegate.namespace or home, rule.delegate.name or ""))
        if delegate is None:
            continue
        owner = delegate.metadata.namespace
        if exported(delegate.spec.export_to or default, owner, home):
            general = _in_full(rule, home)
            for own in delegate.spec.http or ():
                found = _both(general, _in_full(own, owner))
                if found is not None:
                    yield place, found


def _in_full(rule: HttpRoute, namespace: str) -> HttpRoute:
    """With full names, since names of two namespaces come together in one rule."""

    def named(destination: Destination) -> Destination:
        return destination.model_copy(update={"host": qualify(destination.host, namespace)})

    def routed(item: HttpRouteDestination) -> HttpRouteDestination:
        return item.model_copy(update={"destination": named(item.destination)})

    def mirrored(item: Mirror) -> Mirror:
        return item.model_copy(update={"destination": named(item.destination)})

    def matched(match: HttpMatch) -> HttpMatch:
        names = match.gateways and tuple(gateway_name(name, namespace) for name in match.gateways)
        return match.model_copy(update={"gateways": names})

    update = {
        "route": rule.route and tuple(map(routed, rule.route)),
        "mirror": rule.mirror and named(rule.mirror),
        "mirrors": rule.mirrors and tuple(map(mirrored, rule.mirrors)),
        "match": rule.match and tuple(map(matched, rule.match)),
    }
    return rule.model_copy(update=update)


def _both(root: HttpRoute, delegate: HttpRoute) -> HttpRoute | None:
    """One rule of both; ``None`` where the delegate's conditions are not within the root's."""
    matches = _matches(root.match or (), delegate.match or ())
    if matches is None:
        return None
    inherited = {name: getattr(root, name) for name in INHERITED if getattr(delegate, name) in (None, ())}
    name = "-".join(part for part in (root.name, delegate.name) if part)
    return delegate.model_copy(update={**inherited, "match": matches, "name": name, "delegate": None})


def _matches(roots: Sequence[HttpMatch], delegates: Sequence[HttpMatch]) -> tuple[HttpMatch, ...] | None:
    """Each of the delegate's within each of the root's that it fits; one that fits none spoils the rule (Istio)."""
    if not roots or not delegates:
        return tuple(roots or delegates)
    found: list[HttpMatch] = []
    for own in delegates:
        fitting = [_match(root, own) for root in roots if not _conflict(root, own)]
        if not fitting:
            return None
        found += fitting
    return tuple(found)


def _match(root: HttpMatch, own: HttpMatch) -> HttpMatch:
    one = ("uri", "scheme", "method", "authority", "port", "source_namespace", "gateways", "stat_prefix")
    many = ("headers", "without_headers", "query_params", "source_labels")
    update = {name: getattr(root, name) for name in one if not getattr(own, name)}
    update |= {name: {**(getattr(root, name) or {}), **(getattr(own, name) or {})} or None for name in many}
    return own.model_copy(update={**update, "name": "-".join(part for part in (root.name, own.name) if part)})


def _conflict(root: HttpMatch, own: HttpMatch) -> bool:
    """Whether something that the delegate's match lets through is not let through by the root's."""
    pairs = [(getattr(root, name), getattr(own, name)) for name in COMPARED]
    for name in ("headers", "without_headers", "query_params"):
        general = getattr(root, name) or {}
        pairs += [(general.get(key), value) for key, value in (getattr(own, name) or {}).items()]
    if any(one is not None and other is not None and not _narrows(one, other) for one, other in pairs):
        return True
    if bool(root.ignore_uri_case) != bool(own.ignore_uri_case):
        return True
    if root.port and own.port and root.port != own.port:
        return True
    if root.source_namespace and own.source_namespace != root.source_namespace:
        return True
    labels = root.source_labels or {}
    if any(labels.get(key, value) != value for key, value in (own.source_labels or {}).items()):
        return True
    gateways = set(root.gateways or ())
    return bool(gateways and own.gateways) and not gateways.issuperset(own.gateways or ())


def _narrows(root: StringMatch, own: StringMatch) -> bool:
    """Whether the delegate's comparison only lets through what the root's does, as far as Istio can tell."""
    if root.exact:
        return own.exact == root.exact
    if root.prefix:
        return (own.prefix or own.exact or "").startswith(root.prefix) and not own.regex
    return False
