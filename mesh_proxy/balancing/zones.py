"""Zone-aware balancing: requests stay in the proxy's own zone as far as this overloads none of its hosts.

Envoy ``ZoneAwareLoadBalancerBase`` and its page "Zone aware routing". Shares are parts of 10,000.
"""

from collections.abc import Callable, Sequence
from typing import Final

from mesh_proxy.balancing.host import HEALTHY, Host
from mesh_proxy.balancing.host_set import HostSet, Locality
from mesh_proxy.telemetry.stats import Counters

WHOLE: Final = 10_000
MIN_CLUSTER_SIZE: Final = 6


class ZoneRouting:
    """Where the requests for one priority go: all to the own zone, or a part of them, and the rest by what is left."""

    __slots__ = ("direct", "local_share", "residual")

    def __init__(self, own: Sequence[int], upstream: Sequence[int], has_local: bool) -> None:
        """Shares of the proxy's neighbours and of the hosts in each zone; the own one is the first if ``has_local``."""
        self.direct: bool = has_local and upstream[0] > 0 and upstream[0] >= own[0]
        self.local_share: int = upstream[0] * WHOLE // own[0] if has_local and own[0] else 0
        self.residual: list[int] = []
        """The room that is left in each zone, summed up along the list."""
        reached = 0
        for place, (mine, theirs) in enumerate(zip(own, upstream, strict=True)):
            if not (place == 0 and has_local) and theirs > mine:
                reached += theirs - mine
            self.residual.append(reached)

    def choose(self, random: Callable[[], float], counters: Counters) -> int:
        """The number of a zone."""
        if self.direct:
            counters.add("lb_zone_routing_all_directly")
            return 0
        if int(random() * WHOLE) < self.local_share:
            counters.add("lb_zone_routing_sampled")
            return 0
        counters.add("lb_zone_routing_cross_zone")
        if not self.residual[-1]:
            counters.add("lb_zone_no_capacity_left")  # by rounding alone
            return int(random() * len(self.residual))
        threshold = int(random() * self.residual[-1])
        return next(place for place, reached in enumerate(self.residual) if threshold < reached)


def zone_routing(
    made: HostSet, neighbours: Sequence[Host], local: Locality | None, least: int, counters: Counters
) -> ZoneRouting | None:
    """What holds for a priority; ``None``: zones are not looked at, for one of Envoy's reasons."""
    zones = [place for place, hosts in enumerate(made.localities) if hosts]
    if len(zones) < 2:
        return None
    if len(made.healthy) < least:
        counters.add("lb_zone_cluster_too_small")
        return None
    well = [host for host in neighbours if host.health == HEALTHY]
    if local is None or not any(host.locality == local for host in well):
        counters.add("lb_local_cluster_not_ok")
        return None
    counters.add("lb_recalculate_zone_structures")
    return ZoneRouting(
        _shares([sum(1 for host in well if host.locality == name) for name in made.names], len(well)),
        _shares([len(hosts) for hosts in made.healthy_localities], len(made.healthy)),
        made.has_local,
    )


def _shares(counts: Sequence[int], total: int) -> list[int]:
    return [WHOLE * count // total if total else 0 for count in counts]
