"""The delta protocol over real connections: what changed, what a client has kept, and how much one may ask."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import yaml

from mesh_api.xds.session import DeltaRequest
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.integration.mesh_control.delta_peer import DeltaPeer
from tests.integration.mesh_control.harness import LIMIT, STORE, ControlPlane, control_plane

pytestmark = pytest.mark.integration

TIMEOUT = (
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: order}\n"
    "spec: {hosts: [order], http: [{route: [{destination: {host: order}}], timeout: 15s}]}\n"
)


@contextlib.asynccontextmanager
async def connected(peer: DeltaPeer, plane: ControlPlane) -> AsyncIterator[None]:
    task = asyncio.create_task(peer.run(plane.xds_port, plane.token))
    try:
        await peer.until(lambda: {response.type_url for response in peer.received} >= {CLUSTER, LISTENER})
        assert (await plane.client.wait(LIMIT))["waiting"] == []
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await task


async def test_only_what_changed_is_sent_and_nothing_again(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        peer = DeltaPeer(STORE)
        async with connected(peer, plane):
            peer.received.clear()
            await plane.client.apply("demo", TIMEOUT, LIMIT)
            (response,) = peer.received
            assert (response.type_url, [name for name, _, _ in response.resources]) == (ROUTE, ["8380"])
        async with connected(peer, plane):
            assert [response.resources for response in peer.received if response.resources] == []
        plane.kill()
        plane.start()
        async with connected(peer, plane):
            assert [response.resources for response in peer.received if response.resources] == []
            await plane.client.delete("demo", LIMIT)
            await peer.until(lambda: any(response.resources for response in peer.received))
            assert (await plane.client.wait(LIMIT))["waiting"] == []
            dump = await plane.client.proxy_config("store.default")
            assert {config["state"] for config in dump["configs"]} == {"SYNCED"}


async def test_single_names_are_answered_whether_there_is_something_or_not(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        peer = DeltaPeer(STORE)
        async with connected(peer, plane):
            peer.received.clear()
            peer.outbox.put_nowait(DeltaRequest(ENDPOINT, subscribe=("nobody",)))
            await peer.until(lambda: bool(peer.received))
            assert (peer.received[0].resources, peer.received[0].removed) == ((), ("nobody",))
            name = sorted(peer.session.accepted(ENDPOINT))[0]
            peer.received.clear()
            peer.outbox.put_nowait(DeltaRequest(ENDPOINT, subscribe=(name,)))
            await peer.until(lambda: bool(peer.received))
            assert [found for found, _, _ in peer.received[0].resources] == [name]


async def test_more_streams_than_allowed_are_refused(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    settings = yaml.safe_load(plane.config.read_text())
    plane.config.write_text(yaml.safe_dump({**settings, "proxy_limits": {"streams_per_address": 1}}))
    plane.start()
    try:
        async with connected(DeltaPeer(STORE), plane):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await DeltaPeer(STORE).run(plane.xds_port, plane.token)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.value.details() == "127.0.0.1 has 1 streams already"
        async with connected(DeltaPeer(STORE), plane):
            pass
    finally:
        plane.kill()
