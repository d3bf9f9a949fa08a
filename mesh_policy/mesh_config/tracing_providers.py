"""Providers that spans are sent to (``tracing`` of a Telemetry)."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from mesh_policy.base import Flag, Labels
from mesh_policy.mesh_config.values import Count, Long, NotNegative, Port, ProviderService, Settings, Text, Unsigned

TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]
"""Which headers carry a trace's context."""


class ProviderHeader(Settings):
    """A header of requests to a provider: with a fixed value, or that of a variable of the control plane's environment."""

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("value", "env_name"),)

    name: Text
    """Name of the header."""
    value: str | None = None
    """Its value."""
    env_name: str | None = None
    """Name of the variable that holds it; it is sent to every proxy, so it is no secret there."""


class ProviderHttpService(Settings):
    """How a provider is spoken to by HTTP."""

    path: Text
    """Path of its interface."""
    timeout: NotNegative | None = None
    """How long a request may take; default 3 s."""
    headers: tuple[ProviderHeader, ...] = ()
    """Headers of every request."""


class ProviderGrpcService(Settings):
    """How a provider is spoken to by gRPC."""

    timeout: NotNegative | None = None
    """How long a request may take; default Envoy's."""
    initial_metadata: tuple[ProviderHeader, ...] = ()
    """Metadata of every stream."""


class AddressedProvider(Settings):
    """A provider that is a service of the mesh."""

    service: ProviderService
    """``HOST``, or ``NAMESPACE/HOST`` where the host alone is not enough."""
    port: Port
    """Port of the service."""


class ZipkinProvider(AddressedProvider):
    """Spans by Zipkin's API."""

    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""
    enable_64bit_trace_id: Flag = False
    """Whether ids of traces have 64 bits rather than 128."""
    path: str = ""
    """Path of the API; default ``/api/v2/spans``."""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    """Whether ``traceparent`` is read and written beside B3's headers."""
    timeout: NotNegative | None = None
    """How long a request to the collector may take; default 5 s."""
    headers: tuple[ProviderHeader, ...] = ()
    """Further headers of requests to the collector."""


class LightstepProvider(AddressedProvider):
    """Spans to Lightstep. Deprecated by Istio in favour of ``opentelemetry``."""

    access_token: Text
    """Token that Lightstep gave out."""
    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""


class DatadogProvider(AddressedProvider):
    """Spans to an agent of Datadog."""

    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""


class SkyWalkingProvider(AddressedProvider):
    """Spans to a receiver of Apache SkyWalking."""

    access_token: str = ""
    """Token of SkyWalking's OAP; empty for none."""


class StackdriverLogging(Settings):
    """What entries of Stackdriver's log hold."""

    labels: Labels | None = None
    """Names of tags and the expressions (CEL) that give their values."""


class StackdriverProvider(Settings):
    """Google's Stackdriver: spans, metrics and logs."""

    debug: Flag = False
    """Whether spans are written to standard output too. Deprecated."""
    max_number_of_attributes: Long | None = None
    """Most attributes of a span; default 200. Deprecated."""
    max_number_of_annotations: Long | None = None
    """Most annotations of a span; default 200. Deprecated."""
    max_number_of_message_events: Long | None = None
    """Most message events of a span; default 200. Deprecated."""
    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""
    logging: StackdriverLogging | None = None
    """What entries of the log hold."""


class OpenCensusProvider(AddressedProvider):
    """Spans to an agent of OpenCensus. Deprecated by Istio in favour of ``opentelemetry``."""

    context: tuple[TraceContext, ...] = ()
    """Headers that are read and written; default W3C_TRACE_CONTEXT."""
    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""


class EnvironmentDetector(Settings):
    """Attributes of the variable ``OTEL_RESOURCE_ATTRIBUTES`` of the proxy."""


class DynatraceDetector(Settings):
    """Attributes of the files that Dynatrace puts on a machine."""


class ResourceDetectors(Settings):
    """Where the attributes of the sender come from; those of several are merged."""

    environment: EnvironmentDetector | None = None
    """The proxy's environment."""
    dynatrace: DynatraceDetector | None = None
    """Dynatrace's files."""


class DynatraceApi(Settings):
    """Where Dynatrace says what is sampled."""

    service: Text
    """Host of the environment at Dynatrace, as its ServiceEntry names it."""
    port: Port
    """Port of the service."""
    http: ProviderHttpService
    """How it is spoken to."""


class DynatraceSampler(Settings):
    """Dynatrace's adaptive sampling."""

    tenant: Text
    """Identifier of the customer at Dynatrace."""
    cluster_id: Count
    """Identifier of the cluster at Dynatrace; it has nothing to do with the mesh's clusters."""
    root_spans_per_minute: Unsigned = 0
    """Spans a minute where Dynatrace does not say; default 1000."""
    http_service: DynatraceApi | None = None
    """Where it says; unset: where the spans go."""


class OpenTelemetryProvider(AddressedProvider):
    """Spans by OpenTelemetry's protocol (OTLP): by gRPC, or by HTTP where ``http`` is set."""

    max_tag_length: Unsigned = 0
    """Most characters of the tag with the path; default 256."""
    http: ProviderHttpService | None = None
    """Export by HTTP; excludes ``grpc``."""
    grpc: ProviderGrpcService | None = None
    """Settings of the export by gRPC."""
    resource_detectors: ResourceDetectors | None = None
    """Where attributes of the sender come from."""
    service_attribute_enrichment: Literal["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"] = "ISTIO_CANONICAL"
    """How ``service.name`` and its like are found: as ``tracingServiceName`` says, or as OpenTelemetry's conventions for
    Kubernetes do."""
    dynatrace_sampler: DynatraceSampler | None = None
    """Who decides what is sampled; unset: the proxy."""

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        if self.http is not None and self.grpc is not None:
            raise ValueError("http and grpc exclude each other; keep one")
        return self
