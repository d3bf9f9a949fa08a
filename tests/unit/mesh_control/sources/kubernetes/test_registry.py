"""A cluster's objects as services and workloads: what a real istiod is not asked about, or answers by chance."""

from typing import Any

import pytest

from mesh_control.services import Health, Origin, Resolution, Service
from mesh_control.sources import entries
from mesh_control.sources.kubernetes.registry import Objects, Registry
from mesh_control.world import World
from mesh_policy import load_documents
from tests.unit.mesh_control.sources.kubernetes.clusters import endpoint, endpoint_slice, pod, put, service, snapshot


def one(known: Objects, host: str = "books.default.svc.cluster.local") -> Service:
    services, _ = Registry().parts(known)
    return next(item for item in services if item.hostname == host)


def books(**conditions: Any) -> Objects:
    listed = endpoint("books-0", "10.0.0.1", conditions=conditions)
    return snapshot([service("books"), endpoint_slice("books-1", "books", [listed]), pod("books-0", "10.0.0.1")])


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ({}, Health.HEALTHY),
        ({"ready": True, "terminating": True}, Health.HEALTHY),
        ({"ready": False, "serving": False, "terminating": False}, Health.UNHEALTHY),
        ({"ready": False, "serving": True, "terminating": True}, None),
        ({"ready": False}, None),
    ],
)
def test_whether_an_endpoint_gets_requests(conditions: dict[str, bool], health: Health | None) -> None:
    assert [w.health for w in one(books(**conditions)).endpoints] == ([health] if health is not None else [])


def test_one_that_ends_keeps_the_clients_of_its_sessions() -> None:
    known = books(ready=False, serving=True, terminating=True)
    labelled = service("books", metadata={"labels": {"istio.io/persistent-session": "cookie"}})
    assert [w.health for w in one(put(known, [labelled])).endpoints] == [Health.DRAINING]


def test_an_endpoint_in_two_slices_counts_once_and_one_without_its_pod_not_at_all() -> None:
    twice = endpoint("books-0", "10.0.0.1")
    known = snapshot(
        [
            service("books"),
            endpoint_slice("b", "books", [twice], [{"name": "http", "port": 9999}, {"name": "x", "port": 1}]),
            endpoint_slice("a", "books", [twice, endpoint("unknown", "10.0.0.2")]),
            pod("books-0", "10.0.0.1"),
        ]
    )
    assert [(w.name, dict(w.ports)) for w in one(known).endpoints] == [("books-0", {"http": 8080})]


def test_an_endpoint_that_somebody_keeps_by_hand_is_the_pod_of_its_address_if_there_is_one() -> None:
    by_hand = endpoint_slice("books-1", "books", [endpoint("", "10.0.0.1"), endpoint("", "192.0.2.1")])
    known = snapshot([service("books"), by_hand, pod("books-0", "10.0.0.1", {"app": "books"})])
    assert [(w.name, w.address, w.origin) for w in one(known).endpoints] == [
        ("books-0", "10.0.0.1", Origin.ENDPOINT),
        ("", "192.0.2.1", Origin.ENDPOINT),
    ]


def test_what_changed_is_made_anew_and_all_else_is_the_same_as_before() -> None:
    names = [f"s{n}" for n in range(20)]
    listed = [endpoint_slice(f"{n}-1", n, [endpoint(f"{n}-0", f"10.0.0.{i}")]) for i, n in enumerate(names)]
    pods = [pod(f"{n}-0", f"10.0.0.{i}") for i, n in enumerate(names)]
    known, registry = snapshot([*map(service, names), *listed, *pods]), Registry()
    before, workloads = registry.parts(known)

    changed = put(known, [endpoint_slice("s3-1", "s3", [endpoint("s3-0", "10.0.0.3", conditions={"ready": False})])])
    after, same = registry.parts(changed)
    assert [new.name for old, new in zip(before, after, strict=True) if new is not old] == ["s3"]
    assert all(new is old for old, new in zip(workloads, same, strict=True))

    moved, _ = registry.parts(put(known, [pod("s7-0", "10.0.0.7", {"version": "v2"})]))
    assert [new.name for old, new in zip(before, moved, strict=True) if new != old] == ["s7"]

    gone, left = registry.parts(snapshot([service("s1")]))
    assert ([item.name for item in gone], left) == (["s1"], ())


def test_a_pod_says_where_it_is_or_its_node_does() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "node-a",
            "labels": {"topology.kubernetes.io/region": "r", "topology.istio.io/subzone": "s"},
        },
    }
    labelled = pod("b", "10.0.0.2", {"topology.istio.io/locality": "x/y", "istio-locality": "no"})
    _, workloads = Registry().parts(
        snapshot([node, pod("a", "10.0.0.1"), labelled, pod("c", "10.0.0.3", {"istio-locality": "x.y.z"})])
    )
    assert [w.locality for w in workloads] == ["r//s", "x/y", "x/y/z"]


@pytest.mark.parametrize(
    ("kind", "controller", "labels", "owner"),
    [
        ("ReplicaSet", "books-5c8", {"pod-template-hash": "5c8"}, "books"),
        ("ReplicaSet", "books-5c8", {"rollouts-pod-template-hash": "5c8"}, "books"),
        ("ReplicaSet", "books", {}, "books"),
        ("StatefulSet", "books", {}, "books"),
        ("ReplicationController", "books-4", {"deploymentconfig": "books"}, "books"),
        ("Job", "books-28012345", {}, "books"),
        ("Job", "books-2", {}, "books-2"),
        ("ReplicaSet", "books-5c8", {"service.istio.io/workload-name": "named"}, "named"),
    ],
)
def test_what_a_pod_is_a_copy_of(kind: str, controller: str, labels: dict[str, str], owner: str) -> None:
    owners = [{"kind": "Other", "name": "no"}, {"kind": kind, "name": controller, "controller": True}]
    made = pod("books-5c8-x", "10.0.0.1", labels, metadata={"generateName": "books-5c8-", "ownerReferences": owners})
    _, (workload,) = Registry().parts(
        snapshot(
            [made | {"metadata": made["metadata"] | {"labels": labels, "name": "books-5c8-x", "namespace": "default"}}]
        )
    )
    assert workload.owner == owner


def test_a_pod_counts_as_long_as_something_of_it_runs_and_has_an_address() -> None:
    pods = [
        pod("a", "", status={"podIP": ""}),
        pod("b", "10.0.0.2", status={"phase": "Failed"}),
        pod("c", "10.0.0.3", status={"conditions": []}),
    ]
    _, workloads = Registry().parts(snapshot(pods))
    assert [(w.name, w.health) for w in workloads] == [("c", Health.UNHEALTHY)]


def test_near_is_said_by_the_service_or_else_by_its_namespace() -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "default", "annotations": {"networking.istio.io/traffic-distribution": "PreferSameNode"}},
    }
    of_field = service("a", trafficDistribution="PreferClose")
    own = service("b", metadata={"annotations": {"networking.istio.io/traffic-distribution": "PreferSameZone"}})
    services, _ = Registry().parts(snapshot([namespace, of_field, own, service("c")]))
    assert [item.near for item in services] == ["zone", "zone", "node"]


def test_a_headless_service_has_no_address_and_no_workload_entries() -> None:
    known = snapshot([service("books", clusterIP="None", clusterIPs=["None"])])
    services, _ = Registry().parts(known)
    entry = load_documents(
        "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: w, namespace: default}, "
        "spec: {address: 192.0.2.1, labels: {app: books}}}",
        "test",
    )
    world = World.of(services, entries.workloads(entry), entry)
    assert (services[0].resolution, services[0].addresses) == (Resolution.NONE, ())
    assert world.members[services[0].hostname] == ()


def test_a_pod_belongs_to_those_that_select_it_however_ready_else_to_those_that_list_it() -> None:
    unready = pod("books-0", "10.0.0.1", {"app": "books"}, status={"conditions": []})
    by_hand = endpoint_slice("hand-1", "hand", [endpoint("books-0", "10.0.0.1"), endpoint("other-0", "10.0.0.9")])
    others = [service("hand", selector={}), by_hand, pod("other-0", "10.0.0.9")]
    services, workloads = Registry().parts(snapshot([service("books"), unready, *others]))
    world = World.of(services, workloads)
    owned = {w.name: [item.name for item in world.services_of(w)] for w in world.workloads}
    assert owned == {"books-0": ["books"], "other-0": ["hand"]}
    assert world.members["books.default.svc.cluster.local"] == ()
