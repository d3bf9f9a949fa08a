"""Balancers: round robin, least request, random; over the healthy hosts of the lowest priority that has any."""

from collections.abc import Callable, Sequence

from mesh_api.config import LbPolicy
from mesh_proxy.balancing.host import Host

Random = Callable[[], float]


class Balancer:
    """Chooses hosts of one cluster.

    The list of hosts that may be chosen is made again only when one becomes available or unavailable (:meth:`refresh`).
    With fewer than ``panic`` percent of them available in every priority, every host counts again (Envoy's panic threshold;
    0: never).
    """

    __slots__ = ("_available", "_choices", "_current", "_cursor", "_panic", "_pick", "_random", "_weighted", "hosts")

    def __init__(self, policy: LbPolicy, hosts: Sequence[Host], random: Random, panic: float, choices: int = 2) -> None:
        self.hosts = tuple(hosts)
        self._random = random
        self._panic = panic
        self._choices = choices
        self._cursor = int(random() * max(1, len(hosts)))
        self._available: tuple[Host, ...] = ()
        self._weighted = False
        self._current: dict[Host, float] = {}
        picks = {LbPolicy.ROUND_ROBIN: self._round_robin, LbPolicy.RANDOM: self._at_random}
        self._pick: Callable[[], Host] = picks.get(policy, self._least_request)
        self.refresh()

    def refresh(self) -> None:
        """To be called when a host was ejected or came back."""
        self._available = chosen = self._chosen()
        self._weighted = len({host.weight for host in chosen}) > 1
        self._current = dict.fromkeys(chosen, 0.0) if self._weighted else {}

    def _chosen(self) -> tuple[Host, ...]:
        """Panic is the last resort: while a priority has enough hosts left, it is taken instead (Envoy)."""
        short: list[tuple[Host, ...]] = []
        empty: list[tuple[Host, ...]] = []
        for priority in sorted({host.priority for host in self.hosts}):
            members = tuple(host for host in self.hosts if host.priority == priority)
            healthy = tuple(host for host in members if host.available)
            if healthy and len(healthy) * 100 >= self._panic * len(members):
                return healthy
            (short if healthy else empty).append(members)
        return next(iter(short + empty), ()) if self._panic else ()

    def pick(self, avoid: Sequence[Host] = (), attempts: int = 1) -> Host | None:
        """The next host; up to ``attempts`` further tries to find one that is not to be avoided. ``None``: there is none."""
        available = self._available
        if not available:
            return None
        if len(available) == 1:
            return available[0]
        host = self._pick()
        while attempts > 0 and host in avoid:
            host = self._pick()
            attempts -= 1
        return host

    def _round_robin(self) -> Host:
        if self._weighted:
            return self._smooth()
        available = self._available
        self._cursor = (self._cursor + 1) % len(available)
        return available[self._cursor]

    def _smooth(self) -> Host:
        """Weighted round robin that spreads each host evenly over the turns."""
        total = 0
        best = self._available[0]
        for host in self._available:
            self._current[host] += host.weight
            total += host.weight
            if self._current[host] > self._current[best]:
                best = host
        self._current[best] -= total
        return best

    def _at_random(self) -> Host:
        available = self._available
        return available[int(self._random() * len(available))]

    def _least_request(self) -> Host:
        if self._weighted:
            return max(
                self._available, key=lambda host: host.weight / (host.active_requests + 1) * (1 + self._random() / 1e6)
            )
        available, random = self._available, self._random
        count = len(available)
        best = available[int(random() * count)]
        for _ in range(self._choices - 1):
            other = available[int(random() * count)]
            if other.active_requests < best.active_requests:
                best = other
        return best
