"""Worlds that differ in the hosts of some services alone: most changes of a mesh are such, and touch only endpoints."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from mesh_api.config import ClusterLoadAssignment
from mesh_control.compiler import clusters, endpoints
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.services import Resolution, Service, Workload
from mesh_control.world import World
from mesh_policy import Policy, ServiceEntry, WorkloadEntry, WorkloadGroup

HOSTS = (ServiceEntry, WorkloadEntry, WorkloadGroup)
"""Kinds that are told by services and workloads alone."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What became of services: each as it was and is, and the workloads (name and namespace, address) that came, went or
    changed."""

    former: World
    world: World
    services: tuple[tuple[Service, Service], ...]
    workloads: frozenset[tuple[str, str]]
    addresses: frozenset[str]

    def concern(self, proxy: Proxy) -> bool:
        """Whether more than the hosts that the proxy sends to may have changed for it: it stands beside one of these, or
        it is a gateway, which looks at workloads to know who it is."""
        own = proxy.addresses or (proxy.address,)
        named = (proxy.namespace, proxy.name) in self.workloads
        return proxy.is_gateway or named or not self.addresses.isdisjoint(own)

    def view(self, proxy: Proxy) -> Hashable:
        """What decides about :meth:`assignments`."""
        return Scope(self.world, proxy).view

    def assignments(self, proxy: Proxy) -> Mapping[str, ClusterLoadAssignment] | None:
        """The new hosts, by the names of assignments, of all that the proxy might see; ``None`` where clusters have changed
        as well, which name the identities of hosts."""
        before, now = Scope(self.former, proxy), Scope(self.world, proxy)
        found: dict[str, ClusterLoadAssignment] = {}
        for old, new in self.services:
            if clusters.of_service(before, old) != clusters.of_service(now, new):
                return None
            found |= {assignment.cluster_name: assignment for assignment in endpoints.of_service(now, new)}
        return found


def moves(world: World, former: World) -> Moves | None:
    """How ``world``, which has taken over the parts of ``former``, differs from it; ``None``: in more than hosts."""
    if world.parts is not former.parts or _others(world.policies) != _others(former.policies):
        return None
    changed = []
    for old, new in zip(former.services, world.services, strict=True):
        if old is new and former.members[old.hostname] is world.members[new.hostname]:
            continue
        if not _told(new) or (old is not new and replace(old, endpoints=()) != replace(new, endpoints=())):
            return None
        changed.append((old, new))
    if {service.hostname for service in world.rivals} & {new.hostname for _, new in changed}:
        return None
    touched = _differing(former.workloads, world.workloads)
    for old, new in changed:
        touched += _differing(former.members[old.hostname], world.members[new.hostname])
    return Moves(
        former,
        world,
        tuple(changed),
        frozenset((workload.namespace, workload.name) for workload in touched),
        frozenset(workload.address for workload in touched),
    )


def _told(service: Service) -> bool:
    """Whether its hosts are endpoints, and nothing else: not names, nor addresses at which it is reached itself."""
    return service.resolution is Resolution.STATIC and not service.headless


def _others(policies: Iterable[Policy]) -> list[Policy]:
    return [policy for policy in policies if not isinstance(policy, HOSTS)]


def _differing(former: Iterable[Workload], now: Iterable[Workload]) -> list[Workload]:
    """Those that are not the same on both sides."""
    before, after = ({(w.namespace, w.name, w.address): w for w in side} for side in (former, now))
    return [w for key, w in (before | after).items() if before.get(key) != after.get(key)]
