"""Spans as OpenTelemetry's and Zipkin's messages. Pure.

An entry is identities (hexadecimal digits) of trace, span and parent, name, kind, begin and end (microseconds since 1970),
tags, whether it failed, and the address that was asked.
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from mesh_api.config import OpenTelemetryTracer, ZipkinTracer
from mesh_api.node import Node
from mesh_proxy.supervisor.otlp_logs import text
from mesh_proxy.telemetry.outbox import Entry

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_KINDS: Final = {"SERVER": trace_pb2.Span.SPAN_KIND_SERVER, "CLIENT": trace_pb2.Span.SPAN_KIND_CLIENT}
_DETECTED: Final = "OTEL_RESOURCE_ATTRIBUTES"


def otlp(
    tracer: OpenTelemetryTracer, node: Node, entries: Iterable[Entry], environment: Mapping[str, str] = os.environ
) -> bytes:
    """``ExportTraceServiceRequest`` as it is sent."""
    attributes = {"service.name": tracer.service_name or node.cluster or "unknown_service:meshwright"}
    if "environment" in tracer.resource_detectors:
        pairs = (part.partition("=") for part in environment.get(_DETECTED, "").split(",") if "=" in part)
        attributes |= {name.strip(): value.strip() for name, _, value in pairs}
    resource = resource_pb2.Resource(attributes=[text(name, value) for name, value in attributes.items()])
    scope = trace_pb2.ScopeSpans(spans=[_span(node, entry) for entry in entries])
    spans = trace_pb2.ResourceSpans(resource=resource, scope_spans=[scope])
    made: bytes = trace_service_pb2.ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()
    return made


def _span(node: Node, entry: Entry) -> Any:
    trace_id, span_id, parent, name, kind, began, ended, tags, failed, _ = entry
    made = trace_pb2.Span(
        trace_id=bytes.fromhex(trace_id.decode().zfill(32)),
        span_id=bytes.fromhex(span_id.decode()),
        parent_span_id=bytes.fromhex(parent.decode()) if parent else b"",
        name=name,
        kind=_KINDS[kind],
        start_time_unix_nano=began * 1000,
        end_time_unix_nano=ended * 1000,
        attributes=[text(key, value) for key, value in (("node_id", node.id), *tags)],
    )
    if failed:
        made.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    return made


def zipkin(tracer: ZipkinTracer, node: Node, entries: Iterable[Entry]) -> bytes:
    """Spans of version 2 of Zipkin's API, as JSON."""
    return json.dumps([_zipkin(tracer, node, entry) for entry in entries], separators=(",", ":")).encode()


def _zipkin(tracer: ZipkinTracer, node: Node, entry: Entry) -> dict[str, Any]:
    trace_id, span_id, parent, name, kind, began, ended, tags, _, address = entry
    host, _, port = address.decode().rpartition(":")
    endpoint: dict[str, Any] = {"serviceName": node.cluster}
    if host:
        endpoint["ipv6" if ":" in host else "ipv4"] = host.strip("[]")
        endpoint["port"] = int(port) if port.isdigit() else 0
    made: dict[str, Any] = {
        "traceId": trace_id.decode(),
        "id": span_id.decode(),
        "name": name,
        "kind": kind,
        "timestamp": began,
        "duration": max(ended - began, 1),
        "localEndpoint": endpoint,
        "annotations": [{"timestamp": ended, "value": "ss" if kind == "SERVER" else "cr"}],
        "tags": {"node_id": node.id, **dict(tags)},
    }
    if parent:
        made["parentId"] = parent.decode()
    if kind == "SERVER" and tracer.shared_span_context:
        made["shared"] = True
    return made
