"""ADS over gRPC: a thin shell that carries bytes between connections and :class:`~mesh_control.control.Control`."""

import asyncio
import hmac
import itertools
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc

from mesh_api.xds import grpc as wire
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.session import Request, Response
from mesh_control.control import Control
from mesh_control.proxies import ProxyError

log = logging.getLogger("mesh_control.xds")

OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)
_END = None


class XdsServer:
    """Serves one :class:`Control` on one address. ``token`` ``None`` lets anyone join."""

    def __init__(self, control: Control, address: str, token: str | None) -> None:
        self._control = control
        self._token = token
        self._ids = itertools.count(1)
        self._outboxes: dict[str, asyncio.Queue[Response | None]] = {}
        control.deliver = self._deliver
        self._server = grpc.aio.server(options=OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=wire.request_from_bytes,
            response_serializer=wire.ResponseSerializer(),
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(wire.SERVICE, {wire.METHOD_NAME: handler}),)
        )
        self.port = self._bind(address)

    def _bind(self, address: str) -> int:
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(f"xds_address: {address} cannot be bound; is the port in use? set another one")
        return int(port)

    async def start(self) -> None:
        """Accept proxies."""
        await self._server.start()

    async def stop(self, grace: float = 1.0) -> None:
        """End every stream; proxies come back to the next control plane."""
        for outbox in self._outboxes.values():
            outbox.put_nowait(_END)
        await self._server.stop(grace)

    def _deliver(self, stream: str, responses: list[Response]) -> None:
        outbox = self._outboxes.get(stream)
        for response in responses:
            if outbox is not None:
                outbox.put_nowait(response)

    async def _stream(self, requests: AsyncIterator[Request], context: Any) -> AsyncIterator[Response]:
        await self._authorize(context)
        stream = f"s{next(self._ids)}"
        outbox: asyncio.Queue[Response | None] = asyncio.Queue()
        self._outboxes[stream] = outbox
        self._control.hub.open(stream)
        reader = asyncio.create_task(self._read(stream, requests, outbox), name=f"xds {stream}")
        try:
            while (response := await outbox.get()) is not _END:
                yield response
            if reader.done() and (error := reader.exception()) is not None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            reader.cancel()
            del self._outboxes[stream]
            await self._control.on_close(stream)

    async def _read(
        self, stream: str, requests: AsyncIterator[Request], outbox: "asyncio.Queue[Response | None]"
    ) -> None:
        try:
            async for request in requests:
                await self._control.on_request(stream, request)
        except (ProxyError, DecodeError) as error:
            log.warning("%s: %s", stream, error)
            raise
        finally:
            outbox.put_nowait(_END)

    async def _authorize(self, context: Any) -> None:
        """Fail closed: where a token is asked for, nothing is served without it."""
        if self._token is None:
            return
        shown = dict(context.invocation_metadata() or ()).get("authorization", "")
        text = shown.decode() if isinstance(shown, bytes) else shown
        if not hmac.compare_digest(text.encode(), f"Bearer {self._token}".encode()):
            log.warning("refused %s: no valid join token", context.peer())
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a valid join token is required")
