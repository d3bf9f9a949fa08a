"""Clusters: groups of hosts that traffic is sent to (Envoy ``cluster.v3.Cluster``)."""

from dataclasses import dataclass, field
from enum import Enum

from mesh_api.config.endpoints import ClusterLoadAssignment
from mesh_api.config.forward_proxy import DnsCache
from mesh_api.config.health_checks import HealthCheck
from mesh_api.config.load_balancing import Subsets
from mesh_api.config.sockets import SocketAddress
from mesh_api.config.tls import TransportSocketMatch, UpstreamSocket


class ClusterType(Enum):
    """How the hosts are found."""

    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    EDS = "EDS"
    ORIGINAL_DST = "ORIGINAL_DST"
    FORWARD_PROXY = "envoy.clusters.dynamic_forward_proxy"
    """By the name that the request or the connection gives, which its filter has looked up."""


class LbPolicy(Enum):
    """How one of the hosts is chosen. ``CLUSTER_PROVIDED`` goes with ``ORIGINAL_DST`` and ``FORWARD_PROXY``."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"
    CLUSTER_PROVIDED = "CLUSTER_PROVIDED"


UNLIMITED = 2**32 - 1
"""Istio's value for "no limit" in circuit breaker thresholds."""


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries as a share of the requests under way; ``min_concurrency`` are always allowed. In place of ``max_retries``.

    With an ``interval`` (seconds) requests count as long as that, from their start, and no longer or shorter.
    """

    percent: float = 20.0
    min_concurrency: int = 3
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class CircuitBreakerThresholds:
    """Limits of a cluster; the defaults are Envoy's for an absent message (1024, 1024, 1024, 3)."""

    max_connections: int = 1024
    max_pending_requests: int = 1024
    max_requests: int = 1024
    max_retries: int = 3
    retry_budget: RetryBudget | None = None
    max_connection_pools: int | None = None
    """``None``: no limit."""


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Passive health checking. Defaults are Envoy's; a threshold of 0 hosts is expressed by its ``enforcing_*`` at 0.

    Seconds for ``interval``, ``base_ejection_time``, ``max_ejection_time``; percentages 0..100 for the rest. A host may
    be ejected while ``ejected + 1 <= hosts * max_ejection_percent / 100`` (Envoy 1.40 measured: with one host and 10 %
    nothing is ever ejected).
    """

    consecutive_5xx: int = 5
    consecutive_gateway_failure: int = 5
    consecutive_local_origin_failure: int = 5
    interval: float = 10.0
    base_ejection_time: float = 30.0
    max_ejection_time: float = 300.0
    max_ejection_percent: int = 10
    enforcing_consecutive_5xx: int = 100
    enforcing_consecutive_gateway_failure: int = 0
    enforcing_consecutive_local_origin_failure: int = 100
    enforcing_success_rate: int = 0
    split_external_local_origin_errors: bool = False
    enforcing_local_origin_success_rate: int = 0
    """Means something only where the two kinds of errors are split, and is 0 elsewhere."""
    success_rate_minimum_hosts: int = 5
    success_rate_request_volume: int = 100
    success_rate_stdev_factor: int = 1900
    failure_percentage_threshold: int = 85
    enforcing_failure_percentage: int = 0
    enforcing_failure_percentage_local_origin: int = 0
    failure_percentage_minimum_hosts: int = 5
    failure_percentage_request_volume: int = 50
    max_ejection_time_jitter: float = 0.0
    successful_active_health_check_uneject_host: bool = True
    always_eject_one_host: bool = False
    """Whether the first host may be ejected whatever the percentage."""


@dataclass(frozen=True, slots=True)
class SlowStart:
    """Ramp-up of a new host for round robin and least request: ``window`` seconds, ``aggression`` (``None``: Envoy's 1),
    minimum percent (``None``: Envoy's 10)."""

    window: float
    aggression: float | None = None
    min_weight_percent: float | None = None


@dataclass(frozen=True, slots=True)
class ZoneAware:
    """A client's own zone first (Envoy ``zone_aware_lb_config``). ``routing_enabled`` is the percentage of requests for which
    it holds, ``min_cluster_size`` the fewest hosts; ``None`` is Envoy's own: 100 %, 6 hosts."""

    routing_enabled: float | None = None
    min_cluster_size: int | None = None
    fail_traffic_on_panic: bool = False
    """Whether there is no host, rather than any, when too few are healthy."""


@dataclass(frozen=True, slots=True)
class RingHashConfig:
    """Ring size bounds and the function (``XX_HASH`` or ``MURMUR_HASH_2``) for ``RING_HASH``; table size (a prime) for
    ``MAGLEV``."""

    minimum_ring_size: int = 1024
    maximum_ring_size: int = 8 * 1024 * 1024
    table_size: int = 65537
    hash_function: str = "XX_HASH"


@dataclass(frozen=True, slots=True)
class HttpProtocolOptions:
    """Upstream HTTP: ``protocol`` is ``http1``, ``http2``, ``downstream`` (the same as the client's) or ``auto`` (what
    TLS agrees on with each host, by ALPN).

    Seconds for the times; ``max_requests_per_connection`` 0 is no limit; ``max_concurrent_streams`` needs HTTP/2.
    """

    protocol: str = "http1"
    idle_timeout: float | None = None
    max_connection_duration: float | None = None
    max_requests_per_connection: int = 0
    max_concurrent_streams: int | None = None
    preserve_header_case: bool = False
    """Whether names of headers keep the case in which the client wrote them; ``http2`` has none."""
    keepalive: tuple[float | None, float | None] | None = None
    """Probes of HTTP/2: seconds between them, and seconds to wait for the answer; ``None`` is not said."""
    auto_sni: bool = False
    """With TLS: the host of the request is the server name that is asked for."""
    auto_san_validation: bool = False
    """With TLS: the certificate must be for the host of the request."""
    max_stream_duration: float | None = None
    """Seconds that an attempt may take, from its beginning to the end of its answer; 0 or ``None``: no limit."""


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A service that a cluster reaches, as Istio's metadata name it for telemetry."""

    host: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """One upstream. For ``EDS`` the hosts come from the assignment named ``eds_service_name`` (or ``name``).

    ``healthy_panic_threshold`` is a percentage (Envoy's default 50, Istio sends 0). ``bind_address`` is the source address
    of upstream connections (Istio: ``127.0.0.6`` for inbound clusters), ``extra_bind_addresses`` those for hosts of the other
    version of IP. ``services``, ``external`` (outside of the mesh) and
    ``metadata`` are the ``istio`` filter metadata, the last as pairs sorted by key; any other value that is no string on the
    wire is compact JSON there. ``alt_stat_name`` replaces the name in statistics. ``tls`` is how connections are made; where
    ``tls_matches`` are given, the first that fits an endpoint's ``tls_mode`` is.
    The DNS settings apply to ``STRICT_DNS`` and ``LOGICAL_DNS``;
    ``dns_lookup_family`` is ``AUTO``, ``V4_ONLY``, ``V6_ONLY``, ``V4_PREFERRED`` or ``ALL``. Their defaults are Istio's.
    """

    name: str
    type: ClusterType
    connect_timeout: float = 5.0
    lb_policy: LbPolicy = LbPolicy.ROUND_ROBIN
    eds_service_name: str = ""
    load_assignment: ClusterLoadAssignment | None = None
    thresholds: CircuitBreakerThresholds | None = None
    outlier_detection: OutlierDetection | None = None
    healthy_panic_threshold: float = 50.0
    http: HttpProtocolOptions = field(default_factory=HttpProtocolOptions)
    least_request_choice_count: int = 2
    slow_start: SlowStart | None = None
    ring_hash: RingHashConfig | None = None
    bind_address: str = ""
    extra_bind_addresses: tuple[str, ...] = ()
    use_http_header: bool = False
    """``ORIGINAL_DST``: take the destination from ``x-envoy-original-dst-host`` instead of the socket."""
    dns_refresh_rate: float = 60.0
    respect_dns_ttl: bool = True
    dns_lookup_family: str = "V4_ONLY"
    tcp_keepalive: tuple[int | None, int | None, int | None] | None = None
    """Probes, idle seconds, interval seconds; ``None`` leaves the kernel's own value."""
    dns_jitter: float | None = None
    dns_max_queries: int | None = None
    """Queries on one socket of the resolver, after which another is opened (c-ares ``udp_max_queries``)."""
    cleanup_interval: float = 60.0
    tls: UpstreamSocket | None = None
    tls_matches: tuple[TransportSocketMatch, ...] = ()
    services: tuple[ServiceName, ...] = ()
    external: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    alt_stat_name: str = ""
    locality_weighted: bool = False
    """Whether a locality gets requests by its own weight, not by how many hosts it has."""
    zone_aware: ZoneAware | None = None
    """Whether zones are looked at; excludes ``locality_weighted``."""
    high_thresholds: CircuitBreakerThresholds | None = None
    """The limits of requests whose route has high priority; ``None``: Envoy's."""
    max_connections_per_host: int | None = None
    active_request_bias: float = 1.0
    """``LEAST_REQUEST`` among hosts of different weights: the power by which requests under way count; 0: not at all."""
    use_hostname_for_hashing: bool = False
    hash_balance_factor: int = 0
    """``RING_HASH`` and ``MAGLEV``: a host has at most so many percent of an even share of requests; 0: no limit."""
    subsets: Subsets | None = None
    health_checks: tuple[HealthCheck, ...] = ()
    ignore_new_hosts_until_first_hc: bool = False
    ignore_health_on_host_removal: bool = False
    original_dst_header: str = ""
    """``ORIGINAL_DST`` with ``use_http_header``: which one, in place of ``x-envoy-original-dst-host``."""
    original_dst_port: int | None = None
    """``ORIGINAL_DST``: the port, whatever was dialled."""
    dns_failure_refresh_rate: tuple[float, float] | None = None
    """Seconds until a name that was not found is asked for again, at first and at most; ``None``: ``dns_refresh_rate``."""
    dns_resolvers: tuple[SocketAddress, ...] = ()
    """Servers of names that are asked in place of the system's."""
    dns_cache: DnsCache | None = None
    """``FORWARD_PROXY``: where the addresses of names are kept."""
    allow_insecure_options: bool = False
    """``FORWARD_PROXY``: whether TLS to hosts may do without their names being asked for and checked."""

    @property
    def assignment_name(self) -> str:
        """The EDS resource that carries the hosts."""
        return self.eds_service_name or self.name
