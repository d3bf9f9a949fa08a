"""Sends what workers tell services of telemetry: in batches, with a bound on what waits. What cannot be sent is dropped and
counted; nothing of it holds up a request."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import grpc

from mesh_api.config import (
    HttpService,
    OpenTelemetryAccessLog,
    OpenTelemetryTracer,
    ProxyConfig,
    Secret,
    ZipkinTracer,
)
from mesh_api.config.remote_services import GrpcService
from mesh_api.node import Node
from mesh_proxy.ipc import Stats, Told
from mesh_proxy.supervisor import otlp_logs, spans
from mesh_proxy.supervisor.bridges import H2, HTTP_11, Bridge, Bridges
from mesh_proxy.supervisor.collectors import CollectorError, collector, url
from mesh_proxy.telemetry.outbox import Entry

log = logging.getLogger(__name__)

WAITING: Final = 16384
"""Entries that wait for one service at most."""
BATCH: Final = 1024
"""Entries of one message at most."""
TIMEOUT: Final = 5.0
"""Seconds that a service may take."""
PAUSE: Final = 1.0
"""Seconds after a message that could not be sent."""

_RECONNECT: Final = (("grpc.initial_reconnect_backoff_ms", 500), ("grpc.max_reconnect_backoff_ms", 5000))
"""A connection that failed is tried again soon: whoever waits drops what there is to send."""

Send = Callable[[list[Entry]], Awaitable[None]]


class Exporter:
    """To all services, as long as there is something to send; :meth:`close` ends connections."""

    def __init__(
        self, node: Node, config: Callable[[], ProxyConfig], secrets: Callable[[], Sequence[Secret]] = tuple
    ) -> None:
        """``config`` and ``secrets`` are those in force."""
        self._node = node
        self._config = config
        self._bridges = Bridges(secrets)
        self._queues: dict[object, Queue] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, told: Told) -> None:
        """Entries of a worker."""
        queue = self._queues.get(told.destination)
        if queue is None:
            queue = self._queues[told.destination] = Queue(self._sender(told.destination))
        queue.add(told.entries)
        if queue.task is None or queue.task.done():
            queue.task = asyncio.create_task(queue.run(), name="export")
            self._tasks.add(queue.task)
            queue.task.add_done_callback(self._ended)

    def stats(self) -> Stats:
        """How much was sent, and how much was dropped."""
        queues = self._queues.values()
        return Stats(
            {
                "telemetry.exported": sum(queue.sent for queue in queues),
                "telemetry.dropped": sum(queue.dropped for queue in queues),
            },
            {"telemetry.waiting": sum(len(queue.waiting) for queue in queues)},
        )

    async def close(self) -> None:
        """Sends what waits, as far as services take it at once; then ends."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PAUSE)
        for task in list(self._tasks):
            task.cancel()
        for channel in self._channels.values():
            await channel.close()
        for session in self._sessions.values():
            await session.close()
        await self._bridges.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("telemetry: we failed", exc_info=error)

    def _sender(self, destination: object) -> Send:
        if isinstance(destination, OpenTelemetryAccessLog):
            config = destination
            service = GrpcService(config.cluster, config.authority)
            return lambda entries: self.call(service, otlp_logs.METHOD, otlp_logs.request(config, self._node, entries))
        if isinstance(destination, OpenTelemetryTracer):
            return self._spans(destination)
        if isinstance(destination, ZipkinTracer):
            tracer = destination
            return lambda entries: self.post(tracer.collector, spans.JSON, spans.zipkin(tracer, self._node, entries))
        raise TypeError(f"{type(destination).__name__} is sent nowhere")

    def _spans(self, tracer: OpenTelemetryTracer) -> Send:
        grpc_service, http_service = tracer.grpc, tracer.http
        if grpc_service is not None:
            return lambda entries: self.call(grpc_service, spans.METHOD, spans.otlp(tracer, self._node, entries))
        if http_service is not None:
            return lambda entries: self.post(http_service, spans.PROTOBUF, spans.otlp(tracer, self._node, entries))
        raise TypeError("a tracer of OpenTelemetry without a service is sent nowhere")

    async def call(self, service: GrpcService, method: str, message: bytes) -> None:
        """One unary call. Raises :class:`CollectorError` and :class:`grpc.aio.AioRpcError`."""
        found = collector(self._config(), service.cluster)
        target, authority, bridge = found.target, service.authority or service.cluster, None
        if not found.plain:
            bridge = await self._bridges.to(service.cluster, found, H2, _name(authority))
            target = f"unix:{bridge.path}"
        channel = self._channels.get(target)
        if channel is None:
            # Proxies of the environment are for others.
            options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", authority), *_RECONNECT]
            channel = self._channels[target] = grpc.aio.insecure_channel(target, options)
        try:
            await channel.unary_unary(method)(
                message, timeout=service.timeout or TIMEOUT, metadata=service.initial_metadata or None
            )
        except grpc.aio.AioRpcError:
            _tell(bridge)
            raise

    async def post(self, service: HttpService, content_type: str, body: bytes) -> None:
        """One request. Raises :class:`CollectorError` and :class:`aiohttp.ClientError`."""
        found = collector(self._config(), service.cluster)
        target, host = url(service, found.addresses[0])
        bridge = None
        if not found.plain:
            bridge = await self._bridges.to(service.cluster, found, HTTP_11, _name(host))
        headers = {"content-type": content_type, "host": host, **dict(service.headers)}
        timeout = aiohttp.ClientTimeout(total=service.timeout or TIMEOUT)
        session = self._session("" if bridge is None else str(bridge.path))
        try:
            async with session.post(target, data=body, headers=headers, timeout=timeout) as answer:
                answer.raise_for_status()
        except aiohttp.ClientConnectionError:
            _tell(bridge)
            raise

    def _session(self, path: str) -> aiohttp.ClientSession:
        """For requests through a socket of ours; without a path, to hosts."""
        session = self._sessions.get(path)
        if session is None:
            connector = aiohttp.UnixConnector(path) if path else None
            session = self._sessions[path] = aiohttp.ClientSession(connector=connector, trust_env=False)
        return session


def _tell(bridge: Bridge | None) -> None:
    """Raises :class:`CollectorError` with what went wrong behind a bridge."""
    if bridge is not None and bridge.problem:
        raise CollectorError(bridge.problem)


def _name(authority: str) -> str:
    """A host without its port."""
    return urlsplit(f"//{authority}").hostname or ""


class Queue:
    """What waits for one service."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.waiting: deque[Entry] = deque()
        self.sent = 0
        self.dropped = 0
        self.task: asyncio.Task[None] | None = None
        self._told = ""

    def add(self, entries: tuple[Entry, ...]) -> None:
        """More of them; the newest are dropped when there are too many."""
        room = max(WAITING - len(self.waiting), 0)
        self.waiting.extend(islice(entries, room))
        self.dropped += max(len(entries) - room, 0)

    async def run(self) -> None:
        """Sends until nothing waits."""
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
            try:
                await self._send(batch)
            except (CollectorError, grpc.aio.AioRpcError, aiohttp.ClientError, OSError, TimeoutError) as error:
                self.dropped += len(batch)
                self._tell(error)
                await asyncio.sleep(PAUSE)
            else:
                self.sent += len(batch)
                self._told = ""

    def _tell(self, error: Exception) -> None:
        """Once for each reason."""
        reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error) or type(error).__name__
        if reason != self._told:
            self._told = reason or ""
            log.warning("telemetry cannot be sent: %s", reason)
