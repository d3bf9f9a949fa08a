"""Spans go to a service behind a sidecar that takes nothing but the mesh's TLS, and to one with a certificate of its own."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT
from tests.integration.mesh_control.joined_proxies import joined, planned
from tests.integration.mesh_control.programs import OURS
from tests.integration.mesh_control.sidecar_pairs import NODES, SIDECARS, inventory
from tests.integration.mesh_control.test_mutual_tls import ALLOW, STRICT
from tests.integration.mesh_control.test_proxies import application, get, new_connections, running
from tests.integration.mesh_control.test_telemetry import NODE, TOLD, Mesh, collecting
from tests.support.applications import answering
from tests.support.authority import Authority
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

TRACED = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: traced}
spec: {selector: {matchLabels: {app: store}}, tracing: [{providers: [{name: collector}], randomSamplingPercentage: 100}]}
"""
SIMPLE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: zipkin}
spec:
  host: zipkin
  trafficPolicy: {tls: {mode: SIMPLE, sni: zipkin.example, subjectAltNames: [zipkin.example], caCertificates: ROOT}}
"""


class Collecting:
    """The application of order: answers, and takes spans."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.certified: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/api/v2/spans":
            self.spans += json.loads(await request.text())
            self.certified.add(request.headers.get("x-forwarded-client-cert", ""))
        return web.Response(text="order")


@pytest.mark.parametrize("server", ["ours", "envoy"])
async def test_by_the_mesh_s_own(tmp_path: Path, envoy: Path, server: str) -> None:
    ports = {name: free_port() for name in ("CLIENT", "SERVER", "APPLICATION")}
    async with contextlib.AsyncExitStack() as stack:
        plane = planned(tmp_path / "control", inventory(ports))
        provider = {
            "name": "collector",
            "zipkin": {"service": "order.default.svc.cluster.local", "port": ports["CLIENT"]},
        }
        settings = tmp_path / "mesh.yml"
        settings.write_text(yaml.safe_dump({"enableTracing": True, "extensionProviders": [provider]}))
        known = yaml.safe_load(plane.config.read_text())
        plane.config.write_text(yaml.safe_dump({**known, "mesh_config": str(settings)}))
        plane.start()
        stack.callback(plane.kill)
        collected = Collecting()
        await stack.enter_async_context(answering(collected.answer, ports["APPLICATION"], route=("*", "/{path:.*}")))
        sidecars = SIDECARS
        for name, port in ports.items():
            sidecars = sidecars.replace(name, str(port))
        await plane.client.apply("mesh", f"{sidecars}---{STRICT}---{ALLOW % 'store'}---{TRACED}", 0.0)
        for name, node in NODES.items():
            program = server if name == "order" else "ours"
            made = joined(program, envoy, plane, tmp_path / name, node, INTERCEPTION_MODE="NONE")
            await stack.enter_async_context(made)
        assert (await plane.client.wait(LIMIT))["waiting"] == []
        session = await stack.enter_async_context(new_connections())
        host = {"host": f"order:{ports['CLIENT']}"}
        async with session.get(f"http://127.0.0.1:{ports['CLIENT']}/", headers=host) as answer:
            assert answer.status == 200
        await until(lambda: collected.spans)
        assert {span["kind"] for span in collected.spans} == {"CLIENT"}
        assert all("URI=spiffe://cluster.local/ns/default/sa/store" in shown for shown in collected.certified)


async def test_by_that_of_a_destination_rule(tmp_path: Path) -> None:
    public = Authority("public")
    (tmp_path / "public.pem").write_bytes(public.pem)
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        context = public.server(public.certificate("zipkin.example"), "http/1.1")
        collector, spans = await stack.enter_async_context(collecting(context))
        mesh = Mesh(tmp_path, store, free_port(), collector)
        mesh.plane.start()
        stack.callback(mesh.plane.kill)
        await mesh.apply(f"{TOLD}---{SIMPLE.replace('ROOT', str(tmp_path / 'public.pem'))}")
        await stack.enter_async_context(running(OURS, mesh.plane, NODE, mesh.metadata))
        session = await stack.enter_async_context(new_connections())
        assert (await get(session, mesh.ingress, "/1"))[0] == 200
        async with asyncio.timeout(LIMIT):
            assert (await spans.get())["kind"] == "SERVER"


async def until(holds: Any) -> None:
    async with asyncio.timeout(LIMIT):
        while not holds():
            await asyncio.sleep(0.05)
