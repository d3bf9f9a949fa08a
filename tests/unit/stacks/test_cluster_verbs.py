"""The modules by which machines leave a cluster: which pods a drain waits for, and which traces are the cluster's."""

import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.modules import ansible_module


@pytest.fixture(scope="module")
def node() -> ModuleType:
    return ansible_module("kubernetes", "cluster_node")


@pytest.fixture(scope="module")
def reset() -> ModuleType:
    return ansible_module("kubernetes", "kubeadm_reset")


def pod(kind: str = "ReplicaSet", phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"kind": kind}]}, "status": {"phase": phase}}


def test_a_drain_waits_for_pods_that_begin_elsewhere(node: ModuleType) -> None:
    assert node.leaves(pod())
    assert node.leaves({"metadata": {}, "status": {"phase": "Pending"}})
    assert not node.leaves(pod("DaemonSet"))
    assert not node.leaves(pod("Node"))
    assert not node.leaves(pod("Job", "Succeeded"))


def host(reset: ModuleType, root: Path, **parameters: Any) -> Any:
    return reset.Host(SimpleNamespace(params={"root": str(root), "pod_network": "", **parameters}))


def test_files_count_where_they_hold_something(reset: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "etc/kubernetes").mkdir(parents=True)
    (tmp_path / "var/lib/etcd/member").mkdir(parents=True)
    (tmp_path / "var/lib/cni").mkdir()
    found = host(reset, tmp_path).files(["etc/kubernetes", "/var/lib/etcd", "var/lib/cni", "run/flannel"])
    assert found == [tmp_path / "var/lib/etcd"]


def test_what_is_removed_is_removed_whole_and_links_are_not_followed(reset: ModuleType, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "gone/inner").mkdir(parents=True)
    (tmp_path / "gone/inner/file").touch()
    os.symlink(kept, tmp_path / "gone/link")
    reset.remove(tmp_path / "gone")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept"]
    reset.remove(kept, inside=True)
    assert list(kept.iterdir()) == []


def test_what_is_mounted_below_is_found_the_deepest_first(reset: ModuleType) -> None:
    mountinfo = (
        "20 1 8:1 / / rw - ext4 /dev/a rw\n"
        "21 20 8:1 /x /var/lib/kubelet rw - ext4 /dev/a rw\n"
        "22 21 0:40 / /var/lib/kubelet/pods/a/volumes rw - tmpfs tmpfs rw\n"
        "23 22 8:1 /y /var/lib/kubelet/pods/a/volumes/with\\040space rw - ext4 /dev/a rw\n"
        "24 20 8:1 /z /var/lib/kubelet2/pods rw - ext4 /dev/a rw\n"
    )
    assert reset.below(mountinfo, Path("/var/lib/kubelet")) == [
        "/var/lib/kubelet/pods/a/volumes/with space",
        "/var/lib/kubelet/pods/a/volumes",
    ]


def test_rules_of_others_stay_as_they_are(reset: ModuleType) -> None:
    before = (
        "*filter\n:INPUT ACCEPT [1:2]\n:OURS - [0:0]\n:KUBE-FIREWALL - [0:0]\n:CNI-HOSTPORT-DNAT - [0:0]\n"
        "-A INPUT -j KUBE-FIREWALL\n-A INPUT -p tcp -g OURS\n-A KUBE-FIREWALL -j DROP\n"
        "-A OURS -m comment --comment KUBE -j ACCEPT\nCOMMIT\n"
    )
    assert reset.without_chains(before) == (
        "*filter\n:INPUT ACCEPT [1:2]\n:OURS - [0:0]\n"
        "-A INPUT -p tcp -g OURS\n-A OURS -m comment --comment KUBE -j ACCEPT\nCOMMIT\n"
    )


def volume(*nodes: str, key: str = "kubernetes.io/hostname", claim: bool = True) -> dict[str, Any]:
    rule = {"key": key, "operator": "In", "values": list(nodes)}
    claimed = {"claimRef": {"namespace": "shop", "name": "data"}} if claim else {}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}
    return {"metadata": {"name": "pvc-1"}, "spec": {"nodeAffinity": affinity, **claimed}}


def test_data_that_is_on_one_node_alone_is_lost_with_it(node: ModuleType) -> None:
    assert node.bound_to(volume("node3"), "node3")
    assert not node.bound_to(volume("node2"), "node3")
    assert not node.bound_to(volume("node2", "node3"), "node3")
    assert not node.bound_to(volume("node3", key="topology.kubernetes.io/zone"), "node3")
    assert not node.bound_to({"metadata": {"name": "nfs"}, "spec": {}}, "node3")
    assert [node.claimed(volume("a", claim=claim)) for claim in (True, False)] == ["shop/data", "pvc-1"]


def test_what_workloads_have_kept_is_told_and_empty_directories_go(reset: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "volumes/pvc-2").mkdir(parents=True)
    (tmp_path / "volumes/pvc-1").mkdir()
    (tmp_path / "empty").mkdir()
    found = host(reset, tmp_path, data=["/volumes", "/absent"], directories=["/volumes", "/empty", "/absent"])
    assert found.kept() == [tmp_path / "volumes/pvc-1", tmp_path / "volumes/pvc-2"]
    assert found.empty() == [tmp_path / "empty"]


@pytest.mark.parametrize(
    ("destination", "expected"),
    [("10.244.1.0/24", True), ("10.244.9.7", True), ("default", False), ("10.77.0.0/24", False), ("10.0.0.0/8", False)],
)
def test_routes_to_pods_are_the_cluster_s(reset: ModuleType, destination: str, expected: bool) -> None:
    assert reset.within(destination, "10.244.0.0/16") is expected
