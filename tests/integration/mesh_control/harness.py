"""The control plane as a process, and a proxy of flesh and blood for it: real gRPC on loopback, nothing slept for."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml

from mesh_api.config import ClusterType, HttpConnectionManager
from mesh_api.config.proxy_config import filter_chains
from mesh_api.node import Node
from mesh_api.xds import grpc as wire
from mesh_api.xds.decode import decode_resource
from mesh_api.xds.session import AdsClient, Request, Response
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT_NAMES
from mesh_control.client import ControlClient
from tests.support.ports import free_port

TOKEN = "a-join-token-of-some-length"
LIMIT = 30.0
"""Seconds after which a test gives up on an event; nothing here takes one second when it works."""

INVENTORY = {
    "services": [
        {"name": "order", "ports": [{"name": "http", "port": 8380}], "selector": {"app": "order"}},
        {"name": "store", "ports": [{"name": "http", "port": 8480}], "selector": {"app": "store"}},
        {"name": "postgres", "ports": [{"name": "tcp-pg", "port": 5432}], "selector": {"app": "postgres"}},
    ],
    "workloads": [
        {"name": "order-v1", "address": "127.0.0.11", "labels": {"app": "order", "version": "v1"}},
        {"name": "order-v2", "address": "127.0.0.12", "labels": {"app": "order", "version": "v2"}},
        {"name": "store", "address": "127.0.0.13", "labels": {"app": "store"}},
        {"name": "postgres", "address": "127.0.0.14", "labels": {"app": "postgres"}, "sidecar": False},
    ],
}
STORE = Node("sidecar~127.0.0.13~store.default~default.svc.cluster.local", metadata={"LABELS": {"app": "store"}})
ORDER = Node("sidecar~127.0.0.11~order-v1.default~default.svc.cluster.local", metadata={"LABELS": {"app": "order"}})


@dataclass(slots=True)
class ControlPlane:
    """``mesh-control`` with its files below ``folder``; may be killed and started again."""

    folder: Path
    token: str | None = TOKEN
    inventory: dict[str, Any] = field(default_factory=lambda: INVENTORY)
    xds_port: int = field(default_factory=free_port)
    monitoring_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        settings = {
            "xds_address": f"127.0.0.1:{self.xds_port}",
            "monitoring_address": f"127.0.0.1:{self.monitoring_port}",
            "socket": str(self.socket),
            "state_dir": str(self.folder / "state"),
            "inventory": str(self.folder / "inventory.yml"),
        }
        if self.token is not None:
            (self.folder / "token").touch(mode=0o600)
            (self.folder / "token").write_text(self.token + "\n")
            settings["join_token_file"] = str(self.folder / "token")
        self.write_inventory(self.inventory)
        self.config.write_text(yaml.safe_dump(settings))

    @property
    def config(self) -> Path:
        return self.folder / "control.yml"

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def policies(self) -> Path:
        return self.folder / "state" / "policies"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.socket)

    def write_inventory(self, inventory: dict[str, Any]) -> None:
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))

    def start(self) -> None:
        """Returns when it serves, as it tells systemd."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, (self.folder / "log").open("ab") as log:
            path = self.folder / "notify"
            path.unlink(missing_ok=True)
            notified.bind(str(path))
            notified.settimeout(LIMIT)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mesh_control", "--config", str(self.config)],
                env={**os.environ, "NOTIFY_SOCKET": str(path)},
                stdout=log,
                stderr=log,
            )
            try:
                assert b"READY=1" in notified.recv(4096)
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        """As a crash would."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(LIMIT)
        self.process = None
        return status


@contextlib.contextmanager
def control_plane(folder: Path, **settings: Any) -> Iterator[ControlPlane]:
    """A control plane that serves, and is gone at the end."""
    plane = ControlPlane(folder, **settings)
    plane.start()
    try:
        yield plane
    finally:
        if plane.process is not None:
            plane.end(signal.SIGKILL)


def connection(port: int) -> grpc.aio.Channel:
    """To a control plane, shared with nobody: what fails to connect elsewhere in this process delays nothing here."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000))
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)


@contextlib.asynccontextmanager
async def written(call: Any, first: Iterable[Any], outbox: asyncio.Queue[Any]) -> AsyncIterator[None]:
    """Meanwhile a stream is sent its first requests and then whatever is put into the outbox."""

    async def write() -> None:
        for request in first:
            await call.write(request)
        while True:
            await call.write(await outbox.get())

    writer = asyncio.create_task(write())
    try:
        yield
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)  # its stream may have ended first


decoded = functools.lru_cache(maxsize=16384)(decode_resource)
"""What a proxy has it looks at again with every response; of the same bytes comes the same."""
Judge = Callable[[str, str, Any], str | None]
"""Type (CDS ...), name and resource to the reason of a refusal."""


class Peer:
    """A proxy that keeps what it is sent, as Envoy does: acknowledges at once, then asks for what is referred to."""

    def __init__(self, node: Node, judge: Judge = lambda kind, name, resource: None) -> None:
        self.session = AdsClient(node)
        self.judge = judge
        self.outbox: asyncio.Queue[Request] = asyncio.Queue()
        self.taken = asyncio.Condition()
        self.connected = asyncio.Event()

    def resource(self, type_url: str, name: str) -> Any:
        """An accepted resource, decoded."""
        return decoded(type_url, self.session.accepted(type_url).resources[name])

    def names(self, type_url: str) -> list[str]:
        return sorted(self.session.accepted(type_url).resources)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds; looks again after everything that is taken."""
        async with asyncio.timeout(LIMIT), self.taken:
            await self.taken.wait_for(holds)

    async def run(self, port: int, token: str | None) -> None:
        """One connection, until it ends."""
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        async with connection(port) as channel:
            await self.run_on(channel, metadata, wait_for_ready=True)

    async def run_on(self, channel: Any, metadata: Any = (), *, wait_for_ready: bool = False) -> None:
        """One stream of a connection, until it ends."""
        call = channel.stream_stream(
            wire.METHOD,
            request_serializer=wire.request_to_bytes,
            response_deserializer=wire.response_from_bytes,
        )(metadata=metadata, wait_for_ready=wait_for_ready)
        self.outbox = asyncio.Queue()
        async with written(call, self.session.start(), self.outbox):
            async for response in call:
                self.connected.set()
                self._take(response)
                async with self.taken:
                    self.taken.notify_all()

    def _take(self, response: Response) -> None:
        update = self.session.on_response(response)
        assert update is not None
        self._send(update.resubscribe)
        for name, data in update.resources.items():
            reason = self.judge(SHORT_NAMES[response.type_url], name, decoded(response.type_url, data))
            if reason is not None:
                self._send(self.session.nack(response.type_url, f"{name}: {reason}"))
                return
        self._send(self.session.ack(response.type_url))
        self._send(self.session.subscribe(ENDPOINT, self._assignments()))
        self._send(self.session.subscribe(ROUTE, self._tables()))

    def _send(self, request: Request | None) -> None:
        if request is not None:
            self.outbox.put_nowait(request)

    def _assignments(self) -> set[str]:
        clusters = [self.resource(CLUSTER, name) for name in self.names(CLUSTER)]
        return {cluster.assignment_name for cluster in clusters if cluster.type is ClusterType.EDS}

    def _tables(self) -> set[str]:
        listeners = [self.resource(LISTENER, name) for name in self.names(LISTENER)]
        chains = [chain.filter for listener in listeners for chain in filter_chains(listener)]
        return {chain.rds_name for chain in chains if isinstance(chain, HttpConnectionManager) and chain.rds_name}


@contextlib.asynccontextmanager
async def connected(peer: Peer, plane: ControlPlane) -> AsyncIterator[Peer]:
    """The peer, connected and with everything that it asked for."""
    peer.connected.clear()
    task = asyncio.create_task(peer.run(plane.xds_port, plane.token))
    try:
        await peer.until(lambda: peer.connected.is_set() and bool(peer.names(LISTENER)))
        assert (await plane.client.wait(LIMIT))["waiting"] == []
        yield peer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await task
