"""Spans: begun when a request comes, told when it is over. The supervisor sends them.

Without tracing a request is asked one attribute. A span that is not sampled costs its identities, which go on with the
request.
"""

import os
import random
from collections.abc import Callable
from typing import Final

from mesh_api.config import (
    EnvironmentTag,
    FormatTag,
    LiteralTag,
    MetadataTag,
    OpenTelemetryTracer,
    RequestHeaderTag,
    SpanTag,
    Tracing,
    TrafficDirection,
    ZipkinTracer,
)
from mesh_proxy.protocol.http1 import Field, Head, field_of, is_grpc
from mesh_proxy.telemetry import trace_context
from mesh_proxy.telemetry.access_log import FormatError, Operator, compile_text
from mesh_proxy.telemetry.operators import grpc_status, lookup, written
from mesh_proxy.telemetry.outbox import Outbox
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.sampling import NOT_TRACED, Sampling
from mesh_proxy.telemetry.trace_context import TraceContext

Tags = tuple[tuple[str, str], ...]
Bits = Callable[[int], int]
CLIENT: Final = "CLIENT"
SERVER: Final = "SERVER"
_PATH: Final = 256
"""Characters of the path that are told (Envoy's default)."""

_NO_STATE: Final = field_of(trace_context.TRACESTATE, b"")
_ALL_NAMES: Final = (*trace_context.B3_FIELDS, trace_context.TRACEPARENT)
random_bits: Final[Bits] = random.getrandbits


class Tracer:
    """Of a connection manager. Raises :class:`FormatError` for a tag that cannot be told."""

    __slots__ = ("_bits", "_length", "_operation", "_propagation", "_sampling", "_tags", "inbound", "tracer")

    def __init__(self, config: Tracing, by_id: bool, direction: TrafficDirection, bits: Bits = random_bits) -> None:
        self.tracer = config.tracer
        self.inbound = direction is not TrafficDirection.OUTBOUND
        self._bits = bits
        self._length = _PATH if config.max_path_tag_length is None else config.max_path_tag_length
        self._operation = "ingress" if self.inbound else "egress"
        self._propagation = config.propagation
        self._sampling = Sampling(config, by_id)
        self._tags = tuple(_tag(tag) for tag in config.tags if tag.value is not None)

    def begin(self, head: Head, record: Record, chance: Callable[[], float]) -> None:
        """A request came: whether it is traced is decided, and told those behind."""
        wanted = self._sampling.decide(head, chance) != NOT_TRACED
        record.traced = wanted
        tracer = self.tracer
        if isinstance(tracer, OpenTelemetryTracer):
            before = trace_context.read_w3c(head)
            if before is None and head.get(trace_context.TRACEPARENT) is not None:
                return  # what cannot be understood goes on as it is, and nothing is said of it (Envoy)
            made = self._child(before, wanted, 128)
            made = made._replace(sampled=made.sampled and wanted)
            fields = trace_context.write_w3c(made)
            if head.get(trace_context.TRACESTATE) is None:
                fields.append(_NO_STATE)
            self._tell(head, fields, (trace_context.TRACEPARENT,))
        elif isinstance(tracer, ZipkinTracer):
            before = trace_context.read_b3(head)
            if before is None and tracer.w3c:
                before = trace_context.read_w3c(head)
            made = self._zipkin(tracer, before, wanted)
            fields = trace_context.write_b3(made)
            if tracer.w3c:
                fields += trace_context.write_w3c(made)
            self._tell(head, fields, _ALL_NAMES if tracer.w3c else trace_context.B3_FIELDS)
        else:
            return
        record.trace_id, record.span_id, record.parent_id = made.trace_id, made.span_id, made.parent
        record.sampled = bool(made.sampled)

    def _child(self, before: TraceContext | None, wanted: bool, size: int) -> TraceContext:
        """A span below the one before, where there is one; who decided first has decided."""
        sampled = wanted if before is None or before.sampled is None else before.sampled
        span_id = b"%016x" % (self._bits(64) or 1)
        if before is None or not before.trace_id:
            single = before is not None and before.single
            return TraceContext(b"%0*x" % (size // 4, self._bits(size) or 1), span_id, b"", sampled, single)
        return TraceContext(before.trace_id, span_id, before.span_id, sampled, before.single)

    def _zipkin(self, tracer: ZipkinTracer, before: TraceContext | None, wanted: bool) -> TraceContext:
        """As Zipkin's libraries do: the root has the trace's own id, and a server may share its client's span."""
        if before is not None and before.trace_id and self.inbound and tracer.shared_span_context:
            return before._replace(sampled=wanted if before.sampled is None else before.sampled)
        made = self._child(before, wanted, 128 if tracer.trace_id_128bit else 64)
        return made if made.parent else made._replace(span_id=made.trace_id[-16:])

    def _tell(self, head: Head, fields: list[Field], names: tuple[bytes, ...]) -> None:
        if not self._propagation:
            return
        head.drop(*names)
        for field in fields:
            head.add(field)

    def end(self, record: Record, operation: str, outbox: Outbox) -> None:
        """A request is over: its span is told, if it is sampled."""
        tracer = self.tracer
        if not record.sampled or tracer is None:
            return
        operation = record.operation.decode("latin-1") or operation
        head = record.request
        host = "" if head is None else head.host.decode("latin-1")
        name = operation or (self._operation if self.inbound else f"{self._operation} {host}")
        if isinstance(tracer, ZipkinTracer) and not operation:
            name = host
        began = int(record.started * 1e6)
        kind, ended = SERVER if self.inbound else CLIENT, began + int((record.ended - record.began) * 1e6)
        address = record.connection.local_address if record.connection is not None else b""
        failed = record.status >= 500
        identities = (record.trace_id, record.span_id, record.parent_id)
        outbox.add(tracer, (*identities, name, kind, began, ended, self.tags(record), failed, address))

    def tags(self, record: Record) -> Tags:
        """What is told of a request (Envoy ``HttpTracerUtility::finalizeDownstreamSpan``)."""
        head = record.request
        found: list[tuple[str, str]] = [("component", "proxy")]
        if head is not None:
            found += _asked(head, record, self._length)
        if record.destination is not None:
            found += [
                ("upstream_cluster", record.destination.name.decode()),
                ("upstream_cluster.name", record.destination.observed.decode()),
            ]
        if record.connection is not None:
            found.append(("peer.address", record.downstream_remote.rpartition(b":")[0].strip(b"[]").decode()))
        found += [
            ("http.status_code", str(record.status)),
            ("request_size", str(record.bytes_received)),
            ("response_size", str(record.bytes_sent)),
            ("response_flags", record.flags or "-"),
        ]
        if head is not None and is_grpc(head) and (status := grpc_status(record)) >= 0:
            found.append(("grpc.status_code", str(status)))
        if record.status >= 500:
            found.append(("error", "true"))
        for name, make in self._tags:
            value = make(record)
            if value:
                found.append((name, value.decode(errors="replace")))
        return tuple(found)


def _asked(head: Head, record: Record, length: int) -> list[tuple[str, str]]:
    path = (record.original_path or record.path)[:length].decode("latin-1")
    scheme = (head.get(b"x-forwarded-proto") or head.scheme or b"http").decode("latin-1")
    found = [
        ("guid:x-request-id", (head.get(b"x-request-id") or b"").decode("latin-1")),
        ("http.url", f"{scheme}://{head.host.decode('latin-1')}{path}"),
        ("http.method", head.method.decode("latin-1")),
        ("downstream_cluster", (head.get(b"x-envoy-downstream-service-cluster") or b"-").decode("latin-1")),
        ("user_agent", (head.get(b"user-agent") or b"-").decode("latin-1")),
        ("http.protocol", record.protocol.decode()),
    ]
    client = head.get(b"x-client-trace-id")
    if client is not None:
        found.append(("guid:x-client-trace-id", client.decode("latin-1")))
    return found


def _tag(tag: SpanTag) -> tuple[str, Operator]:
    return tag.name, _value_of(tag)


def _value_of(tag: SpanTag) -> Operator:
    value = tag.value
    if isinstance(value, LiteralTag):
        constant = value.value.encode()
        return lambda record: constant
    if isinstance(value, EnvironmentTag):
        found = os.environ.get(value.name, value.default).encode()
        return lambda record: found
    if isinstance(value, RequestHeaderTag):
        name, default = value.name.lower().encode(), value.default.encode()
        return lambda record: (None if record.request is None else record.request.get(name)) or default
    if isinstance(value, MetadataTag):
        path = (value.filter, *value.path)
        return lambda record: written(lookup(record.metadata, path))
    if isinstance(value, FormatTag):
        return compile_text(value.format, omit_empty=True)
    raise FormatError(f"the tag {tag.name} has no value")
