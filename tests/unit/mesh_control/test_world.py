"""The world: protocols, members, order."""

import random

import pytest

from mesh_api.node import Node
from mesh_control.compiler.exports import exported
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import proxy_of
from mesh_control.services import Protocol, Service, protocol_of
from mesh_control.world import World
from mesh_policy import load_documents
from tests.unit.mesh_control import worlds


@pytest.mark.parametrize(
    ("name", "declared", "protocol"),
    [
        ("http", "", Protocol.HTTP),
        ("http-web", "", Protocol.HTTP),
        ("HTTP", "", Protocol.HTTP),
        ("http2-api", "", Protocol.HTTP2),
        ("grpc", "", Protocol.GRPC),
        ("grpc-web-x", "", Protocol.GRPC),
        ("https", "", Protocol.TLS),
        ("tls-x", "", Protocol.TLS),
        ("tcp-pg", "", Protocol.TCP),
        ("mysql", "", Protocol.TCP),
        ("web", "", Protocol.TCP),
        ("httpx", "", Protocol.TCP),
        ("web", "HTTP", Protocol.HTTP),
        ("http", "TCP", Protocol.TCP),
        ("x", "GRPC-WEB", Protocol.GRPC),
    ],
)
def test_protocol(name: str, declared: str, protocol: Protocol) -> None:
    assert protocol_of(name, declared) is protocol


def test_members_are_of_the_services_own_namespace() -> None:
    elsewhere = worlds.workload("order-v9", "order", "10.0.1.1", namespace="other")
    members = worlds.world(workloads=(*worlds.WORKLOADS, elsewhere)).members[worlds.ORDER]
    assert [member.name for member in members] == ["order-v1", "order-v2"]


def test_no_selector_selects_nobody() -> None:
    lonely = Service("a.b", "default", ())
    assert World.of([lonely], worlds.WORKLOADS).members["a.b"] == ()


@pytest.mark.parametrize(
    ("export_to", "seen_by"),
    [(("*",), {"default", "other"}), ((".",), {"default"}), (("other",), {"other"}), (("~",), set())],
)
def test_visibility(export_to: tuple[str, ...], seen_by: set[str]) -> None:
    service = worlds.service("x", export_to=export_to)
    namespaces = ("default", "other")
    assert {n for n in namespaces if exported(service.export_to, service.namespace, n)} == seen_by
    nodes = {n: Node(f"sidecar~10.0.0.9~client.{n}~{n}.svc.cluster.local") for n in namespaces}
    world = World.of([service])
    assert {n for n, node in nodes.items() if Scope(world, proxy_of(node)).services} == seen_by


def test_the_order_of_what_comes_in_does_not_matter() -> None:
    documents = "---\n".join(
        f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\nspec: {{host: order}}\n"
        for name in "cab"
    )
    policies = load_documents(documents)
    first = World.of(worlds.SERVICES, worlds.WORKLOADS, policies)
    for seed in range(5):
        dice = random.Random(seed)
        mixed = [dice.sample(part, len(part)) for part in (worlds.SERVICES, worlds.WORKLOADS, policies)]
        assert World.of(*mixed) == first


def test_policies_are_ranked_by_age() -> None:
    documents = "---\n".join(
        f"apiVersion: networking.istio.io/v1\nkind: Gateway\n"
        f"metadata: {{name: {name}, creationTimestamp: '2026-01-0{day}T00:00:00Z'}}\n"
        f"spec: {{servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]}}\n"
        for name, day in (("a", 3), ("b", 1), ("c", 2))
    )
    assert [p.metadata.name for p in World.of(policies=load_documents(documents)).policies] == ["b", "c", "a"]


def test_ages_are_compared_as_times_and_names_decide_before_namespaces() -> None:
    times = {
        ("a", "x"): "'2026-01-01T09:00:00+02:00'",  # 07:00
        ("b", "x"): "'2026-01-01T08:00:00Z'",
        ("c", "z"): "'2026-01-01T08:00:00.5Z'",
        ("e", "yy"): "2026-02-01",
        ("d", "z"): "'2026-02-01T00:00:00Z'",
    }
    documents = "---\n".join(
        f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        f"metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: {time}}}\nspec: {{host: order}}\n"
        for (name, namespace), time in times.items()
    )
    assert [p.metadata.name for p in World.of(policies=load_documents(documents)).policies] == ["a", "b", "c", "d", "e"]


def test_of_two_services_for_one_host_there_is_one_whatever_the_order() -> None:
    """Sets with such are refused; files written by hand must not make proxies refuse everything."""
    own = worlds.service("order")
    other = Service(own.hostname, "aaa", own.ports, external=True)
    third = Service(own.hostname, "aaa", own.ports)
    for mixed in ([own, other, third], [third, other, own]):
        assert World.of(mixed).services == (own,)
    assert World.of([other, third]) == World.of([third, other])
