"""Round robin, least request and random over priorities, localities and zones (Envoy ``ZoneAwareLoadBalancerBase``)."""

from typing import Final

from mesh_api.config import Cluster
from mesh_proxy.balancing.balancer import Balancer, Members, Random
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.edf import IndexSchedule
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.slow_start import Warming
from mesh_proxy.balancing.sources import RoundRobin, Source, source_of
from mesh_proxy.balancing.zones import MIN_CLUSTER_SIZE, ZoneRouting, zone_routing
from mesh_proxy.telemetry.stats import Counters

ALL: Final = 0
WELL: Final = 1
LESS: Final = 2
"""Which hosts of a priority a list has: all, the healthy, the degraded; ``(kind, priority, locality)`` names it."""


class SharedLoad(Balancer):
    """See the module's docstring."""

    __slots__ = ("_cursors", "_direct", "_localities", "_sources", "_warming", "_zones")

    def __init__(self, config: Cluster, members: Members, random: Random, counters: Counters) -> None:
        super().__init__(config, members, random, counters)
        self._warming: Warming | None = None if config.slow_start is None else Warming(config.slow_start)
        self._sources: dict[tuple[int, int, int], Source] = {}
        self._cursors: dict[tuple[int, int, int], int] = {}
        self._localities: dict[tuple[int, int], IndexSchedule] = {}
        self._zones: list[ZoneRouting | None] = []
        self._direct: Source | None = None

    def replace(self, config: Cluster, members: Members) -> None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        if config.slow_start != self.config.slow_start:
            self._warming = None if config.slow_start is None else Warming(config.slow_start)
        super().replace(config, members)

    def rebuild(self, now: float) -> None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        for name, source in self._sources.items():
            if isinstance(source, RoundRobin):
                self._cursors[name] = source.cursor  # or each change would favour the same hosts
        self._sources = {}
        self._localities = {}
        self._zones = []
        for made in self.sets:
            self._zones.append(self._zone(made.priority))
            if self.config.locality_weighted and self.members.weights:
                self._weigh(made.priority)
        self._direct = None
        if self._only >= 0 and not self._panic[self._only] and not self._divided(self._only):
            self._direct = self._source(WELL, self._only, -1, now)

    def _divided(self, priority: int) -> bool:
        return (WELL, priority) in self._localities or self._zones[priority] is not None

    def _weigh(self, priority: int) -> None:
        for kind in (WELL, LESS):
            schedule = self.sets[priority].schedule(kind == LESS, self.start)
            if schedule is not None:
                self._localities[kind, priority] = schedule

    def _zone(self, priority: int) -> ZoneRouting | None:
        config, members = self.config.zone_aware, self.members
        if config is None or members.local is None:
            return None
        least = MIN_CLUSTER_SIZE if config.min_cluster_size is None else config.min_cluster_size
        return zone_routing(self.sets[priority], members.neighbours, members.local, least, self.counters)

    def choose(self, context: PickContext, attempt: int) -> Host | None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        source = self._direct
        if source is None or context.priority_frequency:
            source = self._elsewhere(context)
            if source is None:
                return None
        return source.next(context.now)

    def _elsewhere(self, context: PickContext) -> Source | None:
        """The list for a request where there is more than one; ``None``: no host is to be taken."""
        found = self.priority(context)
        kind, priority = (WELL, found) if found >= 0 else (LESS, ~found)
        if self.panics(priority):
            zones = self.config.zone_aware
            if zones is not None and zones.fail_traffic_on_panic:
                return None
            return self._source(ALL, priority, -1, context.now)
        schedule = self._localities.get((kind, priority))
        if schedule is not None:
            return self._source(kind, priority, schedule.next(), context.now)
        zone = self._zones[priority]
        if zone is not None and self._looks_at_zones():
            return self._source(kind, priority, zone.choose(self.random, self.counters), context.now)
        return self._source(kind, priority, -1, context.now)

    def _looks_at_zones(self) -> bool:
        config = self.config.zone_aware
        if config is None:
            return False
        percent = config.routing_enabled
        return percent is None or percent >= 100.0 or self.random() * 100.0 < percent

    def _source(self, kind: int, priority: int, locality: int, now: float) -> Source:
        name = (kind, priority, locality)
        found = self._sources.get(name)
        if found is None:
            hosts = self._hosts(kind, priority, locality)
            cursor = self._cursors.get(name, int(self.start * len(hosts)))
            found = self._sources[name] = source_of(self.config, hosts, self.random, self._warming, cursor)
            found.plan(now, self.start)
        return found

    def _hosts(self, kind: int, priority: int, locality: int) -> tuple[Host, ...]:
        made = self.sets[priority]
        if locality < 0:
            return made.hosts if kind == ALL else made.healthy if kind == WELL else made.degraded
        listed = made.healthy_localities if kind == WELL else made.degraded_localities
        return listed[locality] if locality < len(listed) else ()
