"""A control plane and proxies as real processes; everything ends with the test."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio

from mesh_api.config import ProxyConfig
from mesh_api.xds import grpc as wire
from mesh_api.xds.encode import encode_resources
from mesh_api.xds.session import Acked, AdsServer, Nacked, Request, Response, Synced
from mesh_api.xds.session.server import Resources
from tests.support.ports import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
MODULES = f"{os.environ['PYTHONPATH']}:{ROOT}" if "PYTHONPATH" in os.environ else str(ROOT)
"""Those of a form of the proxy that is to be tested come first."""
NODE_ID = "sidecar~127.0.0.1~order-1.default~default.svc.cluster.local"


class ControlPlane:
    """A small ADS server: what is pushed goes to every stream; what comes back can be awaited."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.events: asyncio.Queue[Acked | Nacked | Synced] = asyncio.Queue()
        self.tokens: list[str] = []
        self.nodes: list[str] = []
        self.required_token = ""
        self._resources: Resources = {}
        self._version = 0
        self._streams: dict[AdsServer, asyncio.Queue[Response]] = {}
        self._ids = itertools.count()
        self._server: Any = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream, wire.request_from_bytes, wire.ResponseSerializer()
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(wire.SERVICE, {wire.METHOD_NAME: handler}),)
        )
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def push(self, config: ProxyConfig, *broken: tuple[str, str, bytes]) -> None:
        """Makes ``config`` wanted, with serialized resources among it (type URL, name, message) that are broken."""
        resources = encode_resources(config)
        for type_url, name, data in broken:
            resources[type_url] = {**resources[type_url], name: data}
        self._version += 1
        self._resources = resources
        for session in list(self._streams):
            self._route(session, session.push(self._resources, str(self._version), asyncio.get_running_loop().time()))

    async def event(self, kind: type) -> Any:
        """The next event of ``kind``; others are passed over."""
        while True:
            event = await asyncio.wait_for(self.events.get(), 30)
            if isinstance(event, kind):
                return event

    def _route(self, session: AdsServer, outputs: list[Any]) -> None:
        for output in outputs:
            if isinstance(output, Response):
                self._streams[session].put_nowait(output)
            else:
                self.events.put_nowait(output)

    async def _stream(self, requests: AsyncIterator[Request], context: Any) -> AsyncIterator[Response]:
        self.tokens.append(str(dict(context.invocation_metadata()).get("authorization", "")))
        if self.required_token and self.tokens[-1] != f"Bearer {self.required_token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a valid join token is required")
        session = AdsServer(f"s{next(self._ids)}")
        outgoing = self._streams[session] = asyncio.Queue()
        now = asyncio.get_running_loop().time
        if self._version:
            self._route(session, session.push(self._resources, str(self._version), now()))

        async def read() -> None:
            async for request in requests:
                if request.node is not None:
                    self.nodes.append(request.node.id)
                self._route(session, session.on_request(request, now()))

        reader = asyncio.create_task(read())
        try:
            while True:
                yield await outgoing.get()
        finally:
            reader.cancel()
            del self._streams[session]


class ProxyProcess:
    """A proxy as a process of its own."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self.directory = directory
        self.process = process
        self.ports = ports
        self.lines: list[str] = []
        self._arrived = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._arrived:
                self.lines.append(line.decode().rstrip())
                self._arrived.notify_all()
        async with self._arrived:
            self.lines.append("<end>")
            self._arrived.notify_all()

    async def logged(self, text: str, times: int = 1) -> str:
        """Waits for a line with ``text`` (to stand there so many times)."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        async with self._arrived:
            done = self._arrived.wait_for(lambda: len(found()) >= times or "<end>" in self.lines)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done, 60)
            if len(found()) < times:
                pytest.fail(f"no {text!r} in:\n" + "\n".join(self.lines))
        return found()[-1]

    async def get(self, path: str, port: str = "admin", method: str = "GET") -> tuple[int, str]:
        """Status and body."""
        url = f"http://127.0.0.1:{self.ports[port]}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> Any:
        status, text = await self.get(path)
        assert status == 200, text
        return json.loads(text)

    def workers(self) -> list[int]:
        """Process ids of its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Signals it, and waits; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 30)
        await self._reader
        return code


StartProxy = Callable[..., Awaitable[ProxyProcess]]


@pytest_asyncio.fixture
async def control_plane() -> AsyncIterator[ControlPlane]:
    """A control plane that listens."""
    server = ControlPlane(free_port())
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def start_proxy(tmp_path: Path) -> AsyncIterator[StartProxy]:
    """Starts proxies: ``await start_proxy(bootstrap, real=False)``; the bootstrap's ports are filled in."""
    started: list[ProxyProcess] = []

    async def start(
        bootstrap: dict[str, Any], *, real: bool = False, taken: ProxyProcess | None = None, **environment: str
    ) -> ProxyProcess:
        own = bootstrap["node"]["metadata"]["MESHWRIGHT"]
        ports = taken.ports if taken else {"admin": free_port(), "ready": free_port(), "stats": free_port()}
        own.update(ready_port=ports["ready"], stats_port=ports["stats"], monitoring_address="127.0.0.1")
        bootstrap["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ports["admin"]}}}
        file = tmp_path / f"bootstrap-{len(started)}.json"
        file.write_text(json.dumps(bootstrap))
        program = ["-m", "mesh_proxy"] if real else [str(HERE / "fake_proxy.py")]
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, *program, "--bootstrap", str(file)],
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": MODULES, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
        started.append(ProxyProcess(tmp_path, process, ports))
        return started[-1]

    yield start
    for proxy in started:
        if proxy.process.returncode is None:
            await proxy.stop(signal.SIGKILL)


@pytest.fixture
def bootstrap_of() -> Callable[..., dict[str, Any]]:
    """Makes bootstraps: ``bootstrap_of(port of the control plane or None, state directory, **settings)``."""
    return make_bootstrap


def make_bootstrap(control_port: int | None, state: Path | None = None, **settings: Any) -> dict[str, Any]:
    """A bootstrap with two workers, and a control plane when there is one."""
    own = {"concurrency": 2, "drain_seconds": 1, **settings}
    if state is not None:
        own["state_dir"] = str(state)
    document: dict[str, Any] = {"node": {"id": NODE_ID, "metadata": {"MESHWRIGHT": own}}}
    if control_port is not None:
        target = {"target_uri": f"ipv4:127.0.0.1:{control_port}", "stat_prefix": "xds"}
        document["dynamic_resources"] = {
            "ads_config": {"api_type": "GRPC", "grpc_services": [{"google_grpc": target}]},
            "cds_config": {"ads": {}},
            "lds_config": {"ads": {}},
        }
    return document
