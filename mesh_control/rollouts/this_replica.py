"""This control plane as one of several replicas, as releases have to know it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mesh_control.control import Control
from mesh_control.push import Progress
from mesh_control.rollouts import orders, replicas
from mesh_control.rollouts.entries import Entries
from mesh_control.rollouts.replicas import REFUSALS, Said
from mesh_control.services import Health, Origin, Workload
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.world import World
from mesh_policy import Policy

STATS_PORT, STATS_PATH = 15090, "/stats/prometheus"
"""Where every sidecar of a pod has its statistics, as with Istio."""


@dataclass(slots=True)
class ThisReplica:
    """See :class:`~mesh_control.rollouts.shared.Here`."""

    control: Control
    cluster: Cluster
    leading: Callable[[], bool]
    _digest: tuple[World | None, Entries | None, str] = (None, None, "")
    """Of the releases in a world."""

    @property
    def leads(self) -> bool:
        """See :class:`~mesh_control.rollouts.shared.Here`."""
        return self.leading()

    def known(self) -> Entries:
        """See :class:`~mesh_control.rollouts.shared.Here`."""
        return self.cluster.released.entries

    def refused(self, policies: Sequence[Policy]) -> list[str]:
        """See :class:`~mesh_control.rollouts.shared.Here`."""
        wanted = {policy.key for policy in policies}
        objects = [policy for _, policy in self.cluster.policies() if policy.key in wanted]
        return [*map(orders.taken, objects), *self.control.refused(policies, Cluster.name)]

    def said(self, entries: Entries) -> Said:
        """See :class:`~mesh_control.rollouts.shared.Here`."""
        hub, back = self.control.hub, self.control.hub.rolled_back
        progress = hub.progress().values()
        taken = sum(each is Progress.ACKNOWLEDGED for each in progress)
        refusals = tuple(sorted([*map(str, hub.refusals()), *([str(back)] if back is not None else [])])[:REFUSALS])
        return Said(
            self._digest_of(hub.world, entries),
            taken == len(progress),
            self.wanted() - len(self.control.missing()),
            refusals,
            self.world,
            taken,
            len(progress),
        )

    def _digest_of(self, world: World, entries: Entries) -> str:
        if self._digest[0] is not world or self._digest[1] is not entries:
            self._digest = world, entries, replicas.in_world(world, entries)
        return self._digest[2]

    @property
    def world(self) -> str:
        """Which policies of the cluster the proxies here are sent; empty: not those that were read last."""
        return self.cluster.version if self.control.hub.world is self.control.state.world else ""

    def wanted(self) -> int:
        """See :class:`~mesh_control.rollouts.shared.Here`."""
        return len({(w.name, w.namespace) for w in self._workloads() if w.sidecar and w.name})

    def statistics(self) -> Mapping[str, str]:
        """Where the statistics of all pods' sidecars are, by the proxy's name. One whose pod is not ready gets no requests,
        and may have no answer."""
        pods = (w for w in self._workloads() if w.sidecar and w.origin is Origin.POD and w.health is Health.HEALTHY)
        return {f"{pod.name}.{pod.namespace}": _url(pod.address) for pod in pods}

    def _workloads(self) -> Sequence[Workload]:
        return self.control.state.world.workloads


def _url(address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{STATS_PORT}{STATS_PATH}"
