"""Which hosts of a cluster's services a proxy is told."""

import pytest

from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.sources.kubernetes.registry import Registry
from mesh_control.world import World
from mesh_policy import load_documents
from tests.unit.mesh_control.sources.kubernetes.clusters import Value, endpoint, endpoint_slice, pod, service, snapshot

CAREFUL = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: careful, namespace: default}
spec:
  host: books.default.svc.cluster.local
  trafficPolicy: {outlierDetection: {minHealthPercent: 50}}
"""
UNREADY = {"ready": False, "serving": False, "terminating": False}


def told(named: Value, policies: str = "", node: str = "node-a") -> list[tuple[str, str]]:
    """Address and health of each host."""
    hosts = [endpoint("books-0", "10.0.0.1"), endpoint("books-1", "10.0.0.2", conditions=UNREADY)]
    pods = [pod("books-0", "10.0.0.1"), pod("books-1", "10.0.0.2", spec={"nodeName": "node-b"})]
    services, workloads = Registry().parts(snapshot([named, endpoint_slice("books-1", "books", hosts), *pods]))
    world = World.of(services, workloads, load_documents(policies, "test") if policies else ())
    client = Node(
        "sidecar~10.0.0.9~client-1.default~default.svc.cluster.local",
        metadata={"NAMESPACE": "default", "NODE_NAME": node, "CLUSTER_ID": "Kubernetes"},
    )
    (found,) = compile_proxy(world, proxy_of(client)).endpoints
    return [(host.address.address, host.health.value) for group in found.localities for host in group.endpoints]


@pytest.mark.parametrize(
    ("named", "policies", "hosts"),
    [
        (service("books"), "", ["HEALTHY", "UNHEALTHY"]),
        (service("books"), CAREFUL, ["HEALTHY"]),
        (service("books", trafficDistribution="PreferClose"), CAREFUL, ["HEALTHY", "UNHEALTHY"]),
    ],
    ids=["told", "never to be asked in a panic", "needed to know when to go further"],
)
def test_hosts_that_are_not_ready(named: Value, policies: str, hosts: list[str]) -> None:
    assert [health for _, health in told(named, policies)] == hosts


def test_clients_that_stay_on_their_node() -> None:
    local = service("books", internalTrafficPolicy="Local")
    assert [address for address, _ in told(local, node="node-b")] == ["10.0.0.2"]
    assert [address for address, _ in told(local, node="node-c")] == []


EDGE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec: {selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: books, namespace: default}
spec: {hosts: ["*"], gateways: [edge], http: [{route: [{destination: {host: books}}]}]}
"""


@pytest.mark.parametrize("target", [8080, "web"])
@pytest.mark.parametrize(
    "conditions",
    [{"ready": True}, UNREADY, {"ready": False, "serving": True, "terminating": True}, None],
    ids=["ready", "not ready", "about to end", "in no slice"],
)
def test_a_gateway_has_its_listeners_as_long_as_its_pod_runs(target: object, conditions: Value | None) -> None:
    ports: list[Value] = [{"name": "http", "port": 80, "targetPort": target}]
    listed = [] if conditions is None else [endpoint("edge-0", "10.0.0.1", conditions=conditions)]
    containers = [{"name": "proxy", "ports": [{"name": "web", "containerPort": 8080}]}]
    values = [
        service("edge", ports),
        endpoint_slice("edge-1", "edge", listed),
        pod("edge-0", "10.0.0.1", {"app": "edge"}, spec={"containers": containers}),
        service("books"),
        endpoint_slice("books-1", "books", [endpoint("books-0", "10.0.0.2")]),
        pod("books-0", "10.0.0.2"),
    ]
    services, workloads = Registry().parts(snapshot(values))
    world = World.of(services, workloads, load_documents(EDGE, "test"))
    metadata = {"NAMESPACE": "default", "LABELS": {"app": "edge"}, "CLUSTER_ID": "Kubernetes"}
    gateway = Node("router~10.0.0.1~edge-0.default~default.svc.cluster.local", metadata=metadata)
    assert [listener.name for listener in compile_proxy(world, proxy_of(gateway)).listeners] == ["0.0.0.0_8080"]
