"""What the sidecar tells services of telemetry: entries arrive whole, and a service that is gone harms nobody."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mesh_api.config import (
    DirectResponse,
    HttpService,
    OpenTelemetryAccessLog,
    OpenTelemetryTracer,
    ProxyConfig,
    RequestHeaderTag,
    SocketAddress,
    SpanTag,
    Tracing,
    ZipkinTracer,
)
from mesh_api.config.remote_services import GrpcService
from mesh_api.xds.session import Synced
from tests.support.otlp_collector import Collector
from tests.support.proxy_config import cluster, host, http_listener, route

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


def answering(port: int, collector_port: int, **fields: Any) -> ProxyConfig:
    """Everything is answered with 200; ``fields`` are the manager's."""
    listener = http_listener(host(route("/", DirectResponse(200, b"hello"))), **fields)
    listener = replace(listener, address=SocketAddress("127.0.0.1", port))
    return ProxyConfig((listener,), clusters=(cluster("collector", collector_port),))


async def get(port: int, path: str = "/", **headers: str) -> int:
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"http://127.0.0.1:{port}{path}") as found,
    ):
        return found.status


LOG = OpenTelemetryAccessLog(
    "the log",
    "collector",
    "otlp.example",
    body="%REQ(:METHOD)% %RESPONSE_CODE% %REQ(X-NONE)%",
    attributes=(("path", "%REQ(:PATH)%"), ("user", "%REQ(USER)%")),
)


async def test_entries_of_access_logs_arrive(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, collector: Collector, unused_tcp_port: int
) -> None:
    log = replace(LOG, builtin_labels=True)
    control_plane.push(answering(unused_tcp_port, collector.port, access_logs=(log,)))
    await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    for number in range(3):
        assert await get(unused_tcp_port, f"/{number}", user=f"u{number}") == 200
    found = await collector.until(lambda: len(collector.logs()) >= 3 and collector.logs())
    labels, _ = found[0]
    assert labels["log_name"] == "the log"
    assert labels["node_name"].startswith("sidecar~")
    records = {record.attributes[0].value.string_value: record for _, record in found}
    assert set(records) == {"/0", "/1", "/2"}
    assert records["/1"].body.string_value == "GET 200 -"
    assert {one.key: one.value.string_value for one in records["/1"].attributes} == {"path": "/1", "user": "u1"}
    assert records["/1"].time_unix_nano > 1_700_000_000 * 10**9


async def test_a_log_without_a_service_is_dropped_and_counted(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, unused_tcp_port_factory: Any
) -> None:
    port, nobody = unused_tcp_port_factory(), unused_tcp_port_factory()
    control_plane.push(answering(port, nobody, access_logs=(LOG,)))
    proxy = await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    assert await get(port) == 200
    await proxy.logged("telemetry cannot be sent")
    assert await get(port) == 200
    assert "telemetry.dropped: 1\n" in (await proxy.get("/stats?filter=telemetry"))[1]


TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def test_spans_arrive_by_grpc(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, collector: Collector, unused_tcp_port: int
) -> None:
    tracer = OpenTelemetryTracer(grpc=GrpcService("collector"), service_name="store.shop")
    tags = (SpanTag("user", RequestHeaderTag("user")),)
    control_plane.push(answering(unused_tcp_port, collector.port, tracing=Tracing(tracer=tracer, tags=tags)))
    await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    assert await get(unused_tcp_port, "/1", user="me", traceparent=PARENT) == 200
    ((labels, span),) = await collector.until(collector.spans)
    assert labels["service.name"] == "store.shop"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    found = {one.key: one.value.string_value for one in span.attributes}
    assert (found["user"], found["http.status_code"]) == ("me", "200")
    assert found["http.url"].endswith("/1")
    assert found["node_id"].startswith("sidecar~")


async def test_spans_arrive_by_http(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, collector: Collector, unused_tcp_port: int
) -> None:
    service = HttpService("http://otlp.example/v1/traces?a=b", "collector", headers=(("authorization", "secret"),))
    tracing = Tracing(tracer=OpenTelemetryTracer(http=service))
    control_plane.push(answering(unused_tcp_port, collector.http_port, tracing=tracing))
    await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    assert await get(unused_tcp_port, "/1") == 200
    ((path, headers, body), *_) = await collector.until(lambda: collector.posted)
    assert (path, headers["Content-Type"]) == ("/v1/traces?a=b", "application/x-protobuf")
    assert {name.lower(): value for name, value in headers.items()} | {
        "host": "otlp.example",
        "authorization": "secret",
    } == {name.lower(): value for name, value in headers.items()}
    (spans,) = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans
    assert len(spans.spans) == 1


async def test_spans_arrive_at_zipkin(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, collector: Collector, unused_tcp_port: int
) -> None:
    tracing = Tracing(tracer=ZipkinTracer(HttpService("http://zipkin:9411/api/v2/spans", "collector", 1.0)))
    control_plane.push(answering(unused_tcp_port, collector.http_port, tracing=tracing))
    await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    for number in range(3):
        assert await get(unused_tcp_port, f"/{number}") == 200
    found = await collector.until(lambda: sum(len(json.loads(body)) for _, _, body in collector.posted) == 3)
    assert found
    spans = [span for _, _, body in collector.posted for span in json.loads(body)]
    assert {span["tags"]["http.url"].rpartition("/")[2] for span in spans} == {"0", "1", "2"}
    assert {path for path, _, _ in collector.posted} == {"/api/v2/spans"}
