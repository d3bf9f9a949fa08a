"""Images and programs of a Kubernetes cluster: built as ``make images`` builds them, run as containers by runc, and
asked what they are. The first build takes some ten minutes; later ones come from the cache."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.containers import Built, Runtime, missing, unpacked
from support.stacks import ROOT

from stacks.images import ADDONS, CLUSTER, KUBERNETES, ClusterImage, cluster, go_build, trees, versions
from stacks.images.index import Index, digest_of
from stacks.images.programs import METALLB, PROGRAMS


def unavailable() -> str | None:
    """Why none of them can be made here; None when they can."""
    try:
        go_build.check_architecture()
        go_build.find_go()
    except go_build.UnavailableError as reason:
        return str(reason)
    return missing()


REASON = unavailable()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(3600),  # the programs' first build
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
PLANS = {plan.name: plan for plan in CLUSTER}
OF_KUBERNETES = (("--version",), f"Kubernetes {versions.KUBERNETES}\n")
TOLD = {
    "pause": (("-v",), f"pause {versions.PAUSE}\n"),
    "etcd": (("--version",), f"etcd Version: {versions.ETCD.removeprefix('v')}\n"),
    "flannel": (("--version",), f"{versions.FLANNEL}\n"),
    **dict.fromkeys(("metallb-controller", "metallb-speaker"), (("--port=0",), f'"version":"{versions.METALLB[1:]}"')),
    "local-path-provisioner": (("--version",), f"local-path-provisioner version {versions.LOCAL_PATH_PROVISIONER}\n"),
    "metrics-server": (("--version",), f"{versions.METRICS_SERVER}\n"),
    "coredns": (("-version",), f"CoreDNS-{versions.COREDNS.removeprefix('v')}\n"),
    **dict.fromkeys(("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"), OF_KUBERNETES),
}
"""What each is asked, and what is in its answer; MetalLB's programs end then, as they find no cluster."""
BINDS = ("CAP_NET_BIND_SERVICE",)
COREFILE = ".:53 {\n  hosts {\n    192.0.2.7 name.example\n  }\n}\n"
ASK = """
import socket, struct, sys
question = b"".join(bytes([len(label)]) + label.encode() for label in (*sys.argv[1].split("."), ""))
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(30)
asking.sendto(struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + question + struct.pack(">2H", 1, 1), ("127.0.0.1", 53))
print(socket.inet_ntoa(asking.recv(512)[-4:]))
"""
"""Prints the first address that the name server on loopback has for a name (RFC 1035, 4.1)."""
PATIENCE = 60.0
"""Seconds for whatever is waited for: a machine may be busy."""


def make(output: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stacks.images", "--output", str(output), "--programs", str(output / "nodes")]
    return subprocess.run([*command, *names], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the command has put everything; removed afterwards, as it is large."""
    place = tmp_path_factory.mktemp("cluster")
    done = make(place, "kubernetes")
    assert done.returncode == 0, done.stderr
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def told(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "index.json").read_text())
    return found


@pytest.fixture(scope="module", params=sorted(PLANS))
def image(
    request: pytest.FixtureRequest, output: Path, told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    place = tmp_path_factory.mktemp(request.param)
    described = {one["name"]: one for one in told["images"]}[request.param]
    try:
        yield unpacked(output / described["file"], described["digest"], place)
    finally:
        shutil.rmtree(place)


@pytest.fixture
def plan(image: Built) -> ClusterImage:
    return PLANS[image.archive.name.removesuffix(".tar")]


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    found = Runtime(tmp_path)
    try:
        yield found
    finally:
        found.end()


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_kubeadm_asks_for_these_images(output: Path, told: dict[str, Any]) -> None:
    command = [output / "nodes/bin/kubeadm", "config", "images", "list", "--kubernetes-version", versions.KUBERNETES]
    asked = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(asked) == sorted(plan.reference for plan in KUBERNETES)
    others = {plan.reference for plan in ADDONS}
    assert sorted(asked) == sorted({one["reference"] for one in told["images"]} - others)


def test_an_image_runs_as_its_user_and_tells_its_version(image: Built, plan: ClusterImage, runtime: Runtime) -> None:
    user = json.loads((image.bundle / "config.json").read_text())["process"]["user"]
    assert f"{user['uid']}:{user['gid']}" == plan.user
    arguments, answer = TOLD[plan.name]
    done = runtime.run(image, *arguments, check=False, capabilities=BINDS if plan.low_ports else ())
    assert answer in done.stdout + done.stderr


def test_an_image_has_its_programs_and_no_other(image: Built, plan: ClusterImage) -> None:
    directories = ("", "bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "opt/bin")
    found = {path.name for directory in directories for path in (image.tree / directory).glob("*") if runs(path)}
    netfilter = {path.name for path in (image.tree / "usr/sbin").glob("*")}
    shell = {"busybox", "chmod", "mkdir", "rm", "sh"} if plan.packages == "busybox" else set()
    assert found == set(plan.programs) | netfilter | shell
    assert {"nft", "conntrack", "iptables-restore"} <= netfilter if plan.packages == "netfilter" else not netfilter
    for name in plan.programs:
        assert "ermission" in (image.tree / trees.LICENCES / name / "licences").read_text()


@pytest.mark.parametrize("image", ["local-path-provisioner"], indirect=True)
def test_directories_of_volumes_are_made_and_removed(image: Built, runtime: Runtime) -> None:
    script = "mkdir -m 0777 -p /tmp/volumes/one && chmod 0700 /tmp/volumes && rm -rf /tmp/volumes/one && echo done"
    assert runtime.run(image, command=["/bin/sh", "-euc", script]).stdout == "done\n"


def test_kinds_of_metallb_are_its_own() -> None:
    """But for descriptions, and for what its webhook would convert."""
    asked = [go_build.find_go(), "list", "-m", "-f={{.Dir}}", "go.universe.tf/metallb"]
    source = subprocess.run(asked, cwd=METALLB.source, capture_output=True, text=True, check=True).stdout.strip()
    theirs = {}
    for document in yaml.safe_load_all((Path(source) / "config/manifests/metallb-native.yaml").read_text()):
        if document["kind"] == "CustomResourceDefinition":
            theirs[document["metadata"]["name"]] = undescribed(document)
            theirs[document["metadata"]["name"]]["spec"].pop("conversion", None)
    ours = yaml.safe_load_all((ROOT / "templates/metallb-kinds.yml.j2").read_text())
    assert {one["metadata"]["name"]: one for one in ours} == theirs


def undescribed(value: Any) -> Any:
    """Without texts that nothing depends on."""
    if isinstance(value, dict):
        return {
            key: undescribed(one)
            for key, one in value.items()
            if key != "creationTimestamp" and not (key == "description" and isinstance(one, str))
        }
    return [undescribed(one) for one in value] if isinstance(value, list) else value


def runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@pytest.mark.parametrize("image", ["etcd"], indirect=True)
@pytest.mark.parametrize("program", ["etcdctl", "etcdutl"])
def test_etcd_has_what_looks_after_it(image: Built, runtime: Runtime, program: str) -> None:
    answer = runtime.run(image, "version", command=[f"/usr/local/bin/{program}"]).stdout
    assert answer.startswith(f"{program} version: {versions.ETCD.removeprefix('v')}\n")


@pytest.mark.parametrize("image", ["kube-proxy"], indirect=True)
def test_rules_of_the_kernel_can_be_set_from_kube_proxy(image: Built, runtime: Runtime) -> None:
    """In a network namespace of the container's own, and thus empty, each time."""

    def run(*command: str) -> str:
        return runtime.run(image, command=command, capabilities=("CAP_NET_ADMIN", "CAP_NET_RAW")).stdout

    made = run("nft", "--json", "--echo", "add", "table", "ip", "kube-proxy")
    assert json.loads(made)["nftables"][0]["add"]["table"]["name"] == "kube-proxy"
    for family in ("iptables", "ip6tables"):
        rule = ("-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-m", "comment", "--comment", "x", "-j", "REDIRECT")
        assert run(family, *rule, "--to-ports", "8080") == ""
        assert run(f"{family}-save") == ""
        assert "nf_tables" in run(family, "--version")
    assert run("conntrack", "--count") == "0\n"


@pytest.mark.parametrize("image", ["coredns"], indirect=True)
def test_coredns_serves_on_its_port_without_root(image: Built, runtime: Runtime) -> None:
    name = runtime.prepared(image, "-conf", "/Corefile", files={"/Corefile": COREFILE}, capabilities=BINDS)
    with (runtime.place / "log").open("wb") as log:
        process = subprocess.Popen(runtime.command(name), stdout=log, stderr=log)
        try:
            runtime.until_it_runs(name, process)
            pid = json.loads(runtime.runc("state", name).stdout)["pid"]
            until(lambda: b"CoreDNS-" in (runtime.place / "log").read_bytes() or process.poll() is not None)
            command = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", ASK, "name.example"]
            asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert asked.stdout == "192.0.2.7\n", asked.stderr + (runtime.place / "log").read_text()
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("image", ["pause"], indirect=True)
def test_pause_ends_when_it_is_told_to(image: Built, runtime: Runtime) -> None:
    assert (image.tree / "pause").stat().st_size < 4096
    name = runtime.prepared(image)
    with (runtime.place / "log").open("wb") as log:
        process = subprocess.Popen(runtime.command(name), stdout=log, stderr=log)
        try:
            runtime.until_it_runs(name, process)
            runtime.runc("kill", name, "TERM")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


def test_pause_waits_for_what_dies_in_its_namespace() -> None:
    program = trees.program("pause").program
    outside = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", program])
    try:
        until(lambda: len(children(outside.pid)) == 1)
        (pause,) = children(outside.pid)
        until(lambda: Path(f"/proc/{pause}/comm").read_text() == "pause\n")
        # A process whose parent ends at once; it ends itself when its standard input does.
        read, write = os.pipe()
        command = ["nsenter", "--target", str(pause), "--pid", "sh", "-c", "exec 3<&0; cat <&3 & exit 0"]
        subprocess.run(command, check=True, stdin=read)
        os.close(read)
        until(lambda: len(children(pause)) == 1)
        os.close(write)
        until(lambda: not children(pause))
    finally:
        outside.kill()
        outside.wait()


def children(pid: int) -> list[int]:
    """Dead ones that nobody has waited for are among them."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_index_is_true(output: Path, told: dict[str, Any]) -> None:
    assert told["architecture"] == "amd64"
    for one in told["images"]:
        file = output / one["file"]
        assert digest_of(file) == one["sha256"]
        with tarfile.open(file) as archive:
            content = archive.extractfile("index.json")
            assert content is not None
            (described,) = json.load(content)["manifests"]
        assert described["digest"] == one["digest"]
        assert described["annotations"]["io.containerd.image.name"] == one["reference"]
    placed = {program.name: program for program in PROGRAMS if program.place != "image"}
    assert {one["name"] for one in told["programs"]} == set(placed)
    for one in told["programs"]:
        file = output / one["file"]
        assert digest_of(file) == one["sha256"]
        assert (one["place"], file.parent.name) == (
            (place := placed[one["name"]].place),
            {"node": "bin"}.get(place, place),
        )
        assert one["version"] in version_of(file)


def version_of(file: Path) -> str:
    """What a program of nodes says of itself."""
    arguments = {"kubelet": ["--version"], "kubeadm": ["version"], "kubectl": ["version", "--client"]}
    done = subprocess.run([file, *arguments.get(file.name, ["--version"])], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_what_is_there_is_not_made_again(output: Path) -> None:
    before = {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in output.glob("*.tar")}
    assert len(before) == len(CLUSTER)
    assert make(output, "kubernetes").returncode == 0
    assert {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in before} == before


def test_an_archive_that_somebody_has_changed_is_made_again(output: Path, told: dict[str, Any]) -> None:
    file = output / "pause.tar"
    file.write_bytes(b"not an archive")
    assert make(output, "pause").returncode == 0
    assert json.loads((output / "index.json").read_text()) == told
    assert digest_of(file) == {one["name"]: one["sha256"] for one in told["images"]}["pause"]


def test_the_same_is_made_twice(told: dict[str, Any], tmp_path: Path) -> None:
    known = {one["name"]: one for one in told["images"]}
    for plan in CLUSTER:
        file = tmp_path / f"{plan.name}.tar"
        made = cluster.make_image(plan, file, Index(tmp_path / "index.json"))
        assert (made.digest, made.sha256) == (known[plan.name]["digest"], known[plan.name]["sha256"])
        file.unlink()
