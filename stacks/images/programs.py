"""Which Go programs a cluster is made of: those of its images, and those of its nodes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stacks.images import versions

SOURCES = Path(__file__).resolve().parents[2] / "tools" / "kubernetes"
"""Where the Go modules are that pin them, and the source of pause."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """A module that pins programs and all that they are built from. ``folder`` is below :data:`SOURCES`; ``version`` is shown
    in the cache; ``stamps`` are values of variables that the linker sets, by the variable's import path and name; ``with_c``
    says that a part of it is written in C, which is linked into the program as well."""

    name: str
    folder: str
    version: str
    tags: tuple[str, ...] = ()
    stamps: tuple[tuple[str, str], ...] = ()
    with_c: bool = False

    @property
    def source(self) -> Path:
        """The folder with its ``go.mod``."""
        return SOURCES / self.folder


@dataclass(frozen=True, slots=True)
class Program:
    """A program: ``package`` is what is built (an import path, or ``.`` of the module itself), ``place`` whether it runs in a
    container, on a node, or is called by the node's container runtime (CNI). ``series`` is the minor version of one that
    there is of two."""

    name: str
    module: GoModule
    package: str
    version: str
    place: Literal["image", "node", "cni"]
    series: str = ""

    @property
    def key(self) -> str:
        """Its name among all programs; that of the file is ``name``."""
        return named(self.name, self.series)


PREVIOUS_SERIES = versions.PREVIOUS.removeprefix("v").rpartition(".")[0]
"""The minor version before (``1.33``)."""


def named(name: str, series: str) -> str:
    """What a program or an image of a minor version is called among those of several."""
    return f"{name}-{series}" if series else name


def _kubernetes_stamps(version: str, committed: str) -> tuple[tuple[str, str], ...]:
    """What Kubernetes' own build stamps (``hack/lib/version.sh``). Without the version, kubeadm refuses to work with it."""
    major, minor, _patch = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        # A module is an archive without a commit, and that is what they are to say.
        "gitTreeState": "archive",
        "gitCommit": "",
        "buildDate": committed,
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values.items())


_KUBERNETES_TAGS = ("selinux", "notest", "grpcnotrace")
"""As in Kubernetes' own build (hack/lib/golang.sh)."""
KUBERNETES = GoModule(
    "kubernetes",
    "",
    versions.KUBERNETES,
    _KUBERNETES_TAGS,
    (
        *_kubernetes_stamps(versions.KUBERNETES, versions.KUBERNETES_COMMITTED),
        ("go.etcd.io/etcd/api/v3/version.GitSHA", "archive"),
    ),
)
"""Has etcd as well: of what both are made, Kubernetes' versions suffice etcd."""
PREVIOUS = GoModule(
    "kubernetes",
    "previous",
    versions.PREVIOUS,
    _KUBERNETES_TAGS,
    _kubernetes_stamps(versions.PREVIOUS, versions.PREVIOUS_COMMITTED),
)
"""Of the minor version before; etcd and kubectl are taken of this one's."""
CNI_PLUGINS = GoModule(
    "cni-plugins",
    "cni",
    versions.CNI_PLUGINS,
    stamps=(("github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion", versions.CNI_PLUGINS),),
)
"""Apart, as it asks for newer versions than Kubernetes was released with."""
COREDNS = GoModule(
    "coredns",
    "coredns",
    versions.COREDNS,
    ("grpcnotrace",),
    (("github.com/coredns/coredns/coremain.GitCommit", "archive"),),
)
"""Apart, as it asks for another version of Kubernetes' client. Its plugins are those of ``main.go``."""

FLANNEL = GoModule(
    "flannel",
    "flannel",
    versions.FLANNEL,
    # Names are looked up by Go's own code: a program that has the C library in itself cannot load what that would ask.
    ("netgo", "osusergo"),
    (("github.com/flannel-io/flannel/pkg/version.Version", versions.FLANNEL),),
    with_c=True,
)
METALLB = GoModule("metallb", "addons", versions.METALLB)
"""Of a folder with the two that follow, which shares what they are made of; stamps are each program's own."""
LOCAL_PATH_PROVISIONER = GoModule(
    "local-path-provisioner",
    "addons",
    versions.LOCAL_PATH_PROVISIONER,
    stamps=(("main.VERSION", versions.LOCAL_PATH_PROVISIONER),),
)
METRICS_SERVER = GoModule(
    "metrics-server",
    "addons",
    versions.METRICS_SERVER,
    stamps=(("k8s.io/client-go/pkg/version.gitVersion", versions.METRICS_SERVER),),
)
_PLUGINS = ("ipam/host-local", "main/bridge", "main/loopback", "main/ptp", "meta/bandwidth", "meta/firewall",
            "meta/portmap", "meta/tuning")  # fmt: skip


def _of_kubernetes(name: str, place: Literal["image", "node"]) -> Program:
    return Program(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", versions.KUBERNETES, place)


def _of_previous(name: str, place: Literal["image", "node"]) -> Program:
    return Program(name, PREVIOUS, f"k8s.io/kubernetes/cmd/{name}", versions.PREVIOUS, place, PREVIOUS_SERIES)


def _plugin(path: str) -> Program:
    package = f"github.com/containernetworking/plugins/plugins/{path}"
    return Program(path.partition("/")[2], CNI_PLUGINS, package, versions.CNI_PLUGINS, "cni")


PROGRAMS: tuple[Program, ...] = (
    # A cluster's first node waits for these.
    _of_kubernetes("kubeadm", "node"),
    _of_kubernetes("kubelet", "node"),
    _of_kubernetes("kubectl", "node"),
    *(_plugin(path) for path in _PLUGINS),
    _of_kubernetes("kube-apiserver", "image"),
    Program("etcd", KUBERNETES, "go.etcd.io/etcd/server/v3", versions.ETCD, "image"),
    Program("etcdctl", KUBERNETES, "go.etcd.io/etcd/etcdctl/v3", versions.ETCD, "image"),
    Program("etcdutl", KUBERNETES, "go.etcd.io/etcd/etcdutl/v3", versions.ETCD, "image"),
    _of_kubernetes("kube-controller-manager", "image"),
    _of_kubernetes("kube-scheduler", "image"),
    _of_kubernetes("kube-proxy", "image"),
    Program("coredns", COREDNS, ".", versions.COREDNS, "image"),
    Program("flanneld", FLANNEL, "github.com/flannel-io/flannel", versions.FLANNEL, "image"),
    Program("metallb-controller", METALLB, "go.universe.tf/metallb/controller", versions.METALLB, "image"),
    Program("metallb-speaker", METALLB, "go.universe.tf/metallb/speaker", versions.METALLB, "image"),
    Program(
        "local-path-provisioner",
        LOCAL_PATH_PROVISIONER,
        "github.com/rancher/local-path-provisioner",
        versions.LOCAL_PATH_PROVISIONER,
        "image",
    ),
    Program(
        "metrics-server",
        METRICS_SERVER,
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        versions.METRICS_SERVER,
        "image",
    ),
    _of_previous("kubeadm", "node"),
    _of_previous("kubelet", "node"),
    _of_previous("kube-apiserver", "image"),
    _of_previous("kube-controller-manager", "image"),
    _of_previous("kube-scheduler", "image"),
    _of_previous("kube-proxy", "image"),
)
BY_NAME = {program.key: program for program in PROGRAMS}
