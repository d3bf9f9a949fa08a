"""Traces: which requests are, and where their spans go (Envoy ``HttpConnectionManager.Tracing``, ``config.trace.v3``)."""

from dataclasses import dataclass

from mesh_api.config.remote_services import GrpcService, HttpService


@dataclass(frozen=True, slots=True)
class LiteralTag:
    """The same value for every span."""

    value: str


@dataclass(frozen=True, slots=True)
class EnvironmentTag:
    """A variable of the proxy's environment, or ``default``; empty, there is no tag."""

    name: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class RequestHeaderTag:
    """A header of the request, or ``default``; empty, there is no tag."""

    name: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class MetadataTag:
    """What ``filter`` left in the request's metadata at ``path``."""

    filter: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FormatTag:
    """A text with the command operators of access logs."""

    format: str


TagValue = LiteralTag | EnvironmentTag | RequestHeaderTag | MetadataTag | FormatTag
"""Where the value of a tag comes from."""


@dataclass(frozen=True, slots=True)
class SpanTag:
    """A tag of every span; without a ``value`` it is named and never written."""

    name: str
    value: TagValue | None


@dataclass(frozen=True, slots=True)
class ZipkinTracer:
    """Spans by Zipkin's API (JSON, version 2). ``w3c``: ``traceparent`` is read and written beside B3's headers."""

    collector: HttpService
    trace_id_128bit: bool = False
    shared_span_context: bool = True
    w3c: bool = False


@dataclass(frozen=True, slots=True)
class DatadogTracer:
    """Spans to an agent of Datadog over ``cluster``, whose host is ``hostname``."""

    cluster: str
    service_name: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class SkyWalkingTracer:
    """Spans to a receiver of Apache SkyWalking."""

    service: GrpcService


@dataclass(frozen=True, slots=True)
class DynatraceSampler:
    """Dynatrace's service says what is sampled; ``root_spans_per_minute`` where it does not (0: Envoy's default, 1000)."""

    tenant: str
    cluster_id: int
    service: HttpService
    root_spans_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class OpenTelemetryTracer:
    """Spans by OpenTelemetry's protocol, to one of ``http`` and ``grpc``.

    ``resource_detectors`` say who sends them, by name: ``environment``, ``dynatrace``.
    """

    http: HttpService | None = None
    grpc: GrpcService | None = None
    service_name: str = ""
    resource_detectors: tuple[str, ...] = ()
    sampler: DynatraceSampler | None = None


Tracer = ZipkinTracer | DatadogTracer | SkyWalkingTracer | OpenTelemetryTracer
"""Where spans go."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Which requests are traced, in percent: of those where the client asks for it, of all where nobody decided before,
    and of the requests that would be by either.

    Without a ``tracer`` there are no spans, while the decision still goes on with the request's id.
    ``max_path_tag_length``: characters of the tag with the path, ``None`` is Envoy's default, 256.
    ``spawn_upstream_span``: the request to the upstream has a span of its own. ``tags`` are sorted by name.
    Without ``propagation`` spans are told to the tracer, and those behind hear nothing of them.
    """

    client_sampling: float = 100.0
    random_sampling: float = 100.0
    overall_sampling: float = 100.0
    tags: tuple[SpanTag, ...] = ()
    tracer: Tracer | None = None
    max_path_tag_length: int | None = None
    spawn_upstream_span: bool | None = None
    propagation: bool = True
