"""gRPC's own xDS client, under our control plane: ``xds:///HOST:PORT`` reaches the service, and follows its policies."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tests.integration.mesh_control.harness import LIMIT, ControlPlane, control_plane

pytestmark = pytest.mark.integration

CLIENT = """
import sys
import grpc

channel = grpc.insecure_channel("xds:///" + sys.argv[1])
call = channel.unary_unary("/test.Echo/Name")
for line in sys.stdin:
    try:
        print(call(b"?", timeout=float(line), wait_for_ready=True).decode(), flush=True)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", flush=True)
"""
INVENTORY = {
    "services": [
        {"name": "echo", "ports": [{"name": "grpc", "port": 7070}], "selector": {"app": "echo"}},
        {"name": "other", "ports": [{"name": "grpc", "port": 7070}], "selector": {"app": "other"}},
    ],
    "workloads": [
        {"name": "echo-v1", "address": "127.0.0.21", "labels": {"app": "echo", "version": "v1"}, "sidecar": False},
        {"name": "echo-v2", "address": "127.0.0.22", "labels": {"app": "echo", "version": "v2"}, "sidecar": False},
        {"name": "other", "address": "127.0.0.23", "labels": {"app": "other"}, "sidecar": False},
    ],
}
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec:
  host: echo
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec: {hosts: [echo], http: [{route: [{destination: {host: echo, subset: v2}}]}]}
"""


@asynccontextmanager
async def echo(*addresses: str) -> AsyncIterator[int]:
    """Servers that tell their address, on one port of several addresses."""

    def handler(address: str) -> grpc.GenericRpcHandler:
        async def name(request: bytes, context: grpc.aio.ServicerContext) -> bytes:  # type: ignore[type-arg]
            return address.encode()

        return grpc.method_handlers_generic_handler("test.Echo", {"Name": grpc.unary_unary_rpc_method_handler(name)})

    servers, port = [], 0
    for address in addresses:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handler(address),))
        port = server.add_insecure_port(f"{address}:{port}")
        await server.start()
        servers.append(server)
    try:
        yield port
    finally:
        for server in servers:
            await server.stop(0)


class Application:
    """A process whose gRPC knows our control plane."""

    def __init__(self, plane: ControlPlane, target: str) -> None:
        node = {
            "id": "sidecar~127.0.0.23~other.default~default.svc.cluster.local",
            "metadata": {"GENERATOR": "grpc", "NAMESPACE": "default", "LABELS": {"app": "other"}},
        }
        servers = [
            {
                "server_uri": f"127.0.0.1:{plane.xds_port}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ]
        bootstrap = plane.folder / "grpc.json"
        bootstrap.write_text(json.dumps({"xds_servers": servers, "node": node}))
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, target],
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(bootstrap)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def ask(self, seconds: float = LIMIT) -> str:
        """Who answers a call, or why nobody does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        async with asyncio.timeout(LIMIT + 5):
            return (await asyncio.to_thread(self.process.stdout.readline)).strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


async def seen(application: Application, wanted: set[str]) -> None:
    """Returns when a number of calls in a row have been answered by exactly these."""
    async with asyncio.timeout(LIMIT):
        while {await application.ask() for _ in range(8)} != wanted:
            pass


@pytest.mark.parametrize("name", ["echo.default.svc.cluster.local", "echo"])
async def test_grpc_finds_the_service_and_follows_its_policies(tmp_path: Path, name: str) -> None:
    async with echo("127.0.0.21", "127.0.0.22") as port:
        inventory = json.loads(json.dumps(INVENTORY).replace("7070", str(port)))
        with control_plane(tmp_path, token=None, inventory=inventory) as plane:
            application = Application(plane, f"{name}:{port}")
            try:
                await seen(application, {"127.0.0.21", "127.0.0.22"})
                assert (await plane.client.wait(LIMIT))["waiting"] == []
                await plane.client.apply("echo", SUBSETS, LIMIT)
                await seen(application, {"127.0.0.22"})
                inventory["workloads"] = [w for w in inventory["workloads"] if w["name"] != "echo-v2"]
                await plane.client.delete("echo", LIMIT)
                plane.write_inventory(inventory)
                await seen(application, {"127.0.0.21"})
            finally:
                application.end()
