"""What configurations have brought and taken, as Envoy's managers of clusters and listeners count it. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from mesh_api.config import Cluster, Listener, ProxyConfig

_NOTHING: Final = ProxyConfig()


class Changes:
    """Told of each configuration that comes into force."""

    def __init__(self) -> None:
        self._in_force = _NOTHING
        self.counters: dict[str, int] = {
            f"{kind}_manager.{kind}_{what}": 0
            for kind in ("cluster", "listener")
            for what in ("added", "modified", "removed")
        }

    def take(self, config: ProxyConfig) -> None:
        """This one is in force now."""
        before, self._in_force = self._in_force, config
        self._count("cluster", _by_name(before.clusters), _by_name(config.clusters))
        self._count("listener", _by_name(before.listeners), _by_name(config.listeners))

    def _count(self, kind: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
        scope, kept = f"{kind}_manager.{kind}_", before.keys() & now.keys()
        self.counters[f"{scope}added"] += len(now) - len(kept)
        self.counters[f"{scope}removed"] += len(before) - len(kept)
        self.counters[f"{scope}modified"] += sum(1 for name in kept if before[name] != now[name])

    def gauges(self) -> dict[str, int]:
        """How many there are now."""
        return {
            "cluster_manager.active_clusters": len(self._in_force.clusters),
            "listener_manager.total_listeners_active": len(self._in_force.listeners),
        }


def _by_name(resources: Iterable[Cluster | Listener]) -> dict[str, Cluster | Listener]:
    return {resource.name: resource for resource in resources}
