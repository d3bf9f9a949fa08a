"""Which host is next."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import HealthStatus, LbPolicy
from mesh_proxy.balancing.balancer import Balancer
from mesh_proxy.balancing.host import Host
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
    for host in balancer.hosts:
        host.ejected_until = 1.0 if host.name in names else 0.0
    balancer.refresh()


def names(balancer: Balancer, number: int) -> str:
    return "".join(host.name if (host := balancer.pick()) is not None else "-" for _ in range(number))


def seen(balancer: Balancer, number: int = 200) -> str:
    """The hosts that are ever chosen."""
    return "".join(sorted(set(names(balancer, number))))


def balancer_of(policy: LbPolicy, members: tuple[Host, ...], panic: float = 0.0) -> Balancer:
    return Balancer(policy, members, random.Random(7).random, panic)


@pytest.mark.parametrize("policy", POLICIES)
def test_without_hosts_there_is_none(policy: LbPolicy) -> None:
    assert balancer_of(policy, ()).pick() is None


@pytest.mark.parametrize("policy", POLICIES)
def test_the_only_host_is_chosen_also_when_it_is_to_be_avoided(policy: LbPolicy) -> None:
    (only,) = hosts(1)
    assert balancer_of(policy, (only,)).pick([only], 5) is only


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.floats(0, 1, exclude_max=True), st.integers(1, 5))
def test_round_robin_takes_every_host_once_in_a_round(number: int, start: float, rounds: int) -> None:
    balancer = Balancer(ROUND_ROBIN, hosts(number), dice(start), 0.0)
    assert Counter(names(balancer, number * rounds)) == dict.fromkeys("abcdef"[:number], rounds)


def test_two_balancers_need_not_begin_at_the_same_host() -> None:
    first = [names(Balancer(ROUND_ROBIN, hosts(4), dice(start), 0.0), 1) for start in (0.0, 0.25, 0.5, 0.75)]
    assert sorted(first) == ["a", "b", "c", "d"]


def test_round_robin_spreads_a_weight_over_the_turns() -> None:
    balancer = Balancer(ROUND_ROBIN, weighted(5, 1, 1), dice(0.0), 0.0)
    assert names(balancer, 14) == "aabacaa" * 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_round_robin_gives_each_host_its_exact_weight(weights: list[int]) -> None:
    counted = Counter(names(Balancer(ROUND_ROBIN, weighted(*weights), dice(0.0), 0.0), 2 * sum(weights)))
    assert counted == {name: 2 * weight for name, weight in zip("abcde", weights, strict=False)}


def test_random_takes_each_host_for_an_equal_part_of_the_numbers() -> None:
    balancer = Balancer(RANDOM, hosts(4), dice(0.0, 0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 0.9999), 0.0)
    assert names(balancer, 7) == "aabccdd"


def test_least_request_takes_the_less_busy_of_two() -> None:
    members = hosts(3)
    members[0].active_requests, members[1].active_requests = 2, 1
    balancer = Balancer(LEAST_REQUEST, members, dice(0.0, 0.0, 0.4, 0.4, 0.0, 0.9, 0.4, 0.0, 0.0), 0.0)
    assert names(balancer, 4) == "bbca"


def test_least_request_looks_at_as_many_as_it_is_told() -> None:
    members = hosts(3)
    members[0].active_requests, members[1].active_requests = 2, 1
    balancer = Balancer(LEAST_REQUEST, members, dice(0.0, 0.0, 0.4, 0.9), 0.0, choices=3)
    assert names(balancer, 1) == "c"


def test_least_request_evens_out_the_load() -> None:
    balancer = balancer_of(LEAST_REQUEST, hosts(4))
    for _ in range(100):
        host = balancer.pick()
        assert host is not None
        host.active_requests += 1
    assert max(host.active_requests for host in balancer.hosts) <= 29


def test_least_request_fills_hosts_by_their_weight() -> None:
    balancer = balancer_of(LEAST_REQUEST, weighted(1, 3))
    for _ in range(80):
        host = balancer.pick()
        assert host is not None
        host.active_requests += 1
    assert [host.active_requests for host in balancer.hosts] == [20, 60]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_host_to_be_avoided_is_not_chosen_while_others_are_found(policy: LbPolicy) -> None:
    balancer = balancer_of(policy, hosts(3))
    avoid = balancer.hosts[:1]
    assert {balancer.pick(avoid, 20) for _ in range(50)} <= set(balancer.hosts[1:])


def test_a_host_to_be_avoided_is_chosen_when_the_tries_are_used_up() -> None:
    balancer = Balancer(RANDOM, hosts(2), dice(0.0, 0.0, 0.1, 0.2, 0.0, 0.9), 0.0)
    first, second = balancer.hosts
    assert balancer.pick([first], 2) is first
    assert balancer.pick([first], 1) is second


def test_nothing_is_avoided_without_tries() -> None:
    balancer = Balancer(RANDOM, hosts(2), dice(0.0, 0.0), 0.0)
    assert balancer.pick(balancer.hosts[:1], 0) is balancer.hosts[0]


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
    assert (balancer_of(ROUND_ROBIN, made).pick() is not None) is available


def test_weights_of_the_hosts_that_are_left_still_count() -> None:
    balancer = Balancer(ROUND_ROBIN, weighted(2, 1, 5), dice(0.0), 0.0)
    down(balancer, "c")
    assert Counter(names(balancer, 9)) == {"a": 6, "b": 3}


PRIORITIES = [
    ("the lowest number first", (1, 0, 0), 0.0, "", "bc"),
    ("one of them is enough", (0, 0, 1), 0.0, "a", "b"),
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
    ("always", (0, 0), 100.0, "a", "ab"),
    ("another priority comes before panic", (0, 0, 0, 1), 50.0, "ab", "d"),
    ("another priority comes before panic, none left", (0, 0, 1), 50.0, "ab", "c"),
    ("where some are left, panic is there", (0, 0, 1, 1, 1), 50.0, "abcd", "cde"),
    ("panic is at the first when none is left", (0, 1), 50.0, "ab", "a"),
    ("panic is at the first where some are left", (0, 0, 0, 1, 1, 1), 50.0, "abde", "abc"),
]


@pytest.mark.parametrize(
    ("priorities", "panic", "ejected", "expected"),
    [row[1:] for row in PRIORITIES + PANIC],
    ids=[row[0] for row in PRIORITIES + PANIC],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_hosts_are_those_of_the_first_priority_that_has_enough(
    policy: LbPolicy, priorities: tuple[int, ...], panic: float, ejected: str, expected: str
) -> None:
    balancer = balancer_of(policy, levels(*priorities), panic)
    down(balancer, ejected)
    assert seen(balancer) == expected
