"""Checks of policies against each other and against what is known of the mesh. Never raises; returns findings.

Codes ``IST...`` are Istio's own (``istioctl analyze``), ``MESH...`` ours.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from mesh_policy.base import Policy
from mesh_policy.hosts import covers, gateway_name, qualify
from mesh_policy.networking.destination_rule import DestinationRule, TrafficPolicy
from mesh_policy.networking.gateway import Gateway
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.networking.virtual_service import Destination, HttpRoute, TcpRoute, TlsRoute, VirtualService
from mesh_policy.networking.workload_entry import WorkloadEntry


class Level(IntEnum):
    """How bad a finding is; an error is refused by the control plane."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its code, the object (``KIND NAMESPACE/NAME``), the field, what is wrong and how to mend it."""

    code: str
    level: Level
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.subject}: {self.field}" if self.field else self.subject
        return f"{self.level.name.lower()} {self.code} {place}: {self.message}"


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service that exists: its full name and ports."""

    host: str
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownWorkload:
    """A workload that exists: its namespace, labels, and the host of the service that it belongs to."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    host: str = ""


@dataclass(frozen=True, slots=True)
class _Context:
    policies: Sequence[Policy]
    services: Mapping[str, KnownService] | None
    workloads: Sequence[KnownWorkload] | None
    by_host: Mapping[str, Sequence[DestinationRule]]
    """Host, perhaps with a wildcard, to the destination rules for it."""
    wildcards: Sequence[str]
    """The hosts of rules with a wildcard."""

    def rules(self, host: str) -> list[DestinationRule]:
        """The destination rules that cover a host."""
        wildcards = (name for name in self.wildcards if name != host and covers(name, host))
        return [rule for name in (host, *wildcards) for rule in self.by_host.get(name, ())]


def check(
    policies: Sequence[Policy],
    services: Sequence[KnownService] | None = None,
    workloads: Sequence[KnownWorkload] | None = None,
) -> list[Finding]:
    """Every finding, errors first. ``None`` for services or workloads: nothing is known, nothing is said about them."""
    known = None if services is None else {s.host: s for s in services} | _declared(policies)
    rules: dict[str, list[DestinationRule]] = {}
    for policy in policies:
        if isinstance(policy, DestinationRule):
            rules.setdefault(qualify(policy.spec.host, policy.metadata.namespace), []).append(policy)
    context = _Context(policies, known, workloads, rules, [host for host in rules if host.startswith("*")])
    looks = (
        *(_duplicates, _mesh_conflicts, _destinations, _gateways, _weights),
        *(_shadowed, _outliers, _versions, _rules_for_nobody),
    )
    found = [finding for look in looks for finding in look(context)]
    return sorted(found, key=lambda finding: (-finding.level, finding.subject, finding.field, finding.code))


def _declared(policies: Sequence[Policy]) -> dict[str, KnownService]:
    return {
        host: KnownService(host, tuple(port.number for port in policy.spec.ports or ()))
        for policy in policies
        if isinstance(policy, ServiceEntry)
        for host in policy.spec.hosts
    }


def subject(policy: Policy) -> str:
    """``KIND NAMESPACE/NAME``."""
    return f"{policy.title()} {policy.metadata.namespace}/{policy.metadata.name}"


def _duplicates(context: _Context) -> Iterator[Finding]:
    seen: set[tuple[str, str, str]] = set()
    for policy in context.policies:
        if policy.key in seen:
            yield Finding("MESH0003", Level.ERROR, subject(policy), "", "the object stands twice; remove one")
        seen.add(policy.key)


def _virtual_services(context: _Context) -> Iterator[VirtualService]:
    return (policy for policy in context.policies if isinstance(policy, VirtualService))


def _mesh_conflicts(context: _Context) -> Iterator[Finding]:
    owners: dict[str, list[VirtualService]] = {}
    for service in _virtual_services(context):
        if service.spec.gateways and "mesh" not in service.spec.gateways:
            continue
        for host in service.spec.hosts or ():
            name = qualify(host, service.metadata.namespace)
            known = owners.setdefault(name, [])
            owner = next((other for other in known if other.key != service.key and _meet(other, service)), None)
            known.append(service)
            if owner is not None:
                message = f"{host} is also ruled by {subject(owner)}; in the mesh only the oldest counts: merge them"
                yield Finding("IST0109", Level.ERROR, subject(service), "spec.hosts", message)


def _meet(one: VirtualService, other: VirtualService) -> bool:
    """Whether some namespace sees both."""
    seen = [
        {service.metadata.namespace if name == "." else name for name in service.spec.export_to or ("*",)} - {"~"}
        for service in (one, other)
    ]
    return bool(seen[0] & seen[1]) or (any("*" in names for names in seen) and all(seen))


def _references(service: VirtualService) -> Iterator[tuple[str, Destination]]:
    """Every destination with the path of its field."""
    for place, route in enumerate(service.spec.http or ()):
        for index, item in enumerate(route.route or ()):
            yield f"spec.http[{place}].route[{index}].destination", item.destination
        if route.mirror is not None:
            yield f"spec.http[{place}].mirror", route.mirror
        for index, mirror in enumerate(route.mirrors or ()):
            yield f"spec.http[{place}].mirrors[{index}].destination", mirror.destination
    routes: list[tuple[str, TcpRoute | TlsRoute]] = [
        (f"spec.tcp[{n}]", r) for n, r in enumerate(service.spec.tcp or ())
    ]
    routes += [(f"spec.tls[{n}]", r) for n, r in enumerate(service.spec.tls or ())]
    for path, other in routes:
        for index, weighted in enumerate(other.route):
            yield f"{path}.route[{index}].destination", weighted.destination


def _destinations(context: _Context) -> Iterator[Finding]:
    for service in _virtual_services(context):
        for path, destination in _references(service):
            host = qualify(destination.host, service.metadata.namespace)
            if context.services is not None:
                yield from _host_exists(context.services, service, path, destination, host)
            if not destination.subset:
                continue
            names = [s.name for rule in context.rules(host) for s in rule.spec.subsets or ()]
            if destination.subset not in names:
                defined = f"defined are {', '.join(sorted(names))}" if names else "no DestinationRule defines any"
                message = f"subset {destination.subset!r} of {host} does not exist; {defined}"
                yield Finding("IST0101", Level.ERROR, subject(service), f"{path}.subset", message)


def _host_exists(
    services: Mapping[str, KnownService], owner: VirtualService, path: str, destination: Destination, host: str
) -> Iterator[Finding]:
    known = services.get(host) or next((service for name, service in services.items() if covers(name, host)), None)
    if known is None:
        yield Finding("IST0101", Level.ERROR, subject(owner), f"{path}.host", _unknown_host(services, host))
    elif destination.port is not None and destination.port.number not in known.ports:
        ports = ", ".join(map(str, known.ports))
        message = f"{host} has no port {destination.port.number}; it has {ports}"
        yield Finding("IST0101", Level.ERROR, subject(owner), f"{path}.port", message)
    elif destination.port is None and len(known.ports) > 1:
        ports = ", ".join(map(str, known.ports))
        message = f"{host} has several ports ({ports}); say which with port.number"
        yield Finding("IST0112", Level.ERROR, subject(owner), f"{path}.port", message)


def _unknown_host(services: Mapping[str, KnownService], host: str) -> str:
    """Says which hosts there are; of many those that are spelt alike."""
    known = sorted(services) if len(services) <= 20 else difflib.get_close_matches(host, services, n=5)
    return f"host {host} does not exist; known are {', '.join(known) or f'{len(services)} others'}"


def _rules_for_nobody(context: _Context) -> Iterator[Finding]:
    """A rule for a host that is not there does no harm, and nothing else either."""
    for host, rules in context.by_host.items():
        if context.services is None or host.startswith("*") or host in context.services:
            continue
        for rule in rules:
            if not any(covers(name, host) for name in context.services):
                message = f"{_unknown_host(context.services, host)}; nothing is ruled by it"
                yield Finding("MESH0009", Level.WARNING, subject(rule), "spec.host", message)


def _gateways(context: _Context) -> Iterator[Finding]:
    known = {f"{p.metadata.namespace}/{p.metadata.name}" for p in context.policies if isinstance(p, Gateway)}
    for service in _virtual_services(context):
        for name in service.spec.gateways or ():
            yield from _gateway_exists(known, service, "spec.gateways", name)
        for path, names in _gateways_of_matches(service):
            for name in names:
                yield from _gateway_exists(known, service, path, name)


def _gateways_of_matches(service: VirtualService) -> Iterator[tuple[str, tuple[str, ...]]]:
    for place, http in enumerate(service.spec.http or ()):
        for index, match in enumerate(http.match or ()):
            yield f"spec.http[{place}].match[{index}].gateways", match.gateways or ()
    for place, tcp in enumerate(service.spec.tcp or ()):
        for index, connection in enumerate(tcp.match or ()):
            yield f"spec.tcp[{place}].match[{index}].gateways", connection.gateways or ()


def _gateway_exists(known: set[str], service: VirtualService, path: str, name: str) -> Iterator[Finding]:
    full = gateway_name(name, service.metadata.namespace)
    if full != "mesh" and full not in known:
        message = f"gateway {full} does not exist; known are {', '.join(sorted(known)) or 'none'}"
        yield Finding("IST0101", Level.ERROR, subject(service), path, message)


def _weights(context: _Context) -> Iterator[Finding]:
    for service in _virtual_services(context):
        for place, route in enumerate(service.spec.http or ()):
            weights = [item.weight or 0 for item in route.route or ()]
            if len(weights) > 1 and sum(weights) != 100:
                message = f"the weights {' + '.join(map(str, weights))} sum to {sum(weights)}; write shares of 100"
                yield Finding("MESH0002", Level.WARNING, subject(service), f"spec.http[{place}].route", message)


def _shadowed(context: _Context) -> Iterator[Finding]:
    for service in _virtual_services(context):
        ends: int | None = None
        for place, route in enumerate(service.spec.http or ()):
            if ends is not None:
                message = f"is never reached: rule {ends} before it matches everything; move that one to the end"
                yield Finding("IST0130", Level.WARNING, subject(service), f"spec.http[{place}]", message)
            elif _matches_all(route):
                ends = place


def _matches_all(route: HttpRoute) -> bool:
    return not route.match or any(not match.to_yaml_value() for match in route.match)


def _outliers(context: _Context) -> Iterator[Finding]:
    for rule in context.policies:
        if not isinstance(rule, DestinationRule):
            continue
        host = qualify(rule.spec.host, rule.metadata.namespace)
        for path, policy in _traffic_policies(rule):
            if policy.outlier_detection is None:
                continue
            percent = policy.outlier_detection.max_ejection_percent
            share = 10 if percent is None else percent
            hosts = _count(context, host)
            if hosts is not None and hosts * share < 100:
                message = (
                    f"can never eject: {share} % of {hosts} host(s) is less than one; "
                    f"set maxEjectionPercent to at least {-(-100 // max(hosts, 1))}"
                )
                yield Finding("MESH0001", Level.WARNING, subject(rule), f"{path}.outlierDetection", message)


def _traffic_policies(rule: DestinationRule) -> Iterator[tuple[str, TrafficPolicy]]:
    if rule.spec.traffic_policy is not None:
        yield "spec.trafficPolicy", rule.spec.traffic_policy
    for place, subset in enumerate(rule.spec.subsets or ()):
        if subset.traffic_policy is not None:
            yield f"spec.subsets[{place}].trafficPolicy", subset.traffic_policy


def _count(context: _Context, host: str) -> int | None:
    """How many workloads a host has, where that is known."""
    if context.workloads is None:
        return None
    entries = sum(isinstance(policy, WorkloadEntry) for policy in context.policies)
    return None if entries else sum(workload.host == host for workload in context.workloads)


def _versions(context: _Context) -> Iterator[Finding]:
    if context.workloads is None or any(isinstance(policy, WorkloadEntry) for policy in context.policies):
        return
    for rule in context.policies:
        if not isinstance(rule, DestinationRule):
            continue
        host = qualify(rule.spec.host, rule.metadata.namespace)
        members = [workload.labels for workload in context.workloads if workload.host == host]
        for place, subset in enumerate(rule.spec.subsets or ()):
            wanted = subset.labels or {}
            if members and not any(wanted.items() <= labels.items() for labels in members):
                labels = ", ".join(f"{key}={value}" for key, value in sorted(wanted.items()))
                message = f"no workload of {host} carries {labels}; requests for it will end in 503"
                yield Finding("MESH0004", Level.WARNING, subject(rule), f"spec.subsets[{place}].labels", message)
