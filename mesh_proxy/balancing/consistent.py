"""Ring hash and Maglev over priorities, and the limit on what one host gets (Envoy ``ThreadAwareLoadBalancerBase``)."""

import math
import random as mersenne
from typing import Final

from mesh_api.config import Cluster, LbPolicy, RingHashConfig
from mesh_proxy.balancing.balancer import Balancer, Members, Random
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.hash_tables import HashTable, Maglev, Ring, shares
from mesh_proxy.balancing.host import Host
from mesh_proxy.telemetry.stats import Counters

_DEFAULT: Final = RingHashConfig()
_WORD: Final = 0xFFFFFFFF


class Consistent(Balancer):
    """A host for each key; without a key, for a random one."""

    __slots__ = ("_built", "_tables")

    def __init__(self, config: Cluster, members: Members, random: Random, counters: Counters) -> None:
        super().__init__(config, members, random, counters)
        self._tables: list[HashTable | None] = []
        self._built: list[bool] = []

    def rebuild(self, now: float) -> None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`. Tables stay while their hosts and shares do."""
        count = len(self.sets)
        before = self._tables
        self._built = [False] * count
        self._tables = [before[place] if place < len(before) else None for place in range(count)]

    def replace(self, config: Cluster, members: Members) -> None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        self._tables = []  # labels and names of hosts, and settings, may be others
        super().replace(config, members)

    def choose(self, context: PickContext, attempt: int) -> Host | None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        key = context.hash
        if key < 0:
            key = int(self.random() * (1 << 53)) << 11
        priority = self.hashed_priority(key)
        self.panics(priority)
        table = self._tables[priority] if self._built[priority] else self._table(priority)
        if table is None:
            return None
        place = table.place(key, attempt)
        factor = self.config.hash_balance_factor
        if factor:
            place = _bounded(table, place, key, (context.active_requests + 1) * factor)
        return table.hosts[place]

    def _table(self, priority: int) -> HashTable | None:
        self._built[priority] = True
        made = self.sets[priority]
        by_locality = self.config.locality_weighted and bool(self.members.weights)
        hosts, weights = shares(made, self._panic[priority], by_locality)
        if not hosts:
            self._tables[priority] = None
            return None
        known = self._tables[priority]
        if known is not None and known.hosts == tuple(hosts) and known.weights == tuple(weights):
            return known
        config = self.config.ring_hash or _DEFAULT
        by_name = self.config.use_hostname_for_hashing
        table: HashTable
        if self.config.lb_policy is LbPolicy.MAGLEV:
            table = Maglev(hosts, weights, config.table_size, by_name)
        else:
            table = Ring(hosts, weights, config, by_name)
        self._tables[priority] = table
        return table


def _bounded(table: HashTable, place: int, key: int, percents: int) -> int:
    """The host, or another one while it has more than its share (Envoy ``BoundedLoadHashingLoadBalancer``)."""
    slots = (percents + 99) // 100
    least = _overload(table, place, slots)
    if least <= 1.0:
        return place
    # The order in which others are looked at is drawn by the key, so that it is the same for it each time.
    draws = _Mersenne(key)
    count = len(table.hosts)
    order = list(range(count))
    best = place
    for step in range(count):
        other = step + draws.below(count - step)
        order[step], order[other] = order[other], order[step]
        number = order[step]
        if number == place:
            continue
        found = _overload(table, number, slots)
        if found <= 1.0:
            return number
        if found < least:
            best, least = number, found
    return best


def _overload(table: HashTable, place: int, slots: int) -> float:
    own = max(1, math.ceil(slots * table.weights[place]))
    return table.hosts[place].active_requests / own


class _Mersenne:
    """``std::mt19937`` of a seed: CPython has the same generator, and seeds it in another way."""

    __slots__ = ("_generator",)

    def __init__(self, seed: int) -> None:
        word = seed & _WORD
        state = [word]
        for place in range(1, 624):
            word = (1812433253 * (word ^ (word >> 30)) + place) & _WORD
            state.append(word)
        self._generator = mersenne.Random()  # noqa: S311 (to be foretold is what it is for)
        self._generator.setstate((3, (*state, 624), None))

    def below(self, bound: int) -> int:
        """A number in [0, bound), as Envoy draws it."""
        found = bound
        while found >= bound:
            found = self._generator.getrandbits(32) // ((1 << 32) // bound)
        return found
