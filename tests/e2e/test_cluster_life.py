"""The life of a cluster of three control planes: one dies, a backup comes back, a new version, the first one leaves.

One cluster goes through all of it, in the order of the tests.
"""

import importlib.metadata
import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import support.kubectl
from support.bare_machines import BareMachines, bare_machines, difference
from support.long_tests import when_asked
from support.stacks import ROOT, leftovers, missing_cluster

from stacks.environment import parse
from stacks.environments import local
from stacks.images import versions
from stacks.playbooks import KUBERNETES, Outcome, PlaybookError

REASON = missing_cluster()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
    when_asked,  # Kubernetes of the minor version before is built for it, too
]
NAMES = ("node1", "node2", "node3")
ADDRESS = "10.77.0.10"
SETTINGS: dict[str, object] = {
    "workloads": [],
    "services": [],
    "postgresql": None,
    # Every machine is of the control plane, where nothing else is put.
    "kubernetes": {
        "control_machines": list(NAMES),
        "virtual_address": ADDRESS,
        "pod_traffic": "host-gw",
        "storage": "none",
        "metrics": False,
    },
}
OLD, NEW = versions.PREVIOUS.removeprefix("v"), versions.KUBERNETES.removeprefix("v")
DIST, HERE = ROOT / "dist", ROOT / ".meshwright" / "life"
PATIENCE = 180
"""Seconds for whatever is waited for: a machine may be busy."""
BACKUP, RESTORE, UPGRADE = "cluster/backup.yml", "cluster/restore.yml", "cluster/upgrade.yml"
CERTIFICATES, REMOVE, RESET = "cluster/certificates.yml", "cluster/remove.yml", "cluster/reset.yml"


@pytest.fixture(scope="module")
def bare() -> Iterator[BareMachines]:
    """Machines, and beside the checkout what is brought to them."""
    made = subprocess.run(
        [sys.executable, "-m", "stacks.images", "kubernetes", "kubernetes-1.33", "proxy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    try:
        with bare_machines("life", parse(local.ENVIRONMENT, SETTINGS)) as machines:
            machines.variables |= {"kubernetes_further_images": ["proxy"], "kubernetes_version": OLD}
            yield machines
    finally:
        shutil.rmtree(HERE, ignore_errors=True)  # the operator's login and backups
    assert leftovers("life") == []


def run(bare: BareMachines, playbook: str, *, check: bool = False, **given: str) -> Outcome:
    """A playbook with variables of the command line."""
    bare.extra = given
    try:
        return bare.play(check=check, playbook=playbook)
    finally:
        bare.extra = {}


def attempt(*arguments: str, manifests: str = "") -> subprocess.CompletedProcess[str]:
    """The operator's own ``kubectl``, with the login that the playbook has left."""
    login = HERE / "kubeconfig"
    assert login.stat().st_mode & 0o777 == 0o600
    return support.kubectl.kubectl(login, "--request-timeout=5s", *arguments, stdin=manifests, check=False)


def kubectl(*arguments: str, manifests: str = "") -> str:
    """The same, asked again while the API's address moves."""
    deadline = time.monotonic() + PATIENCE
    while (done := attempt(*arguments, manifests=manifests)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    return done.stdout


def until(found: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def unforeseen(foreseen: Outcome, done: Outcome) -> list[str]:
    """What check mode had not told as it was done; but the operator's login, which is that of the moment."""
    return [line for lines in difference(foreseen, done) for line in lines if not line.endswith("Write the login")]


def kubelets() -> dict[str, str]:
    """Node to the version of its kubelet, of those that are ready."""
    nodes = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"]
        for node in nodes
        if {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        and not node["spec"].get("unschedulable")
    }


def holders(bare: BareMachines) -> list[str]:
    """The machines that have the address of the API."""
    found = []
    for name in NAMES:
        with suppress(AssertionError):  # it is on its way down, or up
            if ADDRESS in bare.on(name, "timeout", "5", "ip", "-4", "-oneline", "address"):
                found.append(name)
    return found


def in_shell(bare: BareMachines, machine: str, script: str) -> str:
    return bare.on(machine, "sh", "-c", shlex.quote(script))


def test_three_control_planes_are_behind_one_address(bare: BareMachines) -> None:
    run(bare, KUBERNETES)
    assert kubelets() == dict.fromkeys(NAMES, versions.PREVIOUS)
    assert len(holders(bare)) == 1
    assert f"https://{ADDRESS}:6443" in (HERE / "kubeconfig").read_text()
    assert run(bare, KUBERNETES).changes == []


def operator(bare: BareMachines, tmp_path: Path, verb: str) -> tuple[int, dict[str, Any], float]:
    """A verb of ``mesh cluster`` that reads: its end, what it reports, and the seconds that it took."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(bare.inventory())
    began = time.monotonic()
    command = [sys.executable, "-m", "mesh_cli", "cluster", verb, f"--inventory={inventory}", "--output=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), time.monotonic() - began


def test_an_operator_sees_what_stands_in_the_way_and_how_the_cluster_does(bare: BareMachines, tmp_path: Path) -> None:
    assert operator(bare, tmp_path, "preflight")[:2] == (
        0,
        {"cluster": "life", "machines": list(NAMES), "problems": []},
    )
    bare.variables["kubernetes_memory_mib"] = 4096
    try:
        code, report, _seconds = operator(bare, tmp_path, "preflight")
    finally:
        del bare.variables["kubernetes_memory_mib"]
    assert code == 1
    assert [(one["host"], one["what"]) for one in report["problems"]] == [
        (name, "has 2048 MiB of memory") for name in NAMES
    ]
    code, report, _seconds = operator(bare, tmp_path, "status")
    assert code == 0
    assert [name for name, one in report["control"].items() if one["holds"]] == holders(bare)
    assert report["control"]["node2"]["members"] == dict.fromkeys(NAMES, True)


def test_the_address_moves_when_its_machine_dies(bare: BareMachines) -> None:
    (holder,) = holders(bare)
    # As one that loses power: nothing is ended in order.
    soon = ("systemd-run", "--on-active=1", "--timer-property=AccuracySec=100ms")
    bare.on(holder, *soon, "systemctl", "reboot", "--force", "--force")
    until(lambda: attempt("get", "--raw=/readyz").returncode != 0 or holder not in holders(bare))
    assert kubectl("get", "--raw=/readyz") == "ok"
    until(lambda: set(kubelets()) == set(NAMES))
    assert len(holders(bare)) == 1


def test_a_backup_comes_back_and_nothing_else_does(bare: BareMachines, tmp_path: Path) -> None:
    kept = tmp_path / "kept.backup"
    assert run(bare, BACKUP, check=True, backup=str(kept)).changes == ["node1: kubernetes : Keep it, encrypted"]
    run(bare, BACKUP, backup=str(kept))
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    kubectl("create", "configmap", "later")
    damaged = tmp_path / "damaged.backup"
    text = kept.read_text().splitlines()
    damaged.write_text("\n".join([*text[:5], text[5][::-1], *text[6:]]))
    for given, why in (
        ({"backup": str(kept)}, "say so: -e cluster=life"),
        ({"backup": str(kept), "cluster": "other"}, "say so: -e cluster=life"),
        ({"backup": str(tmp_path / "none"), "cluster": "life"}, "there is no file .*none"),
        ({"backup": str(damaged), "cluster": "life"}, "the backup cannot be put back: .* is damaged"),
    ):
        with pytest.raises(PlaybookError, match=why):
            run(bare, RESTORE, **given)
    assert attempt("get", "configmap/later").returncode == 0
    # As one that was cut off: the control plane of a machine is stopped.
    in_shell(
        bare, "node2", "cd /etc/kubernetes && mkdir -m 700 stopped-manifests && mv manifests/*.yaml stopped-manifests/"
    )
    with pytest.raises(PlaybookError, match=r"run cluster/restore\.yml again"):
        run(bare, KUBERNETES)
    foreseen = run(bare, RESTORE, check=True, backup=str(kept), cluster="life")
    done = run(bare, RESTORE, backup=str(kept), cluster="life")
    assert {f"{name}: kubernetes : Have the database of the backup" for name in NAMES} <= set(done.changes)
    assert unforeseen(foreseen, done) == []
    assert "NotFound" in attempt("get", "configmap/later").stderr
    until(lambda: set(kubelets()) == set(NAMES))
    assert run(bare, KUBERNETES).changes == []


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{operator: Exists, effect: NoSchedule}]
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app: web}}
      containers:
      - name: web
        image: IMAGE
        command: [/usr/bin/python3.11, -m, http.server, "8000", --directory, /usr/share]
        readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 10}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.80, selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
"""
ASKING = """
import json, os, time, urllib.request
asked, failed = 0, []
while not os.path.exists("/run/asked.stop"):
    try:
        urllib.request.urlopen("http://10.96.0.80/", timeout=20).read()
    except OSError as error:
        failed.append(f"{time.strftime('%X')} {error}")
    asked += 1
    time.sleep(0.05)
print(json.dumps([asked, failed]))
"""


@contextmanager
def asking(bare: BareMachines) -> Iterator[list[Any]]:
    """Asks the Service from a machine, a request after the other and none twice; afterwards the list has how many, and what
    failed."""
    kubectl("apply", "--server-side", "--filename=-", manifests=WEB.replace("IMAGE", image()))
    kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE}s", "--request-timeout=0")
    found: list[Any] = []
    asker = threading.Thread(
        target=lambda: found.extend(json.loads(bare.on("node2", "python3", "-c", shlex.quote(ASKING))))
    )
    asker.start()
    try:
        yield found
    finally:
        bare.on("node2", "touch", "/run/asked.stop")
        asker.join()


def image() -> str:
    return f"docker.io/meshwright/proxy:{importlib.metadata.version('meshwright')}"


def test_a_cluster_gets_a_new_version_while_it_answers(bare: BareMachines) -> None:
    for wanted, why in (
        ("1.33.0", "does not go back to v1.33.0"),
        ("1.35.0", "the roles are for Kubernetes 1.33 and 1.34"),
    ):
        bare.variables["kubernetes_version"] = wanted
        with pytest.raises(PlaybookError, match=why):
            run(bare, UPGRADE, check=True)
    bare.variables["kubernetes_version"] = NEW
    with pytest.raises(PlaybookError, match=r"cluster/upgrade\.yml brings one to another version"):
        run(bare, KUBERNETES, check=True)
    foreseen = run(bare, UPGRADE, check=True)
    assert {f"{name}: kubernetes : Have the machine as kubeadm of that version has it" for name in NAMES} <= set(
        foreseen.changes
    )
    with asking(bare) as answers:
        done = run(bare, UPGRADE)
    assert answers[0] > 100
    assert answers[1] == []
    assert unforeseen(foreseen, done) == []
    assert kubelets() == dict.fromkeys(NAMES, versions.KUBERNETES)
    assert run(bare, UPGRADE).changes == []
    assert run(bare, KUBERNETES).changes == []


def expirations(bare: BareMachines) -> dict[str, str]:
    """Machine to the end of its API server's certificate."""
    command = ("openssl", "x509", "-noout", "-enddate", "-in", "/etc/kubernetes/pki/apiserver.crt")
    return {name: bare.on(name, *command).strip() for name in NAMES}


def test_certificates_are_renewed_where_they_end_soon_or_where_it_is_said(bare: BareMachines) -> None:
    before, login = expirations(bare), (HERE / "kubeconfig").read_text()
    assert run(bare, CERTIFICATES).changes == []
    foreseen = run(bare, CERTIFICATES, check=True, force="true")
    assert unforeseen(foreseen, run(bare, CERTIFICATES, force="true")) == []
    after = expirations(bare)
    assert all(after[name] != before[name] for name in NAMES)
    assert (HERE / "kubeconfig").read_text() != login
    assert set(kubelets()) == set(NAMES)
    assert run(bare, CERTIFICATES).changes == []


LEFT = """
ls -d /etc/kubernetes/* /var/lib/kubelet/* /var/lib/etcd/* /usr/local/bin/kube* /opt/cni/bin 2>/dev/null
ls /etc/systemd/system/kubernetes-address.service /etc/meshwright/kubernetes 2>/dev/null; pgrep -l keepalived
ip -br link | grep -E 'cni0|flannel|veth'; ip route | grep 10.244; nft list ruleset | grep -iE 'kube|flannel|cni-'
ip -br -4 address | grep 10.77.0.10/; ctr -n k8s.io tasks list -q; systemctl is-active kubelet | grep -x active
true
"""
"""Prints what of a cluster is on a machine."""


def test_the_first_control_plane_leaves_and_comes_back(bare: BareMachines) -> None:
    foreseen = run(bare, REMOVE, check=True, machines="node1")
    assert difference(foreseen, run(bare, REMOVE, machines="node1")) == ([], [])
    assert set(kubelets()) == {"node2", "node3"}
    assert in_shell(bare, "node1", LEFT) == ""
    with without(bare, "node1"):
        changes = run(bare, KUBERNETES).changes
        assert not [line for line in changes if "Begin the control plane" in line or "Join" in line]
        assert run(bare, KUBERNETES).changes == []
    assert "node1: kubernetes : Join" in run(bare, KUBERNETES).changes
    assert set(kubelets()) == set(NAMES)
    members = kubectl(
        "exec", "--namespace=kube-system", "etcd-node2", "--", "etcdctl", "--endpoints=https://127.0.0.1:2379",
        "--cacert=/etc/kubernetes/pki/etcd/ca.crt", "--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key", "member", "list",
    )  # fmt: skip
    assert len(members.splitlines()) == 3
    assert run(bare, KUBERNETES).changes == []


@contextmanager
def without(bare: BareMachines, name: str) -> Iterator[None]:
    """An inventory that a machine was taken out of."""
    inventory = bare.inventory

    def shorter(*arguments: Any) -> str:
        made = json.loads(inventory(*arguments))
        for group in (made["all"], *made["all"]["children"].values()):
            group["hosts"].pop(name, None)
        return json.dumps(made)

    bare.inventory = shorter  # type: ignore[method-assign]
    try:
        yield
    finally:
        bare.inventory = inventory  # type: ignore[method-assign]


def test_a_cluster_of_three_that_ends_leaves_nothing(bare: BareMachines) -> None:
    foreseen = run(bare, RESET, check=True, cluster="life")
    assert difference(foreseen, run(bare, RESET, cluster="life")) == ([], [])
    for name in NAMES:
        assert in_shell(bare, name, LEFT) == ""
    assert not (HERE / "kubeconfig").exists()
    assert run(bare, RESET, cluster="life").changes == []
