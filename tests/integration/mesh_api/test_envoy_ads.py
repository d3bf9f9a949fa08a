"""A real Envoy at the other end of the stream: it takes a configuration, a change of it, and refuses nonsense by name."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from mesh_api import config as c
from mesh_api.xds.encode import encode_resources
from mesh_api.xds.grpc import METHOD_NAME, SERVICE, ResponseSerializer, request_from_bytes
from mesh_api.xds.session import AdsServer, Nacked, Output, Response, Synced
from mesh_api.xds.type_urls import ROUTE
from tests.support.envoy_bootstrap import bootstrap
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

NODE_ID = "sidecar~127.0.0.1~a.b~c"


class Stream:
    """One ADS stream as a control plane's shell would hold it."""

    def __init__(self) -> None:
        self.server = AdsServer("test")
        self.answers: asyncio.Queue[Response] = asyncio.Queue()
        self.events: asyncio.Queue[Output] = asyncio.Queue()

    def emit(self, outputs: list[Output]) -> None:
        for output in outputs:
            (self.answers if isinstance(output, Response) else self.events).put_nowait(output)  # type: ignore[arg-type]

    def push(self, config: c.ProxyConfig, version: str) -> None:
        self.emit(self.server.push(encode_resources(config), version, asyncio.get_running_loop().time()))

    async def serve(self, requests, _context) -> AsyncIterator[Response]:
        async def listen() -> None:
            async for request in requests:
                self.emit(self.server.on_request(request, asyncio.get_running_loop().time()))

        listening = asyncio.create_task(listen())
        try:
            while True:
                yield await self.answers.get()
        finally:
            listening.cancel()

    async def until(self, kind: type) -> Output:
        """The next event of ``kind``."""
        async with asyncio.timeout(60):
            while not isinstance(event := await self.events.get(), kind):
                pass
            return event


@contextlib.asynccontextmanager
async def control_plane(stream: Stream) -> AsyncIterator[int]:
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        stream.serve, request_deserializer=request_from_bytes, response_serializer=ResponseSerializer()
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD_NAME: handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def running(envoy: Path, folder: Path, port: int) -> AsyncIterator[None]:
    value = bootstrap((), ())
    source = {"resource_api_version": "V3", "ads": {}}
    value["dynamic_resources"] |= {"cds_config": source, "lds_config": source}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    value["static_resources"]["clusters"][0]["load_assignment"] = {
        "cluster_name": "xds-grpc",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    }
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(value))
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(envoy, "-c", path, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


def configuration(port: int, version: str, path: str = "/") -> c.ProxyConfig:
    """One listener, its discovered routes, and a cluster named after ``version``."""
    name = f"order-{version}"
    manager = c.HttpConnectionManager("http", (c.RouterFilter(),), rds_name="80")
    match = c.RouteMatch(c.PathMatch(c.PathMatchKind.REGEX, path))
    routes = (c.Route(match, c.RouteAction(name)),)
    hosts = c.LocalityEndpoints((c.Endpoint(c.SocketAddress("127.0.0.1", 9)),))
    return c.ProxyConfig(
        listeners=(c.Listener("in", c.SocketAddress("127.0.0.1", port), (c.FilterChain(manager),)),),
        routes=(c.RouteConfiguration("80", (c.VirtualHost("v", ("*",), routes),)),),
        clusters=(c.Cluster(name, c.ClusterType.EDS),),
        endpoints=(c.ClusterLoadAssignment(name, (hosts,)),),
    )


async def test_envoy_takes_changes_and_refuses_nonsense(envoy: Path, tmp_path: Path) -> None:
    stream, port = Stream(), free_port()
    stream.push(configuration(port, "1"), "1")
    async with control_plane(stream) as ads_port, running(envoy, tmp_path, ads_port):
        assert await stream.until(Synced) == Synced("1")
        assert stream.server.node is not None
        assert stream.server.node.id == NODE_ID
        assert stream.server.node.user_agent == "envoy"

        # The cluster is replaced: the new one is warm before the route names it, the old one leaves after.
        stream.push(configuration(port, "2"), "2")
        assert await stream.until(Synced) == Synced("2")

        stream.push(configuration(port, "2", path="(unclosed"), "3")
        refused = await stream.until(Nacked)
        assert isinstance(refused, Nacked)
        assert (refused.type_url, refused.version) == (ROUTE, "3")
        assert "(unclosed" in refused.message

        stream.push(configuration(port, "2"), "4")
        assert await stream.until(Synced) == Synced("4")
