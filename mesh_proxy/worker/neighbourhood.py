"""Where this proxy is, and the cluster that it is one of (Envoy ``local_cluster_name``): what balancing by zones goes by.

Told to them when it is new or another, and looked at once a second.
"""

from collections.abc import Mapping

from mesh_proxy.balancing.host_set import Locality
from mesh_proxy.cluster import ClusterRuntime


class Neighbourhood:
    """See the module's docstring. Without a name of the local cluster nobody is told anything."""

    __slots__ = ("_locality", "_name", "_told")

    def __init__(self, locality: Locality = ("", "", ""), name: str = "") -> None:
        self._locality = locality
        self._name = name
        self._told: dict[str, tuple[object, ...]] = {}
        """What each cluster knows: its own object, and the neighbours with their health."""

    def check(self, clusters: Mapping[str, ClusterRuntime]) -> None:
        """Tells every cluster what is new to it."""
        if not self._name:
            return
        local = clusters.get(self._name)
        hosts = () if local is None else tuple(host for host in local.hosts.values() if host.priority == 0)
        now: tuple[object, ...] = tuple((host, host.health, host.locality) for host in hosts)
        known: dict[str, tuple[object, ...]] = {}
        for name, cluster in clusters.items():
            if cluster.config.zone_aware is not None:
                known[name] = (cluster, *now)
                if self._told.get(name) != known[name]:
                    cluster.set_local(self._locality, hosts)
        self._told = known
