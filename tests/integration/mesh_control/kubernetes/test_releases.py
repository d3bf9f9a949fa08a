"""Releases of two control planes over a real API server: begun at one, moved by the other, gone on with by who is left."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import RouteConfiguration
from mesh_api.xds.type_urls import ROUTE
from mesh_control.client import ControlError
from mesh_control.rollouts import entries, replicas
from mesh_control.sources.kubernetes import rbac
from mesh_control.sources.kubernetes.api import ApiError
from mesh_policy import CanaryRelease, dump
from mesh_policy.releases import Weight
from mesh_policy.releases.machine import Rollout, State
from tests.integration.mesh_control.harness import INVENTORY, LIMIT, ORDER, STORE, ControlPlane, Peer, connected
from tests.integration.mesh_control.kubernetes.test_authority import HOME, SECRET, begun, mesh, prepared
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import ADMIN, STRANGER, SUBJECT, Client, Server
from tests.support.pulumi_program import Program, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

NAME = "order.default"
KNOWN: dict[str, Any] = INVENTORY
WORKLOADS = [{**item, "sidecar": item["name"] in ("order-v1", "store")} for item in KNOWN["workloads"]]
MAPS = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": HOME}}
    for name in (entries.NAME, replicas.NAME)
]


def release(*holds: str) -> str:
    steps = tuple(Weight(percent, hold=hold) for percent, hold in zip((20, 60), holds, strict=True))
    told = CanaryRelease(service="order", stable="v1", candidate="v2", steps=steps)
    return json.dumps(Rollout(release=told).to_document())


@pytest.fixture
async def home(client: Client) -> AsyncIterator[None]:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
    await client.apply(place, *rbac.manifests(SUBJECT, HOME))
    yield
    for value in (SECRET, *MAPS):
        with suppress(ApiError):  # nobody has made it
            await client.delete(value)


@pytest.fixture
def planes(tmp_path: Path, server: Server, home: None) -> Iterator[list[ControlPlane]]:
    inventory = {**INVENTORY, "workloads": WORKLOADS}
    made = [prepared(tmp_path, server, name, inventory) for name in ("one", "two")]
    with begun(made):
        yield made


async def ordered(planes: list[ControlPlane]) -> tuple[ControlPlane, ControlPlane]:
    """The one that leads, and the other one."""

    async def leads() -> list[bool]:
        return [(await plane.client.status())["replica"]["leads"] for plane in planes]

    found = await poll(leads, any)
    return (planes[0], planes[1]) if found[0] else (planes[1], planes[0])


async def phase(plane: ControlPlane) -> tuple[str, int]:
    found = (await plane.client.rollouts()).get(NAME, {"phase": "", "weight": -1})
    return found["phase"], found["weight"]


def shares(peer: Peer) -> set[int]:
    """The weights of the candidate that the peer has now."""
    tables = [peer.resource(ROUTE, name) for name in peer.names(ROUTE)]
    return {weight for table in tables for weight in _weights(table)}


def _weights(table: RouteConfiguration) -> Iterator[int]:
    for host in table.virtual_hosts:
        for route in host.routes:
            for cluster in getattr(route.action, "weighted_clusters", ()):
                if "|v2|" in cluster.name:
                    yield cluster.weight


async def refuses_what_one_alone_would_know(leader: ControlPlane, other: ControlPlane) -> None:
    policies = Rollout.model_validate(json.loads(release("1s", "1s"))).policies(State(weight=20))
    with pytest.raises(ControlError, match="at this replica alone") as told:
        await other.client.apply("shop", dump(policies), 0.0)
    assert told.value.status == 409
    shown = mesh(leader, "status")
    assert "which leads: proxies of other replicas are told there" in shown.stderr
    assert "not here" in shown.stdout


async def test_a_release_begun_at_one_is_moved_by_the_other_and_every_proxy_has_it(planes: list[ControlPlane]) -> None:
    leader, other = await ordered(planes)
    await refuses_what_one_alone_would_know(leader, other)
    store, order = Peer(STORE), Peer(ORDER)
    async with connected(store, leader):
        begun = await other.client.start_rollout(release("1s", "1s"))
        assert (begun["phase"], begun["weight"]) == ("progressing", 20)
        waits = await poll(lambda: leader.client.rollout(NAME), lambda found: found["waiting"])
        assert waits["waiting"] == "not every proxy has taken the weight"  # one is connected nowhere
        async with connected(order, other):
            for peer in (store, order):
                await peer.until(lambda peer=peer: 60 in shares(peer))  # type: ignore[misc]
            assert await poll(lambda: phase(other), lambda found: found[0] == "promoted") == ("promoted", 100)
    assert await phase(leader) == ("promoted", 100)
    shown = mesh(other, "canary", "status", "order")
    assert "promoted" in shown.stdout
    assert mesh(other, "canary", "remove", "order").returncode == 0
    await poll(lambda: phase(leader), lambda found: found == ("", -1))


async def test_orders_count_at_either_and_who_is_left_goes_on(planes: list[ControlPlane], client: Client) -> None:
    leader, other = await ordered(planes)
    store, order = Peer(STORE), Peer(ORDER)
    assert mesh(other, "canary", "status").returncode == 0
    async with connected(order, other):
        async with connected(store, leader):
            await leader.client.start_rollout(release("1s", "1h"))
            await poll(lambda: phase(other), lambda found: found == ("progressing", 60))
            assert mesh(other, "canary", "pause", "order", "--reason", "lunch").returncode == 0
            assert (await poll(lambda: phase(leader), lambda found: found[0] == "paused")) == ("paused", 60)
            assert mesh(leader, "canary", "resume", "order").returncode == 0
        leader.kill()
        # A pod that takes its place has nothing on its disk, and what is in force there is in force.
        leader.folder.joinpath("state").rename(leader.folder / "gone")
        leader.start()
        async with connected(store, leader):
            await store.until(lambda: 60 in shares(store))
            assert mesh(leader, "canary", "promote", "order").returncode == 0
            assert await poll(lambda: phase(other), lambda found: found[0] == "promoted") == ("promoted", 100)
            await order.until(lambda: 60 not in shares(order))
    assert json.loads((await client.get(MAPS[0]))["data"][NAME])["state"]["phase"] == "promoted"
    assert mesh(leader, "canary", "remove", "order").returncode == 0


async def test_what_a_proxy_of_the_other_refuses_ends_it(planes: list[ControlPlane]) -> None:
    leader, other = await ordered(planes)

    def no_half(kind: str, name: str, resource: Any) -> str | None:
        return "not with me" if kind == "RDS" and 20 in _weights(resource) else None

    async with connected(Peer(STORE), leader), connected(Peer(ORDER, no_half), other):
        await leader.client.start_rollout(release("1h", "1h"))
        await poll(lambda: phase(other), lambda found: found == ("aborted", 0))
    assert "20 % was refused: " in (await other.client.rollout(NAME))["reason"]
    assert "not with me" in (await leader.client.rollout(NAME))["reason"]
    assert mesh(other, "canary", "remove", "order").returncode == 0


def rule(subset: str) -> dict[str, Any]:
    spec = {"host": "order", "subsets": [{"name": subset, "labels": {"version": "v1"}}]}
    metadata = {"name": "order", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}


async def test_objects_are_told_of_the_proxies_of_both(
    istio_kinds: None, planes: list[ControlPlane], client: Client
) -> None:
    leader, other = await ordered(planes)

    def no_bad(kind: str, name: str, resource: Any) -> str | None:
        return "not with me" if kind == "CDS" and "|bad|" in name else None

    def programmed(value: Any) -> tuple[str, str]:
        found = value.get("status", {}).get("conditions", ())
        return next(((c["reason"], c["message"]) for c in found if c["type"] == "Programmed"), ("", ""))

    async with connected(Peer(STORE), leader), connected(Peer(ORDER, no_bad), other):
        await client.apply(rule("good"))
        everybody = ("Programmed", "acknowledged by 2 of 2 proxies")
        await poll(lambda: client.get(rule("good")), lambda value: programmed(value) == everybody)
        await client.apply(rule("bad"))
        told = await poll(lambda: client.get(rule("bad")), lambda value: programmed(value)[0] == "Refused")
        assert "not with me" in programmed(told)[1]
    await client.delete(rule("bad"))


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "order", "namespace": "default"},
    "spec": {"ports": [{"name": "http", "port": 8380}], "selector": {"app": "order"}},
}


@pytest.fixture
async def service(client: Client) -> AsyncIterator[None]:
    await client.apply(SERVICE)
    yield
    await client.delete(SERVICE)


async def canary(
    server: Server, *words: str, stdin: str = "", token: str = ADMIN
) -> "subprocess.CompletedProcess[str]":
    """``mesh canary`` with a login of the cluster alone."""
    command = [sys.executable, "-m", "mesh_cli", "canary", *words, "--kubeconfig", str(server.kubeconfig(token))]
    return await asyncio.to_thread(
        subprocess.run, command, input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False
    )


@pytest.mark.usefixtures("istio_kinds", "service")
async def test_who_has_a_login_begins_and_orders_from_outside(planes: list[ControlPlane], server: Server) -> None:
    leader, other = await ordered(planes)
    store, order = Peer(STORE), Peer(ORDER)
    await poll(lambda: canary(server, "status"), lambda done: done.returncode == 0)
    async with connected(store, leader), connected(order, other):
        begun = await canary(server, "start", "-", stdin=release("1s", "1h"))
        assert begun.returncode == 0, begun.stderr
        for peer in (store, order):
            await peer.until(lambda peer=peer: 60 in shares(peer))  # type: ignore[misc]
        paused = await canary(server, "pause", "order", "--reason", "lunch", "-o", "json")
        assert [(item["phase"], item["reason"]) for item in json.loads(paused.stdout)] == [("paused", "lunch")]
        await poll(lambda: phase(other), lambda found: found == ("paused", 60))
        kept = await canary(server, "remove", "order")
        assert (kept.returncode, "order.default is paused; promote or abort it first" in kept.stderr) == (1, True)
        assert (await canary(server, "resume", "order")).returncode == 0
        again = await canary(server, "start", "-", stdin=release("1s", "1s"))
        assert "a release of order.default is progressing" in again.stderr
        assert (await canary(server, "promote", "order")).returncode == 0
        await poll(lambda: phase(leader), lambda found: found == ("promoted", 100))
        stays = await canary(server, "start", "-", "--wait", stdin=release("1h", "1h"))
        assert (stays.returncode, stays.stdout.startswith("order.default: promoted; v2 100 %")) == (0, True), stays
    assert (await canary(server, "remove", "order")).returncode == 0
    await poll(lambda: phase(leader), lambda found: found == ("", -1))
    assert (await canary(server, "status")).stderr == "there is no release\n"


@pytest.mark.usefixtures("istio_kinds", "planes")
async def test_what_cannot_begin_is_told_before_anything_is_written(server: Server, client: Client) -> None:
    told = release("1s", "1s")
    await poll(lambda: canary(server, "status"), lambda done: done.returncode == 0)
    nobody = await canary(server, "start", "-", stdin=told)
    assert "there is no Service order in the namespace default" in nobody.stderr
    await client.apply(SERVICE, rule("good"))
    try:
        taken = await canary(server, "start", "-", stdin=told)
        assert "DestinationRule default/order: the cluster has an object of that name; remove it first" in taken.stderr
        stranger = await canary(server, "start", "-", stdin=told, token=STRANGER)
        assert 'configmaps "meshwright-replicas" is forbidden' in stranger.stderr
        elsewhere = await canary(server, "status", "--control-namespace", "default")
        assert "no control plane tells of itself in the namespace default" in elsewhere.stderr
        assert {done.returncode for done in (nobody, taken, stranger, elsewhere)} == {1}
    finally:
        await client.delete(SERVICE, rule("good"))
    assert (await canary(server, "status")).stderr == "there is no release\n"


@pytest.fixture
def program(tmp_path: Path, server: Server) -> Iterator[Program]:
    """A stack with the releases of the file ``releases.json`` beside it."""
    (tmp_path / "pulumi").mkdir()
    with running(tmp_path / "pulumi", Path(__file__).parent / "release_program") as made:
        file = made.directory / "releases.json"
        made.configure({"kubeconfig": server.kubeconfig(), "namespace": HOME, "releases": file})
        yield made


@pytest.mark.usefixtures("istio_kinds", "service")
async def test_a_stack_brings_a_release_to_its_end_and_takes_it_away(
    planes: list[ControlPlane], server: Server, program: Program
) -> None:
    leader, other = await ordered(planes)
    await poll(lambda: canary(server, "status"), lambda done: done.returncode == 0)
    declared = program.directory / "releases.json"

    async def run(*arguments: str, status: int = 0) -> str:
        return await asyncio.to_thread(program.run, *arguments, "--yes", "--skip-preview", status=status)

    def no_sixty(kind: str, name: str, resource: Any) -> str | None:
        return "not with me" if kind == "RDS" and 60 in _weights(resource) else None

    async with connected(Peer(STORE), leader):
        declared.write_text(f"[{release('1s', '1s')}]")
        async with connected(Peer(ORDER, no_sixty), other):
            failed = await run("up", status=1)
        assert "the release order.default is aborted, v2 at 0 %; 60 % was refused: " in failed
        assert "not with me" in failed
        async with connected(Peer(ORDER), other):
            said = await run("up")
            assert "order.default is promoted, v2 at 100 %; every step was held" in said
            assert await poll(lambda: phase(leader), lambda found: found[0] == "promoted") == ("promoted", 100)
            await run("up", "--expect-no-changes")
            assert ADMIN not in program.state.replace(str(server.kubeconfig()), "")
            await run("destroy")
            await poll(lambda: phase(other), lambda found: found == ("", -1))
