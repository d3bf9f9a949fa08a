"""A machine beside the cluster of an environment, that joins the mesh of its pods for a test and is gone afterwards."""

import http.client
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stacks import vault
from stacks.environment import Environment, parse
from stacks.environments import local
from stacks.layers.machines import ansible_connection, specifications, state_directory
from stacks.machines import driver
from tests.support.bare_machines import BareMachines
from tests.support.cluster_stack import ClusterStack

NAME, ADDRESS, PORT = "node4", "10.77.0.14", 8080
SERVICE = "archive"
"""Of the Service that the machine alone is behind, its workload and its account."""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).status)"


def with_machine(environment: Environment) -> Environment:
    """The environment with the machine, which runs the demo's shop under a name of its own."""
    said = environment.model_dump(mode="json")
    entry = {"machine": NAME, "name": SERVICE, "service": SERVICE, "program": "book-store"}
    overrides = {
        "machines": {"nodes": [*said["machines"]["nodes"], {"name": NAME, "address": ADDRESS}]},
        "services": [*said["services"], {"name": SERVICE, "ports": [{"port": PORT}]}],
        "kubernetes": {"mesh": {"machines": [entry]}},
    }
    return parse(environment, overrides)


@contextmanager
def machine_beside(environment: Environment, connections: Mapping[str, dict[str, Any]]) -> Iterator[BareMachines]:
    """The bare machine on the network of an environment whose own machines are reached by ``connections``."""
    environment = with_machine(environment)
    key = vault.ROOT / environment.machines.ssh_private_key_file
    vault.ensure(vault.ROOT, local.ENVIRONMENT.name, key)
    subprocess.run([str(vault.ROOT / "tools" / "wheelhouse")], stdout=subprocess.DEVNULL, check=True)
    made = driver("namespaces", state_directory(vault.ROOT))
    specs = specifications(environment, Path(f"{key}.pub").read_text().strip())
    spec = next(spec for spec in specs if spec.name == NAME)
    try:
        own = ansible_connection(made.ensure(spec).to_values(), str(key))
        yield BareMachines(environment, {**connections, NAME: own}, lambda _: made.ensure(spec))
    finally:
        made.delete(environment.name, NAME)


def open_control_plane(stack: ClusterStack) -> None:
    """Has the control plane reached from outside the cluster, as the owner of a mesh that is there already does it."""
    command = [str(Path(sys.executable).with_name("mesh")), "manifests", "--values=-", "--output=json"]
    made = subprocess.run(command, input="external: {}", stdout=subprocess.PIPE, text=True, check=True)
    (service,) = [one for one in json.loads(made.stdout) if one["metadata"]["name"] == "istiod-external"]
    options = ("--server-side", "--field-manager=meshwright", "--filename=-")
    stack.kubectl("apply", *options, stdin=json.dumps(service))
    there = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}"
    stack.kubectl("wait", there, "--timeout=60s", "--namespace=istio-system", "service/istiod-external")


def close_control_plane(stack: ClusterStack) -> None:
    stack.kubectl("delete", "--namespace=istio-system", "service/istiod-external", "--ignore-not-found")


def asked_by_pod(stack: ClusterStack, workload: str, url: str) -> str:
    """The status that a pod's application gets."""
    command = ("exec", f"deployment/{workload}", "--container=application", "--", "/usr/bin/python3", "-c", ASK, url)
    return stack.kubectl(*command).stdout.strip()


def asked_by_machine(machines: BareMachines, url: str) -> str:
    """The status that the machine's workload gets, as its user."""
    return machines.on(NAME, "-u", f"demo-{SERVICE}", "python3", "-c", shlex.quote(ASK), url).strip()


def asked_in_plain_text(stack: ClusterStack) -> bool:
    """Whether the machine's workload answers who has no certificate."""
    connection = stack.connection(ADDRESS, PORT, 10.0)
    try:
        connection.request("GET", "/manage/alive")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def numbers_of_machine(stack: ClusterStack) -> str:
    """The statistics of the machine's proxy."""
    connection = stack.connection(ADDRESS, 15090, 10.0)
    try:
        connection.request("GET", "/stats/prometheus")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def numbers_of_pod(stack: ClusterStack, service: str) -> str:
    """The statistics of the proxy of a service's one pod."""
    (pod,) = stack.pods(f"app={service}")
    path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}:15090/proxy/stats/prometheus"
    return stack.kubectl("get", "--raw", path).stdout


def by_mutual_tls(numbers: str, principal: str) -> bool:
    """Whether a proxy has counted a request of that principal that came by mutual TLS."""
    wanted = (
        'reporter="destination"',
        f'source_principal="spiffe://cluster.local/ns/default/sa/{principal}"',
        'connection_security_policy="mutual_tls"',
        'response_code="200"',
    )
    lines = (line for line in numbers.splitlines() if line.startswith("istio_requests_total{"))
    return any(all(part in line for part in wanted) for line in lines)


def strict(*services: str) -> str:
    """Policies by which nobody reaches these services without a certificate."""
    form = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict-{service}, namespace: default}}
spec: {{selector: {{matchLabels: {{app: {service}}}}}, mtls: {{mode: STRICT}}}}
"""
    return "---".join(form.format(service=service) for service in services)


TRACES = """
ls -d /etc/meshwright/proxy /etc/meshwright/re* /etc/meshwright/routes /opt/meshwright/* /var/lib/meshwright/* 2>/dev/null
ls /etc/systemd/system | grep -E 'mesh|workload'; getent passwd mesh-proxy demo-archive; grep svc.cluster.local /etc/hosts
nft list ruleset | grep meshwright; ip route | grep 10.244; systemctl list-units --plain --all | grep -E '^(mesh|workload)-'
true
"""
"""Prints what of the mesh is on a machine."""


def traces(machines: BareMachines) -> str:
    """What of the mesh is on the machine."""
    return machines.on(NAME, "sh", "-c", shlex.quote(TRACES))
