"""DestinationRules: hosts and subsets that nobody is, TLS that verifies nothing, ejection that never happens."""

from collections.abc import Iterator, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.hosts import Host
from mesh_policy.analysis.virtual_services import unknown_host
from mesh_policy.hosts import qualify
from mesh_policy.networking.client_tls import ClientTls
from mesh_policy.networking.destination_rule import DestinationRule, OutlierDetection, Subset, TrafficPolicy
from mesh_policy.positions import Path

Rule = Placed[DestinationRule]
DEFAULT_EJECTION_PERCENT = 10


def host_of(context: Context, placed: Rule) -> Host | None:
    """The host that a rule is for, where it is known."""
    if context.hosts is None:
        return None
    name = qualify(placed.value.spec.host, placed.namespace)
    return context.hosts.find(name, placed.namespace, placed.value.spec.export_to)


def is_for_some(context: Context, placed: Rule) -> bool:
    """Whether a rule has a host, or a wildcard that covers some."""
    if context.hosts is None or host_of(context, placed) is not None:
        return True
    name = qualify(placed.value.spec.host, placed.namespace)
    return name.startswith("*") and any(other.endswith(name[1:]) for other in context.hosts.names)


def unknown_hosts(context: Context) -> Iterator[Finding]:
    """IST0174: a rule for a host that is not there does no harm, and nothing else either."""
    for placed in context.of(DestinationRule):
        name = qualify(placed.value.spec.host, placed.namespace)
        if context.hosts is not None and not context.may_be_broken(name) and not is_for_some(context, placed):
            message = f"{unknown_host(context.hosts, name, placed.namespace)}; nothing is ruled by it"
            yield found("IST0174", placed, ("spec", "host"), message)


def empty_subsets(context: Context) -> Iterator[Finding]:
    """IST0173: a subset without workloads."""
    for placed in context.of(DestinationRule):
        host = host_of(context, placed)
        if host is None or context.pods is None:
            continue
        for place, subset in enumerate(placed.value.spec.subsets or ()):
            if not _has_workloads(context, host, subset):
                wanted = ", ".join(f"{key}={value}" for key, value in sorted((subset.labels or {}).items()))
                message = f"no workload of {host.name} carries {wanted}; requests for subset {subset.name!r} end in 503"
                yield found("IST0173", placed, ("spec", "subsets", place, "labels"), message)


def _has_workloads(context: Context, host: Host, subset: Subset) -> bool:
    """Among the host's own workloads; where none is known, among all, as Istio looks."""
    labels = subset.labels or {}
    if not labels or context.pods is None:
        return True
    if host.entry is not None and any(
        labels.items() <= (endpoint.labels or {}).items() for endpoint in host.entry.value.spec.endpoints or ()
    ):
        return True
    members = context.members(host)
    if members:
        return any(labels.items() <= member.labels.items() for member in members)
    return context.pods.any({**(host.selector or {} if host.entry is not None else {}), **labels})


def unverified(context: Context) -> Iterator[Finding]:
    """IST0128 and IST0129: TLS that takes any certificate."""
    for placed in context.of(DestinationRule):
        spec = placed.value.spec
        policy = spec.traffic_policy
        if policy is None:
            continue
        selected = spec.workload_selector is not None
        if _takes_any(policy.tls, selected):
            yield found("IST0128", placed, ("spec", "trafficPolicy", "tls"), _unverified(policy.tls, spec.host))
        for place, settings in enumerate(policy.port_level_settings or ()):
            if _takes_any(settings.tls, selected):
                path: Path = ("spec", "trafficPolicy", "portLevelSettings", place, "tls")
                yield found("IST0129", placed, path, _unverified(settings.tls, spec.host))


def _takes_any(tls: ClientTls | None, selected: bool) -> bool:
    if tls is None or tls.mode not in ("SIMPLE", "MUTUAL") or tls.ca_certificates:
        return False
    return not (tls.credential_name and selected)


def _unverified(tls: ClientTls | None, host: str) -> str:
    mode = tls.mode if tls is not None else ""
    return f"{mode} without caCertificates takes any certificate of {host}; name the file of its authority"


def traffic_policies(placed: Rule) -> Iterator[tuple[Path, TrafficPolicy, Subset | None]]:
    """The settings of a rule and of its subsets."""
    spec = placed.value.spec
    if spec.traffic_policy is not None:
        yield ("spec", "trafficPolicy"), spec.traffic_policy, None
    for place, subset in enumerate(spec.subsets or ()):
        if subset.traffic_policy is not None:
            yield ("spec", "subsets", place, "trafficPolicy"), subset.traffic_policy, subset


def outliers(context: Context) -> Iterator[Finding]:
    """MESH0001: outlier detection that never ejects."""
    for placed in context.of(DestinationRule):
        host = host_of(context, placed)
        if host is None:
            continue
        for path, policy, subset in traffic_policies(placed):
            hosts = count(context, host, subset)
            if hosts is None:
                continue
            if policy.outlier_detection is not None:
                yield from _outliers(placed, (*path, "outlierDetection"), policy.outlier_detection, hosts)
            for place, settings in enumerate(policy.port_level_settings or ()):
                if settings.outlier_detection is not None:
                    at: Path = (*path, "portLevelSettings", place, "outlierDetection")
                    yield from _outliers(placed, at, settings.outlier_detection, hosts)


def _outliers(placed: Rule, path: Path, detection: OutlierDetection, hosts: int) -> Iterator[Finding]:
    percent = detection.max_ejection_percent
    share = DEFAULT_EJECTION_PERCENT if percent is None else percent
    if hosts * share < 100:
        message = (
            f"can never eject: {share} % of {hosts} host(s) is less than one; "
            f"set maxEjectionPercent to at least {-(-100 // max(hosts, 1))}"
        )
        yield found("MESH0001", placed, path, message)


def count(context: Context, host: Host, subset: Subset | None = None) -> int | None:
    """How many workloads a host has, or one version of it; ``None`` where that is not known."""
    wanted = (subset.labels or {}) if subset is not None else {}
    if host.entry is not None and host.entry.value.spec.endpoints:
        endpoints = host.entry.value.spec.endpoints
        return sum(wanted.items() <= (endpoint.labels or {}).items() for endpoint in endpoints)
    members = context.members(host)
    if not members:
        return None
    counts = [member.count for member in members if wanted.items() <= member.labels.items()]
    return sum(number or 0 for number in counts) if None not in counts else None


def unknown_ports(context: Context) -> Iterator[Finding]:
    """MESH0026: settings for a port that the service does not have."""
    for placed in context.of(DestinationRule):
        host = host_of(context, placed)
        if host is None or not host.ports:
            continue
        for path, policy, _ in traffic_policies(placed):
            for place, settings in enumerate(policy.port_level_settings or ()):
                number = settings.port.number if settings.port is not None else None
                if number is not None and number not in host.ports:
                    ports = ", ".join(map(str, host.ports))
                    message = f"{host.name} has no port {number}; it has {ports}"
                    yield found("MESH0026", placed, (*path, "portLevelSettings", place, "port"), message)


CHECKS: Sequence[Check] = (unknown_hosts, empty_subsets, unverified, outliers, unknown_ports)
