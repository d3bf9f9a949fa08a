"""Random changes, restarts of clients and of the control plane; in the end every client has what a fresh compile gives.

Lasts for MESHWRIGHT_SOAK_SECONDS (10 where nothing is said; 1800 for the long run), with the seed MESHWRIGHT_SOAK_SEED.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh_api.node import Node
from mesh_api.xds.encode import encode_resources
from mesh_api.xds.type_urls import ADS_ORDER, WILDCARD
from mesh_control import settings
from mesh_control.app import control_of
from mesh_control.client import ControlError
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from tests.integration.mesh_control.delta_peer import DeltaPeer
from tests.integration.mesh_control.harness import INVENTORY, LIMIT, ControlPlane, Peer, control_plane

SECONDS = float(os.environ.get("MESHWRIGHT_SOAK_SECONDS", "10"))
pytestmark = [pytest.mark.integration, pytest.mark.timeout(SECONDS + 300)]
SEED = int(os.environ.get("MESHWRIGHT_SOAK_SEED", str(int(time.time()))))
SERVICES = ("order", "store", "postgres")


def node(name: str, address: str) -> Node:
    labels = {"app": name.partition("-")[0]}
    return Node(f"sidecar~{address}~{name}.default~default.svc.cluster.local", metadata={"LABELS": labels})


def policies(rng: random.Random) -> str:
    """Some policies about some services, all of them good."""
    found = []
    for host in rng.sample(SERVICES[:2], rng.randrange(3)):
        subset = rng.choice(["", ", subset: v1"])
        found.append(
            f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}}}\n"
            f"spec: {{hosts: [{host}], http: [{{route: [{{destination: {{host: {host}{subset}}}}}], "
            f"timeout: {rng.randrange(1, 60)}s}}]}}\n"
        )
        found.append(
            f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}}}\n"
            f"spec: {{host: {host}, trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {rng.randrange(1, 99)}}}}}}}, "
            f"subsets: [{{name: v1, labels: {{version: v1}}}}]}}\n"
        )
    return "---\n".join(found)


def inventory(rng: random.Random) -> dict[str, Any]:
    """Some copies come and go."""
    copies = [
        {"name": f"order-v{number}", "address": f"127.0.0.{10 + number}", "labels": {"app": "order", "version": "v1"}}
        for number in range(1, rng.randrange(2, 8))
    ]
    others = [copy for copy in INVENTORY["workloads"] if not str(copy["name"]).startswith("order")]
    return {**INVENTORY, "workloads": [*copies, *others]}


class Client:
    """A peer that comes back whenever its connection ends, until it is left alone."""

    def __init__(self, peer: Peer | DeltaPeer, node: Node, plane: ControlPlane) -> None:
        self.peer, self.node, self._plane = peer, node, plane
        self._task = asyncio.create_task(self._run())
        self._connection: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        while True:
            self._connection = asyncio.create_task(self.peer.run(self._plane.xds_port, self._plane.token))
            with contextlib.suppress(grpc.aio.AioRpcError):
                await asyncio.wait([self._connection])
                if not self._connection.cancelled():
                    self._connection.result()

    def drop(self) -> None:
        """Loses the connection."""
        if self._connection is not None:
            self._connection.cancel()

    async def end(self) -> None:
        self._task.cancel()
        self.drop()
        tasks = [task for task in (self._task, self._connection) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def has(self) -> dict[str, Mapping[str, bytes]]:
        session = self.peer.session
        if isinstance(self.peer, DeltaPeer):
            return {url: dict(self.peer.session.accepted(url)) for url in ADS_ORDER}
        return {url: dict(session.accepted(url).resources) for url in ADS_ORDER}  # type: ignore[union-attr]


def differences(client: Client, plane: ControlPlane) -> list[str]:
    """What a client lacks, or has wrong, beside a fresh compile of what is on the disk."""
    world = control_of(settings.read(plane.config)).state.world
    wanted = encode_resources(compile_proxy(world, proxy_of(client.node)))
    has, found = client.has(), []
    for url in ADS_ORDER:
        names = wanted[url].keys() | (has[url].keys() if url in WILDCARD else set())
        found += [f"{client.node.id} {url} {name}" for name in names if wanted[url].get(name) != has[url].get(name)]
    missing = [name for url in ADS_ORDER for name in wanted[url].keys() - has[url].keys()]
    return [*found, *(f"{client.node.id} lacks {name}" for name in missing)]


async def turn(rng: random.Random, plane: ControlPlane, clients: list[Client]) -> None:
    """One thing happens."""
    what = rng.random()
    if what < 0.5:
        with contextlib.suppress(ControlError):
            await plane.client.apply("soak", policies(rng) or "# none\n", rng.choice([0.0, 1.0]))
    elif what < 0.75:
        plane.write_inventory(inventory(rng))
    elif what < 0.95:
        rng.choice(clients).drop()
    else:
        plane.kill()
        await asyncio.to_thread(plane.start)


async def test_in_the_end_everybody_has_what_a_fresh_compile_gives(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    print(f"MESHWRIGHT_SOAK_SEED={SEED}")
    with control_plane(tmp_path) as plane:
        kinds = (Peer, DeltaPeer)
        nodes = [node(f"{rng.choice(SERVICES)}-{n}", f"127.0.1.{n + 1}") for n in range(8)]
        clients = [Client(kinds[n % 2](who), who, plane) for n, who in enumerate(nodes)]
        try:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                await turn(rng, plane, clients)
                assert all(not client._task.done() for client in clients)
            async with asyncio.timeout(LIMIT * 2):
                while found := [line for client in clients for line in differences(client, plane)]:
                    await asyncio.sleep(0.2)  # nobody tells when nothing more comes
        except TimeoutError:
            pytest.fail(f"seed {SEED}: {found[:10]}")
        finally:
            for client in clients:
                await client.end()
