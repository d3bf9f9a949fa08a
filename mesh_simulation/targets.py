"""Where a request is dialled, and which workloads stand behind a cluster."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from mesh_control.services import Service, Workload
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import NOWHERE

CLUSTER_DOMAIN = "svc.cluster.local"
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Workloads that are treated alike: the names, their share in percent, one of them, and its host."""

    names: tuple[str, ...]
    share: float
    workload: Workload | None
    host: Host

    @property
    def address(self) -> Address:
        """Where the one is reached."""
        target = self.host.target
        return target if isinstance(target, tuple) else (str(target), 0)


def service_named(mesh: Mesh, host: str, namespace: str) -> Service | None:
    """The service that a client of the namespace means by a host name, as its resolver would find it."""
    known = mesh.world.service_by_host
    for name in (host, f"{host}.{namespace}.{CLUSTER_DOMAIN}", f"{host}.{CLUSTER_DOMAIN}", f"{host}.cluster.local"):
        if name in known:
            return known[name]
    wildcards = [name for name in known if name.startswith("*.") and host.endswith(name[1:])]
    return known[max(wildcards, key=len)] if wildcards else None


def dialled(mesh: Mesh, host: str, port: int, namespace: str) -> Address:
    """The address that the client connects to: the service's, else that of its first workload, else one made up."""
    key = ("dialled", host, port, namespace)
    found: Address | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _dialled(mesh, host, port, namespace)
    return found


def _dialled(mesh: Mesh, host: str, port: int, namespace: str) -> Address:
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        service = service_named(mesh, host, namespace)
    if service is None:
        return NOWHERE, port
    if service.addresses:
        return service.addresses[0].partition("/")[0], port
    members = mesh.world.members[service.hostname]
    own = next((p for p in service.ports if p.number == port), None)
    if not members or own is None or service.resolution.by_name:
        return NOWHERE, port
    return members[0].address, port


def workloads_at(mesh: Mesh) -> dict[Address, Workload]:
    """Address and port of each workload of a service."""
    found: dict[Address, Workload] | None = mesh.memo.get("workloads at")
    if found is None:
        found = mesh.memo["workloads at"] = {
            (member.address, member.port(port)): member
            for service in mesh.world.services
            for member in mesh.world.members[service.hostname]
            for port in service.ports
        }
    return found


def groups(mesh: Mesh, cluster: ClusterRuntime, destination: Address) -> tuple[Group, ...]:
    """The hosts of a cluster that get traffic, those that are treated alike together."""
    key = ("groups", id(cluster), destination if cluster.original_destination else None)
    found: tuple[Group, ...] | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _groups(mesh, cluster, destination)
    return found


def members(mesh: Mesh, service: Service | None, host: str, port: int) -> tuple[Group, ...]:
    """The workloads that somebody without a proxy reaches at a service's port, or at an address of their own."""
    key = ("members", service.hostname if service is not None else host, port)
    found: tuple[Group, ...] | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _members(mesh, service, host, port)
    return found


def _members(mesh: Mesh, service: Service | None, host: str, port: int) -> tuple[Group, ...]:
    own = None if service is None else next((p for p in service.ports if p.number == port), None)
    if service is None or own is None:
        workload = workloads_at(mesh).get((host, port))
        return _alike([] if workload is None else [(Host(f"{host}:{port}", (host, port)), workload)])
    found = [member for member in mesh.world.members[service.hostname] if member.port(own)]
    return _alike([(Host(f"{w.address}:{w.port(own)}", (w.address, w.port(own))), w) for w in found])


def _groups(mesh: Mesh, cluster: ClusterRuntime, destination: Address) -> tuple[Group, ...]:
    first = cluster.pick(destination, [], 0)
    if first is None:
        return ()
    shares = {first: 1.0} if cluster.original_destination else cluster.shares()
    at = workloads_at(mesh)
    found = [(host, at.get(host.target) if isinstance(host.target, tuple) else None) for host in shares]
    return _alike(found, shares)


def _alike(hosts: list[tuple[Host, Workload | None]], shares: Mapping[Host, float] | None = None) -> tuple[Group, ...]:
    """``shares`` of the traffic; without them hosts have equal ones."""
    parts = dict.fromkeys((host for host, _ in hosts), 1.0) if shares is None else shares
    found: dict[object, list[tuple[Host, Workload | None]]] = {}
    for host, workload in hosts:
        found.setdefault(_kind(workload, host), []).append((host, workload))
    total = sum(parts[host] for host, _ in hosts)
    return tuple(
        Group(
            tuple(f"{w.name}.{w.namespace}" if w is not None else host.name for host, w in same),
            round(100 * sum(parts[host] for host, _ in same) / total, 4),
            same[0][1],
            same[0][0],
        )
        for same in found.values()
    )


def _kind(workload: Workload | None, host: Host) -> object:
    """Two workloads with equal ones cannot be told apart by any policy."""
    if workload is None:
        return None
    labels = tuple(sorted(workload.labels.items()))
    return workload.namespace, labels, workload.account, workload.sidecar, host.target[1]
