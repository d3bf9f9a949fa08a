"""A collector of OpenTelemetry over gRPC and HTTP: keeps what it is sent."""

import asyncio
from typing import Any

import grpc
from aiohttp import web
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

LOGS = "opentelemetry.proto.collector.logs.v1.LogsService"
TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"


class Collector:
    """Started by :meth:`start`. What came is awaited by :meth:`logs` and :meth:`spans`; ``bodies`` are what was posted."""

    def __init__(self) -> None:
        self.port = 0
        self.http_port = 0
        self.authorities: list[str] = []
        self.requests: list[Any] = []
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self._came = asyncio.Condition()
        self._server: Any = None
        self._runner: Any = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        for service, request in (
            (LOGS, logs_service_pb2.ExportLogsServiceRequest),
            (TRACES, trace_service_pb2.ExportTraceServiceRequest),
        ):
            handler = grpc.unary_unary_rpc_method_handler(self._take, request.FromString, lambda _: b"")
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.http_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._server.stop(None)
        await self._runner.cleanup()

    async def _take(self, request: Any, context: Any) -> Any:
        async with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return b""

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._came:
            self.posted.append((request.path_qs, dict(request.headers), body))
            self._came.notify_all()
        return web.Response()

    async def until(self, holds: Any) -> Any:
        """Waits until ``holds()`` gives something."""
        async with self._came:
            await asyncio.wait_for(self._came.wait_for(holds), 30)
        return holds()

    def logs(self) -> list[Any]:
        """Records that came, each with the attributes of its resource."""
        return [
            ({one.key: one.value.string_value for one in resource.resource.attributes}, record)
            for request in self.requests
            for resource in getattr(request, "resource_logs", ())
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def spans(self) -> list[Any]:
        """Spans that came by gRPC, each with the attributes of its resource."""
        return [
            ({one.key: one.value.string_value for one in resource.resource.attributes}, span)
            for request in self.requests
            for resource in getattr(request, "resource_spans", ())
            for scope in resource.scope_spans
            for span in scope.spans
        ]
