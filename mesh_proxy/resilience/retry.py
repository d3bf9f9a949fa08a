"""Whether and when a request is tried again (Envoy's router, ``x-envoy-retry-on``)."""

from collections.abc import Callable
from enum import Enum

from mesh_api.config import RetryPolicy


class Failure(Enum):
    """How an attempt ended without an answer. ``REFUSED``: no connection; ``RESET``: it broke before the answer;
    ``PER_TRY``: it took too long; ``UNSENT``: it broke before anything of the request was sent."""

    REFUSED = "refused"
    RESET = "reset"
    UNSENT = "unsent"
    PER_TRY = "per_try"


_ON_FAILURE = {
    Failure.REFUSED: frozenset({"connect-failure", "reset", "reset-before-request", "5xx", "gateway-error"}),
    Failure.UNSENT: frozenset({"reset", "reset-before-request", "refused-stream", "5xx", "gateway-error"}),
    Failure.RESET: frozenset({"reset", "5xx", "gateway-error"}),
    Failure.PER_TRY: frozenset({"reset", "5xx", "gateway-error"}),
}


def on_failure(policy: RetryPolicy, failure: Failure) -> bool:
    """Whether the policy covers a failure."""
    return not _ON_FAILURE[failure].isdisjoint(policy.retry_on)


def on_status(policy: RetryPolicy, status: int) -> bool:
    """Whether the policy covers an answer."""
    conditions = policy.retry_on
    if status >= 500 and "5xx" in conditions:
        return True
    if status in (502, 503, 504) and "gateway-error" in conditions:
        return True
    if status == 409 and "retriable-4xx" in conditions:
        return True
    return status in policy.retriable_status_codes and "retriable-status-codes" in conditions


def back_off(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds before retry number ``attempt`` (from 1): fully jittered, doubling, at most ten times the base."""
    limit = policy.back_off_base * 10 if policy.back_off_max is None else policy.back_off_max
    span = min(float((1 << min(attempt, 64)) - 1) * policy.back_off_base, limit)
    return random() * span
