"""From nothing to a cluster with the mesh and the demo in it, and what is promised of it, as people meet it."""

import importlib.metadata
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import mesh_machine
from support.bare_machines import BareMachines, difference
from support.cluster_stack import PATIENCE, ClusterStack
from support.long_tests import when_asked
from support.stacks import ROOT, leftovers, missing_cluster

from stacks import cluster_mesh
from stacks.environments import local_kubernetes

REASON = missing_cluster()
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
    kept = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: teapot, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [teapot.services.local]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: teapot, namespace: default}
spec:
  hosts: [teapot.services.local]
  gateways: [teapot]
  http: [{directResponse: {status: 418}}]
"""
    cluster.kubectl("apply", "--filename=-", stdin=kept)
    try:
        cluster.run(
            str(ROOT / ".venv/bin/mesh"), "wait", f"--kubeconfig={cluster.login}", "VirtualService default/teapot"
        )
        assert cluster.ask("GET", "/", "teapot.services.local").status == 418
    finally:
        cluster.kubectl("delete", "--filename=-", stdin=kept)


BESIDE, RELEASED = "books", "books.services.local"
"""Another Service of the book store's pods, whose policies nobody else has, and the host name that its release publishes."""


def release() -> str:
    """The program that declares it. Its candidate's ping is broken; what else it does is right."""
    gateway = local_kubernetes.ENVIRONMENT.mesh.gateway
    return f"""
from mesh_policy import CanaryRelease, Exposed, Traffic
from mesh_policy.releases import ErrorRate, Weight

RELEASE = Traffic(
    Exposed(service="{BESIDE}", hostname="{RELEASED}", gateway="{gateway.name}", port={gateway.http_port}),
    CanaryRelease(
        service="{BESIDE}", stable="v1", candidate="v2", steps=[Weight(50, hold="2s")],
        abort=ErrorRate("> 10%", window="5s", min_requests=5),
    ),
)
"""


def test_a_release_is_taken_back_or_brought_to_its_end(cluster: ClusterStack, tmp_path: Path) -> None:
    ports = [{"name": "http", "port": 8080}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": BESIDE, "namespace": "default"},
        "spec": {"selector": {"app": "book-store"}, "ports": ports},
    }
    file = tmp_path / "release.py"
    file.write_text(release())
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(service))
    try:
        with cluster.load("/api/v1/ping", RELEASED):
            bad = canary(cluster, "start", str(file), "--wait", check=False)
        assert bad.returncode == 1, bad.stdout + bad.stderr
        assert "aborted; v2 0 %, v1 100 %; error rate > 10% within 5s: " in bad.stderr
        with cluster.load("/api/v2", RELEASED):
            good = canary(cluster, "start", str(file), "--wait")
        assert "promoted; v2 100 %, v1 0 %" in good.stdout
        cluster.until("all of it is the candidate's", lambda: versions(cluster) == {"v1.2-break-ping"})
    finally:
        for order in ("abort", "remove"):
            canary(cluster, order, BESIDE, check=False)
        cluster.kubectl("delete", "service", BESIDE)
    assert BESIDE not in canary(cluster, "status", "--output", "json").stdout


def versions(cluster: ClusterStack) -> set[str]:
    """Of those that answer ten requests."""
    return {cluster.ask("GET", "/api/v2", RELEASED).fields.get("x-version", "none") for _ in range(10)}


def canary(cluster: ClusterStack, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """``mesh canary`` with the operator's login."""
    return cluster.run(str(ROOT / ".venv/bin/mesh"), "canary", *words, f"--kubeconfig={cluster.login}", check=check)


def job(name: str, program: str, **spec: Any) -> dict[str, Any]:
    """Something that runs Python once."""
    container = {
        "name": name,
        "image": f"docker.io/meshwright/control:{importlib.metadata.version('meshwright')}",
        "command": ["/usr/bin/python3", "-c", program],
    }
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": "Never", "containers": [container], **spec},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"backoffLimit": 0, "template": template},
    }


def test_a_job_reaches_the_mesh_at_once_and_ends(cluster: ClusterStack) -> None:
    asks = "import urllib.request as r; print(r.urlopen('http://book-store:8080/api/v1/ping').status)"
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(job("asks", asks)))
    try:
        cluster.kubectl("wait", "--for=condition=Complete", "job/asks", f"--timeout={PATIENCE}s")
        assert cluster.kubectl("logs", "job/asks", "--container=asks").stdout.strip() == "200"
    finally:
        cluster.kubectl("delete", "job/asks")


def test_a_pod_that_cannot_have_its_proxy_says_why(cluster: ClusterStack) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(job("exposed", "", hostNetwork=True)))
    try:
        cluster.until("its event", lambda: "no proxy can be put into the pod: hostNetwork" in said(cluster, "exposed"))
    finally:
        cluster.kubectl("delete", "job/exposed")


def test_a_pod_that_is_older_than_the_label_of_its_namespace_is_told(cluster: ClusterStack) -> None:
    cluster.kubectl("create", "namespace", "late")
    try:
        made = job("old", "import time; time.sleep(600)")
        made["metadata"]["namespace"] = "late"
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(made))
        cluster.until("its pod", lambda: len(cluster.pods("app=old", "late")) == 1)
        (pod,) = cluster.pods("app=old", "late")
        assert "initContainers" not in pod["spec"]
        cluster.kubectl("label", "namespace", "late", "istio-injection=enabled")
        name = pod["metadata"]["name"]
        cluster.until("its event", lambda: "runs without one" in said(cluster, name, "late"))
    finally:
        cluster.kubectl("delete", "namespace", "late", "--wait=false")


def said(cluster: ClusterStack, name: str, namespace: str = "default") -> str:
    """What events tell of an object."""
    found = cluster.get("events", f"--namespace={namespace}", f"--field-selector=involvedObject.name={name}")
    return "\n".join(event["message"] for event in found["items"])


def test_manifests_get_the_same_proxy_without_the_cluster(cluster: ClusterStack) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alike", "namespace": "default", "labels": {"app": "alike"}},
        "spec": {"containers": [{"name": "alike", "image": "alike:1", "ports": [{"containerPort": 80}]}]},
    }
    tried = cluster.kubectl("create", "--filename=-", "--dry-run=server", "--output=json", stdin=json.dumps(pod))
    values = json.dumps(cluster_mesh.values(local_kubernetes.ENVIRONMENT))
    place = cluster.login.parent / "values.json"
    place.write_text(values)
    try:
        mesh = str(ROOT / ".venv/bin/mesh")
        made = cluster.run(mesh, "inject", "-f", "-", f"--values={place}", "--output=json", stdin=json.dumps(pod))
    finally:
        place.unlink()
    (offline,) = json.loads(made.stdout)
    online = json.loads(tried.stdout)
    assert offline["metadata"]["labels"] == online["metadata"]["labels"]
    for mine, theirs in zip(offline["spec"]["initContainers"], online["spec"]["initContainers"], strict=True):
        for name in ("name", "image", "args", "env", "resources", "securityContext"):
            assert shape(mine.get(name)) == shape(theirs.get(name)), name


def shape(value: Any) -> Any:
    """A value without what an API server fills in."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items() if name != "apiVersion"}
    return [shape(item) for item in value] if isinstance(value, list) else value


TWICE = (("istio-ingressgateway", "istio-system"), ("book-store-v1", "default"))


@pytest.fixture(scope="module")
def twice(cluster: ClusterStack) -> ClusterStack:
    """Two of what requests pass, of which one may go at a time."""
    # The machines are small: without these one of them has room for all that must not fail.
    for name, namespace in (("istio-egressgateway", "istio-system"), ("book-store-v2", "default")):
        cluster.kubectl("scale", f"deployment/{name}", "--replicas=0", f"--namespace={namespace}")
    for name, namespace in TWICE:
        selector = cluster.get(f"deployment/{name}", f"--namespace={namespace}")["spec"]["selector"]
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": f"{name}-of-test", "namespace": namespace},
            "spec": {"minAvailable": 1, "selector": selector},
        }
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(budget))
        cluster.kubectl("scale", f"deployment/{name}", "--replicas=2", f"--namespace={namespace}")
    for name, namespace in TWICE:
        rolled_out(cluster, name, namespace)
    return cluster


def rolled_out(cluster: ClusterStack, name: str, namespace: str) -> None:
    cluster.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={namespace}", f"--timeout={PATIENCE}s")


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("book-store-v1", "default"), ("meshwright-control", "istio-system"), ("istio-ingressgateway", "istio-system")],
)
def test_no_request_fails_while_pods_are_made_anew(twice: ClusterStack, name: str, namespace: str) -> None:
    with twice.load("/api/v1/ping", BOOKS) as seen:
        twice.kubectl("rollout", "restart", f"deployment/{name}", f"--namespace={namespace}")
        rolled_out(twice, name, namespace)
    assert set(seen) == {200}, seen


@when_asked
def test_no_request_fails_while_a_machine_is_drained(twice: ClusterStack) -> None:
    pods = [*twice.pods("app=istio-ingressgateway", "istio-system"), *twice.pods("app=book-store")]
    ((machine, _number),) = Counter(pod["spec"]["nodeName"] for pod in pods).most_common(1)
    with twice.load("/api/v1/ping", BOOKS) as seen:
        try:
            how = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={PATIENCE}s")
            twice.kubectl("drain", machine, *how)
        finally:
            twice.kubectl("uncordon", machine)
    assert set(seen) == {200}, seen


JOIN, LEAVE = "cluster/join.yml", "cluster/leave.yml"


@pytest.fixture(scope="module")
def machine(cluster: ClusterStack) -> Iterator[BareMachines]:
    """A bare machine on the network of the cluster, which the stack knows nothing of."""
    told = json.loads(cluster.pulumi("stack", "output", "inventory", "--show-secrets", "--json").stdout)
    hosts = (json.loads(told) if isinstance(told, str) else told)["all"]["hosts"]
    mesh_machine.open_control_plane(cluster)
    try:
        with mesh_machine.machine_beside(local_kubernetes.ENVIRONMENT, hosts) as made:
            yield made
    finally:
        mesh_machine.close_control_plane(cluster)


@when_asked
def test_a_machine_joins_the_mesh_of_the_pods_by_one_command(cluster: ClusterStack, machine: BareMachines) -> None:
    foreseen = machine.play(playbook=JOIN, check=True)
    assert difference(foreseen, machine.play(playbook=JOIN)) == ([], [])
    assert machine.play(playbook=JOIN).changes == []
    assert cluster.get("workloadentry/archive")["spec"]["address"] == mesh_machine.ADDRESS


@when_asked
def test_pods_and_the_machine_reach_each_other_by_mutual_tls_alone(
    cluster: ClusterStack, machine: BareMachines
) -> None:
    policies = mesh_machine.strict("archive", "warranty")
    cluster.kubectl("apply", "--filename=-", stdin=policies)
    try:
        wait = ("wait", "--for=condition=Programmed", "--timeout=120s", "--filename=-")
        cluster.kubectl(*wait, stdin=policies)
        assert mesh_machine.asked_by_pod(cluster, "warranty", "http://archive.default:8080/manage/alive") == "200"
        assert mesh_machine.asked_by_machine(machine, "http://warranty.default:8180/manage/alive") == "200"
        assert not mesh_machine.asked_in_plain_text(cluster)
    finally:
        cluster.kubectl("delete", "--filename=-", stdin=policies)
    cluster.until(
        "the machine has counted a request of the pod",
        lambda: mesh_machine.by_mutual_tls(mesh_machine.numbers_of_machine(cluster), "warranty"),
    )
    cluster.until(
        "the pod has counted a request of the machine",
        lambda: mesh_machine.by_mutual_tls(mesh_machine.numbers_of_pod(cluster, "warranty"), "archive"),
    )


@when_asked
def test_a_machine_leaves_with_nothing_left_on_it(cluster: ClusterStack, machine: BareMachines) -> None:
    machine.extra = {"machines": mesh_machine.NAME}
    foreseen = machine.play(playbook=LEAVE, check=True)
    assert difference(foreseen, machine.play(playbook=LEAVE)) == ([], [])
    assert mesh_machine.traces(machine) == ""
    assert cluster.get("workloadentries.networking.istio.io")["items"] == []
