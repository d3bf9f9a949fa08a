"""Where the application's metrics are, and what becomes of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from mesh_proxy.supervisor.application import VARIABLE, Application, Scrape, scrape_of


def annotations(**values: str) -> dict[str, Any]:
    return {"ANNOTATIONS": {f"prometheus.io/{name}": value for name, value in values.items()}, "NAMESPACE": "a"}


@pytest.mark.parametrize(
    ("metadata", "variable", "expected"),
    [
        ({}, "", None),
        (annotations(port="8080"), "", None),
        (annotations(scrape="false", port="8080"), "", None),
        (annotations(scrape="true", port="8080"), "", Scrape(8080)),
        (annotations(scrape="true"), "", Scrape(80)),
        (annotations(scrape="true", port="8080", path="own"), "", Scrape(8080, "/own")),
        (annotations(scrape="true", port="15090"), "", None),
        (annotations(scrape="true", port="many"), "", None),
        (annotations(scrape="true", port="0"), "", None),
        ({}, '{"scrape": "true", "port": "9", "path": "/m"}', Scrape(9, "/m")),
        (annotations(scrape="true", port="8080"), '{"port": "9", "path": ""}', Scrape(9)),
        (annotations(scrape="true", port="8080"), "nonsense", Scrape(8080)),
        ({"ANNOTATIONS": "none"}, "[]", None),
    ],
)
def test_annotations_say_where(metadata: dict[str, Any], variable: str, expected: Scrape | None) -> None:
    assert scrape_of(metadata, {VARIABLE: variable}, frozenset({15090})) == expected


Serve = Callable[[web.Request], Any]


async def asked(serve: Serve | None, port: int) -> tuple[str, int]:
    """What an application's metrics are, and how often it failed."""
    application = Application(Scrape(port))
    runner = None
    if serve is not None:
        app = web.Application()
        app.router.add_get("/metrics", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        return await application.metrics(), application.failures
    finally:
        if runner is not None:
            await runner.cleanup()


async def test_its_metrics_end_with_a_line(unused_tcp_port: int) -> None:
    async def serve(request: web.Request) -> web.Response:
        assert request.headers["accept"] == "text/plain;version=0.0.4"
        return web.Response(text="a 1")

    assert await asked(serve, unused_tcp_port) == ("a 1\n", 0)


async def test_one_that_fails_is_counted(unused_tcp_port: int) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(status=500)

    assert await asked(serve, unused_tcp_port) == ("", 1)
    assert await asked(None, unused_tcp_port) == ("", 1)


async def test_where_nothing_is_asked_for_nothing_is_asked() -> None:
    assert await Application(scrape_of({}, {VARIABLE: json.dumps({})}, frozenset())).metrics() == ""
