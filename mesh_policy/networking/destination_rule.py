"""DestinationRule: what applies to traffic after routing: balancing, pools, outlier detection, TLS, subsets."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Count, Flag, Labels, Model, Name, Number, Percent, Policy, Port, Unsigned, Whole
from mesh_policy.durations import Duration, PositiveDuration
from mesh_policy.hosts import ExportTo, Host
from mesh_policy.networking.virtual_service import PortSelector


class HttpCookieAttribute(Model):
    """An attribute of the cookie that is set."""

    name: str
    value: str | None = None


class HttpCookie(Model):
    """A cookie to hash; ``ttl`` set makes the proxy set it when it is absent."""

    name: str
    path: str | None = None
    ttl: Duration | None = None
    attributes: tuple[HttpCookieAttribute, ...] | None = None


class RingHash(Model):
    """Ring hash."""

    minimum_ring_size: Count | None = None


class Maglev(Model):
    """Maglev hash."""

    table_size: Count | None = None


class ConsistentHash(Model):
    """What decides the host."""

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: Flag | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: Count | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        keys = {
            "httpHeaderName": self.http_header_name,
            "httpCookie": self.http_cookie,
            "useSourceIp": self.use_source_ip,
            "httpQueryParameterName": self.http_query_parameter_name,
        }
        chosen = [name for name, value in keys.items() if value]
        if len(chosen) != 1:
            raise ValueError(f"exactly one of {', '.join(keys)} is required")
        if self.ring_hash is not None and self.maglev is not None:
            raise ValueError("ringHash and maglev exclude each other; keep one")
        return self


class LocalityDistribute(Model):
    """Shares of the traffic of one locality, by locality, in percent that sum to 100."""

    from_: str | None = None
    to: dict[str, Percent] | None = None

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if self.to and sum(self.to.values()) != 100:
            raise ValueError(f"to: the shares sum to {sum(self.to.values())}, they must sum to 100")
        return self


class LocalityFailover(Model):
    """Where the traffic of a region goes when it has no healthy host."""

    from_: str | None = None
    to: str | None = None

    @model_validator(mode="after")
    def _elsewhere(self) -> Self:
        if self.from_ is not None and self.from_ == self.to:
            raise ValueError("from and to must differ")
        return self


class LocalityLbSetting(Model):
    """Balancing by locality."""

    distribute: tuple[LocalityDistribute, ...] | None = None
    failover: tuple[LocalityFailover, ...] | None = None
    failover_priority: tuple[str, ...] | None = None
    enabled: Flag | None = None

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        if self.distribute and (self.failover or self.failover_priority):
            raise ValueError("distribute excludes failover and failoverPriority; keep one")
        return self


class ZoneAwareLbSetting(Model):
    """Balancing by zone."""

    enabled: Flag | None = None
    failover: tuple[LocalityFailover, ...] | None = None
    failover_priority: tuple[str, ...] | None = None
    min_cluster_size: Annotated[Count, Field(ge=1)] | None = None


class Warmup(Model):
    """Ramp-up of new hosts."""

    duration: PositiveDuration
    minimum_percent: Annotated[Number, Field(ge=0, le=100)] | None = None
    aggression: Annotated[Number, Field(ge=1)] | None = None


class LoadBalancer(Model):
    """How a host is chosen."""

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    warmup_duration_secs: PositiveDuration | None = None
    warmup: Warmup | None = None

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        if self.simple is not None and self.consistent_hash is not None:
            raise ValueError("simple and consistentHash exclude each other; keep one")
        return self


class TcpKeepalive(Model):
    """Keep-alive probes of the kernel."""

    probes: Unsigned | None = None
    time: PositiveDuration | None = None
    interval: PositiveDuration | None = None


class TcpSettings(Model):
    """Connections."""

    max_connections: Count | None = None
    connect_timeout: PositiveDuration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: PositiveDuration | None = None
    idle_timeout: Duration | None = None


class Http2KeepAlive(Model):
    """HTTP/2 pings."""

    interval: PositiveDuration | None = None
    timeout: PositiveDuration | None = None


class HttpSettings(Model):
    """Requests."""

    http1_max_pending_requests: Count | None = None
    http2_max_requests: Count | None = None
    max_requests_per_connection: Count | None = None
    max_retries: Count | None = None
    idle_timeout: PositiveDuration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    use_client_protocol: Flag | None = None
    max_concurrent_streams: Count | None = None
    http2_keep_alive: Http2KeepAlive | None = None


class ConnectionPool(Model):
    """Limits of the pool."""

    tcp: TcpSettings | None = None
    http: HttpSettings | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.tcp is None and self.http is None:
            raise ValueError("a connection pool needs tcp or http")
        return self


class OutlierDetection(Model):
    """Ejects hosts that fail. Unset fields have Istio's defaults: 5 errors, 10 s, 30 s, 10 %.

    ``consecutive_errors`` is the old name of ``consecutive_5xx_errors``. With fewer than ``100 / maxEjectionPercent`` hosts
    nothing is ever ejected.
    """

    consecutive_errors: Unsigned | None = None
    split_external_local_origin_errors: Flag | None = None
    consecutive_local_origin_failures: Unsigned | None = None
    consecutive_gateway_errors: Unsigned | None = None
    consecutive_5xx_errors: Unsigned | None = None
    interval: PositiveDuration | None = None
    base_ejection_time: PositiveDuration | None = None
    max_ejection_percent: Percent | None = None
    min_health_percent: Percent | None = None
    outlier_detection_http_error_codes: tuple[Annotated[Whole, Field(ge=100, le=599)], ...] | None = None

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            raise ValueError("consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true")
        return self


class ClientTls(Model):
    """TLS towards the host."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] | None = None
    client_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None
    ca_crl: str | None = None
    credential_name: str | None = None
    subject_alt_names: tuple[str, ...] | None = None
    sni: str | None = None
    insecure_skip_verify: Flag | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        files = (self.client_certificate, self.private_key, self.ca_certificates)
        if self.mode == "MUTUAL" and self.credential_name is None and not (files[0] and files[1]):
            raise ValueError("MUTUAL needs clientCertificate and privateKey, or credentialName")
        if self.mode == "ISTIO_MUTUAL" and (any(files) or self.credential_name is not None):
            raise ValueError("ISTIO_MUTUAL takes its certificates from the mesh; remove the ones given")
        if self.credential_name is not None and any(files):
            raise ValueError("credentialName excludes certificate files; keep one")
        return self


class RetryBudget(Model):
    """Retries as a share of the active requests."""

    percent: Annotated[Number, Field(ge=0, le=100)] | None = None
    min_retry_concurrency: Unsigned | None = None
    budget_interval: Duration | None = None


class ProxyProtocol(Model):
    """PROXY protocol towards the host."""

    version: Literal["V1", "V2"] | None = None


class Tunnel(Model):
    """Tunnels TCP over HTTP."""

    protocol: Literal["CONNECT", "POST"] | None = None
    target_host: str
    target_port: Port


class PortTrafficPolicy(Model):
    """Settings of one port; they replace those of the whole, field by field nothing is inherited."""

    port: PortSelector
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None


class TrafficPolicy(Model):
    """Settings of all ports, and exceptions by port."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] | None = None
    tunnel: Tunnel | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None

    @model_validator(mode="after")
    def _unique_ports(self) -> Self:
        numbers = [settings.port.number for settings in self.port_level_settings or ()]
        for number in numbers:
            if numbers.count(number) > 1:
                raise ValueError(f"portLevelSettings: port {number} stands twice")
        return self


class Subset(Model):
    """A named part of the hosts, chosen by labels; its policy overrides the rule's field by field."""

    name: Name
    labels: Labels | None = None
    traffic_policy: TrafficPolicy | None = None


class MatchLabels(Model):
    """Selects workloads by labels."""

    match_labels: Labels | None = None


class DestinationRuleSpec(Model):
    """The settings for ``host`` and its subsets."""

    host: Host
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] | None = None
    export_to: tuple[ExportTo, ...] | None = None
    workload_selector: MatchLabels | None = None

    @model_validator(mode="after")
    def _unique_subsets(self) -> Self:
        names = [subset.name for subset in self.subsets or ()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"subsets: {name!r} stands twice")
        return self


class DestinationRule(Policy):
    """See :class:`DestinationRuleSpec`."""

    KIND: ClassVar[str] = "DestinationRule"
    kind: Literal["DestinationRule"] = "DestinationRule"
    spec: DestinationRuleSpec
