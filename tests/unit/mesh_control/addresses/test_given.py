"""Addresses that the control plane gives by itself: part of its world, and the same after a restart."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from mesh_api.node import Node
from mesh_control.addresses.given import Given
from mesh_control.addresses.store import Store
from mesh_control.compiler import compile_proxy
from mesh_control.databases import StoreError
from mesh_control.proxies import proxy_of
from mesh_control.services import Service
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.source import Parts
from mesh_control.state import State
from mesh_policy import Policy, load_documents

SECOND = ("240.240.0.2", "2001:2::2")


def database(name: str, more: str = "") -> str:
    ports = "ports: [{name: tcp, number: 5432, protocol: TCP}]"
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: {name}, namespace: shop}}\n"
        f"spec: {{hosts: [{name}.example], resolution: DNS, {more}{ports}}}\n---\n"
    )


class Cluster:
    """A source that gives addresses by itself, or leaves it."""

    name = "kubernetes"
    synced = True

    def __init__(self, text: str, allocated: Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]] | None) -> None:
        self.parts = Parts(policies=tuple(load_documents(text)), allocated=allocated)

    def read(self) -> Parts:
        return self.parts

    async def watch(self, changed: object) -> None:
        raise NotImplementedError


def state(folder: Path, *others: Cluster) -> State:
    return State(PolicyDirectory(folder), others, given=Given(Store(folder / "addresses.sqlite")))


def apply(at: State, text: str) -> None:
    policies: list[Policy] = load_documents(text)
    at.directory.replace("shop", policies)
    at.reload()


def addresses(at: State) -> dict[str, tuple[str, ...]]:
    return {service.hostname: service.allocated for service in at.world.services}


def test_they_are_the_same_after_a_restart_and_go_with_the_object(tmp_path: Path) -> None:
    first = state(tmp_path)
    apply(first, database("old"))
    apply(first, database("old") + database("db"))
    apply(first, database("db"))
    assert addresses(first) == {"db.example": SECOND}
    assert first.world.allocated == {("shop", "db"): {"db.example": SECOND}}
    again = state(tmp_path)
    again.reload()
    assert addresses(again) == {"db.example": SECOND}
    apply(again, database("db") + database("next"))
    assert addresses(again)["db.example"] == SECOND
    assert addresses(again)["next.example"] == ("240.240.0.1", "2001:2::1")


def test_a_set_that_is_checked_has_those_that_it_will_be_given(tmp_path: Path) -> None:
    at = state(tmp_path)
    candidate = at.check("shop", load_documents(database("db")))
    assert at.given.foreseen([], []) == {}
    apply(at, database("db"))
    assert candidate.world == at.world


def test_hosts_of_a_cluster_have_what_that_gave_and_nobody_gets_it_beside_them(tmp_path: Path) -> None:
    told = {("shop", "there"): {"there.example": ("240.240.0.1", "2001:2::1")}}
    written = database("written", "addresses: [240.240.0.2], ").replace("written.example", "w.example")
    at = state(tmp_path, Cluster(database("there") + database("later") + written, told))
    apply(at, database("db"))
    assert addresses(at) == {
        "db.example": ("240.240.0.3", "2001:2::2"),
        "there.example": ("240.240.0.1", "2001:2::1"),
        "later.example": (),
        "w.example": (),
    }


def test_a_source_that_leaves_it_is_given_some(tmp_path: Path) -> None:
    at = state(tmp_path, Cluster(database("there"), None))
    at.reload()
    assert addresses(at) == {"there.example": ("240.240.0.1", "2001:2::1")}


def test_what_cannot_be_written_down_is_told_and_tried_again(tmp_path: Path) -> None:
    at = state(tmp_path)
    with sqlite3.connect(tmp_path / "addresses.sqlite") as other:
        other.execute("ALTER TABLE addresses RENAME TO elsewhere")
    apply(at, database("db"))
    assert addresses(at)["db.example"]
    (problem,) = at.problems()
    assert problem.startswith(f"addresses of hosts: {tmp_path}/addresses.sqlite: ")
    with sqlite3.connect(tmp_path / "addresses.sqlite") as other:
        other.execute("ALTER TABLE elsewhere RENAME TO addresses")
    at.reload()
    assert at.problems() == []
    assert Store(tmp_path / "addresses.sqlite").all() == dict(at.world.allocated)


@pytest.mark.parametrize("content", [b"nonsense" * 200, b""])
def test_a_file_that_is_none_of_ours_is_an_error_and_an_empty_one_is_not(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "addresses.sqlite").write_bytes(content)
    if content:
        with pytest.raises(StoreError, match=r"addresses\.sqlite"):
            Store(tmp_path / "addresses.sqlite")
    else:
        assert Store(tmp_path / "addresses.sqlite").all() == {}


@pytest.mark.parametrize(("captures", "listener"), [("true", "240.240.0.1_5432"), ("false", "0.0.0.0_5432")])
def test_proxies_use_them_where_the_application_asks_their_agent(tmp_path: Path, captures: str, listener: str) -> None:
    at = state(tmp_path)
    apply(at, database("db"))
    node = Node(
        "sidecar~192.0.2.7~c-1.shop~shop.svc.cluster.local", metadata={"DNS_CAPTURE": captures, "NAMESPACE": "shop"}
    )
    assert listener in {item.name for item in compile_proxy(at.world, proxy_of(node)).listeners}


def test_a_service_of_no_service_entry_has_none() -> None:
    assert Service("any", "shop", ()).allocated == ()
