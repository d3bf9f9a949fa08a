"""Loads of priorities. The rows of the first table are those of Envoy's page "Priority levels"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.balancing.priorities import (
    availability,
    choose,
    in_panic,
    loads,
    loads_in_total_panic,
    loads_without,
)

HEALTH = [
    ([100, 100], [100, 0]),
    ([72, 100], [100, 0]),
    ([71, 100], [99, 1]),
    ([50, 100], [70, 30]),
    ([25, 100], [35, 65]),
    ([0, 100], [0, 100]),
    ([25, 25], [50, 50]),
    ([72, 72, 100], [100, 0, 0]),
    ([50, 50, 100], [70, 30, 0]),
    ([25, 100, 100], [35, 65, 0]),
    ([25, 25, 100], [35, 35, 30]),
    ([25, 25, 20], [36, 35, 28]),
]


@pytest.mark.parametrize(("healthy", "expected"), HEALTH)
def test_a_priority_keeps_what_it_can_take(healthy: list[int], expected: list[int]) -> None:
    found, degraded = loads([availability(140, percent, 100) for percent in healthy], [0] * len(healthy))
    assert [abs(load - wanted) <= 1 for load, wanted in zip(found, expected, strict=True)] == [True] * len(found)
    assert (sum(found), degraded) == (100, [0] * len(found))


def test_degraded_hosts_take_what_healthy_ones_cannot() -> None:
    assert loads([70, 0], [70, 0]) == ([70, 0], [30, 0])
    assert loads([10, 20, 10], [20, 10, 0]) == ([16, 28, 14], [28, 14, 0])
    assert loads([0, 0], [0, 35]) == ([0, 0], [0, 100])
    assert loads([0], [0]) == ([0], [0])


PERCENT = st.integers(0, 100)


@given(st.lists(st.tuples(PERCENT, PERCENT), min_size=1, max_size=5))
def test_loads_are_the_whole(rows: list[tuple[int, int]]) -> None:
    healthy, degraded = loads([row[0] for row in rows], [row[1] for row in rows])
    assert sum(healthy) + sum(degraded) == (100 if any(map(any, rows)) else 0)
    assert min(healthy + degraded) >= 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_in_total_panic_a_priority_has_as_much_as_it_has_hosts(sizes: list[int]) -> None:
    found = loads_in_total_panic(sizes)
    assert sum(found) == 100
    assert all(load == 0 for load, size in zip(found, sizes, strict=True) if not size) or not any(sizes)


@given(st.lists(PERCENT, min_size=1, max_size=4), st.sets(st.integers(0, 3)))
def test_priorities_that_were_tried_get_nothing(health: list[int], excluded: set[int]) -> None:
    found = loads_without(health, [0] * len(health), excluded)
    left = [value for place, value in enumerate(health) if place not in excluded]
    assert (found is None) is not any(left)
    if found is not None:
        assert sum(found[0]) == 100
        assert [found[0][place] for place in excluded if place < len(health)].count(0) == len(
            [place for place in excluded if place < len(health)]
        )


@pytest.mark.parametrize(
    ("threshold", "healthy", "degraded", "total", "panic"),
    [(50, 1, 0, 2, False), (50, 1, 0, 3, True), (50, 1, 1, 3, False), (0, 0, 0, 2, False), (1, 0, 0, 0, True)],
)
def test_panic_is_where_too_few_are_left(threshold: int, healthy: int, degraded: int, total: int, panic: bool) -> None:
    assert in_panic(threshold, healthy, degraded, total) is panic


def test_a_point_is_in_one_priority() -> None:
    found = [choose(point, [20, 30], [40, 10]) for point in range(1, 101)]
    assert [found.count(place) for place in (0, 1, ~0, ~1)] == [20, 30, 40, 10]
