"""What a DestinationRule says of connections to servers outside the mesh, done by a proxy of ours: whom they ask for, whom
they believe, and whose they say that they are."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mesh_api.config.secrets import TlsCertificate
from mesh_proxy.protocol.proxy_protocol import SIGNATURE
from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import STORE, Proxy, served
from tests.support.applications import answering
from tests.support.authority import Authority
from tests.support.key_files import lay
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
        return (await self._answer(host))[0]

    async def known_as(self, host: str) -> str | None:
        """What a server knows whoever asks as; ``None``: it did not answer."""
        status, text = await self._answer(host)
        return text if status == 200 else None

    async def _answer(self, host: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self._port}/", headers={"host": f"{host}:{self._port}"}) as response,
        ):
            return response.status, await response.text()


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
async def shop(authority: Authority, asked: list[str | None], *, mutual: bool = False) -> AsyncIterator[int]:
    """A server of TLS for ``shop.example``, and its port; ``asked`` gets the names that clients ask for. ``mutual``: it
    serves who shows a certificate of the same authority, and answers with its subject."""

    def note(_sock: Any, name: str | None, _context: ssl.SSLContext) -> None:
        asked.append(name)

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        shown = request.transport.get_extra_info("peercert")
        names = dict(pair for name in (shown or {}).get("subject", ()) for pair in name)
        return web.Response(text=names.get("commonName", "nobody"))

    context = authority.server(authority.certificate("shop.example"), mutual=mutual)
    context.sni_callback = note
    port = free_port()
    async with answering(answer, port, context):
        yield port


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


async def test_a_server_is_shown_the_certificate_that_the_rule_names(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority("stranger")
    roots = tmp_path / "shop.pem"
    roots.write_bytes(authority.pem)
    client = write_pair(tmp_path / "client", authority.certificate(subject="store"))
    foreign = write_pair(tmp_path / "foreign", stranger.certificate(subject="store"))
    async with shop(authority, [], mutual=True) as port, meshed(tmp_path, port) as mesh:
        believed = f"caCertificates: {roots}, subjectAltNames: [shop.example]"
        await mesh.rule(f"tls: {{mode: MUTUAL, {client}, {believed}}}")
        assert await mesh.known_as("shop.example") == "store"
        await mesh.rule(f"tls: {{mode: MUTUAL, {foreign}, {believed}}}")
        assert await mesh.known_as("shop.example") is None
        await mesh.rule(f"tls: {{mode: SIMPLE, {believed}}}")
        assert await mesh.known_as("shop.example") is None
        await mesh.rule("tls: {mode: ISTIO_MUTUAL}")  # a certificate of the mesh, which this server does not know
        assert await mesh.known_as("shop.example") is None
        await mesh.rule(f"tls: {{mode: MUTUAL, {client}, {believed}}}")
        renewed = authority.certificate(subject="renewed")
        write_pair(tmp_path / "client", renewed)
        async with asyncio.timeout(LIMIT):
            while await mesh.known_as("shop.example") != "renewed":  # files are looked at now and then
                await mesh.rule("tls: {mode: DISABLE}")  # and connections that are open stay
                await mesh.rule(f"tls: {{mode: MUTUAL, {client}, {believed}}}")


def write_pair(folder: Path, pair: TlsCertificate) -> str:
    """Lay a certificate and its key; how a rule names them."""
    lay(folder / "chain.pem", pair.chain)
    lay(folder / "key.pem", pair.key)
    return f"clientCertificate: {folder}/chain.pem, privateKey: {folder}/key.pem"


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
