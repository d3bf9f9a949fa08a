"""The modules of the roles that make a cluster: what they take for missing, for ours and for another's."""

import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.modules import ansible_module


@pytest.fixture(scope="module")
def init() -> ModuleType:
    return ansible_module("kubernetes", "kubeadm_init")


@pytest.fixture(scope="module")
def join(init: ModuleType) -> ModuleType:
    return ansible_module("kubernetes", "kubeadm_join")


@pytest.fixture(scope="module")
def token() -> ModuleType:
    return ansible_module("kubernetes", "kubeadm_token")


@pytest.fixture(scope="module")
def images() -> ModuleType:
    return ansible_module("container_runtime", "image_import")


@pytest.fixture(scope="module")
def kernel() -> ModuleType:
    return ansible_module("kubernetes", "kernel_settings")


def state() -> Any:
    return sys.modules["ansible.module_utils.node_state"]


def file(root: Path, name: str, text: str = "x") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def whole(root: Path) -> None:
    """The files of a control plane."""
    for name in state().CERTIFICATES:
        file(root, f"etc/kubernetes/pki/{name}")
    for name in state().LOGINS:
        file(root, f"etc/kubernetes/{name}", "    server: https://10.0.0.1:6443\n")
    for name in state().MANIFESTS:
        file(root, f"etc/kubernetes/manifests/{name}")


def test_a_control_plane_lacks_what_is_not_there_and_what_is_empty(init: ModuleType, tmp_path: Path) -> None:
    whole(tmp_path)
    host = state().Host(str(tmp_path))
    assert state().missing_files(host) == []
    file(tmp_path, "etc/kubernetes/pki/etcd/peer.key", "")
    (tmp_path / "etc/kubernetes/manifests/etcd.yaml").unlink()
    assert state().missing_files(host) == ["pki/etcd/peer.key", "manifests/etcd.yaml"]


def kubectl(root: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``kubectl`` that answers as the script does."""
    program = file(root, "bin/kubectl", f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_what_the_api_lacks_is_named(init: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = state().Host(str(tmp_path))
    kubectl(tmp_path, 'case "$*" in *readyz*) echo ok;; *nodes*) echo node/b;; esac', monkeypatch)
    found = state().missing_objects(host, "a")
    assert {"configmap/kubeadm-config", "deployment.apps/coredns", "configmap/cluster-info"} <= set(found)
    assert found[-1] == "node/a of the control plane"
    kubectl(tmp_path, "echo refused >&2; exit 1", monkeypatch)
    assert state().missing_objects(host, "a") == ["the API server"]


def test_a_host_of_another_cluster_is_refused(init: ModuleType, tmp_path: Path) -> None:
    host = state().Host(str(tmp_path))
    state().refuse_another(host, "10.0.0.9:6443")
    file(tmp_path, "etc/kubernetes/kubelet.conf", "    server: https://10.0.0.1:6443\n")
    state().refuse_another(host, "10.0.0.1:6443")
    with pytest.raises(
        state().NodeError, match=r"belongs to the cluster at 10.0.0.1:6443, and the inventory says 10.0.0.9"
    ):
        state().refuse_another(host, "10.0.0.9:6443")


def test_a_control_plane_s_own_kubelet_speaks_to_that_machine_s_api(init: ModuleType, tmp_path: Path) -> None:
    host = state().Host(str(tmp_path))
    file(tmp_path, "etc/kubernetes/kubelet.conf", "    server: https://10.0.0.1:6443\n")
    file(tmp_path, "etc/kubernetes/admin.conf", "    server: https://10.0.0.10:6443\n")
    state().refuse_another(host, "10.0.0.10:6443")
    with pytest.raises(state().NodeError, match=r"belongs to the cluster at 10.0.0.10:6443"):
        state().refuse_another(host, "10.0.0.1:6443")


def test_settings_that_a_cluster_keeps_are_compared_with_its_own(
    init: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = state().Host(str(tmp_path))
    kubectl(tmp_path, 'printf "networking:\\n  podSubnet: 10.1.0.0/16\\nkubernetesVersion: v1.34.2\\n"', monkeypatch)
    state().refuse_changes(host, {"podSubnet": "10.1.0.0/16", "kubernetesVersion": "v1.34.2"})
    with pytest.raises(
        state().NodeError, match=r"has podSubnet 10.1.0.0/16 and not 10.2.0.0/16; these settings are for"
    ):
        state().refuse_changes(host, {"podSubnet": "10.2.0.0/16", "kubernetesVersion": "v1.34.2"})


def test_settings_are_read_from_manifests_while_the_api_is_away(
    init: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = state().Host(str(tmp_path))
    kubectl(tmp_path, "exit 1", monkeypatch)
    assert state().settings(host) == {}
    file(tmp_path, "etc/kubernetes/manifests/kube-controller-manager.yaml", "    - --cluster-cidr=10.1.0.0/16\n")
    apiserver = "    - --service-cluster-ip-range=10.2.0.0/16\n    image: registry.k8s.io/kube-apiserver:v1.34.1\n"
    file(tmp_path, "etc/kubernetes/manifests/kube-apiserver.yaml", apiserver)
    found = {"podSubnet": "10.1.0.0/16", "serviceSubnet": "10.2.0.0/16", "kubernetesVersion": "v1.34.1"}
    assert state().settings(host) == found
    with pytest.raises(state().NodeError, match=r"the cluster has kubernetesVersion v1.34.1 and not v1.34.2"):
        state().refuse_changes(host, found | {"kubernetesVersion": "v1.34.2", "controlPlaneEndpoint": "a:1"})


def test_what_was_begun_without_a_database_is_begun_anew(init: ModuleType, tmp_path: Path) -> None:
    file(tmp_path, "etc/kubernetes/pki/ca.crt")
    file(tmp_path, "etc/kubernetes/admin.conf")
    kept = file(tmp_path, "etc/kubernetes/ours.yml")
    host = state().Host(str(tmp_path))
    assert state().nothing_of_value(host)
    init.clear(host)
    assert [path.name for path in (tmp_path / "etc/kubernetes").iterdir()] == [kept.name]
    (tmp_path / "var/lib/etcd/member").mkdir(parents=True)
    assert not state().nothing_of_value(host)


def test_a_machine_has_joined_when_its_own_login_finds_it(
    join: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = state().Host(str(tmp_path))
    assert join.missing(host, "a", False) == ["kubelet.conf"]
    file(tmp_path, "etc/kubernetes/kubelet.conf", "    server: https://10.0.0.1:6443\n")
    kubectl(tmp_path, "echo node/a", monkeypatch)
    assert join.missing(host, "a", False) == []
    kubectl(tmp_path, 'echo "Error from server (NotFound): nodes \\"a\\" not found" >&2; exit 1', monkeypatch)
    assert join.missing(host, "a", False) == ["node/a"]
    kubectl(tmp_path, "echo 'connection refused' >&2; exit 1", monkeypatch)
    with pytest.raises(state().NodeError, match=r"API server at 10.0.0.1:6443 does not answer the node: connection"):
        join.missing(host, "a", False)


def test_no_token_is_told(init: ModuleType) -> None:
    said = b"I am\n\nerror: token abcdef.0123456789abcdef is wrong\nTo see the stack trace of this error execute with --v=5\n"
    assert state().told(said) == "I am\nerror: token TOKEN is wrong"


def test_a_token_is_read_from_what_kubeadm_prints(token: ModuleType) -> None:
    said = f"kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:{'a' * 64} \n"
    assert token.read(token.JOIN, said, "token").groups() == ("abcdef.0123456789abcdef", f"sha256:{'a' * 64}")
    phase = f"[upload-certs] Storing the certificates\n[upload-certs] Using certificate key:\n{'b' * 64}\n"
    assert token.read(token.KEY, phase, "certificate key")[0] == "b" * 64
    with pytest.raises(ValueError, match="kubeadm has said no token"):
        token.read(token.JOIN, "", "token")


def test_images_that_are_not_there_or_are_others_are_missing(images: ModuleType) -> None:
    listing = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "r/pause:3 application/vnd.oci.image.manifest.v1+json sha256:aa 8.6 KiB linux/amd64 io.cri-containerd.image=managed\n"
        "r/etcd:3 application/vnd.oci.image.manifest.v1+json sha256:bb 60.1 MiB linux/amd64 -\n"
    )
    found = images.known(listing)
    assert found == {"r/pause:3": "sha256:aa", "r/etcd:3": "sha256:bb"}
    wanted = [{"name": "r/pause:3", "digest": "sha256:aa"}, {"name": "r/etcd:3", "digest": "sha256:cc"}]
    assert images.missing(wanted, found) == [wanted[1]]
    assert images.difference([wanted[1]], found) == {
        "before": "r/etcd:3 sha256:bb\n",
        "after": "r/etcd:3 sha256:cc\n",
    }


def test_settings_of_the_kernel_are_files_and_values_in_force(kernel: ModuleType, tmp_path: Path) -> None:
    made = kernel.files(tmp_path, "90-x", ["overlay"], {"net.b": "1", "net.a": "0"})
    assert {path.relative_to(tmp_path).as_posix(): text for path, text in made.items()} == {
        "etc/modules-load.d/90-x.conf": "overlay\n",
        "etc/sysctl.d/90-x.conf": "net.a = 0\nnet.b = 1\n",
    }
    found = kernel.Kernel(tmp_path)
    assert found.setting("net.ipv4.ip_forward") is None
    file(tmp_path, "proc/sys/net/ipv4/ip_forward", "0\n")
    found.set("net.ipv4.ip_forward", "1")
    assert found.setting("net.ipv4.ip_forward") == "1"
    assert not found.loaded("overlay")
