"""Telemetries from the hand to what proxies tell: a real Envoy and ours; and the settings of the mesh that they refer to."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.programs import OURS, Program
from tests.integration.mesh_control.test_proxies import application, get, inventory, new_connections, running
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

NODE = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
MESH = {
    "accessLogFile": "/dev/stdout",
    "enableTracing": True,
    "extensionProviders": [
        {"name": "collector", "zipkin": {"service": "zipkin.default.svc.cluster.local", "port": 9411}},
        {"name": "lines", "envoyFileAccessLog": {"path": "FILE", "logFormat": {"labels": {"way": "%REQ(:PATH)%"}}}},
    ],
}
HEAD = "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\n"
TOLD = f"""{HEAD}metadata: {{name: told}}
spec:
  tracing:
  - providers: [{{name: collector}}]
    randomSamplingPercentage: 100
    customTags: {{shop: {{literal: {{value: toys}}}}, who: {{header: {{name: x-who, defaultValue: nobody}}}}}}
  accessLogging:
  - providers: [{{name: lines}}]
    filter: {{expression: "response.code == 200 && request.path.startsWith('/told')"}}
"""
MEASURED = f"""{HEAD}metadata: {{name: metrics}}
spec:
  metrics:
  - overrides:
    - match: {{metric: REQUEST_COUNT, mode: SERVER}}
      tagOverrides:
        path: {{value: request.url_path}}
        source_app: {{operation: REMOVE}}
    - match: {{metric: REQUEST_SIZE}}
      disabled: true
"""


class Mesh:
    """A control plane whose mesh has settings, the application of store behind its proxy, and who takes spans."""

    def __init__(self, folder: Path, store: int, ingress: int, collector: int) -> None:
        found = inventory(free_port(), free_port(), ingress)
        found["services"].append(
            {"name": "zipkin", "ports": [{"name": "http", "port": 9411}], "selector": {"app": "zipkin"}}
        )
        zipkin = {"name": "zipkin", "address": "127.0.0.1", "labels": {"app": "zipkin"}, "ports": {"http": collector}}
        found["workloads"].append({**zipkin, "sidecar": False})
        self.plane = ControlPlane(folder, inventory=found)
        self.lines = folder / "lines.log"
        self.settings = folder / "mesh.yml"
        self.ingress = ingress
        self.metadata: dict[str, Any] = {
            "INTERCEPTION_MODE": "NONE",
            "INGRESS_PORTS": {str(ingress): store},
            "LABELS": {"app": "store"},
        }
        self.write(yaml.safe_dump(MESH).replace("FILE", str(self.lines)))
        control = yaml.safe_load(self.plane.config.read_text())
        self.plane.config.write_text(yaml.safe_dump({**control, "mesh_config": str(self.settings)}))

    def write(self, text: str) -> None:
        self.settings.write_text(text)

    async def apply(self, text: str) -> None:
        await self.plane.client.apply("demo", text, LIMIT)
        assert (await self.plane.client.wait(LIMIT))["waiting"] == []


@contextlib.asynccontextmanager
async def collecting(
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, "asyncio.Queue[dict[str, Any]]"]]:
    """Who takes spans as Zipkin does, plainly or by TLS."""
    spans: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        for span in json.loads(await request.text()):
            spans.put_nowait(span)
        return web.Response(status=202)

    server = web.Application()
    server.router.add_post("/api/v2/spans", take)
    runner = web.AppRunner(server)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield port, spans
    finally:
        await runner.cleanup()


async def until(path: Path, text: str) -> list[str]:
    """The lines of a file that proxies flush when they like, once ``text`` is among them."""
    async with asyncio.timeout(LIMIT):
        while text not in (found := written(path)):
            await asyncio.sleep(0.05)
    return found.splitlines()


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_spans_and_lines_are_as_telemetries_say(tmp_path: Path, program: Program) -> None:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        collector, spans = await stack.enter_async_context(collecting())
        mesh = Mesh(tmp_path, store, free_port(), collector)
        mesh.plane.start()
        stack.callback(mesh.plane.kill)
        await mesh.apply(TOLD)
        await stack.enter_async_context(running(program, mesh.plane, NODE, mesh.metadata))
        session = await stack.enter_async_context(new_connections())
        for path in ("/untold", "/told/1", "/told/2"):
            _, body, _ = await get(session, mesh.ingress, path, **{"x-who": "me"})
            assert "x-b3-traceid" in body["headers"]
        async with asyncio.timeout(LIMIT):
            found = [await spans.get() for _ in range(3)]
        assert {span["kind"] for span in found} == {"SERVER"}
        assert {(span["tags"]["shop"], span["tags"]["who"]) for span in found} == {("toys", "me")}
        assert await until(mesh.lines, "/told/2") == ['{"way":"/told/1"}', '{"way":"/told/2"}']


async def test_metrics_have_the_labels_that_are_asked_for(tmp_path: Path) -> None:
    """Of ours: no other Envoy than Istio's makes these metrics."""
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        mesh = Mesh(tmp_path, store, free_port(), free_port())
        mesh.plane.start()
        stack.callback(mesh.plane.kill)
        await mesh.apply(MEASURED)
        await stack.enter_async_context(running(OURS, mesh.plane, NODE, mesh.metadata))
        session = await stack.enter_async_context(new_connections())
        assert (await get(session, mesh.ingress, "/a?b"))[0] == 200
        admin = yaml.safe_load((tmp_path / "store.default.json").read_text())["admin"]["address"]["socket_address"]
        _, text, _ = await get(session, admin["port_value"], "/stats/prometheus")
        (counted,) = [line for line in text.splitlines() if line.startswith("istio_requests_total{")]
        assert 'path="/a"' in counted
        assert "source_app=" not in counted
        (timed,) = [line for line in text.splitlines() if line.startswith("istio_request_duration_milliseconds_count{")]
        assert 'source_app="unknown"' in timed
        assert "istio_request_bytes" not in text
        assert "istio_response_bytes" in text


async def test_settings_that_cannot_be_read_keep_the_last_good_ones(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        mesh = Mesh(tmp_path, free_port(), free_port(), free_port())
        mesh.plane.start()
        stack.callback(mesh.plane.kill)
        mesh.write("trustDomain: [")
        async with asyncio.timeout(LIMIT):
            while not (problems := (await mesh.plane.client.status())["problems"]):
                await asyncio.sleep(0.05)
        assert any(f"{mesh.settings}:1" in problem for problem in problems), problems
        await mesh.apply(TOLD)  # whose provider is still there
