"""Limits of what is under way."""

import pytest

from mesh_api.config import CircuitBreakerThresholds, RetryBudget
from mesh_proxy.resilience.circuit_breakers import Resources


def resources(**fields: object) -> Resources:
    made = Resources()
    made.configure(CircuitBreakerThresholds(**fields))  # type: ignore[arg-type]
    return made


def test_limits_that_are_not_given_are_those_of_envoy() -> None:
    made = Resources()
    assert (made.max_connections, made.max_pending_requests, made.max_requests, made.max_retries) == (
        1024,
        1024,
        1024,
        3,
    )


BUDGETS = [
    (RetryBudget(20.0, 3), 0, 3),
    (RetryBudget(20.0, 3), 14, 3),
    (RetryBudget(20.0, 3), 20, 4),
    (RetryBudget(20.0, 3), 24, 4),
    (RetryBudget(0.0, 0), 100, 0),
    (RetryBudget(100.0, 0), 7, 7),
]


@pytest.mark.parametrize(("budget", "active", "allowed"), BUDGETS)
def test_a_budget_is_a_share_of_the_requests_under_way(budget: RetryBudget, active: int, allowed: int) -> None:
    made = resources(max_retries=1, retry_budget=budget)
    made.active_requests, made.pending_requests = active - active // 2, active // 2
    assert made.retries_allowed(0.0) == allowed
    made.active_retries = allowed
    assert made.may_retry(0.0) is False
    made.active_retries = max(allowed - 1, 0)
    assert made.may_retry(0.0) is (allowed > 0)


def test_a_budget_over_a_time_counts_what_began_in_it() -> None:
    made = resources(retry_budget=RetryBudget(50.0, 0, 10.0))
    made.active_requests = 100
    assert made.retries_allowed(1000.0) == 0
    assert made.recent is not None
    for now in (1000.0, 1001.0, 1008.0, 1008.5):
        made.recent.count(now)
    assert [made.retries_allowed(now) for now in (1008.5, 1012.0, 1030.0)] == [2, 1, 0]


def test_gauges_say_what_is_open_and_what_remains() -> None:
    made = resources(max_connections=2, max_requests=5, max_retries=0)
    made.active_connections, made.active_requests = 2, 1
    found = made.gauges("high", 0.0)
    wanted = {
        "cx_open": 1,
        "remaining_cx": 0,
        "rq_open": 0,
        "remaining_rq": 4,
        "rq_retry_open": 1,
        "remaining_pending": 1024,
    }
    assert {name: found[f"circuit_breakers.high.{name}"] for name in wanted} == wanted


def test_other_limits_leave_what_is_under_way() -> None:
    made = resources(max_requests=5)
    made.active_requests = 4
    made.configure(CircuitBreakerThresholds(max_requests=1))
    assert (made.active_requests, made.gauges("default", 0.0)["circuit_breakers.default.rq_open"]) == (4, 1)
