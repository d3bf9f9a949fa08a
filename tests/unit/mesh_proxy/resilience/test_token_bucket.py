"""A bucket of tokens: it never gives more than it may, and fills as time passes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.resilience.token_bucket import TokenBucket


def test_it_begins_full_and_is_empty_then() -> None:
    bucket = TokenBucket(3, 0.5)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert (bucket.left(100.0), bucket.wait(100.0)) == (0, 2.0)


@pytest.mark.parametrize(("passed", "left"), [(1.9, 0), (2.0, 1), (3.9, 1), (6.0, 3), (1e9, 3)])
def test_it_fills_up_to_what_it_holds(passed: float, left: int) -> None:
    bucket = TokenBucket(3, 0.5)
    for _ in range(3):
        bucket.take(100.0)
    assert bucket.left(100.0 + passed) == left
    assert bucket.wait(100.0 + passed) == (0.0 if left else pytest.approx(2.0 - passed))


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket = TokenBucket(1, 1000.0)
    assert [bucket.take(5.0), bucket.take(5.0), bucket.take(4.0)] == [True, False, False]


@given(
    most=st.integers(1, 5),
    rate=st.sampled_from([Fraction(1, 4), Fraction(1), Fraction(4)]),
    pauses=st.lists(st.integers(0, 16), max_size=60),
)
def test_as_many_as_were_filled_and_no_more(most: int, rate: Fraction, pauses: list[int]) -> None:
    """The oracle counts in fractions; times are quarters of a second, which floats hold exactly."""
    bucket, now, tokens = TokenBucket(most, float(rate)), 0, Fraction(most)
    for pause in pauses:
        now += pause
        tokens = min(Fraction(most), tokens + Fraction(pause, 4) * rate)
        assert bucket.take(now / 4) is (tokens >= 1)
        if tokens >= 1:
            tokens -= 1
