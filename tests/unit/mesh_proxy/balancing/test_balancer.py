"""Which host is next."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    HealthStatus,
    LbPolicy,
    LocalityEndpoints,
    SlowStart,
    ZoneAware,
)
from mesh_proxy.balancing.balancer import Balancer, Members
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import EDS_UNHEALTHY, Host
from mesh_proxy.balancing.policies import balancer_of as made_of
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import dice, endpoint, hosts

ROUND_ROBIN, LEAST_REQUEST, RANDOM = LbPolicy.ROUND_ROBIN, LbPolicy.LEAST_REQUEST, LbPolicy.RANDOM
POLICIES = [ROUND_ROBIN, LEAST_REQUEST, RANDOM]


def weighted(*weights: int) -> tuple[Host, ...]:
    made = hosts(len(weights))
    for host, weight in zip(made, weights, strict=True):
        host.weight = weight
    return made


def levels(*priorities: int) -> tuple[Host, ...]:
    made = hosts(len(priorities))
    for host, priority in zip(made, priorities, strict=True):
        host.priority = priority
    return made


def down(balancer: Balancer, names: str) -> None:
    """Ejects the hosts with these names, and takes all others back."""
    for host in balancer.members.hosts:
        host.ejected_until = 1.0 if host.name in names else 0.0
    balancer.refresh()


def asking(now: float = 0.0, avoid: Sequence[Host] = (), attempts: int = 0) -> PickContext:
    context = PickContext(now)
    context.tried, context.attempts = list(avoid), attempts
    context.retry = context.avoid_tried = bool(avoid)
    return context


def names(balancer: Balancer, number: int, now: float = 0.0) -> str:
    return "".join(host.name if (host := balancer.pick(asking(now))) is not None else "-" for _ in range(number))


def seen(balancer: Balancer, number: int = 200) -> str:
    """The hosts that are ever chosen."""
    return "".join(sorted(set(names(balancer, number))))


def making(
    policy: LbPolicy, members: tuple[Host, ...], chance: Callable[[], float], panic: float = 0.0, **fields: Any
) -> Balancer:
    config = Cluster("c", ClusterType.STATIC, lb_policy=policy, healthy_panic_threshold=panic, **fields)
    return made_of(config, Members(members), chance, Counters("cluster.c"))


def balancer_of(policy: LbPolicy, members: tuple[Host, ...], panic: float = 0.0, **fields: Any) -> Balancer:
    return making(policy, members, random.Random(7).random, panic, **fields)


@pytest.mark.parametrize("policy", POLICIES)
def test_without_hosts_there_is_none(policy: LbPolicy) -> None:
    assert balancer_of(policy, ()).pick(asking()) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_the_only_host_is_chosen_also_when_it_is_to_be_avoided(policy: LbPolicy) -> None:
    (only,) = hosts(1)
    assert balancer_of(policy, (only,)).pick(asking(avoid=[only], attempts=5)) is only


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.floats(0, 1, exclude_max=True), st.integers(1, 5))
def test_round_robin_takes_every_host_once_in_a_round(number: int, start: float, rounds: int) -> None:
    balancer = making(ROUND_ROBIN, hosts(number), dice(start))
    assert Counter(names(balancer, number * rounds)) == dict.fromkeys("abcdef"[:number], rounds)


def test_two_balancers_need_not_begin_at_the_same_host() -> None:
    first = [names(making(ROUND_ROBIN, hosts(4), dice(start)), 1) for start in (0.0, 0.25, 0.5, 0.75)]
    assert sorted(first) == ["a", "b", "c", "d"]


def test_round_robin_spreads_a_weight_over_the_turns() -> None:
    balancer = making(ROUND_ROBIN, weighted(5, 1, 1), dice(0.0))
    assert names(balancer, 14) == "aaaabcaaaaaabc"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_round_robin_gives_each_host_its_exact_weight(weights: list[int]) -> None:
    counted = Counter(names(making(ROUND_ROBIN, weighted(*weights), dice(0.0)), 2 * sum(weights)))
    assert counted == {name: 2 * weight for name, weight in zip("abcde", weights, strict=False)}


def test_random_takes_each_host_for_an_equal_part_of_the_numbers() -> None:
    balancer = making(RANDOM, hosts(4), dice(0.0, 0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 0.9999))
    assert names(balancer, 7) == "aabccdd"


def test_least_request_takes_the_less_busy_of_two() -> None:
    members = hosts(3)
    members[0].active_requests, members[1].active_requests = 2, 1
    balancer = making(LEAST_REQUEST, members, dice(0.0, 0.0, 0.4, 0.4, 0.0, 0.9, 0.4, 0.0, 0.0))
    assert names(balancer, 4) == "bbca"


def test_least_request_looks_at_as_many_as_it_is_told() -> None:
    members = hosts(3)
    members[0].active_requests, members[1].active_requests = 2, 1
    balancer = making(LEAST_REQUEST, members, dice(0.0, 0.0, 0.4, 0.9), least_request_choice_count=3)
    assert names(balancer, 1) == "c"


def test_least_request_evens_out_the_load() -> None:
    balancer = balancer_of(LEAST_REQUEST, hosts(4))
    for _ in range(100):
        host = balancer.pick(asking())
        assert host is not None
        host.active_requests += 1
    assert max(host.active_requests for host in balancer.members.hosts) <= 29


def test_least_request_fills_hosts_by_their_weight() -> None:
    balancer = balancer_of(LEAST_REQUEST, weighted(1, 3))
    for _ in range(80):
        host = balancer.pick(asking())
        assert host is not None
        host.active_requests += 1
    # Who has a third of the weight, comes up by a third when both are idle; with requests under way, by its root.
    assert [host.active_requests for host in balancer.members.hosts] == [29, 51]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_host_to_be_avoided_is_not_chosen_while_others_are_found(policy: LbPolicy) -> None:
    balancer = balancer_of(policy, hosts(3))
    avoid = balancer.members.hosts[:1]
    assert {balancer.pick(asking(avoid=avoid, attempts=20)) for _ in range(50)} <= set(balancer.members.hosts[1:])


def test_a_host_to_be_avoided_is_chosen_when_the_tries_are_used_up() -> None:
    balancer = making(RANDOM, hosts(2), dice(0.0, 0.0, 0.1, 0.2, 0.0, 0.9))
    first, second = balancer.members.hosts
    assert balancer.pick(asking(avoid=[first], attempts=2)) is first
    assert balancer.pick(asking(avoid=[first], attempts=1)) is second


def test_nothing_is_avoided_without_tries() -> None:
    balancer = making(RANDOM, hosts(2), dice(0.0, 0.0))
    assert balancer.pick(asking(avoid=balancer.members.hosts[:1])) is balancer.members.hosts[0]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_ejected_host_is_left_out_until_it_is_back(policy: LbPolicy) -> None:
    balancer = balancer_of(policy, hosts(3))
    down(balancer, "b")
    assert seen(balancer) == "ac"
    down(balancer, "")
    assert seen(balancer) == "abc"
    down(balancer, "abc")
    assert names(balancer, 2) == "--"


@pytest.mark.parametrize(
    ("health", "available"),
    [
        (HealthStatus.UNKNOWN, True),
        (HealthStatus.HEALTHY, True),
        (HealthStatus.UNHEALTHY, False),
        (HealthStatus.DRAINING, False),
    ],
)
def test_a_host_that_discovery_says_is_ill_is_left_out(health: HealthStatus, available: bool) -> None:
    made = tuple(Host(name, ("10.0.0.1", 1), endpoint(1, health=health)) for name in "ab")
    assert (balancer_of(ROUND_ROBIN, made).pick(asking()) is not None) is available


def test_weights_of_the_hosts_that_are_left_still_count() -> None:
    balancer = making(ROUND_ROBIN, weighted(2, 1, 5), dice(0.0))
    down(balancer, "c")
    assert Counter(names(balancer, 9)) == {"a": 6, "b": 3}


PRIORITIES = [
    ("the lowest number first", (1, 0, 0), 0.0, "", "bc"),
    ("one of two takes 70 percent", (0, 0, 1), 0.0, "a", "bc"),
    ("three of four are enough", (0, 0, 0, 0, 1), 0.0, "a", "bcd"),
    ("the next when all are down", (0, 0, 1), 0.0, "ab", "c"),
    ("the one after that", (0, 1, 2), 0.0, "ab", "c"),
    ("none when all are down", (0, 1), 0.0, "ab", "-"),
    ("a gap in the numbers", (3, 7), 0.0, "a", "b"),
]
PANIC = [
    ("enough hosts", (0, 0), 50.0, "a", "b"),
    ("too few hosts", (0, 0, 0), 50.0, "ab", "abc"),
    ("no host", (0, 0), 50.0, "ab", "ab"),
    ("exactly enough", (0, 0, 0, 0), 50.0, "ab", "cd"),
    ("always, when hosts are too few to take it all", (0, 0, 0), 100.0, "ab", "abc"),
    ("never while others take it all", (0, 0, 0, 1), 50.0, "ab", "cd"),
    ("every priority by its hosts when all are short", (0, 0, 0, 1, 1, 1), 50.0, "abde", "abcdef"),
    ("every priority by its hosts when all are down", (0, 1), 50.0, "ab", "ab"),
]


@pytest.mark.parametrize(
    ("priorities", "panic", "ejected", "expected"),
    [row[1:] for row in PRIORITIES + PANIC],
    ids=[row[0] for row in PRIORITIES + PANIC],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_hosts_are_those_of_the_priorities_that_can_take_it(
    policy: LbPolicy, priorities: tuple[int, ...], panic: float, ejected: str, expected: str
) -> None:
    balancer = balancer_of(policy, levels(*priorities), panic)
    down(balancer, ejected)
    assert seen(balancer) == expected


def test_panic_is_counted_and_may_fail_the_traffic() -> None:
    balancer = balancer_of(ROUND_ROBIN, hosts(3), 50.0)
    down(balancer, "ab")
    names(balancer, 5)
    assert balancer.counters.values["lb_healthy_panic"] == 5
    strict = balancer_of(ROUND_ROBIN, hosts(3), 50.0, zone_aware=ZoneAware(fail_traffic_on_panic=True))
    down(strict, "ab")
    assert names(strict, 2) == "--"


@pytest.mark.parametrize("policy", POLICIES)
def test_degraded_hosts_take_what_is_left(policy: LbPolicy) -> None:
    made = tuple(Host(name, ("10.0.0.1", 1), endpoint(1)) for name in "abcd")
    made[0].flags |= EDS_UNHEALTHY
    made[1].flags |= EDS_UNHEALTHY
    balancer = balancer_of(policy, made)
    assert seen(balancer) == "cd"
    made[3].discover(endpoint(1, health=HealthStatus.DEGRADED), 0, ("", "", ""))
    balancer.refresh()
    found = Counter(names(balancer, 2000))
    # 35 percent of the hosts are healthy enough for, 35 degraded; together 70, of which each has half.
    assert set(found) == {"c", "d"}
    assert 800 < found["c"] < 1200


def in_localities(
    *rows: tuple[str, str, int | None], local: str | None = None, neighbours: str = "", **fields: Any
) -> Balancer:
    """Rows of a zone's name, its hosts, and its weight."""
    made = [Host(name, name, endpoint(1), 0, ("r", zone, "")) for zone, members, _ in rows for name in members]
    assignment = ClusterLoadAssignment("c", tuple(LocalityEndpoints((), "r", zone, weight=w) for zone, _, w in rows))
    place = None if local is None else ("r", local, "")
    beside = [Host("n", "n", endpoint(1), 0, ("r", zone, "")) for zone in neighbours]
    config = Cluster("c", ClusterType.STATIC, healthy_panic_threshold=0.0, **fields)
    return made_of(config, Members(made, assignment, place, beside), random.Random(3).random, Counters("cluster.c"))


def shares(balancer: Balancer, number: int = 4000) -> dict[str, float]:
    return {name: round(count / number, 1) for name, count in sorted(Counter(names(balancer, number)).items())}


def test_a_locality_has_the_share_of_its_weight() -> None:
    balancer = in_localities(("a", "xy", 80), ("b", "z", 20), ("c", "u", None), locality_weighted=True)
    assert shares(balancer) == {"x": 0.4, "y": 0.4, "z": 0.2}
    assert shares(in_localities(("a", "xy", 80), ("b", "z", 20))) == {"x": 0.3, "y": 0.3, "z": 0.3}


def test_a_locality_loses_what_its_hosts_cannot_take() -> None:
    """Envoy's page "Locality weighted load balancing": 1.4 times the share that is left."""
    balancer = in_localities(("a", "wxyz", 1), ("b", "u", 1), locality_weighted=True)
    down(balancer, "wx")
    assert Counter("u" if name == "u" else "a" for name in names(balancer, 17000))["a"] == pytest.approx(7000, abs=300)


ZONES = [
    ("as many as neighbours", ("xy", "uv"), "ab", {"x": 0.5, "y": 0.5}, "lb_zone_routing_all_directly"),
    ("more than neighbours", ("xyz", "u"), "ab", {"x": 0.3, "y": 0.3, "z": 0.3}, "lb_zone_routing_all_directly"),
    ("fewer than neighbours", ("x", "uvw"), "ab", {"u": 0.2, "v": 0.2, "w": 0.2, "x": 0.5}, "lb_zone_routing_cross_zone"),
    ("no neighbour here", ("xy", "uv"), "bb", {"u": 0.2, "v": 0.2, "x": 0.2, "y": 0.2}, "lb_local_cluster_not_ok"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("members", "neighbours", "expected", "counter"), [row[1:] for row in ZONES], ids=[row[0] for row in ZONES]
)
def test_requests_stay_in_the_own_zone_as_far_as_it_can_take_them(
    members: tuple[str, str], neighbours: str, expected: dict[str, float], counter: str
) -> None:
    rows = [("a", members[0], None), ("b", members[1], None)]
    balancer = in_localities(*rows, local="a", neighbours=neighbours, zone_aware=ZoneAware(min_cluster_size=4))
    found = {name: int(share * 10) / 10 for name, share in shares(balancer).items()}
    assert {name: pytest.approx(share, abs=0.11) for name, share in expected.items()} == found
    assert balancer.counters.values[counter]


def test_a_small_cluster_is_not_divided_by_zones() -> None:
    balancer = in_localities(("a", "x", None), ("b", "yz", None), local="a", neighbours="ab", zone_aware=ZoneAware())
    assert set(shares(balancer)) == {"x", "y", "z"}
    assert balancer.counters.values["lb_zone_cluster_too_small"] == 1


def test_a_new_host_gets_its_share_over_the_window() -> None:
    members = hosts(2)
    members[1].healthy_since = 1000.0
    slow = SlowStart(window=100.0)
    for now, expected in ((1001.0, 0.1), (1050.0, 0.5), (1099.0, 0.99), (1101.0, 1.0)):
        balancer = balancer_of(ROUND_ROBIN, members, slow_start=slow)
        found = Counter(names(balancer, 3000, now))
        assert found["b"] / found["a"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("aggression", "expected"), [(0.5, 0.25), (1.0, 0.5), (2.0, 0.7071)])
def test_the_aggression_bends_the_curve(aggression: float, expected: float) -> None:
    members = hosts(2)
    members[1].healthy_since = 1000.0
    balancer = balancer_of(LEAST_REQUEST, members, slow_start=SlowStart(100.0, aggression, 1.0))
    found = Counter(names(balancer, 3000, 1050.0))
    assert found["b"] / found["a"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("bias", "expected"), [(0.0, [20, 60]), (1.0, [29, 51]), (2.0, [33, 47])])
def test_the_bias_says_how_much_requests_under_way_count(bias: float, expected: list[int]) -> None:
    members = weighted(1, 3)
    balancer = balancer_of(LEAST_REQUEST, members, active_request_bias=bias)
    for _ in range(80):
        host = balancer.pick(asking())
        assert host is not None
        host.active_requests += 1
    assert [host.active_requests for host in members] == pytest.approx(expected, abs=4)


def test_retries_go_to_other_priorities() -> None:
    balancer = balancer_of(ROUND_ROBIN, levels(0, 1, 2))
    first, second, third = balancer.members.hosts
    for tried, expected in (
        ([], {first}), ([first], {second}), ([first, second], {third}), ([first, second, third], {first}),
    ):  # fmt: skip
        context = asking()
        context.tried, context.priority_frequency = tried, 1
        assert {balancer.pick(context) for _ in range(20)} == expected
    context.tried, context.priority_frequency = [first], 2
    assert balancer.pick(context) is first


def test_canaries_and_labels_are_left_out_on_a_retry() -> None:
    made = tuple(
        Host(name, name, endpoint(1, lb_metadata=labels))
        for name, labels in (("a", (("canary", "true"),)), ("b", (("stage", '"x"'), ("v", "1"))), ("c", ()))
    )
    context = asking(attempts=50)
    context.retry = context.omit_canary = True
    balancer = balancer_of(RANDOM, made)
    assert {host.name for _ in range(50) if (host := balancer.pick(context))} == {"b", "c"}
    context.omit_labels = (("v", "1"),)
    assert {host.name for _ in range(50) if (host := balancer.pick(context))} == {"c"}
    context.retry = False
    assert {host.name for _ in range(50) if (host := balancer.pick(context))} == {"a", "b", "c"}


def test_nothing_is_computed_before_the_first_choice() -> None:
    balancer = balancer_of(ROUND_ROBIN, hosts(3))
    assert balancer.sets == []
    names(balancer, 1)
    before = balancer.sets
    names(balancer, 1)
    assert balancer.sets is before


def test_a_round_goes_on_when_a_host_comes() -> None:
    balancer = making(ROUND_ROBIN, hosts(3), dice(0.0))
    assert names(balancer, 2) == "bc"
    balancer.replace(balancer.config, Members(hosts(4)))
    assert names(balancer, 4) == "dabc"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("priorities", "panic", "ejected", "expected"),
    [row[1:] for row in PRIORITIES + PANIC],
    ids=[row[0] for row in PRIORITIES + PANIC],
)
def test_shares_are_what_choices_come_to(
    policy: LbPolicy, priorities: tuple[int, ...], panic: float, ejected: str, expected: str
) -> None:
    balancer = balancer_of(policy, levels(*priorities), panic)
    down(balancer, ejected)
    found = {host.name: share for host, share in balancer.shares(0.0).items()}
    assert "".join(sorted(found)) == expected.replace("-", "")
    counted = Counter(names(balancer, 3000))
    assert {name: pytest.approx(counted[name] / 3000, abs=0.04) for name in found} == found


def test_shares_of_localities_are_those_of_their_weights() -> None:
    found = in_localities(("a", "xy", 80), ("b", "z", 20), locality_weighted=True).shares(0.0)
    assert {host.name: round(share, 3) for host, share in found.items()} == {"x": 0.4, "y": 0.4, "z": 0.2}
