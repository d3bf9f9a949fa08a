"""Where spans go (``config.trace.v3.Tracing.Http``): one row for each tracer, with both directions."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from envoy.config.core.v3 import extension_pb2
from envoy.config.trace.v3 import (
    datadog_pb2,
    http_tracer_pb2,
    opentelemetry_pb2,
    skywalking_pb2,
    zipkin_pb2,
)
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import (
    dynatrace_resource_detector_pb2,
    environment_resource_detector_pb2,
)
from envoy.extensions.tracers.opentelemetry.samplers.v3 import dynatrace_sampler_pb2

from mesh_api.config.tracing import (
    DatadogTracer,
    DynatraceSampler,
    OpenTelemetryTracer,
    SkyWalkingTracer,
    Tracer,
    ZipkinTracer,
)
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.remote_services import (
    decode_grpc_service,
    decode_http_service,
    encode_grpc_service,
    encode_http_service,
)
from mesh_api.xds.values import boolean, pack, unpack

_B3, _B3_AND_W3C = "USE_B3", "USE_B3_WITH_W3C_PROPAGATION"
_DETECTORS: Final = {
    "environment": environment_resource_detector_pb2.EnvironmentResourceDetectorConfig,
    "dynatrace": dynatrace_resource_detector_pb2.DynatraceResourceDetectorConfig,
}
_DETECTOR, _SAMPLER = (
    "envoy.tracers.opentelemetry.resource_detectors.",
    "envoy.tracers.opentelemetry.samplers.dynatrace",
)


class TracerRow(NamedTuple):
    """How one tracer looks on the wire."""

    config: type
    name: str
    message: Any
    encode: Callable[[Any], Any]
    decode: Callable[[Fields], Tracer]


def encode_tracer(tracer: Tracer) -> Any:
    """``Tracing.Http``."""
    row = next(row for row in TRACERS if row.config is type(tracer))
    return http_tracer_pb2.Tracing.Http(name=row.name, typed_config=pack(row.encode(tracer)))


def decode_tracer(fields: Fields) -> Tracer:
    """From ``Tracing.Http``."""
    with fields as f:
        f.text("name")
        message, config = unpack(f.child("typed_config"), tuple(row.message for row in TRACERS))
        return next(row for row in TRACERS if row.message is message).decode(config)


def _encode_zipkin(tracer: ZipkinTracer) -> Any:
    message = zipkin_pb2.ZipkinConfig
    return message(
        collector_endpoint_version=message.CollectorEndpointVersion.Value("HTTP_JSON"),
        trace_id_128bit=tracer.trace_id_128bit,
        shared_span_context=boolean(tracer.shared_span_context, unless=True),
        trace_context_option=message.TraceContextOption.Value(_B3_AND_W3C if tracer.w3c else _B3),
        collector_service=encode_http_service(tracer.collector),
    )


def _decode_zipkin(fields: Fields) -> ZipkinTracer:
    with fields as f:
        f.enum("collector_endpoint_version", "HTTP_JSON")
        return ZipkinTracer(
            decode_http_service(f.child("collector_service")),
            f.flag("trace_id_128bit"),
            f.wrapped_flag("shared_span_context", default=True),
            f.enum("trace_context_option", _B3, _B3_AND_W3C) == _B3_AND_W3C,
        )


def _encode_datadog(tracer: DatadogTracer) -> Any:
    return datadog_pb2.DatadogConfig(
        collector_cluster=tracer.cluster, service_name=tracer.service_name, collector_hostname=tracer.hostname
    )


def _decode_datadog(fields: Fields) -> DatadogTracer:
    with fields as f:
        return DatadogTracer(f.text("collector_cluster"), f.text("service_name"), f.text("collector_hostname"))


def _encode_skywalking(tracer: SkyWalkingTracer) -> Any:
    return skywalking_pb2.SkyWalkingConfig(grpc_service=encode_grpc_service(tracer.service))


def _decode_skywalking(fields: Fields) -> SkyWalkingTracer:
    with fields as f:
        return SkyWalkingTracer(decode_grpc_service(f.child("grpc_service")))


def _encode_opentelemetry(tracer: OpenTelemetryTracer) -> Any:
    if (tracer.http is None) == (tracer.grpc is None):
        raise EncodeError("OpenTelemetry's protocol needs either http or grpc")
    sampler = tracer.sampler
    extension = extension_pb2.TypedExtensionConfig
    return opentelemetry_pb2.OpenTelemetryConfig(
        http_service=None if tracer.http is None else encode_http_service(tracer.http),
        grpc_service=None if tracer.grpc is None else encode_grpc_service(tracer.grpc),
        service_name=tracer.service_name,
        resource_detectors=[
            extension(name=_DETECTOR + name, typed_config=pack(_DETECTORS[name]()))
            for name in tracer.resource_detectors
        ],
        sampler=None if sampler is None else extension(name=_SAMPLER, typed_config=pack(_encode_sampler(sampler))),
    )


def _encode_sampler(sampler: DynatraceSampler) -> Any:
    return dynatrace_sampler_pb2.DynatraceSamplerConfig(
        tenant=sampler.tenant,
        cluster_id=sampler.cluster_id,
        http_service=encode_http_service(sampler.service),
        root_spans_per_minute=sampler.root_spans_per_minute,
    )


def _decode_opentelemetry(fields: Fields) -> OpenTelemetryTracer:
    with fields as f:
        http, grpc, sampler = (f.optional(name) for name in ("http_service", "grpc_service", "sampler"))
        return OpenTelemetryTracer(
            None if http is None else decode_http_service(http),
            None if grpc is None else decode_grpc_service(grpc),
            f.text("service_name"),
            tuple(_decode_detector(detector) for detector in f.children("resource_detectors")),
            None if sampler is None else _decode_sampler(sampler),
        )


def _decode_detector(fields: Fields) -> str:
    with fields as f:
        f.text("name")
        message, config = unpack(f.child("typed_config"), _DETECTORS.values())
        with config:
            return next(name for name, known in _DETECTORS.items() if known is message)


def _decode_sampler(fields: Fields) -> DynatraceSampler:
    with fields as f:
        f.text("name")
        _, config = unpack(f.child("typed_config"), (dynatrace_sampler_pb2.DynatraceSamplerConfig,))
        with config as c:
            return DynatraceSampler(
                c.text("tenant"),
                c.number("cluster_id"),
                decode_http_service(c.child("http_service")),
                c.number("root_spans_per_minute"),
            )


TRACERS: Final = (
    TracerRow(ZipkinTracer, "envoy.tracers.zipkin", zipkin_pb2.ZipkinConfig, _encode_zipkin, _decode_zipkin),
    TracerRow(DatadogTracer, "envoy.tracers.datadog", datadog_pb2.DatadogConfig, _encode_datadog, _decode_datadog),
    TracerRow(
        SkyWalkingTracer,
        "envoy.tracers.skywalking",
        skywalking_pb2.SkyWalkingConfig,
        _encode_skywalking,
        _decode_skywalking,
    ),
    TracerRow(
        OpenTelemetryTracer,
        "envoy.tracers.opentelemetry",
        opentelemetry_pb2.OpenTelemetryConfig,
        _encode_opentelemetry,
        _decode_opentelemetry,
    ),
)
"""Every tracer that the mesh knows."""
