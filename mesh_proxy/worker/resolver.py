"""DNS on the worker's loop: keeps the hosts of clusters that name them, and never waits for a server.

When a name is asked for again is decided by :func:`next_time`, as Envoy's strict and logical DNS clusters do: after the time
that the answer holds, or the configured rate; after a failure by the failure rate, longer each time. A failure leaves the
hosts as they were; a name that servers say does not exist has no hosts (Envoy 1.40, measured).
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from mesh_api.config import Cluster
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.places import Place
from mesh_proxy.worker.lookup import Lookup
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.name_service import Files

Random = Callable[[], float]
_MANY: Final = 62


class Watched:
    """One name of one cluster."""

    __slots__ = ("cluster", "due", "failures", "lookup", "place")

    def __init__(self, cluster: ClusterRuntime, place: Place) -> None:
        self.cluster = cluster
        self.place = place
        self.due: float = 0.0
        self.failures: int = 0
        self.lookup: Lookup | None = None


class Resolver:
    """See the module's docstring. Fulfils :class:`~mesh_proxy.worker.lookup.Asker`."""

    def __init__(
        self,
        loop: Loop,
        clusters: Callable[[], dict[str, ClusterRuntime]],
        random: Random = lambda: 0.0,
        files: Files | None = None,
    ) -> None:
        self._loop = loop
        self._clusters = clusters
        self._random = random
        self._files = files or Files()
        self._watched: dict[Place, Watched] = {}

    def check(self, now: float) -> None:
        """Ask for what is new or due; to be called about once a second, and with every new configuration."""
        current: dict[Place, Watched] = {}
        for cluster in self._clusters().values():
            for place in cluster.places:
                known = self._watched.get(place)
                current[place] = Watched(cluster, place) if known is None else known
        for place, gone in self._watched.items():
            if place not in current and gone.lookup is not None:
                gone.lookup.close()
        self._watched = current
        for watched in list(current.values()):
            if watched.lookup is None and now >= watched.due:
                self._ask(watched)

    def _ask(self, watched: Watched) -> None:
        config, name = watched.cluster.config, watched.place.name
        watched.cluster.counters.add("update_attempt")
        system = self._files.read()
        known = _literal(name) or of_family(system.hosts.get(name.lower(), ()), config.dns_lookup_family)
        if known:
            self._found(watched, known, 0)
            return
        servers = [(server.address, server.port) for server in config.dns_resolvers] or system.servers
        watched.lookup = Lookup(self._loop, self, system, servers, config.dns_lookup_family)
        watched.lookup.start(name)

    def on_found(self, lookup: Lookup, addresses: Sequence[str], ttl: int) -> None:
        """See :class:`~mesh_proxy.worker.lookup.Asker`."""
        for watched in self._of(lookup):
            self._found(watched, addresses, ttl)

    def on_failed(self, lookup: Lookup) -> None:
        """See :class:`~mesh_proxy.worker.lookup.Asker`."""
        for watched in self._of(lookup):
            watched.failures += 1
            watched.cluster.counters.add("update_failure")
            watched.cluster.unresolved(watched.place)
            watched.due = self._loop.now + next_time(watched.cluster.config, 0, watched.failures, self._random)

    def _of(self, lookup: Lookup) -> list[Watched]:
        found = [watched for watched in self._watched.values() if watched.lookup is lookup]
        for watched in found:
            watched.lookup = None
        return found

    def _found(self, watched: Watched, addresses: Sequence[str], ttl: int) -> None:
        watched.lookup = None
        watched.failures = 0
        watched.cluster.counters.add("update_success")
        watched.cluster.resolve(watched.place, addresses)
        watched.due = self._loop.now + next_time(watched.cluster.config, ttl, 0, self._random)

    def close(self) -> None:
        """End what is under way."""
        for watched in self._watched.values():
            if watched.lookup is not None:
                watched.lookup.close()


def next_time(config: Cluster, ttl: int, failures: int, random: Random) -> float:
    """Seconds until a name is asked for again; ``failures`` counts those in a row, 0: it was answered."""
    if failures:
        if config.dns_failure_refresh_rate is None:
            return config.dns_refresh_rate
        return pause(config.dns_failure_refresh_rate, failures, random)
    wait = float(ttl) if ttl and config.respect_dns_ttl else config.dns_refresh_rate
    return wait + random() * config.dns_jitter if config.dns_jitter else wait


def pause(rate: tuple[float, float], failures: int, random: Random) -> float:
    """Seconds after so many failures in a row: up to the first of the rates, twice as long each time, never more than the
    second (Envoy's exponential back-off)."""
    base, longest = rate
    return random() * min(base * float(1 << min(failures - 1, _MANY)), longest)


def _literal(name: str) -> list[str]:
    """An address in the place of a name stands for itself."""
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        return []


def of_family(addresses: Sequence[str], family: str) -> list[str]:
    """Those that a lookup in this family would find."""
    old = [address for address in addresses if ":" not in address]
    new = [address for address in addresses if ":" in address]
    if family == "ALL":
        return [*old, *new]
    first, second = (new, old) if family in ("AUTO", "V6_ONLY") else (old, new)
    return first if first or family in ("V4_ONLY", "V6_ONLY") else second
