"""How often each caller may ask, by a clock that is told what time it is."""

from mesh_control.ca.limits import Limiter


def test_a_burst_and_then_a_rate() -> None:
    limiter = Limiter(burst=3, rate=0.5)
    assert [limiter.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert [limiter.take("a", 1.9), limiter.take("a", 2.0), limiter.take("a", 2.0)] == [False, True, False]
    assert [limiter.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_callers_do_not_pay_for_each_other() -> None:
    limiter = Limiter(burst=1, rate=1)
    assert [limiter.take(name, 0.0) for name in "abab"] == [True, True, False, False]


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    limiter = Limiter(burst=2, rate=1)
    assert limiter.take("a", 100.0)
    assert limiter.take("a", 0.0)
    assert not limiter.take("a", 0.0)
    assert limiter.take("a", 1.0)


def test_who_was_silent_for_the_longest_time_is_forgotten() -> None:
    limiter = Limiter(burst=1, rate=0, callers=2)
    assert [limiter.take(name, 0.0) for name in "abac"] == [True, True, False, True]
    assert not limiter.take("a", 0.0), "a has asked after b"
    assert limiter.take("b", 0.0), "b begins anew"
