"""Keys of an issuer that the supervisor fetches over a cluster, in workers that never ask for any."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.parity.configuration import HTTP, TYPE, address
from tests.parity.sides import OurProcess
from tests.support.ports import free_port
from tests.support.signed_tokens import ISSUER, key_set, token

pytestmark = pytest.mark.integration
LIMIT = 30.0
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"},
}


def document(port: int, keys: int) -> dict[str, Any]:
    """A listener on ``port`` that answers by itself, and an issuer whose keys are at the port ``keys``."""
    provider = {
        "issuer": ISSUER,
        "remote_jwks": {
            "http_uri": {"uri": "http://issuer.example/keys?v=1", "cluster": "issuer", "timeout": "2s"},
            "cache_duration": "1s",
            "async_fetch": {"failed_refetch_duration": "1s"},
        },
    }
    tokens = {
        "@type": TYPE + "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"one": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "one"}}],
    }
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": HTTP,
        "stat_prefix": "in",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.jwt_authn", "typed_config": tokens}, ROUTER],
    }
    last = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    hosts = {"cluster_name": "issuer", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(keys)}}]}]}
    return {
        "static_resources": {
            "listeners": [{"name": "in", "address": address(port), "filter_chains": [{"filters": [last]}]}],
            "clusters": [{"name": "issuer", "type": "STATIC", "connect_timeout": "1s", "load_assignment": hosts}],
        }
    }


async def test_keys_come_from_the_issuers_cluster_and_change_with_it(tmp_path: Path) -> None:
    given = {"keys": key_set("ec256")}
    asked: list[tuple[str, str]] = []

    async def give(request: web.Request) -> web.Response:
        asked.append((request.host, request.path_qs))
        return web.Response(text=given["keys"])

    application = web.Application()
    application.router.add_get("/keys", give)
    runner = web.AppRunner(application)
    await runner.setup()
    port, keys = free_port(), free_port()
    proxy = await asyncio.to_thread(OurProcess, tmp_path, document(port, keys))
    try:
        async with ClientSession() as session:

            async def answer(key: str) -> tuple[int, str]:
                headers = {"authorization": f"Bearer {token({'key': key})}"}
                async with session.get(f"http://127.0.0.1:{port}/", headers=headers) as found:
                    return found.status, await found.text()

            assert await answer("ec256") == (401, "Jwks remote fetch is failed")
            await web.TCPSite(runner, "127.0.0.1", keys).start()
            async with asyncio.timeout(LIMIT):
                while (await answer("ec256"))[0] != 200:
                    pass
            assert await answer("rsa") == (401, "Jwks doesn't have key to match kid or alg from Jwt")
            given["keys"] = key_set("rsa")
            async with asyncio.timeout(LIMIT):
                while (await answer("rsa"))[0] != 200:
                    pass
            given["keys"] = "no keys"
            count = len(asked)
            async with asyncio.timeout(LIMIT):
                while len(asked) < count + 2:
                    assert (await answer("rsa"))[0] == 200, "the last good keys are kept"
            assert set(asked) == {("issuer.example", "/keys?v=1")}
    finally:
        await asyncio.to_thread(proxy.close)
        await runner.cleanup()
