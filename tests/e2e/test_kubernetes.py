"""Three machines become a cluster: check mode is true, what was cut off is gone on with, and pods reach each other."""

import contextlib
import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.kubectl
import yaml
from support.bare_machines import BareMachines, bare_machines, difference
from support.stacks import ROOT, leftovers, missing_cluster

from stacks.environment import parse
from stacks.environments import local
from stacks.playbooks import KUBERNETES, Outcome, PlaybookError

REASON = missing_cluster()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
SETTINGS: dict[str, object] = {"workloads": [], "services": [], "postgresql": None}
DIST = ROOT / "dist"
PATIENCE = 180
"""Seconds for whatever is waited for: a machine may be busy."""


@pytest.fixture(scope="module")
def bare() -> Iterator[BareMachines]:
    """Machines, and beside the checkout what is brought to them."""
    made = subprocess.run(
        [sys.executable, "-m", "stacks.images", "kubernetes", "proxy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with bare_machines("cluster", parse(local.ENVIRONMENT, SETTINGS)) as machines:
        machines.variables["kubernetes_further_images"] = ["proxy"]
        yield machines
    shutil.rmtree(ROOT / ".meshwright/cluster", ignore_errors=True)  # the operator's login
    assert leftovers("cluster") == []


def play(bare: BareMachines, *, check: bool = False, **variables: object) -> Outcome:
    """``kubernetes.yml`` with other variables of the inventory."""
    kept = dict(bare.variables)
    bare.variables |= variables
    try:
        return bare.play(check=check, playbook=KUBERNETES)
    finally:
        bare.variables = kept


def run(bare: BareMachines, playbook: str, *, check: bool = False, **given: str) -> Outcome:
    """A playbook with variables of the command line."""
    bare.extra = given
    try:
        return bare.play(check=check, playbook=playbook)
    finally:
        bare.extra = {}


def kubectl(*arguments: str, manifests: str = "") -> str:
    """The operator's own, with the login that the playbook has left."""
    login = ROOT / ".meshwright/cluster/kubeconfig"
    assert login.stat().st_mode & 0o777 == 0o600
    return support.kubectl.kubectl(login, *arguments, stdin=manifests).stdout


def ready() -> dict[str, str]:
    """Node to whether it is ready."""
    nodes = yaml.safe_load(kubectl("get", "nodes", "--output=yaml"))["items"]
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {"v1.34.2"}
    return {
        node["metadata"]["name"]: next(c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready")
        for node in nodes
    }


READY = dict.fromkeys(("node1", "node2", "node3"), "True")


def test_what_stands_in_the_way_is_told_before_anything_is_changed(bare: BareMachines) -> None:
    bare.on("node1", "systemd-run", "--unit=holder", "python3", "-m", "http.server", "6443")
    try:
        bare.on("node1", "sh", "-c", "'until ss -ltn | grep -q :6443; do sleep 0.1; done'")
        with pytest.raises(PlaybookError) as refused:
            play(bare, kubernetes_memory_mib=4096)
    finally:
        bare.on("node1", "systemctl", "stop", "holder")
    message = str(refused.value)
    assert "node1 | port 6443 is held by python3" in message
    assert "stop it, or set kubernetes.api_port; kube-apiserver needs the port" in message
    assert bare.on("node1", "sh", "-c", "'ls -d /etc/kubernetes /etc/containerd 2>/dev/null || true'") == ""


def test_images_that_were_not_built_are_named(bare: BareMachines, tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match=r"index.json is missing on the controller; run `make images`"):
        play(bare, check=True, kubernetes_dist=str(tmp_path))


def test_a_run_that_is_cut_off_is_foreseen_and_gone_on_with(bare: BareMachines) -> None:
    clean = play(bare, check=True).changes
    assert {"node1: kubernetes : Begin the control plane", "node3: kubernetes : Join"} <= set(clean)
    # While kubeadm waits for the API server: keys, files and a database are there, and nothing in it yet.
    cut = "'until test -e /etc/kubernetes/manifests/etcd.yaml; do sleep 0.05; done; pkill -9 -x kubeadm'"
    cutting = threading.Thread(target=bare.on, args=("node1", "sh", "-c", cut))
    cutting.start()
    with pytest.raises(PlaybookError, match="node1: kubernetes : Begin the control plane"):
        play(bare)
    cutting.join()
    foreseen = play(bare, check=True)
    assert {f"{node}: kubernetes : Join" for node in ("node2", "node3")} <= set(foreseen.changes)
    assert difference(foreseen, play(bare)) == (
        [],
        ["node1: kubernetes : Have a directory that nobody else reads", "node1: kubernetes : Write the login"],
    )


def test_every_machine_is_ready_for_the_operator_s_own_kubectl(bare: BareMachines) -> None:
    assert ready() == READY
    # Tokens to join with are gone, but kubeadm's own, which nobody has seen and which ends by itself.
    secrets = yaml.safe_load(kubectl("get", "secrets", "--namespace=kube-system", "--output=yaml"))["items"]
    assert sum(secret["type"] == "bootstrap.kubernetes.io/token" for secret in secrets) <= 1


def test_a_second_run_changes_nothing(bare: BareMachines) -> None:
    assert play(bare).changes == []


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {matchLabels: {app: web}}
      containers:
      - name: web
        image: IMAGE
        command: [/usr/bin/python3.11, -m, http.server, "8000", --directory, /usr/share]
        readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
"""
ASK = """
import json, sys, urllib.request
print(json.dumps([urllib.request.urlopen(url, timeout=20).status for url in sys.argv[1:]]))
"""


def asked(urls: list[str]) -> None:
    """Each pod asks all of these; every machine knows of the pods behind them when they answer three times in a row."""
    for pod in kubectl("get", "pods", "--selector=app=web", "--output=name").split():
        deadline, answered = time.monotonic() + PATIENCE, 0
        while answered < 3:
            try:
                answers = kubectl("exec", pod, "--", "/usr/bin/python3.11", "-c", ASK, *urls)
            except AssertionError:
                assert time.monotonic() < deadline, f"{pod} does not reach {urls}"
                answered = 0
                continue
            assert answers.strip() == str([200] * len(urls)), f"{pod}: {answers}"
            answered += 1


def test_pods_of_two_machines_reach_each_other_by_address_and_by_name(bare: BareMachines) -> None:
    image = f"docker.io/meshwright/proxy:{importlib.metadata.version('meshwright')}"
    kubectl("apply", "--server-side", "--filename=-", manifests=WEB.replace("IMAGE", image))
    kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    pods = yaml.safe_load(kubectl("get", "pods", "--selector=app=web", "--output=yaml"))["items"]
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["node2", "node3"]
    addresses = [f"http://{pod['status']['podIP']}:8000/" for pod in pods]
    asked([*addresses, *["http://web.default.svc.cluster.local/"] * 6, "http://web/"])


def address_of(service: str) -> str:
    """The address that a service has got for whoever is outside."""
    wait = (
        "wait",
        "--for=jsonpath={.status.loadBalancer.ingress[0].ip}",
        f"--timeout={PATIENCE}s",
        f"service/{service}",
    )
    kubectl(*wait)
    return kubectl("get", f"service/{service}", "--output=jsonpath={.status.loadBalancer.ingress[0].ip}")


def from_outside(bare: BareMachines, address: str) -> bool:
    """Whether it answers whoever is on the machines' network, by the way there that the operator has."""
    way = f"http://127.0.0.1:{bare.environment.machines.entrance_port}"
    command = [
        "curl",
        "--silent",
        "--fail",
        "--max-time",
        "3",
        "--proxy",
        way,
        "--output",
        os.devnull,
        f"http://{address}/",
    ]
    return subprocess.run(command, check=False).returncode == 0


def answers(bare: BareMachines, address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not from_outside(bare, address):
        assert time.monotonic() < deadline, f"{address} does not answer"


def hardware(bare: BareMachines) -> dict[str, str]:
    """Hardware address to the machine that has it on the machines' network."""
    found = {}
    for machine, connection in bare.connections.items():
        for link in json.loads(bare.on(machine, "ip", "-json", "address")):
            if connection["ansible_host"] in [one.get("local") for one in link["addr_info"]]:
                found[link["address"]] = machine
    return found


def holder(bare: BareMachines, address: str) -> str:
    """The hardware address at which the machines' network has learnt an address."""
    command = ["ip", "-netns", f"mw-{bare.environment.name}", "-json", "neighbour", "show", address]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout or "[]")
    return next((one["lladdr"] for one in told if "lladdr" in one), "")


OUTSIDE = """
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
"""


def test_a_service_is_reached_from_outside_by_an_address_of_the_pool(bare: BareMachines) -> None:
    kubectl("apply", "--server-side", "--filename=-", manifests=OUTSIDE)
    address = address_of("outside")
    assert address.startswith("10.77.0.2"), address
    answers(bare, address)


DATA = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: keeper}
spec:
  selector: {matchLabels: {app: keeper}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      nodeSelector: {kubernetes.io/hostname: node2}
      terminationGracePeriodSeconds: 0
      securityContext: {runAsUser: 1000, runAsGroup: 1000}
      containers:
      - name: keeper
        image: IMAGE
        command: [/usr/bin/python3.11, -c, "import time; time.sleep(1e6)"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""
VOLUMES = "/var/lib/meshwright/volumes"


def in_keeper(program: str) -> str:
    return kubectl("exec", "deployment/keeper", "--", "/usr/bin/python3.11", "-c", program)


def test_data_of_a_claim_outlives_its_pod(bare: BareMachines) -> None:
    image = f"docker.io/meshwright/proxy:{importlib.metadata.version('meshwright')}"
    kubectl("apply", "--server-side", "--filename=-", manifests=DATA.replace("IMAGE", image))
    kubectl("rollout", "status", "deployment/keeper", f"--timeout={PATIENCE}s")
    in_keeper("open('/data/kept', 'w').write('kept')")
    kubectl("delete", "pod", "--selector=app=keeper", "--wait")
    kubectl("rollout", "status", "deployment/keeper", f"--timeout={PATIENCE}s")
    assert in_keeper("print(open('/data/kept').read())") == "kept\n"
    # Nobody else of the machine reaches it.
    assert bare.on("node2", "stat", "--format=%a", VOLUMES) == "700\n"
    with pytest.raises(PlaybookError, match=r"node2 alone has the data of default/data, which would be lost: move it"):
        run(bare, REMOVE, machines="node2")
    assert kubectl("get", "nodes", "--field-selector=spec.unschedulable=true", "--output=name") == ""


def test_every_machine_is_measured(bare: BareMachines) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(AssertionError):  # it has measured once
            told = [line.split() for line in kubectl("top", "nodes", "--no-headers").splitlines()]
            if len(told) == 3 and all("<unknown>" not in line for line in told):
                break
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert [line[0] for line in told] == ["node1", "node2", "node3"]


REMOVE, RESET = "cluster/remove.yml", "cluster/reset.yml"
DRIFT = {
    "node1": [
        "rm /etc/kubernetes/manifests/kube-scheduler.yaml",
        "kubectl --kubeconfig=/etc/kubernetes/admin.conf -n kube-flannel delete configmap flannel",
    ],
    "node2": ["systemctl disable --now kubelet", "ctr -n k8s.io images rm registry.k8s.io/pause:3.10.1"],
    "node3": ["sysctl -qw net.ipv4.ip_forward=0", "rm /opt/cni/bin/portmap", "echo >> /etc/containerd/config.toml"],
}
"""What somebody did by hand, in the shell of each machine."""
UNITS = "service : Run the units, restarted where their files are newer"
MENDED = [
    "node1: kubernetes : Begin the control plane",
    "node1: kubernetes : Connect the pods of all machines",
    "node2: container_runtime : Import them",
    f"node2: {UNITS}",
    "node3: container_runtime : Write its settings",
    "node3: kubernetes : Copy the programs that were built",
    "node3: kubernetes : Have the kernel forward what pods send",
    f"node3: {UNITS}",
]


def test_drifted_machines_are_told_as_they_are_and_mended(bare: BareMachines) -> None:
    for machine, commands in DRIFT.items():
        for command in commands:
            bare.on(machine, "sh", "-c", shlex.quote(command))
    foreseen = play(bare, check=True)
    assert sorted(foreseen.changes) == MENDED
    assert difference(foreseen, play(bare)) == ([], [])
    kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    asked(["http://web/"] * 4)


def test_settings_that_a_cluster_cannot_take_any_more_are_refused(bare: BareMachines) -> None:
    with pytest.raises(PlaybookError, match=r"the cluster has podSubnet 10.244.0.0/16 and not 10.99.0.0/16"):
        play(bare, kubernetes_pod_network="10.99.0.0/16")
    with pytest.raises(PlaybookError, match=r"belongs to the cluster at 10.77.0.11:6443, and the inventory says api"):
        play(bare, kubernetes_endpoint="api.example:6443")


def test_a_machine_that_boots_again_takes_its_pods_back(bare: BareMachines) -> None:
    began = bare.on("node3", "systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value").strip()
    # As one that loses power: nothing is ended in order.
    soon = ("systemd-run", "--on-active=1", "--timer-property=AccuracySec=100ms")
    bare.on("node3", *soon, "systemctl", "reboot", "--force", "--force")
    booted = (
        f"'until test $(systemctl show --property=UserspaceTimestampMonotonic --value) != {began}; do sleep 0.2; done'"
    )
    for _ in range(PATIENCE):
        with contextlib.suppress(AssertionError):  # it is on its way down
            bare.on("node3", "timeout", "5", "sh", "-c", booted)
            break
    kubectl("wait", "--for=condition=Ready", "node/node3", f"--timeout={PATIENCE}s")
    kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")
    asked(["http://web/"] * 4)


def test_an_address_is_another_machine_s_when_its_own_loses_power(bare: BareMachines) -> None:
    address, machines = address_of("outside"), hardware(bare)
    answers(bare, address)
    before = holder(bare, address)
    soon = ("systemd-run", "--on-active=1", "--timer-property=AccuracySec=100ms")
    bare.on(machines[before], *soon, "systemctl", "poweroff", "--force", "--force")
    try:
        deadline = time.monotonic() + PATIENCE
        while holder(bare, address) == before or not from_outside(bare, address):
            assert time.monotonic() < deadline
        assert machines[holder(bare, address)] != machines[before]
    finally:
        bare.start(machines[before])
    kubectl("wait", "--for=condition=Ready", f"node/{machines[before]}", f"--timeout={PATIENCE}s")
    kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s")


LEFT = """
ls -d /etc/kubernetes/* /var/lib/kubelet/* /var/lib/etcd/* /usr/local/bin/kube* /opt/cni/bin 2>/dev/null
ls -d /var/lib/meshwright/volumes 2>/dev/null
ip -br link | grep -E 'cni0|flannel|veth'; ip route | grep 10.244; nft list ruleset | grep -iE 'kube|flannel|cni-'
ctr -n k8s.io tasks list -q; systemctl is-active kubelet | grep -x active
true
"""
"""Prints what of a cluster is on a machine."""


def test_a_machine_leaves_with_nothing_left_on_it_and_comes_back(bare: BareMachines) -> None:
    with pytest.raises(PlaybookError, match="say which of the inventory's machines: -e machines=NAME"):
        run(bare, REMOVE)
    with pytest.raises(PlaybookError, match="there are node1, node2, node3"):
        run(bare, REMOVE, machines="node3,node9")
    with pytest.raises(
        PlaybookError, match="node1 has the only control plane that answers; a cluster does not outlive it"
    ):
        run(bare, REMOVE, machines="node1")
    foreseen = run(bare, REMOVE, check=True, machines="node3")
    assert difference(foreseen, run(bare, REMOVE, machines="node3")) == ([], [])
    assert foreseen.changes == [
        "node3: kubernetes : Have its pods elsewhere",
        "node3: kubernetes : Have nothing of a cluster on the machine",
        "node3: kubernetes : Have the cluster without it",
    ]
    assert kubectl("get", "nodes", "--output=name").split() == ["node/node1", "node/node2"]
    assert bare.on("node3", "sh", "-c", shlex.quote(LEFT)) == ""
    assert run(bare, REMOVE, machines="node3").changes == []
    assert "node3: kubernetes : Join" in play(bare).changes
    kubectl("wait", "--for=condition=Ready", "node/node3", f"--timeout={PATIENCE}s")
    asked(["http://web/"] * 4)


def test_a_cluster_that_ends_leaves_nothing(bare: BareMachines) -> None:
    with pytest.raises(
        PlaybookError, match="this ends the cluster cluster with all that is in it; say so: -e cluster=cluster"
    ):
        run(bare, RESET)
    foreseen = run(bare, RESET, check=True, cluster="cluster")
    assert difference(foreseen, run(bare, RESET, cluster="cluster")) == ([], [])
    for machine in ("node1", "node2", "node3"):
        assert bare.on(machine, "sh", "-c", shlex.quote(LEFT)) == ""
    assert not (ROOT / ".meshwright/cluster/kubeconfig").exists()
    assert run(bare, RESET, cluster="cluster").changes == []
