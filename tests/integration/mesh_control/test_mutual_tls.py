"""Mutual TLS between workloads, by the mesh's own certificates: our proxy and a real Envoy, in both roles."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import Proxy, served
from tests.integration.mesh_control.test_secure_xds import secure_bootstrap, token, workload
from tests.support import secret_server
from tests.support.certificate_client import key_pem
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

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
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""
ALLOW = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: order}
spec:
  selector: {matchLabels: {app: order}}
  rules: [{from: [{source: {principals: ["cluster.local/ns/default/sa/%s"]}}]}]
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

    async def ask(self) -> int:
        """Through both proxies; the status."""
        url = f"http://127.0.0.1:{self.ports['CLIENT']}/"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers={"host": f"order:{self.ports['CLIENT']}"}) as response,
        ):
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
    """With a certificate of the control plane's authority."""
    made = await workload(plane, f"spiffe://cluster.local/ns/default/sa/{name}")
    await made.join(await token(plane, f"default/{name}"))
    identity: Any = SimpleNamespace(
        roots=made.roots.encode(), chain="".join(made.chain).encode(), key=key_pem(made.key)
    )
    metadata = {"LABELS": {"app": name}, "SERVICE_ACCOUNT": name, "INTERCEPTION_MODE": "NONE"}
    with secret_server.secrets(identity) as port, (folder / f"{name}.log").open("wb") as log:
        file = folder / f"{name}.json"
        file.write_text(json.dumps(secure_bootstrap(plane, made, port, NODES[name], metadata)))
        options = (
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "--drain-strategy",
            "immediate",
            "--drain-time-s",
            "1",
        )
        command = [str(envoy), "-c", str(file), "-l", "warning", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: ASYNC220 (at once)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)


@pytest.mark.parametrize(("client", "server"), [("ours", "ours"), ("ours", "envoy"), ("envoy", "ours")])
async def test_who_asks_is_known_and_nobody_else_gets_in(tmp_path: Path, envoy: Path, client: str, server: str) -> None:
    async with meshed(tmp_path, {"store": client, "order": server}, envoy) as mesh:
        assert await mesh.ask() == 200
        assert await mesh.ask_plainly() == 200
        await mesh.apply("strict", STRICT)
        assert await mesh.ask() == 200
        assert await mesh.ask_plainly() is None
        await mesh.apply("allow", ALLOW % "store")
        assert await mesh.ask() == 200
        await mesh.apply("allow", ALLOW % "warehouse")
        async with asyncio.timeout(LIMIT):
            while await mesh.ask() != 403:
                assert (
                    server == "envoy"
                )  # whose open connections keep the rules that they came in under, until they drain


async def test_certificates_change_under_load_and_no_request_is_lost(tmp_path: Path, envoy: Path) -> None:
    async with meshed(tmp_path, {"store": "ours", "order": "ours"}, envoy, lifetime="4s") as mesh:
        await mesh.apply("strict", STRICT)
        pairs = [tmp_path / name / "state" / name / "identity" / "identity.pem" for name in NODES]
        first = [pair.read_bytes() for pair in pairs]
        async with asyncio.timeout(LIMIT):
            rounds = 0
            while rounds < 2:
                assert await mesh.ask() == 200
                if all(pair.read_bytes() != former for pair, former in zip(pairs, first, strict=True)):
                    first, rounds = [pair.read_bytes() for pair in pairs], rounds + 1
