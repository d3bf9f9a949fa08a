"""What of ``networking.istio.io`` is valid to Istio's webhook and cannot be honoured here: refused, not passed over."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from mesh_control import validate_routes
from mesh_policy.base import Policy
from mesh_policy.hosts import is_address, is_partial_wildcard
from mesh_policy.networking.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from mesh_policy.networking.gateway import Gateway, Server
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.networking.workload_entry import Workload, WorkloadEntry
from mesh_policy.networking.workload_group import WorkloadGroup

Refusal = tuple[str, str]
"""Field and why."""
REMOVE = "is not supported yet; remove it"


def unenforceable(policy: Policy) -> Iterator[Refusal]:
    """The fields of a policy of these kinds that this mesh does not honour."""
    if isinstance(policy, DestinationRule):
        yield from _rule(policy)
    elif isinstance(policy, Gateway):
        for place, server in enumerate(policy.spec.servers):
            yield from _server(f"spec.servers[{place}]", server)
    elif isinstance(policy, VirtualService):
        yield from hosts("spec.hosts", policy.spec.hosts or ())
        yield from validate_routes.unenforceable(policy.spec)
    elif isinstance(policy, ServiceEntry):
        yield from hosts("spec.hosts", policy.spec.hosts)
        yield from _service_entry(policy)
    elif isinstance(policy, WorkloadEntry):
        yield from _workload("spec", policy.spec)
    elif isinstance(policy, WorkloadGroup):
        yield from _workload("spec.template", policy.spec.template)
        if policy.spec.probe is not None:
            yield "spec.probe", "no proxy of ours probes its application yet; remove it"


def hosts(path: str, names: Sequence[str]) -> Iterator[Refusal]:
    """Names that Istio reads in ways of its own, or that are one for a proxy: names have no case, each stands once."""
    seen: set[str] = set()
    for place, name in enumerate(names):
        yield from host(f"{path}[{place}]", name)
        if name.lower() in seen:
            yield f"{path}[{place}]", f"{name} stands twice; remove one"
        seen.add(name.lower())


def host(path: str, name: str) -> Iterator[Refusal]:
    """One such name."""
    if is_partial_wildcard(name):
        yield path, f"{name}: a wildcard is `*` or stands before a dot here, as in *.example.com"
    elif name.endswith("."):
        yield path, f"{name}: write it without the last dot"
    elif "_" in name:
        yield path, f"{name} is of gateways between networks, which are not supported yet; remove it"


def _server(path: str, server: Server) -> Iterator[Refusal]:
    protocol = server.port.protocol.upper()
    if protocol not in ("HTTP", "HTTP2", "GRPC", "HTTPS", "TLS", "TCP"):
        yield f"{path}.port.protocol", f"{server.port.protocol} is not supported yet; use HTTP, HTTPS, TLS or TCP"
    elif server.bind and not is_address(server.bind):
        yield f"{path}.bind", f"{server.bind} is no IP address, and Unix sockets are not supported"
    elif server.default_endpoint is not None:
        yield f"{path}.defaultEndpoint", REMOVE
    elif server.port.target_port is not None:
        yield f"{path}.port.targetPort", "is only for services; set the port in number"


def _service_entry(policy: ServiceEntry) -> Iterator[Refusal]:
    spec = policy.spec
    for place, port in enumerate(spec.ports or ()):
        if (port.protocol or "").upper() in ("UDP", "HTTP_PROXY"):
            yield f"spec.ports[{place}].protocol", f"{(port.protocol or '').upper()} is not carried; remove the port"
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        yield "spec.workloadSelector.labels", "without labels nobody is selected here; give some"
    if sum(endpoint.weight or 1 for endpoint in spec.endpoints or ()) >= 2**32:
        yield "spec.endpoints", "the weights sum to more than Envoy can hold; write smaller ones"
    for place, endpoint in enumerate(spec.endpoints or ()):
        yield from _workload(f"spec.endpoints[{place}]", endpoint)


def _workload(path: str, spec: Workload) -> Iterator[Refusal]:
    if spec.is_socket:
        yield f"{path}.address", "Unix sockets are not supported yet; give an IP address"


def _rule(policy: DestinationRule) -> Iterator[Refusal]:
    yield from host("spec.host", policy.spec.host)
    policies: list[tuple[str, TrafficPolicy | None]] = [("spec.trafficPolicy", policy.spec.traffic_policy)]
    policies += [
        (f"spec.subsets[{place}].trafficPolicy", subset.traffic_policy)
        for place, subset in enumerate(policy.spec.subsets or ())
    ]
    for path, traffic in policies:
        if traffic is not None:
            yield from _traffic(path, traffic)


def _traffic(path: str, traffic: TrafficPolicy) -> Iterator[Refusal]:
    if traffic.tunnel is not None:
        yield f"{path}.tunnel", REMOVE
    yield from _settings(path, traffic)
    yield from _ports(f"{path}.portLevelSettings", [item.port.number for item in traffic.port_level_settings or ()])
    for place, settings in enumerate(traffic.port_level_settings or ()):
        yield from _settings(f"{path}.portLevelSettings[{place}]", settings)


def _ports(path: str, numbers: Iterable[int | None]) -> Iterator[Refusal]:
    seen: set[int] = set()
    for place, number in enumerate(numbers):
        if not number or number > 65535:
            yield f"{path}[{place}].port.number", f"{number or 'nothing'} is no port; write 1 to 65535"
        elif number in seen:
            yield f"{path}[{place}].port.number", f"port {number} stands twice; keep one"
        seen.add(number or 0)


def _settings(path: str, settings: TrafficPolicy | PortTrafficPolicy) -> Iterator[Refusal]:
    """What a port may have as well as the whole."""
    outliers = settings.outlier_detection
    if outliers is not None and outliers.outlier_detection_http_error_codes:
        yield f"{path}.outlierDetection.outlierDetectionHttpErrorCodes", REMOVE
    if outliers is not None and (outliers.consecutive_errors or 0) < 0:
        yield f"{path}.outlierDetection.consecutiveErrors", "cannot be below 0; remove it"
    tcp = settings.connection_pool.tcp if settings.connection_pool is not None else None
    if tcp is not None and tcp.idle_timeout is not None and tcp.idle_timeout < timedelta():
        yield f"{path}.connectionPool.tcp.idleTimeout", "cannot be below 0; write 0s for no limit"
