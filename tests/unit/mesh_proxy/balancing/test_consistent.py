"""Hash tables. That a key takes the host that a real Envoy takes is tested in ``tests/integration/mesh_proxy/balancing``."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import Cluster, ClusterType, LbPolicy, RingHashConfig
from mesh_proxy.balancing.balancer import Members
from mesh_proxy.balancing.consistent import Consistent, _Mersenne
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.hash_tables import Maglev, Ring
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.murmur import murmurhash2
from mesh_proxy.routing.hashing import xxhash64
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import hosts

KEYS = [xxhash64(b"%d" % number) for number in range(2000)]


def balancer(members: tuple[Host, ...], policy: LbPolicy = LbPolicy.RING_HASH, **fields: Any) -> Consistent:
    config = Cluster("c", ClusterType.STATIC, lb_policy=policy, healthy_panic_threshold=0.0, **fields)
    return Consistent(config, Members(members), lambda: 0.25, Counters("cluster.c"))


def chosen(made: Consistent, keys: list[int] = KEYS, **context: Any) -> list[str]:
    found = []
    for key in keys:
        asked = PickContext(0.0)
        asked.hash = key
        for name, value in context.items():
            setattr(asked, name, value)
        host = made.pick(asked)
        found.append("-" if host is None else host.name)
    return found


@pytest.mark.parametrize("policy", [LbPolicy.RING_HASH, LbPolicy.MAGLEV])
def test_few_keys_move_when_a_host_goes(policy: LbPolicy) -> None:
    members = hosts(10)
    before, after = chosen(balancer(members, policy)), chosen(balancer(members[:9], policy))
    moved = sum(1 for one, other in zip(before, after, strict=True) if one != other and one != "j")
    assert "j" not in after
    assert moved < 150


@pytest.mark.parametrize("policy", [LbPolicy.RING_HASH, LbPolicy.MAGLEV])
def test_keys_are_shared_out_by_weight(policy: LbPolicy) -> None:
    members = hosts(2)
    members[1].weight = 3
    found = Counter(chosen(balancer(members, policy, ring_hash=RingHashConfig(20_000))))
    assert found["b"] / found["a"] == pytest.approx(3.0, rel=0.2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.sampled_from([11, 53, 211]))
def test_a_maglev_table_is_full_and_fair(weights: list[int], size: int) -> None:
    members, total = hosts(len(weights)), sum(weights)
    table = Maglev(members, [weight / total for weight in weights], size, False)
    found = Counter(table.place(key, 0) for key in range(size))
    assert sum(found.values()) == size
    for place, weight in enumerate(weights):
        assert abs(found[place] - size * weight / total) <= len(weights) + 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 300))
def test_a_ring_has_at_least_its_size(weights: list[int], least: int) -> None:
    members, total = hosts(len(weights)), sum(weights)
    ring = Ring(members, [weight / total for weight in weights], RingHashConfig(least, 1000), False)
    assert min(least, 1000) <= ring.size() <= 1001


def test_a_table_is_built_once_and_again_only_for_other_hosts() -> None:
    made = balancer(hosts(3))
    chosen(made, KEYS[:1])
    before = made._tables[0]
    made.refresh()
    chosen(made, KEYS[:1])
    assert made._tables[0] is before
    made.members.hosts[0].ejected_until = 1.0
    made.refresh()
    assert set(chosen(made)) == {"b", "c"}


def test_a_rejected_host_is_followed_by_others() -> None:
    made = balancer(hosts(3))
    first = made.members.hosts[0]
    found = chosen(made, tried=[first], retry=True, avoid_tried=True, attempts=20)
    assert "a" not in found


def test_without_a_key_chance_decides() -> None:
    assert set(chosen(balancer(hosts(3)), [-1] * 5)) == {chosen(balancer(hosts(3)), [1 << 62])[0]}


def test_a_host_has_no_more_than_its_share_and_a_bit() -> None:
    members = hosts(4)
    made = balancer(members, hash_balance_factor=125)
    for number in range(100):
        asked = PickContext(0.0)
        asked.hash, asked.active_requests = KEYS[0], number
        host = made.pick(asked)
        assert host is not None
        host.active_requests += 1
    assert max(host.active_requests for host in members) <= 33
    assert sorted(chosen(made, KEYS[:3], active_requests=100)) == sorted(chosen(made, KEYS[:3], active_requests=100))


def test_numbers_are_those_of_mt19937() -> None:
    """The 10,000th of the default seed, which the standard of C++ states."""
    generator = _Mersenne(5489)
    found = 0
    for _ in range(10_000):
        found = generator._generator.getrandbits(32)
    assert found == 4123659995


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"foo", 9631199822919835226),
        (b"bar", 11474628671133349555),
    ],
)
def test_the_vectors_of_envoys_murmur(text: bytes, value: int) -> None:
    assert murmurhash2(text) == value
