"""Providers that spans are sent to, as tracers of Envoy (Istio, ``core/tracing.go``)."""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from mesh_api.config import (
    DatadogTracer,
    DynatraceSampler,
    GrpcService,
    HttpService,
    OpenTelemetryTracer,
    SkyWalkingTracer,
    ZipkinTracer,
)
from mesh_api.config.tracing import Tracer
from mesh_control.compiler import extension_providers
from mesh_control.compiler.extension_providers import Reached
from mesh_control.compiler.scope import Scope
from mesh_policy.mesh_config import ExtensionProvider
from mesh_policy.mesh_config.tracing_providers import (
    DatadogProvider,
    OpenTelemetryProvider,
    ProviderHeader,
    SkyWalkingProvider,
    ZipkinProvider,
)
from mesh_policy.mesh_config.tracing_providers import (
    DynatraceSampler as SamplerSettings,
)

ZIPKIN_PATH, ZIPKIN_TIMEOUT = "/api/v2/spans", 5.0
DYNATRACE_PATH = "api/v2/samplingConfiguration"
SEMANTIC = "OTEL_SEMANTIC_CONVENTIONS"
ENVIRONMENT, DYNATRACE = "environment", "dynatrace"


class Made(NamedTuple):
    """A tracer. ``spawns``: requests to upstreams have spans of their own; ``samples``: it decides what is traced."""

    tracer: Tracer
    max_tag_length: int
    spawns: bool
    samples: bool = False


def tracer(scope: Scope, provider: ExtensionProvider) -> Made | None:
    """The tracer of a provider; ``None``: it is none for traces, or its service is not there."""
    settings = provider.settings
    if not isinstance(settings, ZipkinProvider | DatadogProvider | SkyWalkingProvider | OpenTelemetryProvider):
        return None
    at = extension_providers.reached(scope.world, settings.service, settings.port)
    if at is None:
        return None
    gateway, service = scope.proxy.is_gateway, scope.proxy.trace_names.service
    if isinstance(settings, ZipkinProvider):
        return Made(_zipkin(settings, at), settings.max_tag_length, gateway)
    if isinstance(settings, DatadogProvider):
        return Made(DatadogTracer(at.cluster, service, at.hostname), settings.max_tag_length, gateway)
    if isinstance(settings, SkyWalkingProvider):
        return Made(SkyWalkingTracer(GrpcService(at.cluster, at.hostname)), 0, spawns=True)
    return _open_telemetry(scope, settings, at)


def is_known(tracer: Tracer) -> bool:
    """Whether a proxy of ours can send spans to it."""
    if isinstance(tracer, OpenTelemetryTracer):
        return tracer.sampler is None
    return isinstance(tracer, ZipkinTracer)


def _zipkin(settings: ZipkinProvider, at: Reached) -> ZipkinTracer:
    collector = HttpService(
        f"http://{at.hostname}{settings.path or ZIPKIN_PATH}",
        at.cluster,
        ZIPKIN_TIMEOUT if settings.timeout is None else settings.timeout.total_seconds(),
        headers(settings.headers),
    )
    w3c = settings.trace_context_option == "USE_B3_WITH_W3C_PROPAGATION"
    return ZipkinTracer(collector, not settings.enable_64bit_trace_id, shared_span_context=False, w3c=w3c)


def _open_telemetry(scope: Scope, settings: OpenTelemetryProvider, at: Reached) -> Made | None:
    semantic = settings.service_attribute_enrichment == SEMANTIC
    made = OpenTelemetryTracer(
        http=_http(settings, at),
        grpc=_grpc(settings, at) if settings.http is None else None,
        service_name=_service_name(scope) if semantic else scope.proxy.trace_names.service,
        resource_detectors=tuple(_detectors(settings, semantic)),
    )
    if settings.dynatrace_sampler is None:
        return Made(made, settings.max_tag_length, scope.proxy.is_gateway)
    sampler = _sampler(scope, settings, settings.dynatrace_sampler, at)
    if sampler is None:
        return None
    made = OpenTelemetryTracer(made.http, made.grpc, made.service_name, made.resource_detectors, sampler)
    return Made(made, settings.max_tag_length, scope.proxy.is_gateway, samples=True)


def _http(settings: OpenTelemetryProvider, at: Reached) -> HttpService | None:
    http = settings.http
    if http is None:
        return None
    return HttpService(joined(at.hostname, http.path), at.cluster, seconds(http.timeout), headers(http.headers))


def _grpc(settings: OpenTelemetryProvider, at: Reached) -> GrpcService:
    grpc = settings.grpc
    if grpc is None:
        return GrpcService(at.cluster, at.hostname)
    return GrpcService(at.cluster, at.hostname, seconds(grpc.timeout), headers(grpc.initial_metadata))


def _detectors(settings: OpenTelemetryProvider, semantic: bool) -> Iterable[str]:
    wanted = settings.resource_detectors
    if wanted is not None and wanted.environment is not None:
        yield ENVIRONMENT
    if wanted is not None and wanted.dynatrace is not None:
        yield DYNATRACE
    if semantic and (wanted is None or wanted.environment is None):
        yield ENVIRONMENT


def _sampler(
    scope: Scope, settings: OpenTelemetryProvider, sampler: SamplerSettings, at: Reached
) -> DynatraceSampler | None:
    """Who decides answers where the spans go by HTTP, or at a service of its own; ``None``: at neither."""
    own = sampler.http_service
    if own is None:
        if settings.http is None:
            return None
        http, place, path = settings.http, at, DYNATRACE_PATH
    else:
        found = extension_providers.reached(scope.world, own.service, own.port)
        if found is None:
            return None
        http, place, path = own.http, found, own.http.path
    service = HttpService(joined(place.hostname, path), place.cluster, seconds(http.timeout), headers(http.headers))
    return DynatraceSampler(sampler.tenant, sampler.cluster_id, service, sampler.root_spans_per_minute)


def joined(host: str, path: str) -> str:
    """Host and path with one slash between them (Go's ``url.JoinPath``)."""
    return f"{host}/{path.lstrip('/')}"


def seconds(value: timedelta | None) -> float | None:
    """A duration of the settings."""
    return None if value is None else value.total_seconds()


def headers(found: Iterable[ProviderHeader]) -> tuple[tuple[str, str], ...]:
    """Names and values; one of the environment is that of the control plane, as in Istio."""
    return tuple((header.name, _header_value(header)) for header in found)


def _header_value(header: ProviderHeader) -> str:
    return os.environ.get(header.env_name, "") if header.env_name else header.value or ""


def conventional_name(scope: Scope) -> str:
    """The proxy's name by OpenTelemetry's conventions, where some provider keeps to them; else empty."""
    known = (provider.opentelemetry for provider in scope.world.mesh.extension_providers)
    kept = any(one is not None and one.service_attribute_enrichment == SEMANTIC for one in known)
    return _service_name(scope) if kept else ""


def _service_name(scope: Scope) -> str:
    """By OpenTelemetry's conventions for Kubernetes."""
    names, labels = scope.proxy.trace_names, scope.labels
    found = (
        names.annotation,
        labels.get("app.kubernetes.io/instance"),
        labels.get("app.kubernetes.io/name"),
        names.workload,
        scope.proxy.name.partition(".")[0],
    )
    return next(filter(None, found), "unknown_service")
