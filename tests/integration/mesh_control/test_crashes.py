"""SIGKILL at any moment loses nothing that was acknowledged: a real control plane, killed again and again under load."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from mesh_api.node import Node
from mesh_control.client import ControlClient, ControlError
from mesh_policy import Policy, WorkloadEntry, WorkloadEntrySpec, dump, load_documents
from tests.integration.mesh_control.harness import LIMIT, ControlPlane, Peer, control_plane

pytestmark = pytest.mark.integration

ROUNDS, CRASHES_OF_MACHINES = 16, 5
MACHINE = {"AUTO_REGISTER_GROUP": "machines"}
OWNERS = ("one", "two", "three")
SIZE = 6
"""Objects of a set: of a set that is replaced, all of them are of one generation."""


def entries(owner: str, generation: int) -> list[Policy]:
    """A set whose objects all carry the generation; each third one is empty, and their names differ with the generation."""
    if generation % 3 == 0:
        return []
    labels = {"generation": str(generation)}
    names = [f"{owner}-{number}" for number in range(generation % 2, SIZE)]
    return [WorkloadEntry.of(name, WorkloadEntrySpec(address="10.0.0.1", labels=labels)) for name in names]


class Writer:
    """Puts one generation after another in force, and knows which was acknowledged, and which may be, too."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.acknowledged = 0
        self.tried = 0
        self.told = asyncio.Event()

    async def run(self, client: ControlClient) -> None:
        while True:
            self.tried += 1
            await client.apply(self.owner, dump(entries(self.owner, self.tried)), 0)
            self.acknowledged = self.tried
            self.told.set()

    async def check(self, client: ControlClient) -> None:
        """The set is the acknowledged one, or the one that was under way: whole, either of them."""
        found = load_documents(await client.get(self.owner))
        allowed = {
            generation: sorted(dump([policy]) for policy in entries(self.owner, generation))
            for generation in (self.acknowledged, self.tried)
        }
        kept = [generation for generation, set_ in allowed.items() if sorted(dump([p]) for p in found) == set_]
        assert kept, f"{self.owner}: {[p.spec.labels for p in found]}; allowed are {list(allowed)}"
        self.acknowledged = kept[-1]


@pytest.mark.timeout(900)  # it takes a minute, on a machine that does nothing else
async def test_what_was_acknowledged_is_there_after_every_crash(tmp_path: Path) -> None:
    rng = random.Random(20260827)
    writers = [Writer(owner) for owner in OWNERS]
    total = 0
    with control_plane(tmp_path) as plane:
        for round_ in range(ROUNDS):
            before = sum(writer.acknowledged for writer in writers)
            tasks = [asyncio.create_task(writer.run(plane.client)) for writer in writers]
            if round_ % 2:  # on a machine that is busy, the others may end before anything is acknowledged
                await asyncio.wait_for(writers[0].told.wait(), LIMIT)
            await asyncio.wait(tasks, timeout=rng.uniform(0.0, 0.4))
            plane.kill()
            for task in tasks:
                with contextlib.suppress(ControlError):
                    await asyncio.wait_for(task, LIMIT)
            total += sum(writer.acknowledged for writer in writers) - before
            plane.start()
            for writer in writers:
                writer.told.clear()
                await writer.check(plane.client)
            assert (await plane.client.status())["problems"] == []
            assert left_over(tmp_path / "state") == []
        assert total >= ROUNDS // 2, "hardly anything was acknowledged between the crashes"
        assert plane.end() == 0


def left_over(state: Path) -> list[Path]:
    """What was half written."""
    return [path for path in state.rglob("*") if path.name.endswith((".new", ".old"))]


GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines}
spec: {template: {labels: {app: machine}}}
"""


async def test_who_was_sent_a_configuration_is_registered_after_every_crash(tmp_path: Path) -> None:
    rng = random.Random(20260827)
    with control_plane(tmp_path) as plane:
        await plane.client.apply("groups", GROUP, 0)
        for round_ in range(CRASHES_OF_MACHINES):
            served = [f"10.0.{round_}.{number}" for number in range(1, rng.randint(2, 5))]
            async with contextlib.AsyncExitStack() as stack:
                for address in served:
                    node = Node(f"sidecar~{address}~vm-{address}.default~default.svc", metadata=MACHINE)
                    await stack.enter_async_context(answered(Peer(node), plane))
                plane.kill()
            plane.start()
            known = {shown["address"] for shown in (await plane.client.status())["registrations"]}
            assert set(served) <= known


@contextlib.asynccontextmanager
async def answered(peer: Peer, plane: ControlPlane) -> AsyncIterator[None]:
    """The peer, at the moment when it is sent the first thing."""
    task = asyncio.create_task(peer.run(plane.xds_port, plane.token))
    try:
        await peer.until(peer.connected.is_set)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await task
