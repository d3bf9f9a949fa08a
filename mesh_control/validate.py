"""What is refused before it comes into force: findings between objects, and what this mesh cannot honour yet."""

import ipaddress
from collections.abc import Iterator

from mesh_control.world import Resolution, World
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
    WorkloadEntry,
    WorkloadEntrySpec,
    check,
)
from mesh_policy.analysis.check import subject
from mesh_policy.networking.destination_rule import PortTrafficPolicy, TrafficPolicy

REMOVE = "is not supported yet; remove it"

__all__ = ["belongs_to_other", "findings", "subject", "unsupported"]


def findings(world: World) -> list[Finding]:
    """Everything found about the policies of a world, errors first."""
    services = [KnownService(s.hostname, tuple(port.number for port in s.ports)) for s in world.services]
    workloads = [
        KnownWorkload(workload.namespace, workload.labels, hostname)
        for hostname, members in world.members.items()
        for workload in members
    ]
    found = check(world.policies, services, workloads)
    found += [finding for policy in world.policies for finding in unsupported(policy)]
    found += [*_hosts_of_others(world), *_names_for_addresses(world)]
    return sorted(found, key=lambda finding: -finding.level)


def _hosts_of_others(world: World) -> Iterator[Finding]:
    """A host has one service here: Istio merges several, or tells them apart by the client's namespace."""
    owners: dict[str, Policy] = {}
    for policy in world.of_kind(ServiceEntry):
        for place, host in enumerate(policy.spec.hosts):
            known = world.service_by_host.get(host)
            own = known is not None and known.name  # only the inventory's services have one
            owner = "the inventory" if own else subject(owners.setdefault(host, policy))
            if owner != subject(policy):
                message = f"{host} is already declared by {owner}; put its ports and endpoints into one object"
                yield Finding("MESH0007", Level.ERROR, subject(policy), f"spec.hosts[{place}]", message)


def _names_for_addresses(world: World) -> Iterator[Finding]:
    """Hosts that the control plane hands out are addresses; names can only be resolved by the proxy, for DNS services."""
    for policy in world.of_kind(WorkloadEntry):
        address = policy.spec.address or ""
        if not address or _is_address(address) or address.startswith("unix://"):
            continue
        for service in world.services:
            name, namespace = policy.metadata.name, policy.metadata.namespace
            members = ((w.name, w.namespace, w.address) for w in world.members[service.hostname])
            if service.resolution is Resolution.STATIC and (name, namespace, address) in members:
                message = f"{address} is a name, and {service.hostname} takes addresses; give an IP address"
                yield Finding("MESH0008", Level.ERROR, subject(policy), "spec.address", message)


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
                yield f"spec.servers[{place}].tls", REMOVE
            elif server.bind is not None and not _is_address(server.bind):
                yield (
                    f"spec.servers[{place}].bind",
                    f"{server.bind} is no IP address, and Unix sockets are not supported",
                )
            elif server.default_endpoint is not None:
                yield f"spec.servers[{place}].defaultEndpoint", REMOVE
            elif server.port.target_port is not None:
                yield f"spec.servers[{place}].port.targetPort", "is only for services; set the port in number"
    elif isinstance(policy, VirtualService):
        yield from _virtual_service(policy)
    elif isinstance(policy, ServiceEntry):
        yield from _service_entry(policy)
    elif isinstance(policy, WorkloadEntry):
        yield from _workload("spec", policy.spec)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _service_entry(policy: ServiceEntry) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    if spec.resolution == "DYNAMIC_DNS":
        yield "spec.resolution", "DYNAMIC_DNS is not supported yet; use DNS"
    for place, port in enumerate(spec.ports or ()):
        if (port.protocol or "").upper() == "UDP":
            yield f"spec.ports[{place}].protocol", "UDP is not carried; remove the port"
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        yield "spec.workloadSelector.labels", "without labels nobody is selected here; give some"
    if sum(endpoint.weight or 1 for endpoint in spec.endpoints or ()) >= 2**32:
        yield "spec.endpoints", "the weights sum to more than Envoy can hold; write smaller ones"
    for place, address in enumerate(spec.addresses or ()):
        if "/" in address:
            yield f"spec.addresses[{place}]", f"{address} is a network, not supported yet; list addresses"
    for place, endpoint in enumerate(spec.endpoints or ()):
        yield from _workload(f"spec.endpoints[{place}]", endpoint)


def _workload(path: str, spec: WorkloadEntrySpec) -> Iterator[tuple[str, str]]:
    if spec.network:
        yield f"{path}.network", "several networks are not supported yet; remove it"
    if (spec.address or "").startswith("unix://"):
        yield f"{path}.address", "Unix sockets are not supported yet; give an IP address"


def _virtual_service(policy: VirtualService) -> Iterator[tuple[str, str]]:
    if not policy.spec.hosts:
        yield "spec.hosts", "without hosts this is a delegate, which is not supported yet; name the hosts"
    if policy.spec.tls:
        yield "spec.tls", "is not supported yet; use http or tcp"
    for place, rule in enumerate(policy.spec.http or ()):
        if rule.delegate is not None:
            yield f"spec.http[{place}].delegate", "is not supported yet; write the rules here"
        if rule.retries is not None and rule.retries.retry_remote_localities:
            yield f"spec.http[{place}].retries.retryRemoteLocalities", REMOVE
        for index, match in enumerate(rule.match or ()):
            claims = [name for name in match.headers or {} if name.startswith("@")]
            if claims:
                yield f"spec.http[{place}].match[{index}].headers", f"{claims[0]} needs claims, not supported yet"
    for place, tcp in enumerate(policy.spec.tcp or ()):
        for index, connection in enumerate(tcp.match or ()):
            for name, value in (
                ("destinationSubnets", connection.destination_subnets),
                ("sourceSubnet", connection.source_subnet),
            ):
                if value:
                    yield f"spec.tcp[{place}].match[{index}].{name}", REMOVE


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
    for name, value in (
        ("tunnel", traffic.tunnel),
        ("proxyProtocol", traffic.proxy_protocol),
        ("retryBudget", traffic.retry_budget),
    ):
        if value is not None:
            yield f"{path}.{name}", REMOVE
    yield from _settings(path, traffic)
    for place, settings in enumerate(traffic.port_level_settings or ()):
        yield from _settings(f"{path}.portLevelSettings[{place}]", settings)


def _settings(path: str, settings: TrafficPolicy | PortTrafficPolicy) -> Iterator[tuple[str, str]]:
    """What a port may have as well as the whole."""
    if settings.tls is not None and settings.tls.mode not in (None, "DISABLE"):
        yield f"{path}.tls.mode", f"{settings.tls.mode} is not supported yet; use DISABLE"
    outliers = settings.outlier_detection
    if outliers is not None and outliers.outlier_detection_http_error_codes:
        yield f"{path}.outlierDetection.outlierDetectionHttpErrorCodes", REMOVE
    http = settings.connection_pool.http if settings.connection_pool is not None else None
    if http is not None and http.http2_keep_alive is not None:
        yield f"{path}.connectionPool.http.http2KeepAlive", REMOVE
    balancer = settings.load_balancer
    if balancer is not None and balancer.consistent_hash is not None:
        yield f"{path}.loadBalancer.consistentHash", "is not supported yet; use simple"
    if balancer is not None and (balancer.locality_lb_setting or balancer.zone_aware_lb_setting):
        yield f"{path}.loadBalancer", "balancing by locality is not supported yet; remove it"
