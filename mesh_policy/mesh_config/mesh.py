"""MeshConfig: the settings of a whole mesh (``mesh/v1alpha1/config.proto``)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, field_validator

from mesh_policy.base import Flag
from mesh_policy.mesh_config.defaults import ROOT_NAMESPACE, TRUST_DOMAIN
from mesh_policy.mesh_config.extension_providers import ExtensionProvider, default_providers
from mesh_policy.mesh_config.proxy_config import ProxyConfig
from mesh_policy.mesh_config.selectors import KnownSelector
from mesh_policy.mesh_config.traffic import (
    DefaultProviders,
    DefaultTrafficPolicy,
    PathNormalization,
    ServiceEntryVisibility,
    ServiceScope,
    ServiceSettings,
    UnknownInbound,
    UnknownOutbound,
)
from mesh_policy.mesh_config.trust import (
    CertificateAuthority,
    ConfigSource,
    DnsCertificate,
    MutualTls,
    TlsDefaults,
    TrustAnchor,
)
from mesh_policy.mesh_config.values import (
    Exported,
    MillisecondsOrOff,
    NotNegative,
    Port,
    PortOrNone,
    Settings,
    TrustDomain,
    UpToAnHour,
)
from mesh_policy.networking.connection_pool import TcpKeepalive
from mesh_policy.networking.http_route import Retries
from mesh_policy.networking.localities import LocalityLbSetting, ZoneAwareLbSetting


class MeshConfig(Settings):
    """The settings of a mesh. A field that is not set has the value that Istio's ``DefaultMeshConfig`` gives it."""

    proxy_listen_port: Port = 15001
    """Port to which what goes out of a workload is redirected."""
    proxy_inbound_listen_port: Port = 15006
    """Port to which what comes to a workload is redirected."""
    proxy_http_port: PortOrNone = 0
    """Port on which sidecars are an HTTP proxy; 0: none."""
    connect_timeout: UpToAnHour = timedelta(seconds=10)
    """How long a connection to a host may take to be made, up to 1 h; a DestinationRule can say otherwise."""
    hbone_idle_timeout: NotNegative | None = None
    """How long tunnels to ztunnel may be idle; default 1 h."""
    protocol_detection_timeout: MillisecondsOrOff = timedelta()
    """How long a proxy waits for the first bytes that tell the protocol; 0: for ever. Any other value breaks protocols in
    which the server speaks first only a little later."""
    tcp_keepalive: TcpKeepalive | None = None
    """Keep-alive probes of connections to hosts; unset: none."""
    ingress_class: str = "istio"
    """Class of the Ingresses that the control plane looks at."""
    ingress_service: str = "istio-ingressgateway"
    """Kubernetes service of the ingress gateway, whose address Ingresses are given."""
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "STRICT"
    """Which Ingresses: none (OFF), those without a class, too (DEFAULT), those of ``ingress_class`` (STRICT)."""
    ingress_selector: str = ""
    """Value of the label ``istio`` of the gateways that serve Ingresses; default ``ingressgateway``."""
    enable_tracing: Flag = True
    """Whether there are spans and request ids."""
    access_log_file: str = ""
    """File of access logs, such as ``/dev/stdout``; empty: none."""
    access_log_format: str = ""
    """Form of an entry, with Envoy's variables; empty: Envoy's."""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    """Whether an entry is a line of text or a JSON object."""
    enable_envoy_access_log_service: Flag = False
    """Whether access logs go to ``default_config.envoy_access_log_service`` by gRPC."""
    disable_envoy_listener_log: Flag = False
    """Whether connections that no filter chain takes are left out of access logs."""
    default_config: ProxyConfig = Field(default_factory=ProxyConfig)
    """How proxies are run; a pod's annotation ``proxy.istio.io/config`` goes over it."""
    outbound_traffic_policy: UnknownOutbound = Field(default_factory=lambda: UnknownOutbound(mode="ALLOW_ANY"))
    """What happens to requests for hosts that nobody declares; unset: ALLOW_ANY."""
    inbound_traffic_policy: UnknownInbound = Field(default_factory=UnknownInbound)
    """Where sidecars send requests to their workload."""
    config_sources: tuple[ConfigSource, ...] = ()
    """Where configuration comes from besides Kubernetes."""
    enable_auto_mtls: Flag = True
    """Whether proxies speak mTLS to each other without a DestinationRule that says so."""
    trust_domain: TrustDomain = TRUST_DOMAIN
    """First part of the identities of workloads (SPIFFE)."""
    trust_domain_aliases: tuple[TrustDomain, ...] = ()
    """Other trust domains whose identities are the same to policies."""
    ca_certificates: tuple[TrustAnchor, ...] = ()
    """Further authorities of workloads."""
    default_service_export_to: tuple[Exported, ...] = ("*",)
    """Where services are seen that do not say."""
    default_virtual_service_export_to: tuple[Exported, ...] = ("*",)
    """Where VirtualServices are seen that do not say."""
    default_destination_rule_export_to: tuple[Exported, ...] = ("*",)
    """Where DestinationRules are seen that do not say."""
    root_namespace: str = ROOT_NAMESPACE
    """Namespace whose policies are for the whole mesh."""
    locality_lb_setting: LocalityLbSetting = Field(default_factory=lambda: LocalityLbSetting(enabled=True))
    """Balancing by locality; unset: the nearest hosts first, where outlier detection is set."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    """Balancing by zone, in place of ``locality_lb_setting``; unset: none."""
    dns_refresh_rate: NotNegative = timedelta(seconds=60)
    """Time between questions about a name that could not be resolved."""
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = "DO_NOT_UPGRADE"
    """Whether HTTP/1.1 is upgraded to HTTP/2 between proxies."""
    inbound_cluster_stat_name: str = ""
    """Pattern of the names of statistics about what comes in, with ``%SERVICE%``, ``%SERVICE_NAME%``, ``%SERVICE_FQDN%``,
    ``%SERVICE_PORT%``, ``%SERVICE_PORT_NAME%``, ``%TARGET_PORT%``."""
    outbound_cluster_stat_name: str = ""
    """Pattern of the names of statistics about what goes out, with ``%SUBSET_NAME%`` besides, without ``%TARGET_PORT%``."""
    certificates: tuple[DnsCertificate, ...] = ()
    """Deprecated: see there."""
    service_settings: tuple[ServiceSettings, ...] = ()
    """Settings of some services."""
    service_scope_configs: tuple[ServiceScope, ...] = ()
    """Which services other clusters see."""
    enable_prometheus_merge: Flag = True
    """Whether the agent gives out the application's metrics with the proxy's."""
    verify_certificate_at_client: Flag | None = None
    """Whether a host's certificate is checked where a DestinationRule names no authorities; default true. Deprecated."""
    ca: CertificateAuthority | None = None
    """Another authority that signs; unset: the control plane."""
    extension_providers: tuple[ExtensionProvider, ...] = ()
    """Services that policies name. ``prometheus``, ``stackdriver`` and ``envoy`` (access logs to ``/dev/stdout``) are there
    without being told; :attr:`providers` has all."""
    default_providers: DefaultProviders = Field(default_factory=DefaultProviders)
    """Providers of Telemetries that name none."""
    discovery_selectors: tuple[KnownSelector, ...] = ()
    """Namespaces that the control plane looks at: those that one of them selects; unset: all."""
    path_normalization: PathNormalization | None = None
    """How paths are made comparable; unset: BASE."""
    default_http_retry_policy: Retries | None = None
    """Retries of routes that do not say; unset: 2 attempts. ``per_try_timeout`` has no meaning here."""
    mesh_mtls: MutualTls | None = Field(default=None, alias="meshMTLS")
    """TLS between workloads."""
    tls_defaults: TlsDefaults | None = None
    """TLS that is not between workloads."""
    default_traffic_policy: DefaultTrafficPolicy | None = None
    """What holds for hosts whose DestinationRule does not say; unset: Istio's defaults."""
    service_entry_visibility: ServiceEntryVisibility | None = None
    """Who sees ServiceEntries; unset: as their ``exportTo`` says."""

    @field_validator("extension_providers")
    @classmethod
    def _unique(cls, value: tuple[ExtensionProvider, ...]) -> tuple[ExtensionProvider, ...]:
        names = [provider.name for provider in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} stands twice; rename one, or remove it")
        return value

    @property
    def providers(self) -> Mapping[str, ExtensionProvider]:
        """Every extension provider by its name, Istio's own among them, in Istio's order."""
        return {provider.name: provider for provider in (*default_providers(), *self.extension_providers)}

    def proxy_config(self, annotation: ProxyConfig | None = None) -> ProxyConfig:
        """The settings of a proxy: ``default_config``, with its pod's annotation over it."""
        return self.default_config if annotation is None else annotation.over(self.default_config)

    def to_effective_value(self) -> dict[str, Any]:
        """Everything as plain values in the form of YAML, defaults written out, as ``istiod`` has it in memory."""
        value = super().to_effective_value()
        value["extensionProviders"] = [provider.to_effective_value() for provider in self.providers.values()]
        value["trustDomainAliases"] = sorted(set(self.trust_domain_aliases))
        return value
