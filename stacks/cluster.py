"""What follows from the settings of a cluster: which machine has which part of it, and what its parts listen on. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the environment checks itself by this module
    from stacks.environment import Environment, Kubernetes, MeshMachine

PART_BITS = 24
"""Prefix of the part of the pods' network that each machine gets: the controller manager's default."""
CONTROL_MEMORY_MIB, WORKER_MEMORY_MIB = 1700, 900
"""Below the first kubeadm refuses a control plane; below the second a kubelet and its system pods leave nothing."""
CONTROL_CORES = 2
"""What kubeadm asks of a control plane."""
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
"""A name as kubeadm takes it (RFC 1123, in lower case)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a machine, the program (a shell pattern over the kernel's 15 letters of its name) that listens there, and the
    setting that chooses it; most are Kubernetes' own, and no setting does."""

    port: int
    program: str
    setting: str = ""


@dataclass(frozen=True, slots=True, order=True)
class AddressRange:
    """Addresses from the first to the last."""

    first: IPv4Address
    last: IPv4Address

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def overlaps(self, other: AddressRange) -> bool:
        """Whether an address is in both."""
        return self.first <= other.last and other.first <= self.last


def address_range(text: str) -> AddressRange:
    """The range that ``FIRST-LAST``, a network or an address stands for. Raises :class:`ValueError` for anything else."""
    first, dash, last = text.partition("-")
    try:
        if not dash:
            network = IPv4Network(text)
            return AddressRange(network[0], network[-1])
        found = AddressRange(IPv4Address(first.strip()), IPv4Address(last.strip()))
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError("must be FIRST-LAST, a network or an address of IPv4") from None
    if found.last < found.first:
        raise ValueError("ends before it begins")
    return found


def settings(environment: Environment) -> Kubernetes:
    """Those of the cluster. Raises :class:`ValueError` where there is none."""
    if environment.kubernetes is None:
        raise ValueError(f"environment {environment.name} has no cluster; set kubernetes")
    return environment.kubernetes


def control_machines(environment: Environment) -> tuple[str, ...]:
    """The machines of the control plane, the one that begins it first; none where there is no cluster."""
    if environment.kubernetes is None:
        return ()
    return environment.kubernetes.control_machines or nodes(environment)[:1]


def nodes(environment: Environment) -> tuple[str, ...]:
    """The machines that become nodes: all but those that have a workload beside the cluster."""
    cluster = environment.kubernetes
    beside = () if cluster is None else tuple(found.machine for found in cluster.mesh.machines)
    return tuple(node.name for node in environment.machines.nodes if node.name not in beside)


def workers(environment: Environment) -> tuple[str, ...]:
    """All others; none where there is no cluster."""
    if environment.kubernetes is None:
        return ()
    control = control_machines(environment)
    return tuple(name for name in nodes(environment) if name not in control)


def endpoint(environment: Environment) -> str:
    """``HOST:PORT`` by which every machine, and whoever is on their network, reaches the API."""
    cluster = settings(environment)
    host = cluster.endpoint or cluster.virtual_address or environment.machine(control_machines(environment)[0]).address
    return f"{host}:{cluster.api_port}"


def listeners(environment: Environment, machine: str) -> Iterator[Listener]:
    """What the cluster's parts on a machine listen on (https://kubernetes.io/docs/reference/networking/ports-and-protocols/)."""
    yield Listener(10250, "kubelet")
    yield Listener(10256, "kube-proxy")
    if settings(environment).address_pool:
        # By the first speakers find each other; the second tells the kubelet that they are well.
        yield from (Listener(port, "*speaker", "kubernetes.address_pool") for port in (7946, 17472))
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
    return [
        *_of_majority(cluster),
        *_of_endpoint(cluster),
        *_of_virtual_address(environment, cluster),
        *_of_networks(environment, cluster),
        *_of_pool(environment),
        *_of_sources(environment),
        *_of_machines(environment, cluster),
    ]


def _of_machines(environment: Environment, cluster: Kubernetes) -> list[str]:
    """What is wrong with the workloads on machines beside the cluster."""
    key, beside = "kubernetes.mesh.machines", cluster.mesh.machines
    if not beside:
        return []
    if environment.platform != "kubernetes":
        return [f"{key}: the mesh of these machines is none of a cluster's (allowed: with platform: kubernetes)"]
    found = (
        [] if cluster.address_pool else [f"{key}: need kubernetes.address_pool, of which the control plane gets one"]
    )
    called = [workload.name for workload in environment.workloads] + [entry.name for entry in beside]
    for what, names in (("machine", [entry.machine for entry in beside]), ("name", called)):
        found += [f"{key}: {what} {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return found + [
        f"{key}.{entry.name}.{problem}" for entry in beside for problem in _of_machine(environment, cluster, entry)
    ]


def _of_machine(environment: Environment, cluster: Kubernetes, entry: MeshMachine) -> Iterator[str]:
    machines = {node.name for node in environment.machines.nodes}
    if entry.machine not in machines:
        yield f"machine: no machine {entry.machine!r} (allowed: {', '.join(sorted(machines)) or 'none is declared'})"
    elif entry.machine in cluster.control_machines:
        yield f"machine: {entry.machine} is of the cluster's control plane (allowed: a machine that is no node)"
    services = {service.name: service for service in environment.services}
    if entry.service is not None and entry.service not in services:
        yield f"service: no service {entry.service!r} (allowed: {', '.join(services) or 'none is declared'})"
    elif entry.service is not None and entry.namespace not in (None, services[entry.service].namespace):
        yield f"namespace: {entry.namespace} is not {entry.service}'s (allowed: {services[entry.service].namespace})"
    if entry.program is not None and entry.service is None:
        yield "service: is required where program is set, for its port"
    if entry.program is None and entry.user is None:
        yield "user: is required where program is unset (allowed: the user of your program)"
    if entry.program is not None and entry.user is not None:
        yield f"user: {entry.program} has a user of its own (allowed: unset)"
    if entry.program is None and entry.settings:
        yield "settings: are the demo program's, and program is unset"


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


def _of_endpoint(cluster: Kubernetes) -> list[str]:
    host = cluster.endpoint
    if host is None:
        if len(cluster.control_machines) < 2 or cluster.virtual_address is not None:
            return []
        return [
            "kubernetes.virtual_address: several control machines need an address that outlives each of them (allowed: a "
            "free one of machines.network here, or kubernetes.endpoint with a name or load balancer of your own)"
        ]
    if _NAME.fullmatch(host) and not _is_wrong_address(host):
        return []
    return [
        f"kubernetes.endpoint: {host!r} is no host (allowed: a name in lower case or an IPv4 address, without a scheme or "
        "port)"
    ]


def _is_wrong_address(host: str) -> bool:
    """Whether a name reads as an address, and is none."""
    if re.fullmatch(r"[0-9.]+", host) is None:
        return False
    try:
        IPv4Address(host)
    except AddressValueError:
        return True
    return False


def _of_virtual_address(environment: Environment, cluster: Kubernetes) -> list[str]:
    if cluster.virtual_address is None:
        return []
    machines, address = environment.machines, IPv4Address(cluster.virtual_address)
    key, network = f"kubernetes.virtual_address: {address}", machines.network
    if address not in network:
        return [f"{key} is not in machines.network {network}"]
    if network.prefixlen < 31 and address in (network[0], network[1], network[-1]):
        return [f"{key} is the network's own or its gateway's; others of {network} are free"]
    ranges = map(address_range, cluster.address_pool)
    if any(found.first <= address <= found.last for found in ranges):
        return [f"{key} is one of kubernetes.address_pool, which Services get (allowed: one that is in neither)"]
    return [f"{key} is that of {node.name} (allowed: one that no machine has)" for node in machines.nodes
            if node.address == str(address)]  # fmt: skip


def _of_networks(environment: Environment, cluster: Kubernetes) -> list[str]:
    pods, count = cluster.pod_network, len(nodes(environment))
    found = []
    room = 1 << max(PART_BITS - pods.prefixlen, 0) if pods.prefixlen <= PART_BITS else 0
    if room < count:
        found.append(
            f"kubernetes.pod_network: {pods} has room for {room} machines of {count} (each gets a part of {PART_BITS} bits)"
        )
    networks = {**_networks(cluster), "machines.network": environment.machines.network}
    for (name, network), (other, second) in itertools.combinations(networks.items(), 2):
        if network.overlaps(second):
            found.append(f"{name}: {network} overlaps {other} {second}")
    return found


def _of_pool(environment: Environment) -> list[str]:
    cluster = settings(environment)
    pool = [address_range(text) for text in cluster.address_pool]
    found = [
        f"kubernetes.address_pool: {one} overlaps {other}"
        for one, other in itertools.combinations(pool, 2)
        if one.overlaps(other)
    ]
    for one in pool:
        found += [
            f"kubernetes.address_pool: {one} holds {address}, {whose}"
            for address, whose in _taken(environment)
            if address in one
        ]
        for name, network in _networks(cluster).items():
            if one.overlaps(AddressRange(network[0], network[-1])):
                found.append(f"kubernetes.address_pool: {one} overlaps {name} {network}")
        network = environment.machines.network
        if _made_here(environment) and not (one.first in network and one.last in network):
            found.append(f"kubernetes.address_pool: {one} is not in machines.network {network}")
    return found


def _taken(environment: Environment) -> Iterator[tuple[IPv4Address, str]]:
    """Addresses that have an owner, and who that is."""
    for node in environment.machines.nodes:
        yield IPv4Address(node.address), f"which is {node.name}'s"
    network = environment.machines.network
    if _made_here(environment) and network.prefixlen < 31:
        yield network[1], "which is the gateway's"
        yield from ((address, "which is the network's own") for address in (network[0], network[-1]))


def _made_here(environment: Environment) -> bool:
    """Whether the machines' network is one that is made here, and known."""
    return environment.machines.driver in ("namespaces", "qemu")


def _networks(cluster: Kubernetes) -> dict[str, IPv4Network]:
    return {"kubernetes.pod_network": cluster.pod_network, "kubernetes.service_network": cluster.service_network}
