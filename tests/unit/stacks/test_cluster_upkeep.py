"""The modules by which a cluster is kept: what they take for old, for another cluster's, and for a step that may be taken."""

import datetime
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.modules import ansible_module

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def module(name: str) -> ModuleType:
    return ansible_module("kubernetes", name)


def shared(name: str) -> Any:
    module("etcd_restore")
    return sys.modules[f"ansible.module_utils.{name}"]


# The address of the API.


@pytest.mark.parametrize("endpoint", ["10.0.0.10:6443", "api.example:443", "a:1"])
def test_an_endpoint_is_a_host_and_a_port(endpoint: str) -> None:
    shared("node_state").refuse_address(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["https://api:6443", "api", "api:", "api:0", "api:70000", "Api:6443", "10.0.0.300:6443", "a_b:1", "-a:1", ":6443"],
)
def test_what_kubeadm_would_refuse_is_refused_before(endpoint: str) -> None:
    node_state = shared("node_state")
    with pytest.raises(
        node_state.NodeError, match=r"\(kubernetes_endpoint\) is no HOST:PORT; set a name in lower case"
    ):
        node_state.refuse_address(endpoint)


def test_a_control_plane_that_was_stopped_for_a_backup_is_not_begun_anew(tmp_path: Path) -> None:
    node_state = shared("node_state")
    host = node_state.Host(str(tmp_path))
    node_state.refuse_stopped(host)
    (tmp_path / "etc/kubernetes/stopped-manifests").mkdir(parents=True)
    with pytest.raises(node_state.NodeError, match=r"run cluster/restore\.yml again"):
        node_state.refuse_stopped(host)


# Members of etcd.


def test_a_member_is_known_by_its_name_or_by_its_address() -> None:
    etcd_member = module("etcd_member")
    told = {
        "members": [
            {"ID": 7, "name": "node1", "peerURLs": ["https://10.0.0.11:2380"]},
            {"ID": 8, "peerURLs": ["https://10.0.0.12:2380"]},
        ]
    }
    assert etcd_member.found(told, "node1", "10.0.0.99") == [7]
    assert etcd_member.found(told, "node2", "10.0.0.12") == [8]
    assert etcd_member.found(told, "node3", "10.0.0.1") == []


# Programs of the control plane.


def process(root: Path, number: int, name: str, began: float) -> None:
    """An entry of /proc, of a machine that booted a thousand seconds ago."""
    (root / "proc" / str(number)).mkdir(parents=True)
    (root / "proc/uptime").write_text("1000.00 1.00")
    ticks = int((began - (time.time() - 1000)) * os.sysconf("SC_CLK_TCK"))
    fields = ["S", *["0"] * 18, str(ticks), "0"]
    (root / "proc" / str(number) / "stat").write_text(f"{number} ({name}) {' '.join(fields)}\n")


def test_a_program_that_began_before_its_certificate_is_old(tmp_path: Path) -> None:
    static_pods, now = shared("static_pods"), time.time()
    process(tmp_path, 10, "kube-scheduler", now - 500)
    process(tmp_path, 11, "kube-controller", now + 100)  # as the kernel keeps its name
    process(tmp_path, 12, "bash", now - 500)
    assert [len(found) for found in static_pods.running(str(tmp_path)).values()] == [0, 0, 1, 1]
    assert static_pods.stale(str(tmp_path)) == []
    for name in ("scheduler.conf", "controller-manager.conf"):
        (tmp_path / "etc/kubernetes").mkdir(exist_ok=True, parents=True)
        (tmp_path / "etc/kubernetes" / name).touch()
    assert static_pods.stale(str(tmp_path)) == ["kube-scheduler"]


def test_files_that_are_put_aside_come_back(tmp_path: Path) -> None:
    static_pods, settings = shared("static_pods"), tmp_path / "etc/kubernetes"
    (settings / "manifests").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/uptime").write_text("1000.00 1.00")
    for name in ("etcd.yaml", "kube-apiserver.yaml", "others.yaml"):
        (settings / "manifests" / name).write_text(name)
    static_pods.stop(1, str(tmp_path))
    static_pods.stop(1, str(tmp_path))
    assert static_pods.stopped(str(tmp_path))
    assert [file.name for file in (settings / "manifests").iterdir()] == ["others.yaml"]
    static_pods.start(str(tmp_path))
    static_pods.start(str(tmp_path))
    assert not static_pods.stopped(str(tmp_path))
    assert sorted(file.name for file in (settings / "manifests").iterdir()) == [
        "etcd.yaml", "kube-apiserver.yaml", "others.yaml",
    ]  # fmt: skip


# Certificates.


def test_certificates_are_told_with_the_days_that_they_are_good_for() -> None:
    told = {
        "certificates": [
            {"name": "apiserver", "expirationDate": "2026-04-01T12:00:00Z", "externallyManaged": False},
            {"name": "super-admin.conf", "expirationDate": "2026-04-01T12:00:00Z", "missing": True},
        ],
        "certificateAuthorities": [{"name": "ca", "expirationDate": "2035-01-01T00:00:00Z"}],
    }
    certificates, authorities = module("kubeadm_certificates").read(told, NOW)
    assert certificates == [{"name": "apiserver", "ends": "2026-04-01", "days": 90}]
    assert [one["days"] for one in authorities] == [3287]


def test_a_machine_without_a_kubelet_has_no_certificate_of_one(tmp_path: Path) -> None:
    assert module("kubeadm_certificates").kubelet_row(NOW, str(tmp_path / "kubelet.pem")) == []


# Backups.


TOLD = {
    "cluster": "local", "authority": "aa", "kubernetes": "v1.34.2", "made": "2026-01-01T00:00:00+00:00",
    "sha256": "", "size": 0,
}  # fmt: skip


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """An archive, as the machine writes it."""
    etcd_snapshot = module("etcd_snapshot")
    snapshot = tmp_path / "snapshot.db"
    snapshot.write_bytes(b"database" * 1000)
    told = TOLD | {"sha256": etcd_snapshot.digest(str(snapshot)), "size": 8000}
    etcd_snapshot.pack(str(snapshot), told, str(tmp_path / "kept/backup.tar.gz"))
    return tmp_path / "kept/backup.tar.gz"


def test_a_backup_comes_back_as_it_was_and_is_nobody_else_s(packed: Path, tmp_path: Path) -> None:
    cluster_backup = module("cluster_backup")
    assert packed.stat().st_mode & 0o777 == 0o600
    assert packed.parent.stat().st_mode & 0o777 == 0o700
    told = cluster_backup.read(str(packed))
    cluster_backup.refuse(told, "local", {"node1": "aa"}, "v1.34.9")
    cluster_backup.unpack(str(packed), told, str(tmp_path / "out.db"))
    assert (tmp_path / "out.db").read_bytes() == b"database" * 1000
    assert (tmp_path / "out.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("cluster", "authority", "version", "why"),
    [
        ("other", "aa", "v1.34.2", "it is of the cluster local, and not of other"),
        ("local", "bb", "v1.34.2", "it is of another cluster of the name local: the authority of node1 is another"),
        ("local", "aa", "v1.33.1", "it is of Kubernetes v1.34.2, and the cluster runs v1.33.1"),
    ],
)
def test_what_is_another_cluster_s_is_refused(cluster: str, authority: str, version: str, why: str) -> None:
    cluster_backup = module("cluster_backup")
    with pytest.raises(cluster_backup.BackupError, match=why):
        cluster_backup.refuse(TOLD, cluster, {"node1": authority}, version)


def test_what_is_damaged_is_refused(packed: Path, tmp_path: Path) -> None:
    cluster_backup = module("cluster_backup")
    told, whole = cluster_backup.read(str(packed)), packed.read_bytes()
    with pytest.raises(cluster_backup.BackupError, match="the snapshot is not the one that was taken"):
        cluster_backup.unpack(str(packed), told | {"sha256": "0" * 64}, str(tmp_path / "out.db"))
    packed.write_bytes(whole[:200])
    with pytest.raises(cluster_backup.BackupError, match="it is damaged"):
        cluster_backup.unpack(str(packed), cluster_backup.read(str(packed)), str(tmp_path / "out.db"))
    packed.write_bytes(b"no archive")
    with pytest.raises(cluster_backup.BackupError, match="it is damaged or no backup"):
        cluster_backup.read(str(packed))


@pytest.mark.parametrize("entries", [{}, {"x": b"{}"}, {"backup.json": b"[]"}, {"backup.json": b'{"cluster": "a"}'}])
def test_what_does_not_say_what_it_is_is_refused(entries: dict[str, bytes], tmp_path: Path) -> None:
    cluster_backup = module("cluster_backup")
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(cluster_backup.BackupError, match=r"it does not begin with|backup\.json has not all of"):
        cluster_backup.read(str(tmp_path / "made.tar.gz"))


def test_every_member_is_made_of_the_snapshot_for_the_same_new_etcd() -> None:
    words = module("etcd_restore").command(
        "etcd:3",
        {
            "members": {"b": "10.0.0.2", "a": "10.0.0.1"},
            "name": "b",
            "snapshot": "/var/x/snapshot.db",
            "token": "restored-1",
        },
        "c",
    )
    assert "--mount=type=bind,src=/var/x,dst=/backup,options=rbind:ro" in words
    assert words[words.index("etcd:3") + 2 :][:4] == ["etcdutl", "snapshot", "restore", "/backup/snapshot.db"]
    assert "--initial-cluster=a=https://10.0.0.1:2380,b=https://10.0.0.2:2380" in words
    assert "--initial-advertise-peer-urls=https://10.0.0.2:2380" in words


# Versions.


@pytest.mark.parametrize(
    ("wanted", "cluster", "node", "why"),
    [
        ("v1.34.2", "v1.33.5", "v1.33.5", ""),
        ("v1.34.2", "v1.34.2", "v1.33.5", ""),
        ("v1.34.3", "v1.34.2", "v1.34.2", ""),
        ("v1.34.2", "v1.34.2", "v1.34.2", ""),
        ("v1.34.2", "v1.32.9", "v1.32.9", "v1.32.9 runs, and minor versions are taken one after another: 1.33 before"),
        ("v1.34.2", "v1.33.9", "v1.32.9", "v1.32.9 runs, and minor versions are taken one after another: 1.33 before"),
        ("v1.33.9", "v1.34.2", "v1.33.9", "the cluster runs v1.34.2, and Kubernetes does not go back to v1.33.9"),
        ("v1.34.1", "v1.34.1", "v1.34.2", "node1 runs v1.34.2, and Kubernetes does not go back to v1.34.1"),
        ("v1.35.0", "v1.34.2", "v1.34.2", "the roles are for Kubernetes 1.33 and 1.34, and not for v1.35.0"),
    ],
)
def test_a_cluster_goes_one_minor_version_forward(wanted: str, cluster: str, node: str, why: str) -> None:
    found = module("cluster_versions").refusal(wanted, ["1.33", "1.34"], cluster, {"node1": node})
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_a_node_that_is_not_ready_is_told() -> None:
    def node(name: str, status: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name},
            "status": {
                "nodeInfo": {"kubeletVersion": "v1.34.2"},
                "conditions": [{"type": "Ready", "status": status}],
            },
        }

    told = json.dumps({"items": [node("a", "True"), node("b", "Unknown")]})
    assert module("cluster_versions").read(told) == ({"a": "v1.34.2", "b": "v1.34.2"}, ["b"])


def test_a_version_is_read_of_a_manifest() -> None:
    text = "    image: registry.k8s.io/kube-apiserver:v1.33.13\n"
    assert shared("node_state").version_of("kube-apiserver", text) == "v1.33.13"
    assert shared("node_state").version_of("kube-scheduler", text) == ""


def test_who_holds_the_address_is_seen_at_its_links() -> None:
    addresses = [{"addr_info": [{"local": "10.0.0.11"}, {"local": "10.0.0.10"}]}, {}]
    assert module("cluster_status").holds(addresses, "10.0.0.10")
    assert not module("cluster_status").holds(addresses, "10.0.0.12")
