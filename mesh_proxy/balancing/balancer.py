"""What every way of choosing a host has in common: priorities, their loads, and panic (Envoy ``LoadBalancerBase``)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mesh_api.config import Cluster, ClusterLoadAssignment, LbPolicy
from mesh_proxy.balancing import priorities
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.host_set import HostSet, Locality
from mesh_proxy.telemetry.stats import Counters

Random = Callable[[], float]
_NO_ASSIGNMENT: Final = ClusterLoadAssignment("")


class Members:
    """The hosts of a cluster as its balancer sees them, with what discovery says of all of them together.

    ``weights`` are those of localities, by priority and name. ``local`` is the proxy's own locality, and ``neighbours`` the
    hosts of the cluster that it is one of, both for zone-aware balancing alone.
    """

    __slots__ = ("assignment", "hosts", "local", "neighbours", "weights")

    def __init__(
        self,
        hosts: Sequence[Host],
        assignment: ClusterLoadAssignment | None = None,
        local: Locality | None = None,
        neighbours: Sequence[Host] = (),
    ) -> None:
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self.assignment = assignment or _NO_ASSIGNMENT
        self.weights: Mapping[tuple[int, Locality], int] = {
            (found.priority, (found.region, found.zone, found.sub_zone)): found.weight
            for found in self.assignment.localities
            if found.weight is not None
        }
        self.local = local
        self.neighbours: tuple[Host, ...] = tuple(neighbours)

    def among(self, hosts: Sequence[Host], weights: Mapping[tuple[int, Locality], int]) -> "Members":
        """Some of them, and the weights that localities have then."""
        made = Members(hosts, self.assignment, self.local, self.neighbours)
        made.weights = weights
        return made

    def sets(self) -> list[HostSet]:
        """By priority, without gaps (Envoy has empty ones in between), one at least."""
        by_priority: dict[int, list[Host]] = {}
        for host in self.hosts:
            by_priority.setdefault(host.priority, []).append(host)
        factor, weighted = self.assignment.overprovisioning_factor, self.assignment.weighted_priority_health
        return [
            HostSet(priority, by_priority.get(priority, ()), self.weights, factor, weighted, self.local)
            for priority in range(max(by_priority, default=0) + 1)
        ]


class Balancer:
    """Chooses hosts of one cluster. Nothing is computed before the first choice, nor after a change before the next.

    ``counters`` gets Envoy's ``lb_*``; ``random`` gives numbers in [0, 1).
    """

    __slots__ = (
        "_degraded", "_degraded_loads", "_fresh", "_healthy_loads", "_only", "_panic", "_threshold", "availability",
        "config", "counters", "members", "random", "sets", "start",
    )  # fmt: skip

    def __init__(self, config: Cluster, members: Members, random: Random, counters: Counters) -> None:
        self.config = config
        self.members = members
        self.random = random
        self.counters = counters
        self.start: float = random()
        """Where the rounds of this proxy begin."""
        # Envoy rounds the percentage to a whole number.
        self._threshold: int = round(config.healthy_panic_threshold)
        self._fresh: bool = False
        self.sets: list[HostSet] = []
        self.availability: list[int] = []
        self._degraded: list[int] = []
        self._healthy_loads: list[int] = []
        self._degraded_loads: list[int] = []
        self._panic: list[bool] = []
        self._only: int = 0

    def refresh(self) -> None:
        """To be called when a host was ejected, came back, or changed in its health or weight."""
        self._fresh = False

    def replace(self, config: Cluster, members: Members) -> None:
        """Other hosts, or other settings of the same policy."""
        self.config = config
        self.members = members
        self._threshold = round(config.healthy_panic_threshold)
        self._fresh = False

    def pick(self, context: PickContext) -> Host | None:
        """The host for a request. ``None``: there is none.

        One that the retry policy's predicates reject is not taken while tries are left (Envoy
        ``host_selection_retry_max_attempts``); the last that came up is, whatever they say.
        """
        if not self._fresh:
            self.prepare(context.now)
        host = self.choose(context, 0)
        if context.retry:
            attempt = 0
            while host is not None and attempt < context.attempts and context.rejects(host):
                attempt += 1
                host = self.choose(context, attempt)
        return host

    def choose(self, context: PickContext, attempt: int) -> Host | None:
        """One choice; ``attempt`` counts those before it for the same request."""
        raise NotImplementedError

    def rebuild(self, now: float) -> None:
        """Prepare for choices among :attr:`sets`, which are new."""
        raise NotImplementedError

    def prepare(self, now: float) -> None:
        """Compute what a change made out of date."""
        if self._fresh:
            return
        self._fresh = True
        self.sets = sets = self.members.sets()
        health: list[int] = []
        degraded: list[int] = []
        for made in sets:
            well, less, total = made.counted()
            health.append(priorities.availability(made.overprovisioning, well, total))
            degraded.append(priorities.availability(made.overprovisioning, less, total))
        self.availability, self._degraded = health, degraded
        self._healthy_loads, self._degraded_loads = priorities.loads(health, degraded)
        self._panics(priorities.normalised(health, degraded))
        self._only = self._healthy_loads.index(100) if 100 in self._healthy_loads else -1
        self.rebuild(now)

    def _panics(self, total: int) -> None:
        """Which priorities are in panic, and the loads when all of them are."""
        if not total and not self._threshold:
            self._panic = [False] * len(self.sets)
            self._healthy_loads[0] = 100  # there is nobody, and somewhere it has to be found out
            return
        self._panic = [
            total < 100
            and priorities.in_panic(
                self._threshold, len(made.healthy), len(made.degraded), len(made.hosts) - len(made.excluded)
            )
            for made in self.sets
        ]
        if all(self._panic):
            self._healthy_loads = priorities.loads_in_total_panic([len(made.hosts) for made in self.sets])
            self._degraded_loads = [0] * len(self.sets)
        elif not total:
            self._healthy_loads[0] = 100

    def shares(self, now: float) -> dict[Host, float]:
        """Which part of all requests each host gets in the long run, of those that get any (1 is all of them).

        For whoever wants to know without asking. Zones are not looked at, nor how busy hosts are.
        """
        self.prepare(now)
        found: dict[Host, float] = {}
        for made in self.sets:
            healthy, degraded = self._healthy_loads[made.priority], self._degraded_loads[made.priority]
            if self._panic[made.priority]:
                zones = self.config.zone_aware
                if zones is None or not zones.fail_traffic_on_panic:
                    self._share_out(made.hosts, healthy / 100.0, found)
                continue
            self._share_among(made, False, healthy / 100.0, found)
            self._share_among(made, True, degraded / 100.0, found)
        return found

    def _share_among(self, made: HostSet, degraded: bool, share: float, found: dict[Host, float]) -> None:
        """Among localities by weight where these count, else among all."""
        weights = made.effective_weights(degraded) if self.config.locality_weighted else []
        total = sum(weights)
        if not total:
            self._share_out(made.degraded if degraded else made.healthy, share, found)
            return
        listed = made.degraded_localities if degraded else made.healthy_localities
        for weight, hosts in zip(weights, listed, strict=True):
            self._share_out(hosts, share * weight / total, found)

    def _share_out(self, hosts: Sequence[Host], share: float, found: dict[Host, float]) -> None:
        alike = self.config.lb_policy is LbPolicy.RANDOM  # which does not look at weights
        total = sum(1 if alike else host.weight for host in hosts)
        for host in hosts if share > 0.0 else ():
            found[host] = found.get(host, 0.0) + share * (1 if alike else host.weight) / total

    def panics(self, priority: int) -> bool:
        """Whether a priority is in panic; counted, as it is asked once for each choice."""
        if not self._panic[priority]:
            return False
        self.counters.add("lb_healthy_panic")
        return True

    def priority(self, context: PickContext) -> int:
        """The priority for a request by chance; for its degraded hosts, one's complement of it."""
        if context.priority_frequency:
            return self._other_priority(context)
        if self._only >= 0:
            return self._only
        return priorities.choose(int(self.random() * 100) + 1, self._healthy_loads, self._degraded_loads)

    def hashed_priority(self, key: int) -> int:
        """The priority for a key, always the same while loads are."""
        found = self._only
        if found < 0:
            found = priorities.choose(key % 100 + 1, self._healthy_loads, self._degraded_loads)
        # The tables of degraded hosts are those of healthy ones (Envoy).
        return found if found >= 0 else ~found

    def _other_priority(self, context: PickContext) -> int:
        """As ``previous_priorities`` has it: priorities that were tried are left out, until none is left."""
        healthy, degraded = self._healthy_loads, self._degraded_loads
        every, attempted = context.priority_frequency, 0
        excluded: set[int] = set()
        open_since = 0
        for place in range(len(context.tried)):
            attempted += 1
            if attempted < every:
                healthy, degraded = self._healthy_loads, self._degraded_loads
            elif attempted % every == 0:
                excluded.update([host.priority for host in context.tried[open_since : place + 1]])
                made = priorities.loads_without(self.availability, self._degraded, excluded)
                if made is None:  # every one was tried: from the start
                    attempted, open_since, excluded = 0, place + 1, set()
                    made = priorities.loads_without(self.availability, self._degraded, excluded)
                if made is not None:
                    healthy, degraded = made
        return priorities.choose(int(self.random() * 100) + 1, healthy, degraded)
