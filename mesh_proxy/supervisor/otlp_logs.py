"""Access logs as messages of OpenTelemetry (``opentelemetry.proto.logs.v1``). Pure."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from mesh_api.config import OpenTelemetryAccessLog
from mesh_api.node import Node
from mesh_proxy.telemetry.outbox import Entry

METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def text(key: str, value: str) -> Any:
    """``KeyValue`` of a string."""
    return common_pb2.KeyValue(key=key, value=common_pb2.AnyValue(string_value=value))


def request(config: OpenTelemetryAccessLog, node: Node, entries: Iterable[Entry]) -> bytes:
    """``ExportLogsServiceRequest`` as it is sent."""
    labels = []
    if config.builtin_labels:
        labels = [
            text("log_name", config.log_name),
            text("zone_name", node.zone),
            text("cluster_name", node.cluster),
            text("node_name", node.id),
        ]
    scope = logs_pb2.ScopeLogs(log_records=[_record(config, entry) for entry in entries])
    resource = logs_pb2.ResourceLogs(resource=resource_pb2.Resource(attributes=labels), scope_logs=[scope])
    made: bytes = logs_service_pb2.ExportLogsServiceRequest(resource_logs=[resource]).SerializeToString()
    return made


def _record(config: OpenTelemetryAccessLog, entry: Entry) -> Any:
    when, body, values, trace_id, span_id = entry
    attributes = [
        text(key, value.decode(errors="replace"))
        for (key, _), value in zip(config.attributes, values, strict=True)
    ]  # fmt: skip
    record = logs_pb2.LogRecord(
        time_unix_nano=when,
        attributes=attributes,
        trace_id=bytes.fromhex(trace_id.decode().zfill(32)) if trace_id else b"",
        span_id=bytes.fromhex(span_id.decode()) if span_id else b"",
    )
    if config.body:
        record.body.string_value = body.decode(errors="replace")
    return record
