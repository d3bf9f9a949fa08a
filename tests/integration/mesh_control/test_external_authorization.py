"""AuthorizationPolicies that ask a provider, from the hand to the answer: a real Envoy and our proxy ask it alike."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.test_proxies import Program, application, get, inventory, new_connections, running
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

NODE = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
MESH = {
    "extensionProviders": [
        {
            "name": "judge",
            "envoyExtAuthzHttp": {
                "service": "judge.default.svc.cluster.local",
                "port": 8000,
                "timeout": "1s",
                "pathPrefix": "/check",
                "includeRequestHeadersInCheck": ["x-who"],
                "headersToUpstreamOnAllow": ["x-seen"],
                "headersToDownstreamOnDeny": ["x-why"],
            },
        }
    ]
}
ASK = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask}
spec:
  selector: {matchLabels: {app: store}}
  action: CUSTOM
  provider: {name: PROVIDER}
  rules: [{to: [{operation: {paths: [/asked*]}}]}]
"""


@contextlib.asynccontextmanager
async def judge() -> AsyncIterator[int]:
    """Lets ``x-who: me`` pass, and nobody else."""

    async def answer(request: web.Request) -> web.Response:
        assert request.path.startswith("/check/")
        if request.headers.get("x-who") == "me":
            return web.Response(headers={"x-seen": "by the judge"})
        return web.Response(status=401, text="who are you", headers={"x-why": "nobody"})

    made = web.Application()
    made.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def planned(folder: Path, ingress: int, judging: int) -> ControlPlane:
    """A control plane whose mesh knows the provider; it does not run yet."""
    found = inventory(free_port(), free_port(), ingress)
    found["services"].append({"name": "judge", "ports": [{"name": "http", "port": 8000}], "selector": {"app": "judge"}})
    found["workloads"].append(
        {
            "name": "judge",
            "address": "127.0.0.1",
            "labels": {"app": "judge"},
            "ports": {"http": judging},
            "sidecar": False,
        }
    )
    plane = ControlPlane(folder, inventory=found)
    settings = folder / "mesh.yml"
    settings.write_text(yaml.safe_dump(MESH))
    control = yaml.safe_load(plane.config.read_text())
    plane.config.write_text(yaml.safe_dump({**control, "mesh_config": str(settings)}))
    return plane


async def test_the_provider_decides(tmp_path: Path, program: Program) -> None:
    ingress = free_port()
    async with contextlib.AsyncExitStack() as stack:
        store, judging = [await stack.enter_async_context(each) for each in (application("store"), judge())]
        plane = planned(tmp_path, ingress, judging)
        plane.start()
        stack.callback(plane.kill)
        metadata: dict[str, Any] = {
            "INTERCEPTION_MODE": "NONE",
            "INGRESS_PORTS": {str(ingress): store},
            "LABELS": {"app": "store"},
        }
        await stack.enter_async_context(running(program, plane, NODE, metadata))
        session = await stack.enter_async_context(new_connections())
        await plane.client.apply("demo", ASK.replace("PROVIDER", "judge"), LIMIT)

        status, body, headers = await get(session, ingress, "/asked")
        assert (status, body, headers.get("x-why")) == (401, "who are you", "nobody")
        status, body, _ = await get(session, ingress, "/asked/more", **{"x-who": "me", "x-seen": "by nobody"})
        assert status == 200
        assert body["headers"]["x-seen"] == "by the judge"
        status, _, _ = await get(session, ingress, "/other")
        assert status == 200

        # A provider that nobody knows lets nobody pass.
        await plane.client.apply("demo", ASK.replace("PROVIDER", "nobody"), LIMIT)
        assert (await get(session, ingress, "/asked", **{"x-who": "me"}))[0] == 403
        assert (await get(session, ingress, "/other"))[0] == 200
