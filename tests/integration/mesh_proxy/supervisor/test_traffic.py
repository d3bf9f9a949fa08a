"""The whole sidecar: supervisor and workers as they are, with a control plane over real gRPC and requests through it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    FilterChain,
    HttpConnectionManager,
    Listener,
    LocalityEndpoints,
    PathMatch,
    PathMatchKind,
    ProxyConfig,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    RouterFilter,
    SocketAddress,
    VirtualHost,
)
from mesh_api.xds.json import resource_to_json
from mesh_api.xds.session import Nacked, Synced
from mesh_api.xds.type_urls import LISTENER

pytestmark = pytest.mark.integration


class Upstream:
    """An application; ``/slow`` answers when it is let go."""

    def __init__(self) -> None:
        self.port = 0
        self.slow_came = asyncio.Event()
        self.let_go = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/slow":
            self.slow_came.set()
            await self.let_go.wait()
        return web.Response(text="hello")


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


def configuration(port: int, upstream_port: int, timeout: float = 15.0) -> ProxyConfig:
    """A listener on ``port`` whose routes lead to the upstream."""
    to_app = Route(RouteMatch(PathMatch(PathMatchKind.PREFIX, "/")), RouteAction("app", timeout=timeout))
    hosts = LocalityEndpoints((Endpoint(SocketAddress("127.0.0.1", upstream_port)),))
    chain = FilterChain(HttpConnectionManager("in", (RouterFilter(),), rds_name="http"))
    return ProxyConfig(
        listeners=(Listener("in", SocketAddress("127.0.0.1", port), (chain,)),),
        routes=(RouteConfiguration("http", (VirtualHost("all", ("*",), (to_app,)),)),),
        clusters=(Cluster("app", ClusterType.EDS),),
        endpoints=(ClusterLoadAssignment("app", (hosts,)),),
    )


async def get(port: int, path: str = "/") -> tuple[int, str]:
    """One request on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_requests_flow_without_the_control_plane_also_after_a_restart(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, upstream: Upstream, unused_tcp_port: int, tmp_path: Path
) -> None:
    control_plane.push(configuration(unused_tcp_port, upstream.port))
    proxy = await start_proxy(bootstrap_of(control_plane.port, tmp_path / "state"), real=True)
    await control_plane.event(Synced)
    assert await get(unused_tcp_port) == (200, "hello")
    await control_plane.stop()
    await proxy.logged("control plane: unreachable")
    assert await get(unused_tcp_port) == (200, "hello")
    assert await proxy.stop() == 0
    again = await start_proxy(bootstrap_of(control_plane.port, tmp_path / "state"), real=True)
    await again.logged("ready: 2 workers")
    assert await get(unused_tcp_port) == (200, "hello")
    assert "cluster.app.upstream_rq_total: 1\n" in (await again.get("/stats?filter=upstream_rq_total"))[1]


async def test_worker_killed_under_traffic(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, upstream: Upstream, unused_tcp_port: int
) -> None:
    control_plane.push(configuration(unused_tcp_port, upstream.port))
    proxy = await start_proxy(bootstrap_of(control_plane.port), real=True)
    await proxy.logged("ready: 2 workers")
    os.kill(proxy.workers()[0], signal.SIGKILL)
    await proxy.logged("ended: signal 9")
    assert [await get(unused_tcp_port) for _ in range(5)] == [(200, "hello")] * 5
    await proxy.logged("is up", times=3)
    assert {status for status, _ in [await get(unused_tcp_port) for _ in range(20)]} == {200}


async def test_request_under_way_is_finished_at_the_end(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, upstream: Upstream, unused_tcp_port: int
) -> None:
    control_plane.push(configuration(unused_tcp_port, upstream.port))
    proxy = await start_proxy(bootstrap_of(control_plane.port, drain_seconds=30), real=True)
    await proxy.logged("ready: 2 workers")
    slow = asyncio.create_task(get(unused_tcp_port, "/slow"))
    await upstream.slow_came.wait()
    proxy.process.send_signal(signal.SIGTERM)
    await proxy.logged("draining")
    assert await proxy.get("/healthz/ready", "ready") == (503, "DRAINING\n")
    upstream.let_go.set()
    assert await slow == (200, "hello")
    assert await proxy.stop() == 0


async def test_listener_that_cannot_be_bound_is_refused(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, upstream: Upstream, unused_tcp_port: int
) -> None:
    control_plane.push(configuration(unused_tcp_port, upstream.port))
    proxy = await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    # The application's own port, which is taken.
    control_plane.push(configuration(upstream.port, upstream.port))
    refused = await control_plane.event(Nacked)
    assert refused.type_url == LISTENER
    assert refused.message.startswith("listener in: ")
    assert await get(unused_tcp_port) == (200, "hello")
    await proxy.logged("control plane: invalid: LDS: listener in")


async def test_static_resources_work_without_a_control_plane(
    start_proxy: Any, bootstrap_of: Any, upstream: Upstream, unused_tcp_port: int
) -> None:
    dynamic = configuration(unused_tcp_port, upstream.port)
    (route,), (listener,), (assignment,) = dynamic.routes, dynamic.listeners, dynamic.endpoints
    manager = HttpConnectionManager("in", (RouterFilter(),), route_config=route)
    static_listener = Listener(listener.name, listener.address, (FilterChain(manager),))
    bootstrap = bootstrap_of(None)
    bootstrap["static_resources"] = {
        "listeners": [resource_to_json(static_listener)],
        "clusters": [resource_to_json(Cluster("app", ClusterType.STATIC, load_assignment=assignment))],
    }
    proxy = await start_proxy(bootstrap, real=True)
    await proxy.logged("ready: 2 workers")
    assert await get(unused_tcp_port) == (200, "hello")
    shown = (await proxy.json("/config_dump?resource=static_listeners"))["configs"]
    assert [each["listener"]["name"] for each in shown] == ["in"]
