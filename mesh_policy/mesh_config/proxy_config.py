"""ProxyConfig of the mesh: how proxies are run, as ``defaultConfig`` or in the annotation ``proxy.istio.io/config``.

The kind ProxyConfig of networking.istio.io (:mod:`mesh_policy.networking.proxy_config`) is another, smaller one over it.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from mesh_policy.base import Flag, Labels
from mesh_policy.durations import AtLeastMillisecond
from mesh_policy.mesh_config.connection_settings import ConnectionSettings
from mesh_policy.mesh_config.proxy_headers import ForwardClientCert, ProxyHeaders
from mesh_policy.mesh_config.proxy_tracing import ProxyTracing
from mesh_policy.mesh_config.values import (
    Count,
    NotNegative,
    OptionalAddress,
    Port,
    ProxyAddress,
    Seconds,
    Settings,
    Text,
    Unsigned,
)
from mesh_policy.networking.client_tls import ClientTls
from mesh_policy.networking.connection_pool import TcpKeepalive
from mesh_policy.networking.proxy_config import ProxyImage
from mesh_policy.networking.workload_group import ReadinessProbe

ANNOTATION = "proxy.istio.io/config"
"""Annotation of a pod with the YAML of a :class:`ProxyConfig` over the mesh's."""
SERVICE_CLUSTER = "istio-proxy"


class SecretDiscovery(Settings):
    """Where a proxy's certificates come from. Deprecated: Istio looks at it no more."""

    enabled: Flag = False
    """Whether they come by SDS."""
    k8s_sa_jwt_path: str = ""
    """File with the token of the Kubernetes service account."""


class RemoteService(Settings):
    """A service that proxies send to by themselves."""

    address: OptionalAddress = ""
    """``HOST:PORT``; empty: nothing is sent."""
    tls_settings: ClientTls | None = None
    """TLS towards it; unset: none."""
    tcp_keepalive: TcpKeepalive | None = None
    """Keep-alive probes; unset: none."""


class ProxyProtocolOfGateways(Settings):
    """PROXY protocol of connections from outside."""


class GatewayTopology(Settings):
    """What stands before a gateway."""

    num_trusted_proxies: Unsigned = 0
    """Proxies before the gateway that are trusted: the client is the entry of ``x-forwarded-for`` that is so many from its
    end."""
    forward_client_cert_details: ForwardClientCert = "UNDEFINED"
    """What a gateway makes of ``x-forwarded-client-cert``; UNDEFINED means SANITIZE_SET."""
    proxy_protocol: ProxyProtocolOfGateways | None = None
    """Whether connections begin with the PROXY protocol: ``{}`` for yes."""


class KeyAccelerator(Settings):
    """An accelerator of operations with private keys."""

    poll_delay: AtLeastMillisecond
    """How long it waits for further operations: more is more throughput, less is less latency. 1 ms at least."""
    fallback: Flag | None = None
    """Whether a proxy does without where the hardware is missing; default false: it fails."""


class PrivateKeyProvider(Settings):
    """Who signs with the proxy's private key."""

    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("cryptomb", "qat"),)

    cryptomb: KeyAccelerator | None = None
    """Intel's AVX-512 (CryptoMB)."""
    qat: KeyAccelerator | None = None
    """Intel's QuickAssist."""


class ProxyStatsMatcher(Settings):
    """Statistics of Envoy that are made besides Istio's own few, by their names."""

    inclusion_prefixes: tuple[str, ...] = ()
    """Beginnings of names."""
    inclusion_suffixes: tuple[str, ...] = ()
    """Ends of names."""
    inclusion_regexps: tuple[str, ...] = ()
    """Regular expressions (RE2) for whole names."""


class ProxyConfig(Settings):
    """How a proxy is run. Changes reach a proxy when it starts again."""

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("service_cluster", "tracing_service_name"),)

    config_path: Text = "./etc/istio/proxy"
    """Folder for what is generated at start."""
    binary_path: Text = "/usr/local/bin/envoy"
    """The proxy's program."""
    tracing_service_name: (
        Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] | None
    ) = None
    """What a workload is called in traces, by its labels; excludes ``service_cluster``."""
    service_cluster: Annotated[Text | None, Field(validate_default=True)] = None
    """What all workloads are called in traces; default ``istio-proxy``, unless ``tracing_service_name`` is set."""
    drain_duration: Seconds = timedelta(seconds=45)
    """How long connections are drained when listeners change; whole seconds."""
    discovery_address: ProxyAddress = "istiod.istio-system.svc:15012"
    """``HOST:PORT`` of the control plane."""
    discovery_refresh_delay: NotNegative | None = None
    """Has no meaning any more. Deprecated."""
    zipkin_address: str = ""
    """The old form of ``tracing.zipkin.address``. Deprecated."""
    statsd_udp_address: OptionalAddress = ""
    """``HOST:PORT`` of a listener of statsd by UDP; empty: none."""
    envoy_metrics_service_address: OptionalAddress = ""
    """The old form of ``envoy_metrics_service.address``. Deprecated."""
    proxy_admin_port: Port = 15000
    """Port of the proxy's administration, on the loopback address."""
    availability_zone: str = ""
    """Has no meaning any more. Deprecated."""
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS"] = "MUTUAL_TLS"
    """How the proxy speaks to the control plane."""
    custom_config_file: str = ""
    """File with the whole configuration of a proxy before the control plane."""
    stat_name_length: Count = 189
    """Most characters of the name of a statistic without what Envoy adds, 67."""
    concurrency: Count | None = None
    """Worker threads; 0 means one for each core. Unset: as the container's limits say."""
    proxy_bootstrap_template_path: str = ""
    """File with the template of the bootstrap."""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] = "REDIRECT"
    """How connections to a workload come to its proxy: redirected, which hides the client's address; by TPROXY, which keeps
    it; or not at all."""
    tracing: ProxyTracing | None = None
    """Tracing; unset: as a Telemetry says."""
    sds: SecretDiscovery | None = None
    """Deprecated: see there."""
    envoy_access_log_service: RemoteService | None = None
    """Where access logs go by gRPC, with ``enable_envoy_access_log_service``."""
    envoy_metrics_service: RemoteService | None = None
    """Where statistics go by gRPC."""
    proxy_metadata: Labels = Field(default_factory=dict)
    """Environment of the proxy. Names with ``ISTIO_META_`` before them are told to the control plane. Several layers are
    merged."""
    runtime_values: Labels = Field(default_factory=dict)
    """Values of Envoy's runtime."""
    status_port: Port = 15020
    """Port of the agent: readiness, merged metrics."""
    extra_stat_tags: tuple[str, ...] = ()
    """Further tags of metrics. Deprecated: they need not be named any more."""
    gateway_topology: GatewayTopology | None = None
    """What stands before gateways."""
    termination_drain_duration: NotNegative = timedelta(seconds=5)
    """How long open connections may last when the proxy ends."""
    mesh_id: str = ""
    """Identifier of the mesh, for telemetry of several."""
    readiness_probe: ReadinessProbe | None = None
    """How the health of a machine's workload is found out."""
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    """Further statistics."""
    hold_application_until_proxy_starts: Flag | None = None
    """Whether the application waits for its proxy; default false."""
    ca_certificates_pem: tuple[str, ...] = ()
    """Further authorities of workloads, as PEM."""
    image: ProxyImage | None = None
    """Image of the proxy."""
    private_key_provider: PrivateKeyProvider | None = None
    """Who signs with the private key; unset: the proxy itself."""
    proxy_headers: ProxyHeaders | None = None
    """Headers that the proxy adds; unset: all of them."""
    file_flush_interval: NotNegative | None = None
    """Time between writes of access logs to their file; default 1 s."""
    file_flush_min_size_kb: Unsigned = 0
    """Size of an access log's buffer at which it is written, in KiB; 0 means 64."""
    stats_compression: Flag | None = None
    """Whether statistics are given out compressed to who asks for it; default true."""
    connection_settings: ConnectionSettings | None = None
    """How connections are taken; unset: as the profile SIDECAR says."""

    @field_validator("service_cluster")
    @classmethod
    def _named(cls, value: str | None, info: ValidationInfo) -> str | None:
        return SERVICE_CLUSTER if value is None and info.data.get("tracing_service_name") is None else value

    def over(self, below: "ProxyConfig") -> "ProxyConfig":
        """This one over another, as Istio puts ``defaultConfig`` over its defaults and a pod's annotation over both: what is
        set takes the place of the other's whole field; ``proxy_metadata`` is merged, and of ``proxy_headers`` a part."""
        taken = {name: getattr(self, name) for name in self.model_fields_set}
        if {"service_cluster", "tracing_service_name"} & self.model_fields_set:
            taken |= {"service_cluster": self.service_cluster, "tracing_service_name": self.tracing_service_name}
        taken["proxy_metadata"] = below.proxy_metadata | self.proxy_metadata
        if self.proxy_headers is not None and below.proxy_headers is not None:
            taken["proxy_headers"] = self.proxy_headers.over(below.proxy_headers)
        return below.model_copy(update=taken)
