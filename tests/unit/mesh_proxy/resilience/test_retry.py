"""What is tried again, and after how long."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import HeaderMatch, RetryPolicy
from mesh_api.config.routes import RateLimitedBackOff
from mesh_proxy.resilience.retry import (
    CONDITIONS,
    Failure,
    RetryRules,
    back_off,
    policy_for,
)
from tests.unit.mesh_proxy.making import answer, head

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


@pytest.mark.parametrize(
    ("attempt", "span"), [(1, 0.025), (2, 0.05), (3, 0.1), (4, 0.2), (5, 0.25), (70, 0.25), (2000, 0.25)]
)
def test_the_pause_doubles_up_to_ten_times_its_base(attempt: int, span: float) -> None:
    """As Envoy: up to 2^(N-1) times the base, fully jittered."""
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
    assert back_off(policy, attempt, lambda: number) <= 2 ** min(attempt - 1, 60) * base


def rules(*retry_on: str, **fields: Any) -> RetryRules:
    return RetryRules(RetryPolicy(retry_on, **fields))


@pytest.mark.parametrize(("retry_on", "expected"), FAILURES)
def test_rules_cover_the_failures_that_their_policy_does(retry_on: tuple[str, ...], expected: set[Failure]) -> None:
    assert {failure for failure in Failure if rules(*retry_on).on_failure(failure)} == expected


@pytest.mark.parametrize(("retry_on", "codes", "expected"), ANSWERS)
def test_rules_cover_the_answers_that_their_policy_does(
    retry_on: tuple[str, ...], codes: tuple[int, ...], expected: set[int]
) -> None:
    made = rules(*retry_on, retriable_status_codes=codes)
    assert {status for status in STATUSES if made.on_answer(answer(status=status))} == expected


@pytest.mark.parametrize(
    ("word", "status"),
    [("cancelled", 1), ("deadline-exceeded", 4), ("resource-exhausted", 8), ("internal", 13), ("unavailable", 14)],
)
def test_an_answer_without_a_body_may_say_why_by_grpc(word: str, status: int) -> None:
    covered = [number for number in range(17) if rules(word).on_answer(answer(f"grpc-status: {number}"))]
    assert covered == [status]
    assert rules(word).on_answer(answer()) is False


def test_an_answer_of_a_rate_limit_is_tried_again_only_where_that_is_asked_for() -> None:
    limited = answer("x-envoy-ratelimited: true", status=503)
    assert rules("5xx").on_answer(limited) is False
    assert rules("envoy-ratelimited").on_answer(limited) is True


def test_headers_of_an_answer_may_ask_for_it() -> None:
    wanted = (HeaderMatch("x-again"),)
    assert rules("retriable-headers", retriable_headers=wanted).on_answer(answer("X-Again: 1")) is True
    assert rules("retriable-headers", retriable_headers=wanted).on_answer(answer()) is False
    assert rules("5xx", retriable_headers=wanted).on_answer(answer("x-again: 1")) is False


def test_headers_of_a_request_may_be_asked_for() -> None:
    made = rules("5xx", retriable_request_headers=(HeaderMatch("x-safe"), HeaderMatch("x-idempotent")))
    assert made.covers_request(head("/", "x-idempotent: 1")) is True
    assert made.covers_request(head()) is False
    assert rules("5xx").covers_request(head()) is True


def test_every_word_of_envoys_page_is_known() -> None:
    page = "5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream"
    page += " retriable-status-codes retriable-headers http3-post-connect-failure"
    grpc = "cancelled deadline-exceeded internal resource-exhausted unavailable"
    assert {*page.split(), *grpc.split()} == CONDITIONS


TOLD = [
    (["retry-after: 2"], 3.0),
    (["retry-after: 20"], 0.0),
    (["retry-after: 0"], 0.0),
    (["retry-after: soon"], 0.0),
    (["x-reset: 1004"], 6.0),
    (["x-reset: 900"], 0.0),
    (["retry-after: 99", "x-reset: 1004"], 6.0),
    ([], 0.0),
]


@pytest.mark.parametrize(("lines", "pause"), TOLD)
def test_an_answer_may_say_when_to_come_again(lines: list[str], pause: float) -> None:
    limited = RateLimitedBackOff((("Retry-After", "SECONDS"), ("x-reset", "UNIX_TIMESTAMP")), 10.0)
    made = rules("5xx", rate_limited_back_off=limited)
    assert made.told_pause(answer(*lines), 1000.0, lambda: 1.0) == pause


POLICY = RetryPolicy(("reset",), 3, retriable_status_codes=(500,))
ASKED: list[tuple[RetryPolicy | None, list[str], RetryPolicy | None]] = [
    (None, [], None),
    (None, ["x-envoy-max-retries: 5"], None),
    (None, ["x-envoy-retry-on: 5xx"], RetryPolicy(("5xx",), 1)),
    (None, ["x-envoy-retry-grpc-on: internal, cancelled"], RetryPolicy(("internal", "cancelled"), 1)),
    (POLICY, [], POLICY),
    (POLICY, ["x-envoy-retry-on: 5xx,reset"], RetryPolicy(("reset", "5xx"), 3, retriable_status_codes=(500,))),
    (POLICY, ["x-envoy-max-retries: 7"], RetryPolicy(("reset",), 7, retriable_status_codes=(500,))),
    (POLICY, ["x-envoy-max-retries: many"], POLICY),
    (
        POLICY,
        ["x-envoy-retriable-status-codes: 503, x,504"],
        RetryPolicy(("reset",), 3, retriable_status_codes=(500, 503, 504)),
    ),
    (
        POLICY,
        ["x-envoy-retriable-header-names: x-again"],
        RetryPolicy(("reset",), 3, retriable_status_codes=(500,), retriable_headers=(HeaderMatch("x-again"),)),
    ),
]


@pytest.mark.parametrize(("policy", "lines", "expected"), ASKED)
def test_an_internal_request_may_ask_for_more(
    policy: RetryPolicy | None, lines: list[str], expected: RetryPolicy | None
) -> None:
    assert policy_for(policy, head("/", *lines)) == expected
