"""Registrations over time, with a clock that stands still: who comes, goes, comes back, is probed, and what a crash keeps."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh_api.node import Node
from mesh_api.xds.session import Request
from mesh_api.xds.type_urls import CLUSTER
from mesh_control import reports
from mesh_control.control import Control
from mesh_control.databases import StoreError
from mesh_control.registration.claims import RegistrationError
from mesh_control.registration.lifecycle import GRACE, RESTART_GRACE
from mesh_control.registration.proof import Anyone
from mesh_control.registration.store import Store
from mesh_control.services import Health
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.registrations import HEALTH_TYPE, Registrations
from mesh_control.sources.source import Parts
from mesh_control.state import State
from mesh_policy import Policy, WorkloadGroup, load_documents

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: shop}
spec: {template: {labels: {app: shop, version: v1}, serviceAccount: shop}}
"""
SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: shop}}
"""


def node(number: int = 1, **metadata: Any) -> Node:
    return Node(f"sidecar~10.0.0.{number}~vm-{number}.default~d", metadata={"AUTO_REGISTER_GROUP": "shop", **metadata})


PROBED = {"PROXY_CONFIG": {"readinessProbe": {"httpGet": {"port": 80}}}}


class Clock:
    """Seconds since 1970; told when they pass."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Mesh:
    """Registrations of one folder; :meth:`restart` is what a crash leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.restart()

    def restart(self) -> None:
        self.registrations = Registrations(Store(self.folder / "registrations.sqlite"), self.clock)
        self.groups(GROUP)

    def groups(self, *texts: str) -> bool:
        found = [policy for text in texts for policy in load_documents(text)]
        return self.registrations.reconcile(policy for policy in found if isinstance(policy, WorkloadGroup))

    def connect(self, stream: str, number: int = 1, **metadata: Any) -> bool:
        return self.registrations.connect(stream, node(number, **metadata), Anyone())

    @property
    def names(self) -> list[str]:
        return [policy.metadata.name for policy in self.registrations.read().policies]

    def after(self, seconds: float) -> list[str]:
        self.clock.now += seconds
        self.registrations.turn()
        return self.names


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def test_who_comes_back_in_time_was_never_gone(mesh: Mesh) -> None:
    assert mesh.connect("s1")
    mesh.registrations.disconnect("s1")
    assert mesh.after(GRACE - 1) == ["shop-10.0.0.1"]
    assert not mesh.connect("s2")
    assert mesh.after(GRACE * 10) == ["shop-10.0.0.1"]


def test_who_does_not_is_forgotten_and_it_is_told(mesh: Mesh) -> None:
    mesh.connect("s1")
    mesh.connect("s2", number=2)
    mesh.registrations.disconnect("s1")
    assert mesh.after(GRACE) == ["shop-10.0.0.2"]
    assert mesh.registrations.metrics.value("auto_registration_deletes_total") == 1
    assert mesh.connect("s3")


def test_while_one_stream_is_left_the_workload_is_connected(mesh: Mesh) -> None:
    """A proxy that reconnects before its old stream is known to be dead."""
    mesh.connect("old")
    mesh.connect("new")
    mesh.registrations.disconnect("old")
    assert mesh.after(GRACE * 2) == ["shop-10.0.0.1"]
    assert mesh.registrations.connected == {"shop-10.0.0.1.default"}
    mesh.registrations.disconnect("new")
    assert mesh.registrations.connected == frozenset()
    assert mesh.after(GRACE) == []


def test_who_says_it_again_on_the_same_stream_says_nothing_new(mesh: Mesh) -> None:
    mesh.connect("s1", LABELS={"version": "v1"})
    assert not mesh.connect("s1", LABELS={"version": "v2"})
    mesh.registrations.disconnect("s1")
    assert mesh.connect("s2", LABELS={"version": "v2"})


def test_a_crash_keeps_what_was_registered_for_as_long_as_proxies_need_to_come_back(mesh: Mesh) -> None:
    mesh.connect("s1")
    mesh.connect("s2", number=2)
    mesh.restart()
    assert mesh.names == ["shop-10.0.0.1", "shop-10.0.0.2"]
    assert mesh.after(RESTART_GRACE - 1) == ["shop-10.0.0.1", "shop-10.0.0.2"]
    assert not mesh.connect("s1")
    assert mesh.after(1) == ["shop-10.0.0.1"]


def test_who_was_gone_before_a_crash_has_no_more_time_than_before(mesh: Mesh) -> None:
    mesh.connect("s1")
    mesh.registrations.disconnect("s1")
    mesh.restart()
    mesh.restart()
    assert mesh.after(GRACE) == []
    mesh.restart()
    assert mesh.names == []


def test_when_somebody_was_last_seen_is_kept(mesh: Mesh) -> None:
    mesh.connect("s1")
    start = mesh.clock.now
    mesh.after(45)
    (shown,) = mesh.registrations.status()
    assert (shown["since"], shown["seen"], shown["connected"], shown["ends"]) == (start, start + 45, True, None)
    mesh.clock.now += 5  # and here it crashes
    mesh.restart()
    (shown,) = mesh.registrations.status()
    assert (shown["since"], shown["seen"], shown["connected"]) == (start, start + 45, False)


def test_what_is_probed_gets_requests_once_it_is_well(mesh: Mesh) -> None:
    mesh.connect("s1", **PROBED)
    key = ("default", "shop-10.0.0.1")
    assert mesh.registrations.read().unhealthy == {key}
    assert mesh.registrations.health("s1", None)
    assert mesh.registrations.read().unhealthy == frozenset()
    assert mesh.registrations.health("s1", "connection refused")
    assert not mesh.registrations.health("s1", "connection refused again")
    (shown,) = mesh.registrations.status()
    assert (shown["health"], shown["message"]) == ("unhealthy", "connection refused again")
    mesh.restart()
    assert mesh.registrations.read().unhealthy == {key}


def test_what_is_not_probed_counts_as_well(mesh: Mesh) -> None:
    mesh.connect("s1")
    assert not mesh.registrations.health("s1", "not asked for")
    assert not mesh.registrations.health("nobody", None)
    assert mesh.registrations.read().unhealthy == frozenset()


def test_entries_follow_their_group(mesh: Mesh) -> None:
    mesh.connect("s1", LABELS={"version": "v2"})
    mesh.connect("s2", number=2)
    assert mesh.groups(GROUP.replace("version: v1", "version: v3, tier: front"))
    labels = [entry.metadata.labels for entry in mesh.registrations.read().policies]
    assert labels == [
        {"app": "shop", "version": "v2", "tier": "front"},
        {"app": "shop", "version": "v3", "tier": "front"},
    ]
    assert mesh.groups()
    assert mesh.names == []
    assert (
        mesh.registrations.read().problems[0].startswith("vm-1.default: node metadata AUTO_REGISTER_GROUP: there is no")
    )
    assert mesh.groups(GROUP)
    assert (mesh.names, mesh.registrations.read().problems) == (["shop-10.0.0.1", "shop-10.0.0.2"], ())


def test_what_is_refused_is_counted_and_not_there(mesh: Mesh) -> None:
    with pytest.raises(RegistrationError):
        mesh.registrations.connect("s1", node(), None)
    mesh.registrations.disconnect("s1")
    assert mesh.names == []
    assert mesh.registrations.metrics.value("auto_registration_errors_total") == 1


def test_what_cannot_be_kept_is_in_force_and_told(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("registrations.sqlite: database or disk is full")

    monkeypatch.setattr(Store, "put", full)
    mesh.connect("s1")
    assert mesh.names == ["shop-10.0.0.1"]
    (problem,) = mesh.registrations.read().problems
    assert problem.endswith("cannot be kept for a restart: registrations.sqlite: database or disk is full")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "registrations.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"registrations\.sqlite"):
        Store(tmp_path / "registrations.sqlite")


async def test_watching_forgets_in_time(mesh: Mesh) -> None:
    changed = asyncio.Event()
    mesh.connect("s1")
    task = asyncio.create_task(mesh.registrations.watch(changed.set))
    mesh.registrations.disconnect("s1")
    mesh.clock.now += GRACE
    mesh.connect("s2", number=2)  # whatever wakes it
    await asyncio.wait_for(changed.wait(), 30)
    assert mesh.names == ["shop-10.0.0.2"]
    task.cancel()


def test_a_group_that_went_while_nobody_looked_takes_its_machines_with_it(mesh: Mesh) -> None:
    mesh.connect("s1")
    later = Registrations(Store(mesh.folder / "registrations.sqlite"), mesh.clock)
    assert later.reconcile([])
    assert later.read().policies == ()


# Inside a control plane


def first(found: Node) -> Request:
    return Request(CLUSTER, node=found)


async def test_a_proxy_that_registers_is_a_member_of_its_service(mesh: Mesh) -> None:
    policies: list[Policy] = load_documents(f"{GROUP}---\n{SERVICE}")
    directory = PolicyDirectory(mesh.folder)
    directory.replace("demo", policies)
    control = Control(State(directory, (mesh.registrations,)))
    running = asyncio.create_task(control.run())
    control.hub.open("s1")
    await asyncio.wait_for(control.on_request("s1", first(node(**PROBED)), Anyone()), 30)
    (member,) = control.state.world.members["shop.example"]
    assert (member.address, member.account, member.health) == ("10.0.0.1", "shop", Health.UNHEALTHY)
    version = control.hub.version
    await control.on_request("s1", Request(HEALTH_TYPE))
    async with asyncio.timeout(30):
        while control.hub.version == version:
            await control.changes.next(30)
    (member,) = control.state.world.members["shop.example"]
    assert member.health is Health.HEALTHY
    (shown,) = reports.status(control)["registrations"]
    assert (shown["proxy"], shown["connected"], shown["health"]) == ("vm-1.default", True, "healthy")
    assert control.missing() == []
    control.on_close("s1")
    assert control.missing() == ["shop-10.0.0.1.default"]
    running.cancel()


class Late:
    """A source that has the group, once it has said everything."""

    name = "late"
    synced = False

    def read(self) -> Parts:
        return Parts(policies=tuple(load_documents(GROUP)) if self.synced else ())

    async def watch(self, changed: Callable[[], None]) -> None:
        raise NotImplementedError


def test_a_group_that_is_not_known_yet_is_not_gone(mesh: Mesh) -> None:
    mesh.connect("s1")
    mesh.registrations = Registrations(Store(mesh.folder / "registrations.sqlite"), mesh.clock)
    directory, late = PolicyDirectory(mesh.folder), Late()
    directory.replace("demo", load_documents(GROUP.replace("name: shop", "name: other")))
    state = State(directory, (late, mesh.registrations))
    for late.synced in (False, True):
        state.reload()
        assert mesh.names == ["shop-10.0.0.1"]


async def test_what_is_not_a_registration_changes_nothing(mesh: Mesh) -> None:
    control = Control(State(PolicyDirectory(mesh.folder), (mesh.registrations,)))
    control.hub.open("s1")
    await control.on_request("s1", first(Node("sidecar~10.0.0.1~vm-1.default~d")), Anyone())
    assert reports.status(control)["registrations"] == []
    control.hub.open("s2")
    with pytest.raises(RegistrationError, match="there is no WorkloadGroup default/shop"):
        await control.on_request("s2", first(node()), Anyone())


def test_one_of_several_replicas_takes_none(tmp_path: Path) -> None:
    registrations = Registrations(Store(tmp_path / "registrations.sqlite"), alone=False)
    with pytest.raises(RegistrationError, match=r"one of several replicas.*apply a WorkloadEntry"):
        registrations.connect("1", node(), Anyone())
    assert not registrations.read().policies
    assert not registrations.connect("2", Node("sidecar~10.0.0.2~vm-2.default~d"), Anyone()), "whoever asks for none"
