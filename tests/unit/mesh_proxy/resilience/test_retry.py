"""What is tried again, and after how long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import RetryPolicy
from mesh_proxy.resilience.retry import Failure, back_off, on_failure, on_status

REFUSED, RESET, UNSENT, PER_TRY = Failure.REFUSED, Failure.RESET, Failure.UNSENT, Failure.PER_TRY

ISTIO = ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")
"""What Istio writes for outbound routes, without any retriable code."""

FAILURES = [
    (ISTIO, {REFUSED, UNSENT}),
    (("reset-before-request",), {REFUSED, UNSENT}),
    (("connect-failure",), {REFUSED}),
    (("refused-stream",), {UNSENT}),
    (("reset",), {REFUSED, RESET, UNSENT, PER_TRY}),
    (("5xx",), {REFUSED, RESET, UNSENT, PER_TRY}),
    (("gateway-error",), {REFUSED, RESET, UNSENT, PER_TRY}),
    (("retriable-4xx", "retriable-status-codes", "unavailable", "cancelled"), set()),
    ((), set()),
]


@pytest.mark.parametrize(("retry_on", "expected"), FAILURES)
def test_a_failure_is_tried_again_where_the_policy_says_so(retry_on: tuple[str, ...], expected: set[Failure]) -> None:
    assert {failure for failure in Failure if on_failure(RetryPolicy(retry_on), failure)} == expected


STATUSES = (200, 304, 400, 409, 425, 429, 500, 501, 502, 503, 504, 505, 599)
ANSWERS = [
    (ISTIO, (), set()),
    (ISTIO, (503, 429), {503, 429}),
    (("5xx",), (), {500, 501, 502, 503, 504, 505, 599}),
    (("gateway-error",), (), {502, 503, 504}),
    (("retriable-4xx",), (), {409}),
    (("retriable-status-codes",), (425,), {425}),
    (("connect-failure",), (503,), set()),
    (("reset", "reset-before-request", "refused-stream"), (), set()),
    (("gateway-error", "retriable-status-codes"), (200,), {200, 502, 503, 504}),
    ((), (503,), set()),
]


@pytest.mark.parametrize(("retry_on", "codes", "expected"), ANSWERS)
def test_an_answer_is_tried_again_where_the_policy_says_so(
    retry_on: tuple[str, ...], codes: tuple[int, ...], expected: set[int]
) -> None:
    policy = RetryPolicy(retry_on, retriable_status_codes=codes)
    assert {status for status in STATUSES if on_status(policy, status)} == expected


@pytest.mark.parametrize(
    ("attempt", "span"), [(1, 0.025), (2, 0.075), (3, 0.175), (4, 0.25), (5, 0.25), (70, 0.25), (2000, 0.25)]
)
def test_the_pause_doubles_up_to_ten_times_its_base(attempt: int, span: float) -> None:
    """As Envoy: up to (2^N - 1) times the base, fully jittered."""
    assert back_off(RetryPolicy(ISTIO), attempt, lambda: 0.5) == pytest.approx(span / 2)
    assert back_off(RetryPolicy(ISTIO), attempt, lambda: 0.0) == 0.0


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 10_000),
    st.floats(0.001, 60),
    st.none() | st.floats(0.001, 600),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_within_its_bounds(attempt: int, base: float, most: float | None, number: float) -> None:
    policy = RetryPolicy(ISTIO, back_off_base=base, back_off_max=most)
    limit = 10 * base if most is None else most
    assert 0 <= back_off(policy, attempt, lambda: number) <= limit
    assert back_off(policy, attempt, lambda: number) <= (2 ** min(attempt, 60) - 1) * base
