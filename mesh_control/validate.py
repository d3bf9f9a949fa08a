"""What is refused before it comes into force: findings between objects, and what this mesh cannot honour yet."""

from collections.abc import Iterator

from mesh_control.world import World
from mesh_policy import (
    DestinationRule,
    Finding,
    Gateway,
    KnownService,
    KnownWorkload,
    Level,
    Policy,
    ServiceEntry,
    VirtualService,
    check,
)
from mesh_policy.check import subject
from mesh_policy.destination_rule import TrafficPolicy

Key = tuple[str, str, str]


def findings(world: World, only: set[Key]) -> list[Finding]:
    """Everything found about the objects of a new set (their kinds, namespaces and names), errors first."""
    services = [KnownService(s.hostname, tuple(port.number for port in s.ports)) for s in world.services]
    workloads = [
        KnownWorkload(workload.namespace, workload.labels, hostname)
        for hostname, members in world.members.items()
        for workload in members
    ]
    subjects = {f"{kind} {namespace}/{name}" for kind, namespace, name in only}
    found = [f for f in check(world.policies, services, workloads) if f.subject in subjects]
    found += [f for policy in world.policies if policy.key in only for f in unsupported(policy)]
    return sorted(found, key=lambda finding: -finding.level)


def belongs_to_other(policy: Policy) -> Finding:
    """An object that another owner has declared."""
    return Finding("MESH0005", Level.ERROR, subject(policy), "", "belongs to another owner; remove it there first")


def unsupported(policy: Policy) -> list[Finding]:
    """Fields that are valid and that this mesh does not honour: refused, for passing them over would open doors."""
    return [Finding("MESH0006", Level.ERROR, subject(policy), field, why) for field, why in _unsupported(policy)]


def _unsupported(policy: Policy) -> Iterator[tuple[str, str]]:
    if isinstance(policy, DestinationRule):
        yield from _rule(policy)
    elif isinstance(policy, Gateway):
        for place, server in enumerate(policy.spec.servers):
            if server.port.protocol.upper() not in ("HTTP", "HTTP2", "GRPC"):
                yield f"spec.servers[{place}].port.protocol", f"{server.port.protocol} is not supported yet; use HTTP"
            elif server.tls is not None:
                yield f"spec.servers[{place}].tls", "is not supported yet; remove it"
    elif isinstance(policy, VirtualService):
        yield from _virtual_service(policy)
    elif isinstance(policy, ServiceEntry) and policy.spec.resolution == "DYNAMIC_DNS":
        yield "spec.resolution", "DYNAMIC_DNS is not supported yet; use DNS"


def _virtual_service(policy: VirtualService) -> Iterator[tuple[str, str]]:
    if policy.spec.tls:
        yield "spec.tls", "is not supported yet; use http or tcp"
    for place, rule in enumerate(policy.spec.http or ()):
        if rule.delegate is not None:
            yield f"spec.http[{place}].delegate", "is not supported yet; write the rules here"
        for index, match in enumerate(rule.match or ()):
            claims = [name for name in match.headers or {} if name.startswith("@")]
            if claims:
                yield f"spec.http[{place}].match[{index}].headers", f"{claims[0]} needs claims, not supported yet"


def _rule(policy: DestinationRule) -> Iterator[tuple[str, str]]:
    policies: list[tuple[str, TrafficPolicy | None]] = [("spec.trafficPolicy", policy.spec.traffic_policy)]
    policies += [
        (f"spec.subsets[{place}].trafficPolicy", subset.traffic_policy)
        for place, subset in enumerate(policy.spec.subsets or ())
    ]
    for path, traffic in policies:
        if traffic is not None:
            yield from _traffic(path, traffic)


def _traffic(path: str, traffic: TrafficPolicy) -> Iterator[tuple[str, str]]:
    tls = [(path, traffic.tls)]
    tls += [(f"{path}.portLevelSettings[{n}]", p.tls) for n, p in enumerate(traffic.port_level_settings or ())]
    for where, client in tls:
        if client is not None and client.mode not in (None, "DISABLE"):
            yield f"{where}.tls.mode", f"{client.mode} is not supported yet; use DISABLE"
    for name, value in (
        ("tunnel", traffic.tunnel),
        ("proxyProtocol", traffic.proxy_protocol),
        ("retryBudget", traffic.retry_budget),
    ):
        if value is not None:
            yield f"{path}.{name}", "is not supported yet; remove it"
    outliers = traffic.outlier_detection
    if outliers is not None and outliers.outlier_detection_http_error_codes:
        yield f"{path}.outlierDetection.outlierDetectionHttpErrorCodes", "is not supported yet; remove it"
    balancer = traffic.load_balancer
    if balancer is not None and balancer.consistent_hash is not None:
        yield f"{path}.loadBalancer.consistentHash", "is not supported yet; use simple"
    if balancer is not None and (balancer.locality_lb_setting or balancer.zone_aware_lb_setting):
        yield f"{path}.loadBalancer", "balancing by locality is not supported yet; remove it"
