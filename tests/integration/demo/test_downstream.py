"""How a caller takes what comes back, against a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request
from meshwright_demo.downstream import Downstream
from meshwright_demo.http import DownstreamError, NotAvailableError, NotFoundError, ServiceError

pytestmark = pytest.mark.integration

ANSWERS = {
    "/none": lambda: web.Response(status=204),
    "/mesh-503": lambda: web.Response(status=503, text="no healthy upstream"),
    "/mesh-404": lambda: web.Response(status=404),
    "/mesh-403": lambda: web.Response(status=403, text="RBAC: access denied"),
    "/not-found": lambda: web.json_response({"message": "no such item"}, status=404),
    "/sold-out": lambda: web.json_response({"message": "sold out"}, status=409),
    "/failed": lambda: web.json_response({"message": "warranty: 503"}, status=422),
    "/broken": lambda: web.json_response({"message": "internal error"}, status=500),
    "/half-json": lambda: web.Response(text="{", content_type="application/json"),
    "/html": lambda: web.Response(text="<p>", content_type="text/html"),
}


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/cut":
        assert request.transport is not None
        request.transport.abort()
    if request.path == "/echo":
        return web.json_response(dict(request.headers))
    return ANSWERS[request.path]()


@pytest.fixture
async def service() -> AsyncIterator[Downstream]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Downstream("warehouse", str(server.make_url("")).rstrip("/"), session)


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("/mesh-503", DownstreamError, "warehouse: 503 no healthy upstream"),
        ("/mesh-404", DownstreamError, "warehouse: 404"),
        ("/mesh-403", DownstreamError, "warehouse: 403 RBAC: access denied"),
        ("/not-found", NotFoundError, "no such item"),
        ("/sold-out", NotAvailableError, "sold out"),
        ("/failed", DownstreamError, "warehouse: 422 warranty: 503"),
        ("/broken", DownstreamError, "warehouse: 500 internal error"),
        ("/half-json", DownstreamError, "warehouse: "),
        ("/html", DownstreamError, "warehouse: "),
        ("/cut", DownstreamError, "warehouse: "),
    ],
)
async def test_errors(service: Downstream, path: str, error: type[ServiceError], text: str) -> None:
    with pytest.raises(error) as caught:
        await service.call(make_mocked_request("GET", "/"), "POST", path)
    assert type(caught.value) is error
    assert str(caught.value).startswith(text)


async def test_no_content_is_none(service: Downstream) -> None:
    assert await service.call(make_mocked_request("GET", "/"), "DELETE", "/none") is None


async def test_a_service_that_does_not_answer_in_time_is_a_failed_one() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/", never)
    timeout = aiohttp.ClientTimeout(total=0.05)
    async with TestServer(app, shutdown_timeout=0) as server, aiohttp.ClientSession(timeout=timeout) as session:
        service = Downstream("warranty", str(server.make_url("")).rstrip("/"), session)
        with pytest.raises(DownstreamError, match="warranty: no answer in time"):
            await service.call(make_mocked_request("GET", "/"), "GET", "/")


async def test_the_trace_goes_on_and_nothing_else(service: Downstream) -> None:
    cause = make_mocked_request(
        "GET",
        "/",
        headers={"X-Request-Id": "1", "b3": "2", "x-b3-traceid": "3", "Authorization": "secret", "Cookie": "c"},
    )
    seen = {name.lower(): value for name, value in (await service.call(cause, "GET", "/echo")).items()}
    assert {name: seen.get(name) for name in ("x-request-id", "b3", "x-b3-traceid")} == {
        "x-request-id": "1",
        "b3": "2",
        "x-b3-traceid": "3",
    }
    assert not {"authorization", "cookie"} & seen.keys()
