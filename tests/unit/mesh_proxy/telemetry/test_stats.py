"""Counters and histograms of a worker."""

import pytest

from mesh_proxy.telemetry.stats import BOUNDS, Counters, Timing


def test_counters_are_named_by_their_scope() -> None:
    counters = Counters("cluster.a")
    assert counters.named() == {}
    counters.add("x")
    counters.add("x", 4)
    counters.add("y")
    assert counters.named() == {"cluster.a.x": 5, "cluster.a.y": 1}


def test_an_empty_histogram_has_all_its_buckets() -> None:
    read = Timing().read()
    assert read.bounds == (*BOUNDS, float("inf"))
    assert (set(read.counts), len(read.counts), read.sum, read.count) == ({0}, len(read.bounds), 0.0, 0)


@pytest.mark.parametrize(
    ("milliseconds", "bound"),
    [(0.0, 0.5), (0.5, 0.5), (0.51, 1), (1, 1), (30, 50), (3_600_000, 3_600_000), (3_600_001, float("inf"))],
)
def test_a_value_is_counted_under_the_first_bound_that_is_not_less(milliseconds: float, bound: float) -> None:
    timing = Timing()
    timing.add(milliseconds)
    read = timing.read()
    assert [at for at, count in zip(read.bounds, read.counts, strict=True) if count] == [bound]


def test_a_histogram_has_the_sum_and_the_number_of_its_values() -> None:
    timing = Timing()
    for milliseconds in (1.5, 2.5, 700.0):
        timing.add(milliseconds)
    before = timing.read()
    timing.add(1.0)
    assert (before.sum, before.count, sum(before.counts)) == (704.0, 3, 3)
    assert timing.read().count == 4
