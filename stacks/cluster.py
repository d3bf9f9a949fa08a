"""What follows from the settings of a cluster: which machine has which part of it, and what its parts listen on. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the environment checks itself by this module
    from stacks.environment import Environment, Kubernetes

PART_BITS = 24
"""Prefix of the part of the pods' network that each machine gets: the controller manager's default."""
CONTROL_MEMORY_MIB, WORKER_MEMORY_MIB = 1700, 900
"""Below the first kubeadm refuses a control plane; below the second a kubelet and its system pods leave nothing."""
CONTROL_CORES = 2
"""What kubeadm asks of a control plane."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a machine, the program (a shell pattern over the kernel's 15 letters of its name) that listens there, and the
    setting that chooses it; most are Kubernetes' own, and no setting does."""

    port: int
    program: str
    setting: str = ""


def settings(environment: Environment) -> Kubernetes:
    """Those of the cluster. Raises :class:`ValueError` where there is none."""
    if environment.kubernetes is None:
        raise ValueError(f"environment {environment.name} has no cluster; set kubernetes")
    return environment.kubernetes


def control_machines(environment: Environment) -> tuple[str, ...]:
    """The machines of the control plane, the one that begins it first; none where there is no cluster."""
    if environment.kubernetes is None:
        return ()
    return environment.kubernetes.control_machines or tuple(node.name for node in environment.machines.nodes[:1])


def workers(environment: Environment) -> tuple[str, ...]:
    """All others; none where there is no cluster."""
    if environment.kubernetes is None:
        return ()
    control = control_machines(environment)
    return tuple(node.name for node in environment.machines.nodes if node.name not in control)


def endpoint(environment: Environment) -> str:
    """``HOST:PORT`` by which every machine, and whoever is on their network, reaches the API."""
    cluster = settings(environment)
    host = cluster.endpoint or environment.machine(control_machines(environment)[0]).address
    return f"{host}:{cluster.api_port}"


def listeners(environment: Environment, machine: str) -> Iterator[Listener]:
    """What the cluster's parts on a machine listen on (https://kubernetes.io/docs/reference/networking/ports-and-protocols/)."""
    yield Listener(10250, "kubelet")
    yield Listener(10256, "kube-proxy")
    if machine in control_machines(environment):
        yield Listener(settings(environment).api_port, "kube-apiserver", "kubernetes.api_port")
        yield Listener(10257, "kube-controller*")
        yield Listener(10259, "kube-scheduler")
        yield from (Listener(port, "etcd") for port in (2379, 2380))


def problems(environment: Environment) -> list[str]:
    """What is wrong with the settings of the cluster, as ``SETTING: what, and what is allowed``."""
    cluster = environment.kubernetes
    if cluster is None:
        needed = environment.platform == "kubernetes"
        return ["platform: kubernetes needs the settings of a cluster (kubernetes)"] if needed else []
    return [*_of_majority(cluster), *_of_networks(environment, cluster), *_of_sources(environment)]


def _of_sources(environment: Environment) -> list[str]:
    if environment.machines.driver != "namespaces" or environment.sources.kubernetes == "built":
        return []
    return ["sources.kubernetes: machines made of namespaces reach package mirrors and no registry (allowed: built)"]


def _of_majority(cluster: Kubernetes) -> list[str]:
    count = len(cluster.control_machines)
    if count == 0 or count % 2:
        return []
    return [
        f"kubernetes.control_machines: {count} machines lose their majority with one of them as {count - 1} do "
        "(allowed: an odd number)"
    ]


def _of_networks(environment: Environment, cluster: Kubernetes) -> list[str]:
    pods, count = cluster.pod_network, len(environment.machines.nodes)
    found = []
    room = 1 << max(PART_BITS - pods.prefixlen, 0) if pods.prefixlen <= PART_BITS else 0
    if room < count:
        found.append(
            f"kubernetes.pod_network: {pods} has room for {room} machines of {count} (each gets a part of {PART_BITS} bits)"
        )
    networks: dict[str, IPv4Network] = {
        "kubernetes.pod_network": pods,
        "kubernetes.service_network": cluster.service_network,
        "machines.network": environment.machines.network,
    }
    for (name, network), (other, second) in itertools.combinations(networks.items(), 2):
        if network.overlaps(second):
            found.append(f"{name}: {network} overlaps {other} {second}")
    return found
