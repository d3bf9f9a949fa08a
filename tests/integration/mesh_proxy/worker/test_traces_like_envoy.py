"""Traces of a real Envoy and of our worker: what is sampled, what those behind are told, and what spans say."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mesh_api.config import (
    EnvironmentTag,
    FormatTag,
    HttpService,
    LiteralTag,
    OpenTelemetryTracer,
    ProxyConfig,
    RequestHeaderTag,
    SpanTag,
    Tracing,
    TrafficDirection,
    ZipkinTracer,
)
from mesh_api.node import Node
from mesh_proxy import ipc
from mesh_proxy.supervisor import spans
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import cluster, host, http_listener, route
from tests.support.raw_http import Backend, Client, Request, answer
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

ZIPKIN = HttpService("http://collector/api/v2/spans", "collector", 1.0)
OTLP = HttpService("http://collector/v1/traces", "collector", 1.0)
TAGS = (
    SpanTag("environment", EnvironmentTag("NOT_SET", "default")),
    SpanTag("format", FormatTag("%REQ(:METHOD)% %RESPONSE_CODE%")),
    SpanTag("header", RequestHeaderTag("x-a", "none")),
    SpanTag("literal", LiteralTag("value")),
    SpanTag("nothing", RequestHeaderTag("x-none")),
)
OTEL = OpenTelemetryTracer(OTLP, service_name="the service")
TRACERS: dict[str, tuple[TrafficDirection, Tracing]] = {
    "zipkin in": (TrafficDirection.INBOUND, Tracing(tracer=ZipkinTracer(ZIPKIN), tags=TAGS)),
    "zipkin out": (TrafficDirection.OUTBOUND, Tracing(tracer=ZipkinTracer(ZIPKIN, True), tags=TAGS)),
    "zipkin apart": (TrafficDirection.INBOUND, Tracing(tracer=ZipkinTracer(ZIPKIN, True, False), tags=TAGS)),
    "zipkin w3c": (TrafficDirection.INBOUND, Tracing(tracer=ZipkinTracer(ZIPKIN, True, True, True), tags=TAGS)),
    "otel": (TrafficDirection.OUTBOUND, Tracing(tracer=OTEL)),
    "some": (TrafficDirection.OUTBOUND, Tracing(100.0, 50.0, 100.0, tracer=OTEL)),
    "few": (TrafficDirection.OUTBOUND, Tracing(100.0, 0.0, 50.0, tracer=OTEL)),
    "zipkin few": (TrafficDirection.OUTBOUND, Tracing(100.0, 0.0, 50.0, tracer=ZipkinTracer(ZIPKIN, True))),
    "zipkin alone": (
        TrafficDirection.OUTBOUND,
        Tracing(tracer=ZipkinTracer(ZIPKIN, True, True, True), propagation=False),
    ),
    "otel alone": (TrafficDirection.INBOUND, Tracing(tracer=OTEL, propagation=False)),
    "no tracer": (TrafficDirection.OUTBOUND, Tracing(100.0, 50.0, 100.0)),
}
TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
B3 = f"x-b3-traceid: {TRACE}\r\nx-b3-spanid: {SPAN}\r\n"
ROWS: dict[str, str] = {
    "nothing": "",
    "low id": "x-request-id: 00000001-1234-4123-8123-123456789012\r\n",
    "high id": "x-request-id: 0000270f-1234-4123-8123-123456789012\r\n",
    "middle id": "x-request-id: 00001387-1234-4123-8123-123456789012\r\n",
    "traced id": "x-request-id: 0000270f-1234-9123-8123-123456789012\r\n",
    "forced id": "x-request-id: 00000001-1234-a123-8123-123456789012\r\n",
    "no uuid": "x-request-id: 7\r\n",
    "forced": "x-request-id: 0000270f-1234-4123-8123-123456789012\r\nx-envoy-force-trace: true\r\n",
    "client": "x-request-id: 00000001-1234-4123-8123-123456789012\r\nx-client-trace-id: mine\r\n",
    "w3c": f"traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=b\r\n",
    "w3c unsampled": f"traceparent: 00-{TRACE}-{SPAN}-00\r\n",
    "w3c broken": f"traceparent: 00-{TRACE}-short-01\r\n",
    "w3c zeros": f"traceparent: 00-{'0' * 32}-{SPAN}-01\r\n",
    "b3": B3 + f"x-b3-parentspanid: {PARENT}\r\nx-b3-sampled: 1\r\n",
    "b3 root": B3 + "x-b3-sampled: 1\r\n",
    "b3 unsampled": B3 + "x-b3-sampled: 0\r\n",
    "b3 undecided": B3,
    "b3 short": f"x-b3-traceid: {SPAN}\r\nx-b3-spanid: {SPAN}\r\nx-b3-sampled: 1\r\n",
    "b3 decision": "x-b3-sampled: 0\r\n",
    "b3 single": f"b3: {TRACE}-{SPAN}-1-{PARENT}\r\n",
    "b3 single no": "b3: 0\r\n",
    "w3c and id": f"x-request-id: 0000270f-1234-4123-8123-123456789012\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n",
    "b3 and id": B3 + "x-b3-sampled: 1\r\nx-request-id: 0000270f-1234-4123-8123-123456789012\r\n",
    "header": "x-a: given\r\nuser-agent: me\r\n",
    "operation": "x-envoy-decorator-operation: asked\r\n",
    "called": "",
    "called operation": "x-envoy-decorator-operation: asked\r\n",
    "told": "",
    "called told": "",
    "called told operation": "x-envoy-decorator-operation: asked\r\n",
}
TRACED = ("traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled")
CALLED = route("/called", "backend", operation="here")


def reply(request: Request) -> bytes:
    """A server whose proxy says what it calls the request, where the path says so."""
    return answer(extra="x-envoy-decorator-operation: there\r\n" if "told" in request.target else "")


BY_CHANCE = ("some", "few", "zipkin few", "no tracer")
"""Where only requests with an id of their own are sampled alike."""


def config(backend: int, collector: int) -> ProxyConfig:
    listeners = tuple(
        replace(
            http_listener(host(CALLED, route("/", "backend")), name=name, tracing=tracing), traffic_direction=direction
        )
        for name, (direction, tracing) in TRACERS.items()
    )
    return ProxyConfig(listeners, clusters=(cluster("backend", backend), cluster("collector", collector)))


class Seen(NamedTuple):
    """What the server was asked by each, and the spans that each told."""

    theirs: dict[tuple[str, str], dict[str, str]]
    ours: dict[tuple[str, str], dict[str, str]]
    spans: list[dict[str, Any]]
    own_spans: list[dict[str, Any]]


def asked(proxy: EnvoyProcess | WorkerProcess, backend: Backend) -> dict[tuple[str, str], dict[str, str]]:
    found = {}
    for listener in TRACERS:
        with Client(proxy.port(listener)) as client:
            for row, lines in ROWS.items():
                client.send(f"GET /{row.replace(' ', '-')} HTTP/1.1\r\nhost: test\r\n{lines}\r\n".encode())
                assert client.reply().status == 200
                found[listener, row] = backend.requests[-1].fields
    return found


@pytest.fixture(scope="module")
def seen(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        backend, port = servers.http(reply)
        collector, collecting = servers.http(lambda request: answer(b"", "202 Accepted"))
        made = config(port, collecting)
        worker = stack.enter_context(WorkerProcess())
        assert isinstance(worker.apply(made), ipc.Applied)
        real = stack.enter_context(EnvoyProcess(envoy, tmp_path_factory.mktemp("traces"), made))
        theirs, ours = asked(real, backend), asked(worker, backend)
        own = [
            span
            for told in until(worker)
            if isinstance(told.destination, ZipkinTracer)
            for span in json.loads(spans.zipkin(told.destination, Node("sidecar~127.0.0.1~a.b~c"), told.entries))
            if "literal" in span["tags"]
        ]
        yield Seen(theirs, ours, told_by_envoy(collector, len(own)), own)


def until(worker: WorkerProcess) -> list[ipc.Told]:
    """Everything that the worker told, which it does each second."""
    deadline = time.monotonic() + LIMIT
    while worker.stats().counters["telemetry.handed_over"] > sum(len(told.entries) for told in worker.told):
        assert time.monotonic() < deadline
    return worker.told


def told_by_envoy(collector: Backend, wanted: int) -> list[dict[str, Any]]:
    """As many spans of Zipkin as came; the last ones come some seconds later."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        requests: list[Request] = [one for one in list(collector.requests) if one.target == "/api/v2/spans"]
        found = [span for one in requests for span in json.loads(one.body) if "literal" in span["tags"]]
        if len(found) >= wanted:
            return found
    return found


def form_of(fields: dict[str, str]) -> dict[str, str]:
    """What is told of traces; ids that are made up are as good as any other."""
    found = {name: fields[name] for name in (*TRACED, "x-request-id") if name in fields}
    for name, value in found.items():
        for known, letter in ((TRACE, "T"), (SPAN, "S"), (PARENT, "P")):
            value = value.replace(known, letter)
        if name == "x-request-id" and fields["x-request-id"][9:13] != "1234":
            value = value[14:15]  # made up, but for what it says of its trace
        found[name] = re.sub("[0-9a-f]{32}|[0-9a-f]{16}", lambda match: f"<{len(match[0])}>", value)
    return found


@pytest.mark.parametrize("listener", TRACERS)
def test_those_behind_are_told_what_envoy_tells(seen: Seen, listener: str) -> None:
    different = {
        row: (form_of(seen.theirs[listener, row]), form_of(seen.ours[listener, row]))
        for row, lines in ROWS.items()
        if (listener not in BY_CHANCE or "1234" in lines)
        and form_of(seen.theirs[listener, row]) != form_of(seen.ours[listener, row])
    }
    assert different == {}


VARYING = ("annotations", "timestamp", "duration", "localEndpoint", "id", "traceId", "parentId")
IDS = ("guid:x-request-id",)
"""Tags that are made up."""


def by_name(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Spans by what was asked for, in any order, with what is compared of them."""
    made: dict[str, list[dict[str, Any]]] = {}
    for span in found:
        kept = {name: value for name, value in span.items() if name not in VARYING}
        kept["tags"] = {name: value for name, value in span["tags"].items() if name not in IDS}
        kept["values"] = [one["value"] for one in span["annotations"]]
        kept["ids"] = [len(span["traceId"]), "parentId" in span]
        url = kept["tags"].pop("http.url")
        made.setdefault(url.rpartition("/")[2], []).append(kept)
    return {
        name: sorted(spans_of, key=lambda span: json.dumps(span, sort_keys=True)) for name, spans_of in made.items()
    }


def test_spans_say_what_envoys_say(seen: Seen) -> None:
    theirs, ours = by_name(seen.spans), by_name(seen.own_spans)
    assert theirs.keys() == ours.keys()
    for name, spans_of in theirs.items():
        assert (name, ours[name]) == (name, spans_of)
