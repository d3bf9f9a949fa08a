"""Where a request is dialled: headless services, entries, TLS by name; and that asking leaves nothing behind."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_simulation import Mesh, Request, simulate
from mesh_simulation.applies import applies_to
from tests.unit.mesh_simulation.meshes import OBJECTS, REVIEWS, SUBSETS, asked, mesh, virtual_service
from tests.unit.mesh_simulation.test_outbound import BOTH
from tests.unit.mesh_simulation.test_security import VIEWER

ENTRIES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.example.com"]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
"""


@pytest.mark.parametrize(
    ("url", "cluster"),
    [
        ("http://api.example.com/", "outbound|80||api.example.com"),
        ("https://api.example.com/", "outbound|443||api.example.com"),
        ("http://a.wild.example.com/", "outbound|80||*.wild.example.com"),
        ("http://other.example.com/", "PassthroughCluster"),
        ("https://other.example.com/", "PassthroughCluster"),
    ],
)
def test_entries_are_reached_by_name(url: str, cluster: str) -> None:
    decision = asked(ENTRIES, url)
    assert [d.cluster for d in decision.destinations] == [cluster]
    assert decision.status == 200


def test_requests_to_outside_go_in_plain_text_and_meet_no_proxy() -> None:
    inbound = asked(ENTRIES, "http://api.example.com/").destinations[0].inbound
    assert all(item.transport == "plain text" and not item.sidecar for item in inbound)


def test_a_headless_service_is_routed_by_its_name() -> None:
    headless = OBJECTS.replace("selector: {app: reviews}\n", "selector: {app: reviews}\n  clusterIP: None\n")
    assert headless != OBJECTS
    some = Mesh.read([("objects.yaml", headless), ("a.yaml", SUBSETS), ("b.yaml", BOTH[1])])
    assert simulate(some, Request("client", REVIEWS, headers={"x-user": "jason"})).goes_to("reviews", "v2")


def test_without_workloads_nobody_is_healthy() -> None:
    alone = "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {selector: {app: x}, ports: [{port: 80}]}\n"
    found = asked(alone, "http://empty/")
    assert (found.status, found.flags) == (503, "UH")
    assert asked(alone, "http://empty/", source="old.legacy").status == 0


def test_a_deployment_without_replicas_does_not_count() -> None:
    none = OBJECTS.replace(
        "metadata: {name: reviews-v1}\nspec:\n", "metadata: {name: reviews-v1}\nspec:\n  replicas: 0\n"
    )
    assert none != OBJECTS
    decision = simulate(Mesh.read([("o.yaml", none)]), Request("client", REVIEWS))
    assert decision.destinations[0].endpoints == ("reviews-v2.default",)


def test_what_is_not_exported_is_not_seen() -> None:
    rules = virtual_service("[{directResponse: {status: 418}}]", ", exportTo: [legacy]")
    assert asked(rules).status == 200
    exported = virtual_service("[{directResponse: {status: 418}}]", ', exportTo: ["."]')
    assert asked(exported).status == 418


def test_the_oldest_of_two_virtual_services_counts() -> None:
    first = virtual_service("[{directResponse: {status: 201}}]").replace(
        "{name: reviews}", '{name: z, creationTimestamp: "2020-01-01T00:00:00Z"}'
    )
    second = virtual_service("[{directResponse: {status: 202}}]").replace(
        "{name: reviews}", '{name: a, creationTimestamp: "2021-01-01T00:00:00Z"}'
    )
    assert asked((second, first)).status == 201


REQUESTS = [
    Request("client", REVIEWS + path, headers=headers, source_ip=ip)
    for path in ("/", "/v2/x", "/old", "/reviews/1")
    for headers in ({}, {"x-user": "jason"})
    for ip in ("", "10.9.9.9")
] + [
    Request("old.legacy", "http://reviews.default:9080/"),
    Request(url="http://reviews.default:9080/", principal="a/b"),
]
FRESH = [str(simulate(mesh(*BOTH, VIEWER), request)) for request in REQUESTS]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(REQUESTS))))
def test_an_answer_does_not_depend_on_what_was_asked_before(order: list[int]) -> None:
    some = mesh(*BOTH, VIEWER)
    for number in order:
        assert str(simulate(some, REQUESTS[number])) == FRESH[number]


def test_an_answer_is_the_same_for_equal_workloads_whatever_their_names() -> None:
    some = mesh(*BOTH, VIEWER)
    renamed = [replace(w, name=f"x-{w.name}", address=w.address.replace("241", "244")) for w in some.world.workloads]
    other = replace(some, world=replace(some.world, workloads=tuple(renamed)))
    was = simulate(some, Request("client", REVIEWS))
    is_ = simulate(other, Request("x-client", REVIEWS))
    assert was.outcomes == is_.outcomes


def test_a_workload_belongs_to_an_entry_that_lists_its_address() -> None:
    listed = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: pear, namespace: default}
spec: {address: 10.3.0.1, labels: {app: pear}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: fruit, namespace: default}
spec:
  hosts: [fruit.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.3.0.1, ports: {http: 8080}}]
"""
    found = applies_to(Mesh.read([("entries", listed)]), "pear")
    assert [(service.host, service.ports) for service in found.services] == [
        ("fruit.example.com", ("80 -> 8080 HTTP",))
    ]
