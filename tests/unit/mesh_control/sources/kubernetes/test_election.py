"""Who leads: several replicas, clocks that do not agree, and a server that refuses a write that is late."""

import random
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from mesh_control.sources.kubernetes.election import LEASE_SECONDS, RENEW_SECONDS, Election, Lease, read, stamp, write


@dataclass
class Store:
    """The one lease, of which a write is taken only of its newest version."""

    lease: Lease = field(default_factory=Lease)
    version: int = 0

    def put(self, lease: Lease) -> Lease | None:
        if lease.version != self.lease.version:
            return None
        self.version += 1
        self.lease = replace(lease, version=str(self.version))
        return self.lease


@dataclass
class Replica:
    election: Election
    store: Store
    skew: float = 0.0

    def turn(self, now: float, delay: float = 0.0) -> None:
        own = now + self.skew
        wanted = self.election.on_seen(self.store.lease, own, str(own))
        if wanted is None:
            return
        written = self.store.put(wanted)
        if written is None:
            self.election.on_refused()
        else:
            self.election.on_written(written, own - delay)

    def leads(self, now: float) -> bool:
        return self.election.leads(now + self.skew)


def replicas(*skews: float) -> tuple[Replica, ...]:
    store = Store()
    return tuple(Replica(Election(f"r{place}"), store, skew) for place, skew in enumerate(skews))


def test_the_first_leads_as_long_as_it_renews() -> None:
    one, two = replicas(0, 5000)
    for now in range(0, 100, 2):
        one.turn(now)
        two.turn(now)
        assert (one.leads(now), two.leads(now)) == (True, False)
    assert one.store.lease.transitions == 0


def test_another_takes_over_when_the_lease_has_run_out_since_it_was_first_seen() -> None:
    one, two = replicas(0, -300)
    one.turn(0)
    two.turn(8)
    two.turn(8 + LEASE_SECONDS - 0.1)
    assert not two.leads(8 + LEASE_SECONDS)
    assert not one.leads(RENEW_SECONDS)
    two.turn(8 + LEASE_SECONDS)
    assert two.leads(8 + LEASE_SECONDS)
    assert (two.store.lease.holder, two.store.lease.transitions) == ("r1", 1)
    one.turn(30)
    assert not one.leads(30)


def test_who_ends_in_order_leaves_the_lease_to_the_next() -> None:
    one, two = replicas(0, 0)
    one.turn(0)
    last = one.election.released(one.store.lease, "0")
    assert last is not None
    one.store.put(last)
    assert not one.leads(0)
    two.turn(1)
    assert two.leads(1)
    assert one.election.released(one.store.lease, "0") is None


def test_who_wrote_late_does_not_lead() -> None:
    one, two = replicas(0, 0)
    seen = two.store.lease
    one.turn(0)
    wanted = two.election.on_seen(seen, 0.0, "0")
    assert wanted is not None
    assert two.store.put(wanted) is None
    two.election.on_refused()
    assert not two.leads(0)


@given(st.integers(), st.integers(2, 4))
def test_there_are_never_two(seed: int, count: int) -> None:
    rng, now = random.Random(seed), 0.0
    group = replicas(*(rng.uniform(-1000, 1000) for _ in range(count)))
    for _ in range(200):
        now += rng.uniform(0.0, 4.0)
        one = rng.choice(group)
        if rng.random() < 0.8:  # else it is cut off for a while
            one.turn(now)
        assert sum(replica.leads(now) for replica in group) <= 1


def test_as_an_object_and_back() -> None:
    lease = Lease("a", stamp(1.5), stamp(0), 3, LEASE_SECONDS, "7")
    assert read(write(lease, "ns", "name")) == lease
    assert stamp(1.5) == "1970-01-01T00:00:01.500000Z"
    assert read({}) == Lease()
