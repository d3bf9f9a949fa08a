"""DestinationRule: what applies to traffic after routing: balancing, pools, outlier detection, TLS, subsets."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Flag, Model, Number, Percent, Policy, Port, Signed, Unsigned, Whole
from mesh_policy.durations import Duration, PositiveDuration
from mesh_policy.hosts import ExportTo, FqdnOrAddress, Host, check_export_to, is_label
from mesh_policy.networking.client_tls import ClientTls
from mesh_policy.networking.connection_pool import (
    ConnectionPool,
    Http2KeepAlive,
    HttpSettings,
    TcpKeepalive,
    TcpSettings,
)
from mesh_policy.networking.load_balancing import (
    ConsistentHash,
    HttpCookie,
    HttpCookieAttribute,
    LoadBalancer,
    Maglev,
    RingHash,
    Warmup,
)
from mesh_policy.networking.localities import (
    LocalityDistribute,
    LocalityFailover,
    LocalityLbSetting,
    ZoneAwareLbSetting,
)
from mesh_policy.networking.selectors import CheckedLabels
from mesh_policy.selectors import WorkloadSelector

__all__ = [
    "ClientTls",
    "ConnectionPool",
    "ConsistentHash",
    "DestinationRule",
    "DestinationRuleSpec",
    "Http2KeepAlive",
    "HttpCookie",
    "HttpCookieAttribute",
    "HttpSettings",
    "LoadBalancer",
    "LocalityDistribute",
    "LocalityFailover",
    "LocalityLbSetting",
    "Maglev",
    "OutlierDetection",
    "PortOfRule",
    "PortTrafficPolicy",
    "ProxyProtocol",
    "RetryBudget",
    "RingHash",
    "Subset",
    "TcpKeepalive",
    "TcpSettings",
    "TrafficPolicy",
    "Tunnel",
    "Warmup",
    "ZoneAwareLbSetting",
]


class OutlierDetection(Model):
    """Ejects hosts that fail. Unset fields have Istio's defaults: 5 errors, 10 s, 30 s, 10 %.

    With fewer than ``100 / maxEjectionPercent`` hosts nothing is ever ejected.
    """

    consecutive_errors: Signed | None = None
    """The old name of ``consecutive_5xx_errors``; Istio warns of it."""
    split_external_local_origin_errors: Flag | None = None
    """Whether errors of the host and errors on the way to it are counted apart."""
    consecutive_local_origin_failures: Unsigned | None = None
    """Errors on the way in a row that eject; needs ``split_external_local_origin_errors``; default 5."""
    consecutive_gateway_errors: Unsigned | None = None
    """502, 503 and 504 in a row that eject; 0 or unset: they do not."""
    consecutive_5xx_errors: Unsigned | None = None
    """Errors 5xx in a row that eject; default 5, 0: they do not."""
    interval: PositiveDuration | None = None
    """Time between sweeps; default 10 s."""
    base_ejection_time: PositiveDuration | None = None
    """How long the first ejection lasts, each further one longer by as much; default 30 s."""
    max_ejection_percent: Percent | None = None
    """Most hosts that are ejected at a time, in percent; default 10."""
    min_health_percent: Percent | None = None
    """Healthy hosts, in percent, below which nothing is ejected; default 0."""
    outlier_detection_http_error_codes: tuple[Annotated[Whole, Field(ge=100, le=599)], ...] | None = None
    """Status codes that count as errors, in place of 5xx."""

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            raise ValueError("consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true")
        return self


class RetryBudget(Model):
    """Retries as a share of the active requests."""

    percent: Annotated[Number, Field(ge=0, le=100)] | None = None
    """Most retries, in percent of the requests under way; default 20."""
    min_retry_concurrency: Unsigned | None = None
    """Retries that are always allowed; default 3."""
    budget_interval: Duration | None = None
    """Time over which requests are counted; unset and 0 mean those under way."""


class ProxyProtocol(Model):
    """PROXY protocol towards the host."""

    version: Literal["V1", "V2"] | None = None
    """Version that is spoken; default V1."""


class Tunnel(Model):
    """Tunnels TCP over HTTP."""

    protocol: Literal["", "CONNECT", "POST"] | None = None
    """Method that opens the tunnel; default CONNECT."""
    target_host: FqdnOrAddress
    """Host that the tunnel leads to."""
    target_port: Port
    """Port that the tunnel leads to."""


class PortOfRule(Model):
    """A port by number; Istio's webhook does not look at it."""

    number: Unsigned | None = None
    """Number of the service's port."""


class PortTrafficPolicy(Model):
    """Settings of one port; they replace those of the whole, field by field nothing is inherited."""

    port: PortOfRule
    """Port that the settings are for."""
    load_balancer: LoadBalancer | None = None
    """How a host is chosen."""
    connection_pool: ConnectionPool | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """Which hosts are ejected."""
    tls: ClientTls | None = None
    """TLS towards the host."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.load_balancer or self.connection_pool or self.outlier_detection or self.tls):
            raise ValueError("loadBalancer, connectionPool, outlierDetection or tls is required")
        return self


class TrafficPolicy(Model):
    """Settings of all ports, and exceptions by port."""

    load_balancer: LoadBalancer | None = None
    """How a host is chosen."""
    connection_pool: ConnectionPool | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """Which hosts are ejected."""
    tls: ClientTls | None = None
    """TLS towards the host."""
    port_level_settings: tuple[PortTrafficPolicy, ...] | None = None
    """Settings of single ports, in place of the above."""
    tunnel: Tunnel | None = None
    """Tunnels TCP over HTTP; excludes ``proxy_protocol``."""
    proxy_protocol: ProxyProtocol | None = None
    """PROXY protocol towards the host."""
    retry_budget: RetryBudget | None = None
    """Retries as a share of the active requests."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, name) in (None, ()) for name in type(self).model_fields):
            raise ValueError("a traffic policy needs at least one field")
        if self.tunnel is not None and self.proxy_protocol is not None:
            raise ValueError("tunnel and proxyProtocol exclude each other; keep one")
        return self


def check_subset_name(value: str) -> str:
    """The name of a subset: a label of DNS. Raises :class:`ValueError`."""
    if not is_label(value):
        raise ValueError(f"{value!r} is no name of a subset; allowed are letters, digits and dashes, at most 63")
    return value


class Subset(Model):
    """A named part of the hosts, chosen by labels; its policy overrides the rule's field by field."""

    name: Annotated[str, AfterValidator(check_subset_name)]
    """Name by which routes refer to the subset."""
    labels: CheckedLabels | None = None
    """Labels of the workloads in it; none: all of the host's."""
    traffic_policy: TrafficPolicy | None = None
    """Settings in place of the rule's."""


class DestinationRuleSpec(Model):
    """The settings for ``host`` and its subsets."""

    host: Host
    """Service that the rule is for, perhaps a wildcard; a short name is of the rule's namespace."""
    traffic_policy: TrafficPolicy | None = None
    """Settings of all ports and subsets."""
    subsets: tuple[Subset, ...] | None = None
    """Named parts of the hosts."""
    export_to: tuple[ExportTo, ...] | None = None
    """Namespaces that see the rule; default all."""
    workload_selector: WorkloadSelector | None = None
    """Clients that the rule is for, in its namespace; default all that see it."""

    @model_validator(mode="after")
    def _unique_subsets(self) -> Self:
        names = [subset.name for subset in self.subsets or ()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"subsets: {name!r} stands twice")
        return self

    def traffic_policies(self) -> list[TrafficPolicy]:
        """The rule's own settings and those of its subsets."""
        found = [self.traffic_policy, *(subset.traffic_policy for subset in self.subsets or ())]
        return [policy for policy in found if policy is not None]


class DestinationRule(Policy):
    """See :class:`DestinationRuleSpec`."""

    KIND: ClassVar[str] = "DestinationRule"
    kind: Literal["DestinationRule"] = "DestinationRule"
    spec: DestinationRuleSpec

    @model_validator(mode="after")
    def _fits_its_namespace(self) -> Self:
        namespace, export_to = self.metadata.namespace, self.spec.export_to
        check_export_to(export_to, namespace)
        elsewhere = [entry for entry in export_to or () if entry not in (".", namespace)]
        if self.spec.workload_selector is not None and elsewhere:
            raise ValueError(
                f"exportTo: {elsewhere[0]!r}: a rule with workloadSelector is for its own namespace; write `.`"
            )
        for policy in self.spec.traffic_policies():
            for tls in (policy.tls, *(settings.tls for settings in policy.port_level_settings or ())):
                if tls is not None:
                    tls.check_namespace(namespace)
        return self
