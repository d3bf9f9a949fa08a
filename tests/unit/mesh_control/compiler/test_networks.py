"""By which way proxies of ours reach hosts in other networks, and what a mesh without certificates says to that."""

from dataclasses import replace
from typing import Any

import pytest

from mesh_api.config import SocketAddress
from mesh_api.node import Node
from mesh_control import validate
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import Proxy, proxy_of
from mesh_control.sources import entries
from mesh_control.world import World
from mesh_policy import load_documents
from mesh_policy.mesh_config import read_mesh_networks

NETWORKS = read_mesh_networks("""
networks:
  far: {endpoints: [{fromCidr: 10.2.0.0/16}], gateways: [{address: 203.0.113.2, port: 15443}]}
""")
SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: shop}}
"""
MEMBERS = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: near, namespace: default}
spec: {address: 10.1.0.1, labels: {app: shop}, serviceAccount: shop}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: far, namespace: default}
spec: {address: 10.2.0.1, network: far, labels: {app: shop}, serviceAccount: shop}
"""


def world(*texts: str) -> World:
    policies = load_documents("---".join(texts))
    found = entries.services(policies), entries.workloads(policies)
    return World.of(*found, policies, networks=NETWORKS)


def proxy(address: str = "10.1.0.9", **metadata: Any) -> Proxy:
    node = Node(
        f"sidecar~{address}~client.default~default.svc.cluster.local", metadata={"NAMESPACE": "default", **metadata}
    )
    return replace(proxy_of(node), own=True)


def hosts(of: World, by: Proxy) -> set[tuple[str, int]]:
    (assignment,) = [a for a in compile_proxy(of, by).endpoints if a.cluster_name == "outbound|80||shop.example"]
    found = [host.address for locality in assignment.localities for host in locality.endpoints]
    assert all(isinstance(address, SocketAddress) for address in found)
    return {(a.address, a.port) for a in found if isinstance(a, SocketAddress)}


NEAR, FAR, GATEWAY = ("10.1.0.1", 80), ("10.2.0.1", 80), ("203.0.113.2", 15443)


def test_hosts_of_another_network_are_reached_through_its_gateway() -> None:
    assert hosts(world(SERVICE, MEMBERS), proxy(NETWORK="home")) == {NEAR, GATEWAY}
    assert hosts(world(SERVICE, MEMBERS), proxy()) == {NEAR, GATEWAY}
    assert hosts(world(SERVICE, MEMBERS), proxy(NETWORK="far")) == {NEAR, FAR}


def test_who_says_no_network_is_where_its_workload_is() -> None:
    assert hosts(world(SERVICE, MEMBERS), proxy("10.2.0.1")) == {NEAR, FAR}


def test_who_has_no_certificate_is_not_sent_to_a_gateway() -> None:
    assert hosts(world(SERVICE, MEMBERS), replace(proxy(NETWORK="home"), plain=True)) == {NEAR}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MEMBERS.partition("---")[2], "spec.network"),
        (
            "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: far, namespace: default}\n"
            "spec: {template: {network: far}}\n",
            "spec.template.network",
        ),
        (
            SERVICE.replace(
                "workloadSelector: {labels: {app: shop}}", "endpoints: [{address: 10.2.0.1, network: far}]"
            ),
            "spec.endpoints[0].network",
        ),
    ],
)
def test_gateways_between_networks_need_certificates(text: str, field: str) -> None:
    found = [f for f in validate.findings(world(text), certified=False) if f.code == "MESH0006"]
    assert [(f.field, f.message.partition(",")[0]) for f in found] == [(field, "far has a gateway")]
    assert [f for f in validate.findings(world(text)) if f.code == "MESH0006"] == []
    lonely = world(text.replace("network: far", "network: lonely"))
    assert [f for f in validate.findings(lonely, certified=False) if f.code == "MESH0006"] == []
