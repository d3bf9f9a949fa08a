"""Who of one list of hosts is next: round robin, least request, random.

A list is what may be chosen from at one place: the healthy hosts of a priority, of a locality there, or all of them in
panic. With equal weights a choice is an index; with different ones, or while a host starts slowly, hosts come up by a
schedule (Envoy ``EdfLoadBalancerBase``).
"""

from collections.abc import Callable, Sequence

from mesh_api.config import Cluster, LbPolicy
from mesh_proxy.balancing.edf import HostSchedule
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.slow_start import Warming

Random = Callable[[], float]


class Source:
    """One list of hosts; the policies are its subclasses."""

    __slots__ = ("hosts", "random", "schedule", "warming")

    def __init__(self, hosts: Sequence[Host], random: Random, warming: Warming | None) -> None:
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self.random = random
        self.warming: Warming | None = warming
        self.schedule: HostSchedule | None = None

    def plan(self, now: float, start: float) -> None:
        """Make the schedule, where one is needed; ``start`` in [0, 1) is where it begins."""
        hosts, warming = self.hosts, self.warming
        warm = warming is None or not warming.joined(hosts, now)
        if len(hosts) <= 1 or (warm and len({host.weight for host in hosts}) == 1):
            return
        self.schedule = HostSchedule(hosts, [self.weight(host, now) for host in hosts], start)

    def weight(self, host: Host, now: float) -> float:
        """How much of the traffic the host should get now, in proportion to others."""
        warming = self.warming
        if warming is not None and warming.active(now):
            return host.weight * warming.factor(host, now)
        return float(host.weight)

    def next(self, now: float) -> Host | None:
        """The next host; ``None``: the list is empty."""
        schedule = self.schedule
        if schedule is None:
            return self.unweighted()
        host = schedule.first()
        schedule.advance(self.weight(host, now))
        return host

    def unweighted(self) -> Host | None:
        """The next host where all have the same weight."""
        raise NotImplementedError


class RoundRobin(Source):
    """One after the other."""

    __slots__ = ("cursor",)

    def __init__(self, hosts: Sequence[Host], random: Random, warming: Warming | None, cursor: int) -> None:
        super().__init__(hosts, random, warming)
        self.cursor: int = cursor

    def unweighted(self) -> Host | None:
        """See :class:`Source`."""
        hosts = self.hosts
        if not hosts:
            return None
        self.cursor = cursor = (self.cursor + 1) % len(hosts)
        return hosts[cursor]


class LeastRequest(Source):
    """The least busy of some that are drawn; with weights, these divided by how busy a host is."""

    __slots__ = ("_bias", "_choices")

    def __init__(
        self, hosts: Sequence[Host], random: Random, warming: Warming | None, choices: int, bias: float
    ) -> None:
        super().__init__(hosts, random, warming)
        self._choices: int = choices
        self._bias: float = bias

    def unweighted(self) -> Host | None:
        """See :class:`Source`."""
        hosts, random = self.hosts, self.random
        count = len(hosts)
        if count <= 1:
            return hosts[0] if hosts else None
        best = hosts[int(random() * count)]
        for _ in range(self._choices - 1):
            other = hosts[int(random() * count)]
            if other.active_requests < best.active_requests:
                best = other
        return best

    def weight(self, host: Host, now: float) -> float:
        """See :class:`Source`."""
        made = float(host.weight)
        busy = host.active_requests + 1
        if self._bias == 1.0:
            made /= busy
        elif self._bias != 0.0:
            made /= float(busy) ** self._bias
        warming = self.warming
        if warming is not None and warming.active(now):
            made *= warming.factor(host, now)
        return made


class AtRandom(Source):
    """Any; weights of hosts do not count (Envoy)."""

    def plan(self, now: float, start: float) -> None:
        """There is no schedule."""

    def unweighted(self) -> Host | None:
        """See :class:`Source`."""
        hosts = self.hosts
        return hosts[int(self.random() * len(hosts))] if hosts else None


def source_of(config: Cluster, hosts: Sequence[Host], random: Random, warming: Warming | None, cursor: int) -> Source:
    """A list under the cluster's policy; ``cursor`` is where round robin stands."""
    if config.lb_policy is LbPolicy.ROUND_ROBIN:
        return RoundRobin(hosts, random, warming, cursor)
    if config.lb_policy is LbPolicy.RANDOM:
        return AtRandom(hosts, random, warming)
    choices = config.least_request_choice_count
    return LeastRequest(hosts, random, warming, choices, config.active_request_bias)
