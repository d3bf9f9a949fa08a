"""VirtualServices: hosts that several rule, destinations, gateways, weights, and settings that contradict each other."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.hosts import EVERYWHERE, Host, Hosts, scopes
from mesh_policy.hosts import overlap, qualify
from mesh_policy.networking.destination_rule import DestinationRule
from mesh_policy.networking.destinations import Destination
from mesh_policy.networking.http_route import HttpRoute
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.objects.services import HTTP_PROTOCOLS
from mesh_policy.positions import Path

VS = Placed[VirtualService]
SHOWN = 20
"""How many names a message lists; of more, those that are spelt alike."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A destination of a route: where it stands, and the share of the route's requests (weights of 0 and below get none)."""

    path: Path
    destination: Destination
    mirror: bool = False


def references(service: VirtualService) -> Iterator[Reference]:
    """Every destination of every rule."""
    spec = service.spec
    for place, route in enumerate(spec.http or ()):
        at: Path = ("spec", "http", place)
        for index, item in enumerate(route.route or ()):
            yield Reference((*at, "route", index, "destination"), item.destination)
        if route.mirror is not None:
            yield Reference((*at, "mirror"), route.mirror, mirror=True)
        for index, mirror in enumerate(route.mirrors or ()):
            yield Reference((*at, "mirrors", index, "destination"), mirror.destination, mirror=True)
    for place, tcp in enumerate(spec.tcp or ()):
        for index, weighted in enumerate(tcp.route or ()):
            yield Reference(("spec", "tcp", place, "route", index, "destination"), weighted.destination)
    for place, tls in enumerate(spec.tls or ()):
        for index, weighted in enumerate(tls.route or ()):
            yield Reference(("spec", "tls", place, "route", index, "destination"), weighted.destination)


def in_mesh(service: VirtualService) -> bool:
    """Whether its rules are for sidecars."""
    return not service.spec.gateways or "mesh" in service.spec.gateways


def mesh_conflicts(context: Context) -> Iterator[Finding]:
    """IST0109: a host inside the mesh is ruled by one VirtualService for each namespace that asks."""
    owners: dict[tuple[str, str], dict[str, VS]] = {}
    for placed in context.of(VirtualService):
        if not in_mesh(placed.value):
            continue
        spec = placed.value.spec
        for scope in scopes(spec.export_to, placed.namespace):
            for host in spec.hosts or ():
                owners.setdefault((scope, qualify(host, placed.namespace)), {})[placed.full_name] = placed
    everywhere = {host: known for (scope, host), known in owners.items() if scope == EVERYWHERE}
    wildcards = [host for host in everywhere if host.startswith("*")]
    told: set[str] = set()
    for (scope, host), own in sorted(owners.items()):
        known = dict(own)
        if scope != EVERYWHERE:
            alike = [host, *wildcards] if not host.startswith("*") else list(everywhere)
            known |= {n: p for other in alike if overlap(host, other) for n, p in everywhere.get(other, {}).items()}
        if len(known) > 1:
            yield from _conflict(known, host, told)


def _conflict(known: dict[str, VS], host: str, told: set[str]) -> Iterator[Finding]:
    for name, placed in sorted(known.items()):
        if name in told:
            continue
        told.add(name)
        others = ", ".join(f"VirtualService {other}" for other in sorted(known) if other != name)
        message = f"{host} is also ruled by {others}; in the mesh only the oldest counts: merge them into one"
        yield found("IST0109", placed, ("spec", "hosts"), message)


def destinations(context: Context) -> Iterator[Finding]:
    """IST0101 and IST0112: hosts, ports and subsets that routes go to."""
    for placed in context.of(VirtualService):
        for reference in references(placed.value):
            name = qualify(reference.destination.host, placed.namespace)
            if context.hosts is not None and not context.may_be_broken(name):
                host = context.hosts.find(name, placed.namespace, placed.value.spec.export_to)
                yield from _host(context.hosts, placed, reference, name, host)
            if reference.destination.subset and not context.may_be_broken(name):
                yield from _subset(context, placed, reference, name)


def _host(hosts: Hosts, placed: VS, reference: Reference, name: str, host: Host | None) -> Iterator[Finding]:
    port = reference.destination.port
    number = port.number if port is not None else None
    if host is None:
        yield found("IST0101", placed, (*reference.path, "host"), unknown_host(hosts, name, placed.namespace))
    elif number is not None and number not in host.ports:
        message = f"{name} has no port {number}; it has {_ports(host)}"
        yield found("IST0101", placed, (*reference.path, "port"), message)
    elif number is None and len(host.ports) > 1:
        message = f"{name} has several ports ({_ports(host)}); say which with port.number"
        yield found("IST0112", placed, (*reference.path, "port"), message)


def _ports(host: Host) -> str:
    return ", ".join(map(str, host.ports)) or "none"


def unknown_host(hosts: Hosts, name: str, namespace: str) -> str:
    """Says that a host is not there, and which there are."""
    hidden = hosts.hidden(name)
    if hidden is not None:
        owner = hidden.entry or hidden.service
        of = f" by {owner.subject}" if owner is not None else ""
        return f"host {name} is not exported{of} to namespace {namespace}; widen its exportTo"
    names = sorted(name for name in hosts.names if not name.startswith("istio-ingressgateway."))
    known = names if len(names) <= SHOWN else difflib.get_close_matches(name, names, n=5)
    return f"host {name} does not exist; known are {', '.join(known) or f'{len(names)} others'}"


def _subset(context: Context, placed: VS, reference: Reference, name: str) -> Iterator[Finding]:
    subset = reference.destination.subset
    rules = [rule for rule in context.rules(name) if _seen(rule, placed.namespace)]
    names = {s.name for rule in rules for s in rule.value.spec.subsets or ()}
    if subset not in names:
        defined = f"defined are {', '.join(sorted(names))}" if names else "no DestinationRule defines any"
        message = f"subset {subset!r} of {name} does not exist; {defined}"
        yield found("IST0101", placed, (*reference.path, "subset"), message)


def _seen(rule: Placed[DestinationRule], namespace: str) -> bool:
    """Whether a rule counts for a host; one with a wildcard only where it is exported to, for there may be others."""
    exported = scopes(rule.value.spec.export_to, rule.namespace)
    return not rule.value.spec.host.startswith("*") or not exported.isdisjoint((EVERYWHERE, namespace))


def empty_versions(context: Context) -> Iterator[Finding]:
    """MESH0021: a share of a route for a version that nobody is."""
    if context.hosts is None or context.pods is None:
        return
    for placed in context.of(VirtualService):
        for reference in references(placed.value):
            if reference.destination.subset and not reference.mirror and _share(placed.value, reference.path) != 0:
                yield from _empty_version(context, context.hosts, placed, reference)


def _share(service: VirtualService, path: Path) -> int | None:
    """The weight of a destination; ``None`` where there is one alone, which gets everything."""
    _, protocol, rule, _, place, *_ = path
    if protocol == "http":
        route = (service.spec.http or ())[int(rule)].route or ()
        return route[int(place)].weight or 0 if len(route) > 1 else None
    other = (service.spec.tcp if protocol == "tcp" else service.spec.tls) or ()
    weighted = other[int(rule)].route or ()
    return weighted[int(place)].weight or 0 if len(weighted) > 1 else None


def _empty_version(context: Context, hosts: Hosts, placed: VS, reference: Reference) -> Iterator[Finding]:
    name = qualify(reference.destination.host, placed.namespace)
    host = hosts.find(name, placed.namespace, placed.value.spec.export_to)
    members = context.members(host) if host is not None else None
    subset = next(
        (s for r in context.rules(name) for s in r.value.spec.subsets or () if s.name == reference.destination.subset),
        None,
    )
    if subset is None or not members:
        return
    labels = subset.labels or {}
    if not any(labels.items() <= member.labels.items() for member in members):
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
        message = (
            f"no workload of {name} is of version {subset.name!r} ({wanted}): these requests will end in 503; "
            "start it before it gets a share"
        )
        yield found("MESH0021", placed, (*reference.path, "subset"), message)


def weights(context: Context) -> Iterator[Finding]:
    """MESH0002 and MESH0024: weights that do not say what they seem to."""
    for placed in context.of(VirtualService):
        for place, route in enumerate(placed.value.spec.http or ()):
            given = [item.weight for item in route.route or ()]
            path: Path = ("spec", "http", place, "route")
            if len(given) < 2:
                continue
            sum_ = sum(weight or 0 for weight in given)
            if sum_ != 100:
                shown = " + ".join(str(weight or 0) for weight in given)
                message = f"the weights {shown} sum to {sum_}; write shares of 100"
                yield found("MESH0002", placed, path, message)
            for index, weight in enumerate(given):
                if weight is None:
                    message = "without a weight this destination gets nothing; write one, 0 if that is meant"
                    yield found("MESH0024", placed, (*path, index), message)


def mirrors(context: Context) -> Iterator[Finding]:
    """MESH0018: the copy goes where the request goes."""
    for placed in context.of(VirtualService):
        for place, route in enumerate(placed.value.spec.http or ()):
            own = {_target(item.destination, placed.namespace) for item in route.route or ()}
            at: Path = ("spec", "http", place)
            copies = [((*at, "mirror"), route.mirror)] if route.mirror is not None else []
            copies += [((*at, "mirrors", n, "destination"), m.destination) for n, m in enumerate(route.mirrors or ())]
            for path, destination in copies:
                if _target(destination, placed.namespace) in own:
                    message = "the route goes there itself, so each copied request is served twice; mirror elsewhere"
                    yield found("MESH0018", placed, path, message)


def _target(destination: Destination, namespace: str) -> tuple[str, str, int]:
    port = destination.port.number if destination.port is not None else 0
    return qualify(destination.host, namespace), destination.subset or "", port or 0


def retries(context: Context) -> Iterator[Finding]:
    """MESH0017: a first try that may last until the whole timeout leaves no time for a second."""
    for placed in context.of(VirtualService):
        for place, route in enumerate(placed.value.spec.http or ()):
            whole, again = route.timeout, route.retries
            if whole is None or again is None or not again.attempts or again.per_try_timeout is None:
                continue
            if again.per_try_timeout >= whole:
                message = (
                    "one try may take as long as the whole timeout, so a try that takes too long is never repeated; "
                    f"make it shorter than timeout / {again.attempts + 1}"
                )
                yield found("MESH0017", placed, ("spec", "http", place, "retries", "perTryTimeout"), message)


def http_on_tcp(context: Context) -> Iterator[Finding]:
    """MESH0019: HTTP rules for a host none of whose ports carries HTTP."""
    if context.hosts is None:
        return
    for placed in context.of(VirtualService):
        spec = placed.value.spec
        if not spec.http or not in_mesh(placed.value):
            continue
        for index, name in enumerate(spec.hosts or ()):
            host = context.hosts.find(qualify(name, placed.namespace), placed.namespace, spec.export_to)
            spoken = set(host.ports.values()) if host is not None else set()
            if spoken and not any(protocol in HTTP_PROTOCOLS or not protocol for protocol in spoken):
                message = (
                    f"the ports of {name} carry {', '.join(sorted(spoken))}, so rules in http are never asked; "
                    "name the port http-..., or write the rules in tcp or tls"
                )
                yield found("MESH0019", placed, ("spec", "hosts", index), message)


def subsets_at_gateways(context: Context) -> Iterator[Finding]:
    """IST0140: a rule at a gateway goes to a host itself, past the subsets that the host's own rule would choose."""
    ruled: dict[str, list[VS]] = {}
    for placed in context.of(VirtualService):
        spec = placed.value.spec
        for route in spec.http or ():
            for item in route.route or ():
                host = item.destination.host
                if item.destination.subset and host in (spec.hosts or ()) and placed not in ruled.get(host, ()):
                    ruled.setdefault(host, []).append(placed)
    for placed in context.of(VirtualService):
        if not placed.value.spec.gateways:
            continue
        for place, route in enumerate(placed.value.spec.http or ()):
            yield from _past_subsets(placed, place, route, ruled)


def _past_subsets(placed: VS, place: int, route: HttpRoute, ruled: dict[str, list[VS]]) -> Iterator[Finding]:
    for index, item in enumerate(route.route or ()):
        if item.destination.subset:
            continue
        for owner in ruled.get(item.destination.host, ()):
            message = (
                f"the subsets in {owner.subject} have no effect on these requests: a gateway takes its own rule only; "
                "name the subset here"
            )
            path: Path = ("spec", "http", place, "route", index, "destination")
            yield found("IST0140", placed, path, message)


CHECKS: Sequence[Check] = (
    mesh_conflicts,
    destinations,
    empty_versions,
    weights,
    mirrors,
    retries,
    http_on_tcp,
    subsets_at_gateways,
)
