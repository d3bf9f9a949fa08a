"""Addresses in the status of a cluster's ServiceEntries: who is written to, for which version, and what is read there."""

from typing import Any

from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.allotting import Allotter, Due, patch, said
from mesh_control.sources.kubernetes.resources import Collection
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.world import World
from mesh_policy import load_documents

Value = dict[str, Any]
ENTRIES = Collection("networking.istio.io", "v1", "serviceentries", "ServiceEntry")
FIRST, SECOND = ("240.240.0.1", "2001:2::1"), ("240.240.0.2", "2001:2::2")


def entry(name: str, version: int = 1, addresses: tuple[str, ...] = (), **spec: Any) -> Value:
    host = f"{name}.example"
    content = {"hosts": [host], "resolution": "DNS", "ports": [{"name": "tcp", "number": 1, "protocol": "TCP"}], **spec}
    metadata = {"name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": str(version)}
    status = {"addresses": [{"value": address, "host": host} for address in addresses]}
    return {"metadata": metadata, "spec": content, "status": status if addresses else {}}


class Known:
    """A cluster, and whoever gives addresses in it."""

    def __init__(self, world: World | None = None) -> None:
        self.cluster = Cluster(Access("https://127.0.0.1:1"))
        self.cluster.mirrors[ENTRIES] = self.cluster._mirror(ENTRIES)
        self.allotter = Allotter()
        self.world = world or World()

    def listed(self, *values: Value) -> None:
        mirror = self.cluster.mirrors[ENTRIES]
        mirror.reflector.on_page(values, "1", "")
        mirror.take()

    def due(self) -> list[Due]:
        return list(self.allotter.due(self.cluster.mirrors, self.world))

    def given(self) -> dict[str, Any]:
        return {name: hosts for _, (_, name), _, hosts in self.due()}


def test_those_without_are_given_some_beside_those_that_have() -> None:
    known = Known()
    known.listed(entry("a", addresses=FIRST), entry("b"), entry("none", resolution="NONE"))
    ((place, key, value, hosts),) = known.due()
    assert (place, key, hosts) == (ENTRIES, ("shop", "b"), {"b.example": SECOND})
    path, body = patch(place, key, value, hosts)
    assert path == "/apis/networking.istio.io/v1/namespaces/shop/serviceentries/b/status"
    assert body["metadata"] == {"name": "b", "namespace": "shop", "resourceVersion": "1"}
    assert body["status"] == {"addresses": [{"value": address, "host": "b.example"} for address in SECOND]}


def test_what_is_written_counts_until_it_is_seen_and_then_what_is_seen() -> None:
    known = Known()
    value = entry("a")
    known.listed(value)
    known.allotter.written(("shop", "a"), value, {"a.example": FIRST})
    known.listed(value, entry("b"))
    assert known.given() == {"b": {"b.example": ("240.240.0.2", "2001:2::2")}}
    known.listed(entry("a", 2, FIRST))
    assert known.given() == {}
    known.listed(entry("a", 3))  # somebody took them away
    assert list(known.given()) == ["a"]


def test_who_is_to_have_none_any_more_is_told_so() -> None:
    known = Known()
    known.listed(entry("a", addresses=FIRST, resolution="NONE"))
    assert known.given() == {"a": {}}


def test_nobody_is_given_what_another_source_has_or_what_is_kept_for_one_that_cannot_be_used() -> None:
    text = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: o, namespace: edge}\n"
        "spec: {hosts: [o.example], addresses: [240.240.0.3], resolution: DNS, ports: [{name: a, number: 1}]}\n"
    )
    elsewhere = {("edge", "any"): {"any.example": FIRST}}
    known = Known(World.of((), (), load_documents(text), allocated=elsewhere))
    known.listed(entry("a"), entry("broken", addresses=SECOND, hosts=[]))
    assert known.given() == {"a": {"a.example": ("240.240.0.4", "2001:2::3")}}


def test_what_the_statuses_say_is_part_of_what_the_source_says() -> None:
    known = Known()
    known.listed(entry("a", addresses=FIRST), entry("b"))
    assert said(known.cluster.mirrors) == {("shop", "a"): {"a.example": FIRST}}
    assert known.cluster.read().allocated == {("shop", "a"): {"a.example": FIRST}}
    typed = known.cluster.mirrors[ENTRIES].typed["shop", "b"]
    known.listed(entry("a", addresses=FIRST), entry("b", 2, SECOND))
    assert known.cluster.read().allocated == {("shop", "a"): {"a.example": FIRST}, ("shop", "b"): {"b.example": SECOND}}
    assert known.cluster.mirrors[ENTRIES].typed["shop", "b"] is typed, "the policy is the same"
