# SPDX-License-Identifier: Apache-2.0
"""What a host is of a cluster made by kubeadm: which of its parts are there, read from the host and its API each time."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess

SETTINGS = "etc/kubernetes"
CERTIFICATES = (
    "ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key",
    "front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-client.crt", "front-proxy-client.key", "sa.key", "sa.pub",
    "apiserver-etcd-client.crt", "apiserver-etcd-client.key", "etcd/ca.crt", "etcd/ca.key", "etcd/server.crt",
    "etcd/server.key", "etcd/peer.crt", "etcd/peer.key", "etcd/healthcheck-client.crt", "etcd/healthcheck-client.key",
)  # fmt: skip
"""Below ``pki``."""
LOGINS = ("admin.conf", "controller-manager.conf", "kubelet.conf", "scheduler.conf")
MANIFESTS = ("etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml")
"""Below ``manifests``."""
OBJECTS = {
    "kube-system": (
        "configmap/kubeadm-config", "configmap/kubelet-config", "daemonset.apps/kube-proxy", "deployment.apps/coredns",
        "service/kube-dns",
    ),
    "kube-public": ("configmap/cluster-info",),
    "": (
        "clusterrolebinding.rbac.authorization.k8s.io/kubeadm:kubelet-bootstrap",
        "clusterrolebinding.rbac.authorization.k8s.io/kubeadm:node-autoapprove-bootstrap",
        "clusterrolebinding.rbac.authorization.k8s.io/kubeadm:node-autoapprove-certificate-rotation",
    ),
}  # fmt: skip
"""Namespace to what ``kubeadm init`` makes in the API, its last steps among it."""
CONTROL_LABEL = "node-role.kubernetes.io/control-plane"
SETTINGS_OF_MANIFESTS = {
    "podSubnet": ("kube-controller-manager.yaml", r"--cluster-cidr=(\S+)"),
    "serviceSubnet": ("kube-apiserver.yaml", r"--service-cluster-ip-range=(\S+)"),
    "kubernetesVersion": ("kube-apiserver.yaml", r"image: \S+/kube-apiserver:(\S+)"),
}
"""Where the manifests have a setting."""
LEFT = (
    "Port-10250", "Port-10257", "Port-10259", "Port-2379", "Port-2380", "DirAvailable--var-lib-etcd",
    "FileAvailable--etc-kubernetes-kubelet.conf", "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf",
    "FileAvailable--etc-kubernetes-pki-ca.crt",
    *(f"FileAvailable--etc-kubernetes-manifests-{name}" for name in MANIFESTS),
)  # fmt: skip
"""Names of kubeadm's checks that fail for what an earlier run, cut off, has left; that of the API's port is one as well."""


class NodeError(RuntimeError):
    """The host cannot be a part of the cluster, and why."""


class Host:
    """The files of a host, and ``kubectl`` with one of its logins."""

    def __init__(self, root: str = "/") -> None:
        self.settings = os.path.join(root, SETTINGS)
        self.etcd = os.path.join(root, "var/lib/etcd")

    def path(self, name: str) -> str:
        return os.path.join(self.settings, name)

    def has(self, name: str) -> bool:
        """Whether a file is there and not empty."""
        return os.path.isfile(self.path(name)) and os.path.getsize(self.path(name)) > 0

    def server(self, login: str) -> str:
        """The ``HOST:PORT`` that a kubeconfig file names; empty without the file."""
        if not self.has(login):
            return ""
        with open(self.path(login)) as file:
            found = re.search(r"^\s*server:\s*https://(\S+)", file.read(), re.MULTILINE)
        return found[1] if found else ""

    def kubectl(self, login: str, *arguments: str, seconds: int = 10) -> tuple[int, str]:
        """Exit code and output; its complaint where it fails."""
        command = ["kubectl", f"--kubeconfig={self.path(login)}", f"--request-timeout={seconds}s", *arguments]
        if shutil.which("kubectl") is None:
            return 127, "there is no kubectl"
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode, (done.stderr if done.returncode else done.stdout).decode(errors="replace").strip()


def refuse_address(endpoint: str) -> None:
    """Raise :class:`NodeError` for what is no ``HOST:PORT``, before kubeadm does so in the middle of its work."""
    host, _, port = endpoint.rpartition(":")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    wrong = re.fullmatch(rf"{label}(\.{label})*", host) is None or len(host) > 253
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            wrong = True
    if wrong or not port.isdecimal() or not 0 < int(port) < 65536:
        raise NodeError(
            f"{endpoint!r} (kubernetes_endpoint) is no HOST:PORT; set a name in lower case or an IPv4 address, without a "
            "scheme, and a port"
        )


def refuse_another(host: Host, endpoint: str) -> None:
    """Raise :class:`NodeError` where the host belongs to a cluster at another address."""
    # The kubelet of a control plane speaks to that of its own machine; its administrator's login says where the cluster is.
    for login in ("admin.conf",) if host.server("admin.conf") else ("kubelet.conf", "bootstrap-kubelet.conf"):
        server = host.server(login)
        if server and server != endpoint:
            raise NodeError(
                f"{host.path(login)}: the host belongs to the cluster at {server}, and the inventory says {endpoint} "
                "(kubernetes_endpoint); correct the setting, or take the host out of that cluster first"
            )


def refuse_stopped(host: Host) -> None:
    """Raise :class:`NodeError` where a control plane was stopped to get another database, and not begun again."""
    if os.path.isdir(host.path("stopped-manifests")):
        raise NodeError(
            f"{host.path('stopped-manifests')}: a backup was being put back, and the run was cut off; run "
            "cluster/restore.yml again"
        )


def settings(host: Host) -> dict[str, str]:
    """Names of kubeadm's fields to values, as the cluster has them: by its own word, or by manifests while it says none."""
    code, answer = host.kubectl(
        "admin.conf", "--namespace=kube-system", "get", "configmap/kubeadm-config",
        "--output=jsonpath={.data.ClusterConfiguration}",
    )  # fmt: skip
    if not code:
        return dict(re.findall(r"^\s*(\w+):\s*[\"']?([^\s\"']+)[\"']?\s*$", answer, re.MULTILINE))
    found = {}
    for name, (manifest, pattern) in SETTINGS_OF_MANIFESTS.items():
        if host.has(f"manifests/{manifest}"):
            with open(host.path(f"manifests/{manifest}")) as file:
                said = re.search(pattern, file.read())
            found |= {name: said[1]} if said else {}
    return found


def refuse_changes(host: Host, wanted: dict[str, str]) -> None:
    """Raise :class:`NodeError` where the cluster has other settings than those wanted."""
    found = settings(host)
    wrong = [
        f"{name} {found[name]} and not {value}" for name, value in wanted.items() if found.get(name, value) != value
    ]
    if wrong:
        raise NodeError(
            f"the cluster has {', '.join(wrong)}; these settings are for its whole life: set them as they are, or make "
            "another cluster (cluster/upgrade.yml brings one to another version)"
        )


def missing_files(host: Host) -> list[str]:
    """What of a control plane's files is not there."""
    wanted = [*(f"pki/{name}" for name in CERTIFICATES), *LOGINS, *(f"manifests/{name}" for name in MANIFESTS)]
    return [name for name in wanted if not host.has(name)]


def missing_objects(host: Host, name: str) -> list[str]:
    """What the API does not have of what kubeadm makes; ``the API server`` when it does not answer."""
    code, _answer = host.kubectl("admin.conf", "get", "--raw=/readyz")
    if code:
        return ["the API server"]
    found = []
    for namespace, wanted in OBJECTS.items():
        scope = [f"--namespace={namespace}"] if namespace else []
        code, answer = host.kubectl("admin.conf", *scope, "get", "--ignore-not-found", "--output=name", *wanted)
        if code:
            return ["the API server"]
        found += [item for item in wanted if item not in answer.split()]
    selected = f"--selector={CONTROL_LABEL}"
    code, answer = host.kubectl("admin.conf", "get", "nodes", selected, "--output=name")
    return found if f"node/{name}" in answer.split() else [*found, f"node/{name} of the control plane"]


def nothing_of_value(host: Host) -> bool:
    """Whether a first run was cut off before anything was kept: files of a control plane without a database."""
    return not os.path.exists(os.path.join(host.etcd, "member")) and not host.has("manifests/kube-apiserver.yaml")


def version_of(name: str, text: str) -> str:
    """Of a manifest, the version of its program (``v1.34.2``); empty where it says none."""
    found = re.search(rf"image: \S+/{name}:(v\S+)", text)
    return found[1] if found else ""


def kubeadm(arguments: list[str], endpoint: str, seconds: int, *further: str) -> None:
    """Run it, whatever an earlier run has left; ``further`` checks are not made either. Raises :class:`NodeError` with what
    it said was wrong."""
    environment = dict(os.environ, LC_ALL="C")
    left = ",".join((*LEFT, f"Port-{endpoint.rpartition(':')[2]}", *further))
    try:
        done = subprocess.run(
            ["kubeadm", *arguments, f"--ignore-preflight-errors={left}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired as expired:
        raise NodeError(f"kubeadm {arguments[0]} has not ended within {seconds} s: {told(expired.stdout)}") from None
    if done.returncode:
        raise NodeError(f"kubeadm {arguments[0]}: {told(done.stdout)}")


def told(output: bytes | None) -> str:
    """The end of what kubeadm said, without what nobody may read."""
    text = re.sub(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "TOKEN", (output or b"").decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("To see the stack trace")]
    return "\n".join(lines[-12:])
