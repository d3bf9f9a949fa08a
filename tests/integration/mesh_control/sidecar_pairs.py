"""Two workloads of which one asks the other: a proxy of ours or a real Envoy beside each, and certificates of the mesh."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from mesh_control.ca import pem
from mesh_control.ca.certificates import CLOCK_SKEW
from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import Proxy, served
from tests.integration.mesh_control.test_secure_xds import secure_bootstrap, token, workload
from tests.support import secret_server
from tests.support.certificate_client import Workload, key_pem
from tests.support.ports import free_port

NODES = {
    "store": "sidecar~127.0.0.13~store.default~default.svc.cluster.local",
    "order": "sidecar~127.0.0.11~order-v1.default~default.svc.cluster.local",
}
SIDECARS = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: store}
spec:
  workloadSelector: {labels: {app: store}}
  egress:
  - {port: {number: CLIENT, protocol: HTTP, name: http}, bind: 127.0.0.1, captureMode: NONE, hosts: ["./*"]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: order}
spec:
  workloadSelector: {labels: {app: order}}
  ingress:
  - {port: {number: SERVER, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:APPLICATION", captureMode: NONE}
  egress: [{hosts: ["~/*"]}]
"""


def inventory(ports: dict[str, int]) -> dict[str, Any]:
    """Order is asked for on one port, and its proxy listens on another."""
    accounts = {"store": "127.0.0.13", "order-v1": "127.0.0.11"}
    return {
        "services": [
            {
                "name": "order",
                "ports": [{"name": "http", "port": ports["CLIENT"], "target_port": ports["SERVER"]}],
                "selector": {"app": "order"},
            }
        ],
        "workloads": [
            {
                "name": name,
                "address": address,
                "labels": {"app": name.partition("-")[0]},
                "service_account": name.partition("-")[0],
            }
            for name, address in accounts.items()
        ],
    }


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, and the roots that came with it."""

    roots: bytes
    chain: bytes
    key: bytes


class Mesh:
    """A control plane, the application of order, and a proxy beside each of the two workloads."""

    def __init__(self, plane: ControlPlane, ports: dict[str, int]) -> None:
        self.plane, self.ports = plane, ports
        self.seen: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        return web.Response(text="order")

    async def apply(self, name: str, text: str) -> None:
        await self.plane.client.apply(name, text, LIMIT)
        assert (await self.plane.client.wait(LIMIT))["waiting"] == []

    async def ask(self, session: aiohttp.ClientSession | None = None) -> int:
        """Through both proxies; the status. Without a session, on a connection of its own."""
        if session is None:
            async with aiohttp.ClientSession() as new:
                return await self.ask(new)
        url = f"http://127.0.0.1:{self.ports['CLIENT']}/"
        async with session.get(url, headers={"host": f"order:{self.ports['CLIENT']}"}) as response:
            await response.read()
            return response.status

    async def ask_plainly(self) -> int | None:
        """Past the first proxy; ``None``: the connection was ended."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.11:{self.ports['SERVER']}/") as response,
            ):
                return response.status
        except aiohttp.ClientError:
            return None


@contextlib.asynccontextmanager
async def meshed(folder: Path, programs_: dict[str, str], envoy: Path, **authority: Any) -> AsyncIterator[Mesh]:
    """``programs_``: for each workload ``ours`` or ``envoy``."""
    ports = {name: free_port() for name in ("CLIENT", "SERVER", "APPLICATION")}
    async with contextlib.AsyncExitStack() as stack:
        plane = stack.enter_context(served(folder / "control", inventory(ports), **authority))
        mesh = Mesh(plane, ports)
        application = web.Application()
        application.router.add_get("/", mesh.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", ports["APPLICATION"]).start()
        sidecars = SIDECARS
        for name, port in ports.items():
            sidecars = sidecars.replace(name, str(port))
        await plane.client.apply("sidecars", sidecars, 0.0)
        for name, node in NODES.items():
            if programs_[name] == "ours":
                proxy = Proxy(plane, folder / name, node, INTERCEPTION_MODE="NONE")
                await proxy.invite(plane)
                stack.enter_context(proxy.running())
            else:
                await stack.enter_async_context(an_envoy(envoy, plane, name, folder))
        for node in NODES.values():
            await programs.connected(plane, node)
        yield mesh


@contextlib.asynccontextmanager
async def an_envoy(envoy: Path, plane: ControlPlane, name: str, folder: Path) -> AsyncIterator[None]:
    """With a certificate of the control plane's authority, which is renewed at half of its life."""
    made = await workload(plane, f"spiffe://cluster.local/ns/default/sa/{name}")
    await made.join(await token(plane, f"default/{name}"))
    metadata = {"LABELS": {"app": name}, "SERVICE_ACCOUNT": name, "INTERCEPTION_MODE": "NONE"}
    desk = secret_server.Desk(_issued(made))
    with secret_server.serving(desk) as port, (folder / f"{name}.log").open("wb") as log:
        file = folder / f"{name}.json"
        file.write_text(json.dumps(secure_bootstrap(plane, made, port, NODES[name], metadata)))
        options = ("--concurrency", "1", "--drain-strategy", "immediate", "--drain-time-s", "1", "-l", "warning")
        command = [str(envoy), "-c", str(file), "--use-dynamic-base-id", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: ASYNC220 (at once)
        renewing = asyncio.create_task(_renewed(made, desk))
        try:
            yield
            assert not renewing.done(), renewing.exception()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)


async def _renewed(made: Workload, desk: secret_server.Desk) -> None:
    """As an agent beside Envoy does it."""
    while True:
        half = (pem.begins(made.certificate) + CLOCK_SKEW + pem.expires(made.certificate)) / 2
        await asyncio.sleep(max(half - time.time(), 0))
        await made.renew()
        desk.replace(_issued(made))


def _issued(made: Workload) -> secret_server.Issued:
    return Pair(made.roots.encode(), "".join(made.chain).encode(), key_pem(made.key))
