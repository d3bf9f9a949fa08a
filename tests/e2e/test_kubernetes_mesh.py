"""From nothing to a cluster with the mesh and the demo in it, and what is promised of it, as people meet it."""

import json
from collections.abc import Iterator

import pytest
import yaml
from support.cluster_stack import ClusterStack
from support.stacks import leftovers, missing, missing_machines

from stacks.images.go_build import UnavailableError, find_go


def missing_builders() -> str | None:
    """Why no cluster can be made here."""
    try:
        find_go()
    except UnavailableError as error:
        return str(error)
    return None


REASON = missing() or missing_machines() or missing_builders()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
USER = "6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b"
SHOP, BOOKS = "store.services.local", "book-store.local"
SERVICES = ("store", "order", "warehouse", "warranty", "book-store")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterStack]:
    """The stack, by the command that people use."""
    stack = ClusterStack("local-kubernetes")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
    assert leftovers("local-kubernetes") == []


def test_the_operator_sees_three_machines_that_are_ready(cluster: ClusterStack) -> None:
    assert cluster.login.stat().st_mode & 0o777 == 0o600
    nodes = cluster.get("nodes")["items"]
    conditions = {node["metadata"]["name"]: node["status"]["conditions"] for node in nodes}
    ready = {name: next(c["status"] for c in found if c["type"] == "Ready") for name, found in conditions.items()}
    assert ready == dict.fromkeys(("node1", "node2", "node3"), "True")


def test_another_up_changes_nothing(cluster: ClusterStack) -> None:
    cluster.pulumi("preview", "--expect-no-changes")


def test_every_workload_has_its_proxy_and_the_proxies_what_is_newest(cluster: ClusterStack) -> None:
    for service in SERVICES:
        for pod in cluster.pods(f"app={service}"):
            names = [container["name"] for container in pod["spec"]["initContainers"]]
            assert names == ["istio-init", "istio-proxy"]
    status = json.loads(cluster.control("status", "--output", "json").stdout)
    assert status["proxies"]
    assert all(proxy["synced"] for proxy in status["proxies"].values())


def test_a_purchase_a_list_a_warranty_and_a_refund_pass_through_the_sidecars(cluster: ClusterStack) -> None:
    base = f"/api/v1/store/{USER}"
    bought = cluster.ask("POST", f"{base}/purchase", SHOP, {"model": "Lego 8070", "size": "M"})
    assert (bought.status, bought.fields["server"]) == (201, "istio-envoy")
    order = bought.fields["location"].rpartition("/")[2]
    listed = json.loads(cluster.ask("GET", f"{base}/orders", SHOP).body)
    assert order in [item["orderUid"] for item in listed]
    warranty = cluster.ask("POST", f"{base}/{order}/warranty", SHOP, {"reason": "a brick is missing"})
    assert (warranty.status, json.loads(warranty.body)["decision"]) == (200, "RETURN")
    assert cluster.ask("DELETE", f"{base}/{order}/refund", SHOP).status == 204
    (pod,) = cluster.pods("app=warehouse")
    numbers = cluster.kubectl(
        "get", "--raw", f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}:15090/proxy/stats/prometheus"
    )
    inbound = [
        line
        for line in numbers.stdout.splitlines()
        if line.startswith("istio_requests_total") and "destination" in line
    ]
    assert any('connection_security_policy="mutual_tls"' in line for line in inbound)


@pytest.mark.parametrize("scenario", ["routing", "canary", "timeout", "circuit-breaker", "authentication"])
def test_a_scenario_is_seen_through_the_gateway(cluster: ClusterStack, scenario: str) -> None:
    shown = cluster.demo(scenario)
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_a_wrong_policy_is_refused_where_it_is_applied(cluster: ClusterStack) -> None:
    policy = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "wrong", "namespace": "default"},
        "spec": {"hosts": ["store"], "http": [{"route": [{"destination": {"host": "store"}, "weight": -1}]}]},
    }
    refused = cluster.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(policy), check=False)
    assert refused.returncode != 0
    assert "weight" in refused.stderr


def test_a_policy_by_kubectl_is_in_force_when_its_condition_says_so(cluster: ClusterStack) -> None:
    policy = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: teapot, namespace: default}
spec:
  hosts: [teapot.services.local]
  gateways: [default/services]
  http: [{directResponse: {status: 418}}]
"""
    gateways = [item["metadata"]["name"] for item in cluster.get("gateways.networking.istio.io")["items"]]
    cluster.kubectl("apply", "--filename=-", stdin=policy.replace("default/services", f"default/{gateways[0]}"))
    try:
        cluster.kubectl("wait", "--for=condition=Programmed", "virtualservice/teapot", "--timeout=120s")
        assert cluster.ask("GET", "/", "teapot.services.local").status in (404, 418)
    finally:
        cluster.kubectl("delete", "virtualservice/teapot")
