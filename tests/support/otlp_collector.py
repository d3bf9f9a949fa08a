"""A collector of OpenTelemetry over gRPC and HTTP: keeps what it is sent."""

import asyncio
import ssl
from typing import Any

import grpc
from aiohttp import web
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.support.authority import Authority

LOGS = "opentelemetry.proto.collector.logs.v1.LogsService"
TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"


class Collector:
    """Started by :meth:`start`. What came is awaited by :meth:`logs` and :meth:`spans`; ``posted`` is what was posted.

    With an ``authority`` it is there by TLS, with a certificate for ``names``; ``mutual``: for whoever shows one of that
    authority. ``clients`` are whose certificates callers of gRPC showed, ``names`` what clients of HTTP asked for.
    """

    def __init__(self, authority: Authority | None = None, *names: str, mutual: bool = False, port: int = 0) -> None:
        self._authority, self._certified, self._mutual = authority, names, mutual
        self.clients: list[str] = []
        self.names: list[str] = []
        self.port = port
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
        address = f"127.0.0.1:{self.port}"
        if self._authority is None:
            self.port = self._server.add_insecure_port(address)
        else:
            own = self._authority.certificate(*self._certified)
            pairs, roots = [(own.key, own.chain)], self._authority.pem if self._mutual else None
            credentials = grpc.ssl_server_credentials(pairs, roots, require_client_auth=self._mutual)
            self.port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context()).start()
        self.http_port = self._runner.addresses[0][1]

    def _context(self) -> ssl.SSLContext | None:
        if self._authority is None:
            return None
        own = self._authority.certificate(*self._certified)
        made = self._authority.server(own, "h2", "http/1.1", mutual=self._mutual)
        made.sni_callback = lambda _, name, __: self.names.append(name or "")
        return made

    async def stop(self) -> None:
        await self._server.stop(None)
        await self._runner.cleanup()

    async def _take(self, request: Any, context: Any) -> Any:
        async with self._came:
            self.clients += [name.decode() for name in context.peer_identities() or ()]
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
