"""Workloads of bare machines register themselves: real gRPC, a real authority's join tokens, and a crash between."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import yaml
from typer.testing import CliRunner

import mesh_cli.commands
from mesh_api.node import Node
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT
from tests.integration.mesh_control.harness import (
    LIMIT,
    STORE,
    ControlPlane,
    Peer,
    connected,
    control_plane,
)
from tests.integration.mesh_control.programs import Program, running
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

POLICIES = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: shop}
spec: {template: {labels: {app: shop}, serviceAccount: shop}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  ports: [{number: 8080, name: http, protocol: HTTP}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: shop}}
"""
ASSIGNMENT = "outbound|8080||shop.example"
METADATA = {"AUTO_REGISTER_GROUP": "shop", "INTERCEPTION_MODE": "REDIRECT"}


def machine(number: int, **metadata: Any) -> Node:
    return Node(f"sidecar~10.0.0.{number}~vm-{number}.default~default.svc", metadata={**METADATA, **metadata})


def endpoints(peer: Peer) -> list[str]:
    assignment = peer.resource(ENDPOINT, ASSIGNMENT)
    return sorted(str(e.address) for locality in assignment.localities for e in locality.endpoints)


async def refusal(peer: Peer, plane: ControlPlane, token: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await asyncio.wait_for(peer.run(plane.xds_port, token), LIMIT)
    return error.value


@pytest.fixture
def plane(tmp_path: Path) -> Any:
    found = ControlPlane(tmp_path)
    settings = yaml.safe_load(found.config.read_text())
    found.config.write_text(yaml.safe_dump({**settings, "ca": {"address": f"127.0.0.1:{free_port()}"}}))
    found.start()
    yield found
    if found.process is not None:
        found.kill()


async def test_a_machine_joins_a_service_by_connecting(plane: ControlPlane) -> None:
    await plane.client.apply("demo", POLICIES, LIMIT)
    token = str((await plane.client.create_token("default/shop", 600.0, 1))["token"])
    plane.token, shared = token, plane.token
    async with connected(Peer(machine(1)), plane) as first:
        assert "inbound|8080||" in first.names(CLUSTER)
        plane.token = shared  # which proves nobody in particular, and anybody
        async with connected(Peer(STORE), plane) as store, connected(Peer(machine(2)), plane):
            await store.until(lambda: ASSIGNMENT in store.names(ENDPOINT) and len(endpoints(store)) == 2)
            assert endpoints(store) == ["10.0.0.1:8080", "10.0.0.2:8080"]
            status = await plane.client.status()
            assert [(r["name"], r["connected"]) for r in status["registrations"]] == [
                ("shop-10.0.0.1", True),
                ("shop-10.0.0.2", True),
            ]
            assert not [name for name in status["missing"] if "shop" in name]
            arguments = ["status", "--socket", str(plane.socket)]
            printed = await asyncio.to_thread(CliRunner().invoke, mesh_cli.commands.app, arguments)
            assert "default/shop-10.0.0.1: registered by vm-1.default: connected, not probed" in printed.output
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(plane.socket))) as http,
                http.get("http://control/debug/registryz") as answer,
            ):
                (shown,) = [service for service in await answer.json() if service["hostname"] == "shop.example"]
                assert [entry["proxy"] for entry in shown["registered"]] == ["vm-1.default", "vm-2.default"]


async def test_only_with_the_right_token(plane: ControlPlane) -> None:
    await plane.client.apply("demo", POLICIES, LIMIT)
    token = str((await plane.client.create_token("default/order", 600.0, 1))["token"])
    refused = await refusal(Peer(machine(1)), plane, token)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (
        "asks for an identity of service account shop of namespace default; proven is spiffe://cluster.local/ns/"
        in str(refused.details())
    )
    refused = await refusal(Peer(STORE), plane, f"{token[:-1]}{'a' if token[-1] != 'a' else 'b'}")
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await plane.client.status())["registrations"] == []


async def test_a_token_that_is_revoked_takes_its_workload_out(plane: ControlPlane) -> None:
    await plane.client.apply("demo", POLICIES, LIMIT)
    token = str((await plane.client.create_token("default/shop", 600.0, 1))["token"])
    async with connected(Peer(STORE), plane) as store:
        registered = Peer(machine(1))
        task = asyncio.create_task(registered.run(plane.xds_port, token))
        await store.until(lambda: ASSIGNMENT in store.names(ENDPOINT) and len(endpoints(store)) == 1)
        await plane.client.revoke_token(token.split(".")[1], renewals=False)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asyncio.wait_for(task, LIMIT)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        (shown,) = (await plane.client.status())["registrations"]
        assert not shown["connected"]
        assert (await refusal(Peer(machine(1)), plane, token)).code() is grpc.StatusCode.UNAUTHENTICATED
        await store.until(lambda: endpoints(store) == [])
        assert (await plane.client.status())["registrations"] == []


async def test_a_registration_outlives_a_crash(plane: ControlPlane) -> None:
    await plane.client.apply("demo", POLICIES, LIMIT)
    async with connected(Peer(machine(1)), plane):
        plane.kill()
    plane.start()
    async with connected(Peer(STORE), plane) as store:
        assert endpoints(store) == ["10.0.0.1:8080"]
        (shown,) = (await plane.client.status())["registrations"]
        assert not shown["connected"]
        async with connected(Peer(machine(1)), plane):
            (shown,) = (await plane.client.status())["registrations"]
            assert (shown["connected"], shown["ends"]) == (True, None)


async def test_without_its_group_a_machine_is_not_served(plane: ControlPlane) -> None:
    refused = await refusal(Peer(machine(1)), plane, str(plane.token))
    assert "there is no WorkloadGroup default/shop; apply one first" in str(refused.details())
    await plane.client.apply("demo", POLICIES, LIMIT)
    async with connected(Peer(machine(1)), plane):
        assert [r["proxy"] for r in (await plane.client.status())["registrations"]] == ["vm-1.default"]


async def test_real_proxies_register(tmp_path: Path, program: Program) -> None:
    """A real Envoy and our own, which need to know nothing of it but their node's metadata."""
    metadata = {**METADATA, "INTERCEPTION_MODE": "NONE", "INGRESS_PORTS": {"8080": free_port()}}
    with control_plane(tmp_path) as plane:
        await plane.client.apply("demo", POLICIES, LIMIT)
        async with running(program, plane, "sidecar~127.0.0.31~vm-1.default~default.svc", metadata):
            (shown,) = (await plane.client.status())["registrations"]
            assert (shown["name"], shown["proxy"], shown["connected"]) == ("shop-127.0.0.31", "vm-1.default", True)
        async with asyncio.timeout(LIMIT):
            while (shown := (await plane.client.status())["registrations"][0])["connected"]:
                await asyncio.sleep(0.05)  # of a connection that ended nobody is told
        assert shown["ends"] > shown["since"]
        assert "shop-127.0.0.31.default" in (await plane.client.status())["missing"]
