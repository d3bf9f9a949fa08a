"""Extension providers: the services outside of the proxies that policies name."""

from collections.abc import Iterator
from typing import ClassVar

from mesh_policy.base import camel
from mesh_policy.mesh_config.external_authorization import GrpcAuthorizer, HttpAuthorizer
from mesh_policy.mesh_config.log_providers import (
    FileLogProvider,
    HttpLogProvider,
    OpenTelemetryLogProvider,
    TcpLogProvider,
)
from mesh_policy.mesh_config.tracing_providers import (
    AddressedProvider,
    DatadogProvider,
    LightstepProvider,
    OpenCensusProvider,
    OpenTelemetryProvider,
    SkyWalkingProvider,
    StackdriverProvider,
    ZipkinProvider,
)
from mesh_policy.mesh_config.values import Settings, Text

KINDS_OF_PROVIDERS = (
    "envoy_ext_authz_http",
    "envoy_ext_authz_grpc",
    "zipkin",
    "lightstep",
    "datadog",
    "stackdriver",
    "opencensus",
    "skywalking",
    "opentelemetry",
    "prometheus",
    "envoy_file_access_log",
    "envoy_http_als",
    "envoy_tcp_als",
    "envoy_otel_als",
    "sds",
)
"""Fields of :class:`ExtensionProvider`, one for each kind."""


class PrometheusProvider(Settings):
    """Metrics that Prometheus fetches."""


class SecretProvider(AddressedProvider):
    """A service (Envoy's SDS) with certificates of gateways: ``sds://NAME`` in their ``credentialName``."""

    name: Text
    """Name by which gateways refer to it."""


class ExtensionProvider(Settings):
    """A provider: its name, and its kind with the settings of that kind."""

    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (KINDS_OF_PROVIDERS,)

    name: Text
    """Name by which policies and ``default_providers`` refer to it; no two have the same."""
    envoy_ext_authz_http: HttpAuthorizer | None = None
    """An authorizer that is asked by HTTP."""
    envoy_ext_authz_grpc: GrpcAuthorizer | None = None
    """An authorizer that is asked by gRPC."""
    zipkin: ZipkinProvider | None = None
    """Spans by Zipkin's API."""
    lightstep: LightstepProvider | None = None
    """Spans to Lightstep. Deprecated."""
    datadog: DatadogProvider | None = None
    """Spans to Datadog."""
    stackdriver: StackdriverProvider | None = None
    """Spans, metrics and logs to Stackdriver."""
    opencensus: OpenCensusProvider | None = None
    """Spans to OpenCensus. Deprecated."""
    skywalking: SkyWalkingProvider | None = None
    """Spans to Apache SkyWalking."""
    opentelemetry: OpenTelemetryProvider | None = None
    """Spans by OpenTelemetry's protocol."""
    prometheus: PrometheusProvider | None = None
    """Metrics for Prometheus."""
    envoy_file_access_log: FileLogProvider | None = None
    """Access logs in a file."""
    envoy_http_als: HttpLogProvider | None = None
    """Access logs of requests by gRPC."""
    envoy_tcp_als: TcpLogProvider | None = None
    """Access logs of connections by gRPC."""
    envoy_otel_als: OpenTelemetryLogProvider | None = None
    """Access logs by OpenTelemetry's protocol."""
    sds: SecretProvider | None = None
    """Certificates of gateways."""

    @property
    def kind(self) -> str:
        """Its kind by the field's name in YAML: ``zipkin``, ``envoyExtAuthzHttp`` ..."""
        name = next(name for name in KINDS_OF_PROVIDERS if getattr(self, name) is not None)
        return camel(name)

    @property
    def settings(self) -> Settings:
        """The settings of its kind."""
        found: Iterator[Settings | None] = (getattr(self, name) for name in KINDS_OF_PROVIDERS)
        return next(value for value in found if value is not None)


def default_providers() -> tuple[ExtensionProvider, ...]:
    """Those that a mesh has without being told (``mesh.DefaultMeshConfig``); one of the same name takes the place of each."""
    return (
        ExtensionProvider(name="prometheus", prometheus=PrometheusProvider()),
        ExtensionProvider(name="stackdriver", stackdriver=StackdriverProvider()),
        ExtensionProvider(name="envoy", envoy_file_access_log=FileLogProvider(path="/dev/stdout")),
    )
