"""The world of several sources: who counts, what is told, and what a set of policies may not take from another source."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mesh_api.node import Node
from mesh_api.xds.session import Request
from mesh_api.xds.type_urls import CLUSTER
from mesh_control import reports
from mesh_control.control import Control
from mesh_control.services import Service, Workload
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.source import Parts, Source
from mesh_control.sources.table import SOURCES
from mesh_control.state import State
from mesh_policy import Policy, ServiceEntry, WorkloadEntry, load_documents
from mesh_policy.mesh_config import read_mesh_config

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  ports: [{number: 80, name: http}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.0.0.1, labels: {app: shop}}
"""


@dataclass
class Told:
    """A source that has what it is given."""

    name: str = "told"
    synced: bool = True
    parts: Parts = field(default_factory=Parts)

    def read(self) -> Parts:
        return self.parts

    async def watch(self, changed: Callable[[], None]) -> None:
        raise NotImplementedError


def policies() -> list[Policy]:
    return load_documents(ENTRY)


def of(directory: Path, *sources: Source) -> State:
    state = State(PolicyDirectory(directory), sources)
    state.reload()
    return state


def test_the_parts_of_every_source_make_one_world(tmp_path: Path) -> None:
    service, workload = Service("a.example", "default", ()), Workload("a", "default", "10.0.0.9")
    told = Told(parts=Parts((service,), (workload,), tuple(policies()[1:]), ("somewhere:1: is wrong; mend it",)))
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", policies()[:1])
    state = State(directory, (told,))
    world = state.reload()
    assert [s.hostname for s in world.services] == ["a.example", "shop.example"]
    assert [w.name for w in world.members["shop.example"]] == ["shop-1"]
    assert [w.name for w in world.workloads] == ["a", "shop-1"]
    assert state.problems() == ["somewhere:1: is wrong; mend it"]


def test_equal_parts_keep_the_world(tmp_path: Path) -> None:
    state = of(tmp_path, Told(parts=Parts(policies=tuple(policies()))))
    assert state.reload() is state.reload()


def test_of_an_object_of_two_sources_the_first_counts_and_it_is_told(tmp_path: Path) -> None:
    other = policies()[1].model_copy(update={"spec": policies()[1].spec.model_copy(update={"address": "10.0.0.2"})})
    state = of(
        tmp_path, Told("one", parts=Parts(policies=(policies()[1],))), Told("two", parts=Parts(policies=(other,)))
    )
    assert [w.address for w in state.world.workloads] == ["10.0.0.1"]
    assert state.problems() == ["WorkloadEntry default/shop-1: two has it, and one, whose counts; remove one"]


def test_a_set_cannot_take_an_object_of_another_source(tmp_path: Path) -> None:
    state = of(tmp_path, Told(parts=Parts(policies=tuple(policies()[1:]))))
    candidate = state.check("demo", policies())
    assert [str(finding) for finding in candidate.findings if finding.code == "MESH0005"] == [
        "error MESH0005 WorkloadEntry default/shop-1: belongs to another owner; remove it there first"
    ]
    candidate = state.check("demo", policies()[:1])
    assert [f.code for f in candidate.findings] == []
    assert [w.name for w in candidate.world.members["shop.example"]] == ["shop-1"]


def test_a_source_that_has_not_said_everything_is_told(tmp_path: Path) -> None:
    told = Told(synced=False)
    state = of(tmp_path, told)
    assert state.unsynced == ["told"]
    assert state.problems() == ["told: has not said everything yet; no proxy is served before"]
    told.synced = True
    state.reload()
    assert (state.unsynced, state.problems()) == ([], [])


def test_settings_that_have_no_effect_are_told_by_name(tmp_path: Path) -> None:
    provider = {"cryptomb": {"pollDelay": "10ms"}}
    mesh = read_mesh_config(yaml.safe_dump({"defaultConfig": {"privateKeyProvider": provider}}))
    state = of(tmp_path, Told(parts=Parts(mesh=mesh)))
    line = "privateKeyProvider is passed over: a proxy that was sent a key signs with it itself"
    assert state.problems() == [f"settings of the mesh: defaultConfig.{line}"]
    control = Control(of(tmp_path, Told()))
    node = Node(
        "sidecar~10.0.0.1~a.default~default.svc.cluster.local",
        metadata={"PROXY_CONFIG": {"privateKeyProvider": provider}},
    )
    control.hub.open("s1", delta=False)
    control.hub.on_request("s1", Request(CLUSTER, node=node), 0.0)
    assert reports.status(control)["problems"] == [f"a.default: PROXY_CONFIG.{line}"]


async def test_the_control_plane_waits_for_every_source(tmp_path: Path) -> None:
    told = Told(synced=False)
    control = Control(of(tmp_path, told))
    running = asyncio.create_task(control.run())
    waiting = asyncio.create_task(control.until_synced())
    control.touch()
    await control.wait(0)
    assert not waiting.done()
    told.synced, told.parts = True, Parts(policies=tuple(policies()))
    control.touch()
    await asyncio.wait_for(waiting, 30)
    assert [type(policy) for policy in control.state.world.policies] == [ServiceEntry, WorkloadEntry]
    running.cancel()


async def test_a_file_that_is_back_at_once_was_never_gone(tmp_path: Path) -> None:
    """As many editors, and whoever copies a tree, write: away with it, and there it is again."""
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", policies())
    control = Control(State(directory))
    version, file = control.hub.version, next((tmp_path / "policies/demo").iterdir())
    running = asyncio.create_task(control.run())
    file.rename(tmp_path / "aside")
    control.touch()
    (tmp_path / "aside").rename(file)
    control.touch()
    async with asyncio.timeout(30):
        await control.changes.next()
    assert "pilot_debounce_time_count 1" in control.metrics.exposition()
    assert control.hub.version == version
    running.cancel()


def test_no_two_sources_have_one_name() -> None:
    assert len({*SOURCES, PolicyDirectory.name}) == len(SOURCES) + 1
