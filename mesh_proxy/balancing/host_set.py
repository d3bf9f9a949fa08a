"""The hosts of one priority: by health, and by locality (Envoy ``HostSetImpl``)."""

from collections.abc import Mapping, Sequence

from mesh_proxy.balancing.edf import IndexSchedule
from mesh_proxy.balancing.host import DEGRADED, EXCLUDED, HEALTHY, Host

Locality = tuple[str, str, str]


class HostSet:
    """See the module's docstring. Localities are in a fixed order: the proxy's own first, then by their names."""

    __slots__ = (
        "degraded", "degraded_localities", "excluded", "has_local", "healthy", "healthy_localities", "hosts", "localities",
        "locality_weights", "names", "overprovisioning", "priority", "weighted_health",
    )  # fmt: skip

    def __init__(
        self,
        priority: int,
        hosts: Sequence[Host],
        weights: Mapping[tuple[int, Locality], int],
        overprovisioning: int,
        weighted_health: bool,
        local: Locality | None,
    ) -> None:
        """``weights`` has the weight of each locality at each priority, where it has one."""
        self.priority = priority
        self.overprovisioning = overprovisioning
        self.weighted_health = weighted_health
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self.healthy: tuple[Host, ...] = tuple(host for host in hosts if _counts(host, HEALTHY))
        self.degraded: tuple[Host, ...] = tuple(host for host in hosts if _counts(host, DEGRADED))
        self.excluded: tuple[Host, ...] = tuple(host for host in hosts if host.flags & EXCLUDED)
        names = sorted({host.locality for host in hosts})
        self.has_local: bool = local is not None and local in names
        if local is not None and self.has_local:
            names.remove(local)
            names.insert(0, local)
        self.names: list[Locality] = names
        self.localities = _by_locality(self.hosts, names)
        self.healthy_localities = _by_locality(self.healthy, names)
        self.degraded_localities = _by_locality(self.degraded, names)
        self.locality_weights: list[int] = [weights.get((priority, name), 0) for name in names]

    def counted(self) -> tuple[int, int, int]:
        """Healthy, degraded, and all that count: hosts, or their weights."""
        if self.weighted_health:
            return (
                _weight(self.healthy),
                _weight(self.degraded),
                _weight(self.hosts) - _weight(self.excluded),
            )
        return len(self.healthy), len(self.degraded), len(self.hosts) - len(self.excluded)

    def schedule(self, degraded: bool, start: float) -> IndexSchedule | None:
        """Localities by weight and by how many of their hosts are left; ``None``: weights say nothing here."""
        made = IndexSchedule(self.effective_weights(degraded), start)
        return None if made.empty() else made

    def effective_weights(self, degraded: bool) -> list[float]:
        """The weight of each locality as far as the hosts that are left there can take it."""
        eligible = self.degraded_localities if degraded else self.healthy_localities
        return [self._effective(place, len(hosts)) for place, hosts in enumerate(eligible)]

    def _effective(self, place: int, eligible: int) -> float:
        total = sum(1 for host in self.localities[place] if not host.flags & EXCLUDED)
        if not total:
            return 0.0
        return self.locality_weights[place] * min(1.0, self.overprovisioning / 100.0 * (eligible / total))


def _counts(host: Host, health: int) -> bool:
    return host.health == health and not host.flags & EXCLUDED


def _weight(hosts: Sequence[Host]) -> int:
    return sum(host.weight for host in hosts)


def _by_locality(hosts: Sequence[Host], names: Sequence[Locality]) -> list[tuple[Host, ...]]:
    found: dict[Locality, list[Host]] = {name: [] for name in names}
    for host in hosts:
        found[host.locality].append(host)
    return [tuple(found[name]) for name in names]
