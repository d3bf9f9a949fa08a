"""Whether and when a request is tried again (Envoy's router: ``RetryStateImpl``, docs "x-envoy-retry-on")."""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Final

from mesh_api.config import HeaderMatch, RetryPolicy
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.protocol.numbers import whole
from mesh_proxy.routing.matchers import HeaderTest

_MOST_STATUS: Final = 2**32 - 1
_MOST_RETRIES: Final = 999_999_999


class Failure(Enum):
    """How an attempt ended without an answer. ``REFUSED``: no connection; ``RESET``: it broke before the answer;
    ``PER_TRY``: it took too long; ``UNSENT``: it broke before anything of the request was sent."""

    REFUSED = "refused"
    RESET = "reset"
    UNSENT = "unsent"
    PER_TRY = "per_try"


_ON_FAILURE: Final = {
    Failure.REFUSED: frozenset({"connect-failure", "reset", "reset-before-request", "5xx", "gateway-error"}),
    Failure.UNSENT: frozenset({"reset", "reset-before-request", "refused-stream", "5xx", "gateway-error"}),
    Failure.RESET: frozenset({"reset", "5xx", "gateway-error"}),
    Failure.PER_TRY: frozenset({"reset", "5xx", "gateway-error"}),
}
_GRPC: Final = {
    "cancelled": b"1",
    "deadline-exceeded": b"4",
    "resource-exhausted": b"8",
    "internal": b"13",
    "unavailable": b"14",
}
"""Conditions on the ``grpc-status`` of an answer without a body."""

CONDITIONS: Final = frozenset().union(*_ON_FAILURE.values()) | {
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "retriable-4xx",
    "retriable-headers",
    "retriable-status-codes",
    *_GRPC,
}
"""Every word that ``retry_on`` knows; others are passed over, as Envoy does. HTTP/3 is not spoken, so nothing fails so."""

_SECONDS: Final = "SECONDS"
_LONGEST: Final = 64


class RetryRules:
    """A policy, prepared; made once for a route."""

    __slots__ = (
        "_codes", "_conditions", "_grpc", "_headers", "_request_headers", "_reset_headers", "_reset_longest", "avoids_tried",
        "omits_canary", "omits_labels", "policy", "priority_frequency", "selections", "try_idle_timeout", "try_timeout",
    )  # fmt: skip

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.try_timeout: float = policy.per_try_timeout or 0.0
        self.try_idle_timeout: float = policy.per_try_idle_timeout or 0.0
        """Seconds for an attempt; 0: no limit."""
        self.selections: int = policy.host_selection_retry_max_attempts
        self.avoids_tried: bool = policy.avoid_previous_hosts
        self.omits_canary: bool = policy.omit_canary
        self.omits_labels = policy.omit_host_metadata
        self.priority_frequency: int = policy.priority_update_frequency if policy.other_priorities else 0
        """What :class:`~mesh_proxy.balancing.context.PickContext` is told."""
        self._conditions: frozenset[str] = frozenset(policy.retry_on)
        self._codes: frozenset[int] = (
            frozenset(policy.retriable_status_codes) if "retriable-status-codes" in policy.retry_on else frozenset()
        )
        self._grpc: frozenset[bytes] = frozenset(_GRPC[word] for word in policy.retry_on if word in _GRPC)
        self._headers: tuple[HeaderTest, ...] = (
            tuple(map(HeaderTest, policy.retriable_headers)) if "retriable-headers" in policy.retry_on else ()
        )
        self._request_headers: tuple[HeaderTest, ...] = tuple(map(HeaderTest, policy.retriable_request_headers))
        limited = policy.rate_limited_back_off
        self._reset_headers: tuple[tuple[bytes, bool], ...] = tuple(
            (name.lower().encode(), form == _SECONDS) for name, form in (limited.reset_headers if limited else ())
        )
        self._reset_longest: float = limited.max_interval if limited is not None else 0.0

    def covers_request(self, head: Head) -> bool:
        """Whether a request is tried again at all: where the policy lists headers, one of them must hold."""
        if not self._request_headers:
            return True
        return any(test.holds(head) for test in self._request_headers)

    def on_failure(self, failure: Failure) -> bool:
        """Whether a failure is tried again."""
        return not _ON_FAILURE[failure].isdisjoint(self._conditions)

    def on_answer(self, head: Head) -> bool:
        """Whether an answer is tried again."""
        conditions, status = self._conditions, head.status
        if head.get(b"x-envoy-ratelimited") is not None:
            return "envoy-ratelimited" in conditions
        if status >= 500 and ("5xx" in conditions or (502 <= status <= 504 and "gateway-error" in conditions)):
            return True
        if (status == 409 and "retriable-4xx" in conditions) or status in self._codes:
            return True
        for test in self._headers:
            if test.holds(head):
                return True
        return bool(self._grpc) and head.get(b"grpc-status") in self._grpc

    def pause(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds before retry number ``attempt`` (from 1); ``upstream_rq_retry_backoff_exponential``."""
        return back_off(self.policy, attempt, random)

    def told_pause(self, head: Head, wall: float, random: Callable[[], float]) -> float:
        """Seconds that the answer asks to wait, and up to half as many again; 0: it does not say, or asks for too much.

        ``wall`` is the time since the epoch. ``upstream_rq_retry_backoff_ratelimited``.
        """
        for name, seconds in self._reset_headers:
            value = head.get(name)
            if value is None or not value.isdigit() or len(value) > _LONGEST:
                continue
            wait = float(int(value)) if seconds else int(value) - wall
            if 0.0 < wait <= self._reset_longest:
                return wait + random() * wait * 0.5
        return 0.0


def policy_for(policy: RetryPolicy | None, head: Head) -> RetryPolicy | None:
    """The policy for an internal request, whose headers may say more than the route's does.

    Envoy honours ``x-envoy-retry-on``, ``x-envoy-retry-grpc-on``, ``x-envoy-max-retries``,
    ``x-envoy-retriable-status-codes`` and ``x-envoy-retriable-header-names`` where nobody removed them: at an edge, those of
    external requests are gone by then. ``None``: nothing is tried again.
    """
    words = _words(head.get(b"x-envoy-retry-on")) + _words(head.get(b"x-envoy-retry-grpc-on"))
    if policy is None and not words:
        return None
    made = policy or RetryPolicy(())
    told = [whole(word.encode(), _MOST_STATUS) for word in _words(head.get(b"x-envoy-retriable-status-codes"))]
    codes = tuple(code for code in told if code >= 0)
    names = _words(head.get(b"x-envoy-retriable-header-names"))
    most = head.get(b"x-envoy-max-retries")
    if not words and not codes and not names and most is None:
        return made
    return replace(
        made,
        retry_on=(*made.retry_on, *(word for word in words if word not in made.retry_on)),
        num_retries=made.num_retries if most is None or (number := whole(most, _MOST_RETRIES)) < 0 else number,
        retriable_status_codes=(*made.retriable_status_codes, *codes),
        retriable_headers=(*made.retriable_headers, *(HeaderMatch(name, present=True) for name in names)),
    )


OWN_HEADERS: Final = (
    b"x-envoy-retry-on",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-max-retries",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retriable-header-names",
    b"x-envoy-hedge-on-per-try-timeout",
)
"""Headers that never go on to a host."""


def _words(value: bytes | None) -> list[str]:
    return [] if value is None else [word.strip() for word in value.decode("latin-1").split(",") if word.strip()]


def back_off(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds before retry number ``attempt`` (from 1): fully jittered, doubling from the base up to ten times of it.

    Envoy 1.40: below the base for the first retry, twice the base for the second (its page says more: three times).
    """
    limit = policy.back_off_base * 10 if policy.back_off_max is None else policy.back_off_max
    span = min(float(1 << min(attempt - 1, _LONGEST)) * policy.back_off_base, limit)
    return random() * span
