"""What a DestinationRule says of connections to servers outside the mesh, done by a proxy of ours: whom they ask for, whom
they believe, and whose they say that they are."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mesh_proxy.protocol.proxy_protocol import SIGNATURE
from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import STORE, Proxy, served
from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.raw_http import ScriptedServer, Wire

pytestmark = pytest.mark.integration

WORLD = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: store}
spec:
  egress: [{port: {number: CLIENT, protocol: HTTP, name: http}, bind: 127.0.0.1, captureMode: NONE, hosts: ["./*"]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shops}
spec:
  hosts: [shop.example, other.example]
  ports: [{number: CLIENT, name: http, protocol: HTTP, targetPort: SERVER}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME}
spec: {host: NAME.example, trafficPolicy: {POLICY}}
"""


class Mesh:
    """A control plane, and a proxy beside a workload that asks for servers."""

    def __init__(self, plane: ControlPlane, port: int) -> None:
        self._plane, self._port = plane, port

    async def rule(self, policy: str) -> None:
        """For both names."""
        text = "---".join(RULE.replace("NAME", name).replace("POLICY", policy) for name in ("shop", "other"))
        await self._plane.client.apply("rules", text, LIMIT)
        assert (await self._plane.client.wait(LIMIT))["waiting"] == []

    async def ask(self, host: str) -> int:
        """The status of an answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self._port}/", headers={"host": f"{host}:{self._port}"}) as response,
        ):
            return response.status


@contextlib.asynccontextmanager
async def meshed(folder: Path, server: int) -> AsyncIterator[Mesh]:
    port = free_port()
    workload = {"name": "store", "address": "127.0.0.13", "labels": {"app": "store"}, "service_account": "store"}
    with served(folder / "control", {"services": [], "workloads": [workload]}) as plane:
        await plane.client.apply("world", WORLD.replace("CLIENT", str(port)).replace("SERVER", str(server)), 0.0)
        proxy = Proxy(plane, folder / "store", STORE, INTERCEPTION_MODE="NONE")
        await proxy.invite(plane)
        with proxy.running():
            await programs.connected(plane, STORE)
            yield Mesh(plane, port)


@contextlib.asynccontextmanager
async def shop(authority: Authority, asked: list[str | None]) -> AsyncIterator[int]:
    """A server of TLS for ``shop.example``, and its port; ``asked`` gets the names that clients ask for."""

    def note(_sock: Any, name: str | None, _context: ssl.SSLContext) -> None:
        asked.append(name)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="shop")

    context = authority.server(authority.certificate("shop.example"))
    context.sni_callback = note
    application, port = web.Application(), free_port()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        yield port
    finally:
        await runner.cleanup()


async def test_whom_a_request_asks_for_is_asked_for_and_checked(tmp_path: Path) -> None:
    authority, asked = Authority(), list[str | None]()
    roots = tmp_path / "shop.pem"
    roots.write_bytes(authority.pem)
    async with shop(authority, asked) as port, meshed(tmp_path, port) as mesh:
        await mesh.rule(f"tls: {{mode: SIMPLE, caCertificates: {roots}}}")
        assert (await mesh.ask("shop.example"), await mesh.ask("other.example")) == (200, 503)
        assert set(asked) == {"shop.example", "other.example"}
        asked.clear()
        await mesh.rule(f"tls: {{mode: SIMPLE, caCertificates: {roots}, subjectAltNames: [shop.example]}}")
        assert (await mesh.ask("shop.example"), await mesh.ask("other.example")) == (200, 200)
        assert set(asked) == {"shop.example", "other.example"}
        asked.clear()
        await mesh.rule(f"tls: {{mode: SIMPLE, caCertificates: {roots}, sni: said.example}}")
        assert (await mesh.ask("shop.example"), await mesh.ask("other.example")) == (200, 200)
        assert set(asked) == {"said.example"}


async def test_servers_are_told_whose_a_connection_is(tmp_path: Path) -> None:
    begun: list[bytes] = []

    def serve(wire: Wire, _number: int) -> None:
        begun.append(wire.until(b"\r\n\r\n"))
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = ScriptedServer(serve)
    try:
        async with meshed(tmp_path, server.port) as mesh:
            await mesh.rule("proxyProtocol: {version: V1}")
            assert await mesh.ask("shop.example") == 200
            assert begun.pop().startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
            await mesh.rule("proxyProtocol: {version: V2}")
            await mesh.ask("shop.example")
            assert begun.pop() == SIGNATURE[:4]  # which ends as heads do
    finally:
        server.close()
