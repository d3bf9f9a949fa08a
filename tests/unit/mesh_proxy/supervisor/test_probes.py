"""The application's probes, asked in the kubelet's place: of a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession, web

from mesh_proxy.supervisor.probes import Probes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH = "/app-health/shop/readyz"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def asked(probe: Mapping[str, Any], path: str = PATH) -> int:
    async with (
        serving(Probes({PATH: probe}, "127.0.0.1").answer) as port,
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers={"user-agent": "kube-probe/1.34"}) as answer,
    ):
        return answer.status


async def says(status: int) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.headers["user-agent"] == "kube-probe/1.34"
        assert request.headers.get("x-key", "1") == "1"
        return web.Response(status=status, headers={"location": "/elsewhere"})

    return handler


@pytest.mark.parametrize(("status", "told"), [(200, 200), (204, 200), (302, 200), (404, 404), (503, 503)])
async def test_the_applications_answer_is_the_answer(status: int, told: int) -> None:
    async with serving(await says(status)) as port:
        get = {"path": "/ready", "port": port, "httpHeaders": [{"name": "X-Key", "value": "1"}]}
        assert await asked({"httpGet": get}) == told


async def test_nobody_who_listens_is_a_failure() -> None:
    async with serving(await says(200)) as port:
        pass
    assert await asked({"httpGet": {"path": "/", "port": port}}) == 500
    assert await asked({"tcpSocket": {"port": port}}) == 500
    assert await asked({"grpc": {"port": port}}) == 500


async def test_a_slow_answer_is_a_failure() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(never) as port:
        assert await asked({"httpGet": {"path": "/", "port": port}, "timeoutSeconds": 0.05}) == 500


async def test_a_port_that_is_open_is_enough() -> None:
    async with serving(await says(500)) as port:
        assert await asked({"tcpSocket": {"port": port}}) == 200


@asynccontextmanager
async def health_service(answer: bytes, seen: list[bytes]) -> AsyncIterator[int]:
    async def check(request: bytes, _context: Any) -> bytes:
        seen.append(request)
        return answer

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize(("status", "told"), [(1, 200), (2, 500), (0, 500)])
async def test_grpc_services_say_whether_they_serve(status: int, told: int) -> None:
    seen: list[bytes] = []
    async with health_service(bytes((0x08, status)) if status else b"", seen) as port:
        assert await asked({"grpc": {"port": port, "service": "shop"}, "timeoutSeconds": 5}) == told
    assert seen == [b"\x0a\x04shop"]


async def test_a_service_may_have_a_long_name() -> None:
    seen: list[bytes] = []
    async with health_service(b"\x08\x01", seen) as port:
        assert await asked({"grpc": {"port": port, "service": "s" * 300}, "timeoutSeconds": 5}) == 200
    assert seen == [b"\x0a\xac\x02" + b"s" * 300]


async def test_a_host_is_named_to_the_application_and_not_asked_itself() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if request.headers["host"] == "shop.example" else 421)

    async with serving(handler) as port:
        assert await asked({"httpGet": {"path": "/", "port": port, "host": "shop.example"}}) == 200


async def test_what_nobody_set_is_not_there() -> None:
    assert await asked({"tcpSocket": {"port": 1}}, "/app-health/other/readyz") == 404
