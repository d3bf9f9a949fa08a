"""JSON that is made to end whoever reads it: the process lives on, keeps what it had, and says what is wrong."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT, ControlPlane, control_plane

pytestmark = pytest.mark.integration

DEEP = '{"keys":' + "[" * 200_000
POLICY = """apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users}
spec:
  jwtRules: [%s]
"""


async def told(plane: ControlPlane, text: str) -> bool:
    """Whether the problems name it, at last."""
    async with asyncio.timeout(LIMIT):
        while not any(text in problem for problem in (await plane.client.status())["problems"]):
            await asyncio.sleep(0.05)  # a source tells nobody outside what it has read
    return True


async def test_keys_that_are_nested_without_end_are_told_also_after_a_restart(tmp_path: Path) -> None:
    async def deep(_request: web.Request) -> web.Response:
        return web.Response(text=DEEP)

    application = web.Application()
    application.router.add_get("/keys", deep)
    served = web.AppRunner(application)
    await served.setup()
    site = web.TCPSite(served, "127.0.0.1", 0)
    await site.start()
    uri = f"http://127.0.0.1:{served.addresses[0][1]}/keys"
    try:
        with control_plane(tmp_path) as plane:
            applied = await plane.client.apply("demo", POLICY % f"{{issuer: a, jwksUri: '{uri}'}}", 0)
            assert applied["version"]
            for _ in range(2):
                assert await told(
                    plane, f"keys of tokens from {uri}: what is there is no set of keys: values are nested"
                )
                assert plane.process is not None
                assert plane.process.poll() is None
                plane.kill()
                plane.start()
    finally:
        await served.cleanup()


async def test_a_file_of_policies_with_such_keys_is_told_with_its_line_and_keeps_what_it_held(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        good = POLICY % "{issuer: a, jwksUri: 'http://127.0.0.1:9/keys'}"
        await plane.client.apply("hand", good, 0)
        (file,) = (plane.policies / "hand").iterdir()
        file.write_text(POLICY % f"{{issuer: a, jwks: '{DEEP}'}}")
        for _ in range(2):
            assert await told(plane, f"{file}:5: RequestAuthentication users: spec.jwtRules[0].jwks: is no JSON")
            assert "jwksUri: http://127.0.0.1:9/keys" in await plane.client.get("hand")
            plane.kill()
            plane.start()
