"""Which images there are."""

from dataclasses import dataclass

from stacks.images import versions
from stacks.images.programs import PREVIOUS_SERIES, named

USER = 65532
"""Nobody's id but theirs, which other images without root have taken as well."""
_WITHOUT_ROOT = f"{USER}:{USER}"
_ROOT = "0:0"
"""As kubeadm makes a cluster: the keys in /etc/kubernetes, which its pods mount, are root's alone (0600), and kube-proxy sets
the node's rules. Its feature RootlessControlPlane sets users of its own, whatever stands in an image."""
_REGISTRY = "registry.k8s.io"


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image of one of our programs. ``requirements`` are in pip's notation and come from the archive of wheels;
    ``module`` is run; ``ports`` are those that it serves; ``state`` is a directory of its own, which a volume is mounted
    on; ``packages`` names a tree of Debian's packages beside Python, of :mod:`stacks.images.trees`."""

    name: str
    requirements: tuple[str, ...]
    module: str
    ports: tuple[int, ...]
    state: str = ""
    packages: str = ""


@dataclass(frozen=True, slots=True)
class ClusterImage:
    """An image of what others wrote: programs of :mod:`stacks.images.programs` (or ``pause``), the first of which is run.

    ``reference`` is its whole name, as whoever runs it asks for it; ``user`` is ``UID:GID``; ``directory`` is where the
    programs are; ``packages`` names the tree of Debian's packages below them, of :mod:`stacks.images.trees`; ``low_ports``
    says that it serves on ports below 1024 without being root.
    """

    name: str
    reference: str
    programs: tuple[str, ...]
    user: str
    ports: tuple[int, ...] = ()
    directory: str = "usr/local/bin"
    packages: str = ""
    low_ports: bool = False


def _of_kubernetes(name: str, *ports: int, packages: str = "", series: str = "") -> ClusterImage:
    version, key = versions.PREVIOUS if series else versions.KUBERNETES, named(name, series)
    return ClusterImage(key, f"{_REGISTRY}/{name}:{version}", (key,), _ROOT, ports, packages=packages)


MESH: tuple[ImagePlan, ...] = (
    ImagePlan(
        "control", ("meshwright[control,cli]",), "mesh_control", (15010, 15012, 15014, 15017), "var/lib/meshwright"
    ),
    ImagePlan(
        "proxy", ("meshwright",), "mesh_proxy", (15001, 15006, 15020, 15021, 15090), "var/lib/meshwright", "nftables"
    ),
)
"""Of the mesh's own programs."""
WORKLOADS: tuple[ImagePlan, ...] = (
    ImagePlan("demo", ("meshwright-demo",), "meshwright_demo", (8080, 8180, 8280, 8380, 8480)),
    ImagePlan(
        "database", ("meshwright-demo",), "meshwright_demo.postgresql", (5432,), "var/lib/meshwright", "postgresql"
    ),
)
"""What runs under the mesh in the demo: its services (one image, whose argument says which), and their PostgreSQL."""
KUBERNETES: tuple[ClusterImage, ...] = (
    ClusterImage("pause", f"{_REGISTRY}/pause:{versions.PAUSE}", ("pause",), "65535:65535", directory=""),
    _of_kubernetes("kube-apiserver", 6443),
    ClusterImage(
        "etcd", f"{_REGISTRY}/etcd:{versions.ETCD_TAG}", ("etcd", "etcdctl", "etcdutl"), _ROOT, (2379, 2380, 2381)
    ),
    _of_kubernetes("kube-controller-manager", 10257),
    _of_kubernetes("kube-scheduler", 10259),
    _of_kubernetes("kube-proxy", 10249, 10256, packages="netfilter"),
    ClusterImage(
        "coredns",
        f"{_REGISTRY}/coredns/coredns:{versions.COREDNS}",
        ("coredns",),
        _WITHOUT_ROOT,
        (53, 8080, 8181, 9153),
        directory="",
        packages="authorities",
        low_ports=True,
    ),
)
"""What kubeadm asks for, under the names by which it asks (``kubeadm config images list``)."""
ADDONS: tuple[ClusterImage, ...] = (
    ClusterImage(
        "flannel",
        f"ghcr.io/flannel-io/flannel:{versions.FLANNEL}",
        ("flanneld",),
        _ROOT,
        directory="opt/bin",
        packages="netfilter",
    ),
    ClusterImage(
        "metallb-controller",
        f"quay.io/metallb/controller:{versions.METALLB}",
        ("metallb-controller",),
        _WITHOUT_ROOT,
        directory="",
    ),
    ClusterImage(
        "metallb-speaker",
        f"quay.io/metallb/speaker:{versions.METALLB}",
        ("metallb-speaker",),
        _ROOT,
        (7946,),
        directory="",
    ),
    ClusterImage(
        "local-path-provisioner",
        f"docker.io/rancher/local-path-provisioner:{versions.LOCAL_PATH_PROVISIONER}",
        ("local-path-provisioner",),
        _WITHOUT_ROOT,
        directory="usr/bin",
        packages="busybox",
    ),
    ClusterImage(
        "metrics-server",
        f"{_REGISTRY}/metrics-server/metrics-server:{versions.METRICS_SERVER}",
        ("metrics-server",),
        _WITHOUT_ROOT,
        (10250,),
        directory="",
    ),
)
"""What else a cluster's system needs, under the names by which its manifests (``templates/``) ask."""
PREVIOUS: tuple[ClusterImage, ...] = (
    _of_kubernetes("kube-apiserver", 6443, series=PREVIOUS_SERIES),
    _of_kubernetes("kube-controller-manager", 10257, series=PREVIOUS_SERIES),
    _of_kubernetes("kube-scheduler", 10259, series=PREVIOUS_SERIES),
    _of_kubernetes("kube-proxy", 10249, 10256, packages="netfilter", series=PREVIOUS_SERIES),
)
"""Of the minor version before, for a cluster that is upgraded: with what else the newer one has."""
CLUSTER = (*KUBERNETES, *ADDONS)
"""All that a cluster is made of."""
