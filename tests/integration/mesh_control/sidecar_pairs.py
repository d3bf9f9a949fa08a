"""Two workloads of which one asks the other: a proxy of ours or a real Envoy beside each, and certificates of the mesh."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import joined, served
from tests.support.applications import answering
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
        await stack.enter_async_context(answering(mesh.answer, ports["APPLICATION"]))
        sidecars = SIDECARS
        for name, port in ports.items():
            sidecars = sidecars.replace(name, str(port))
        await plane.client.apply("sidecars", sidecars, 0.0)
        for name, node in NODES.items():
            made = joined(programs_[name], envoy, plane, folder / name, node, INTERCEPTION_MODE="NONE")
            await stack.enter_async_context(made)
        yield mesh
