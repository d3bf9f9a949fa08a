"""The local rate limit: which limit counts, and what becomes of requests that find no token."""

from typing import Any

import pytest

from mesh_api.config import HeaderValue, LocalRateLimitFilter
from mesh_api.config.routes import MILLION, LocalRateLimit
from mesh_proxy.filters.base import Answer
from mesh_proxy.filters.rate_limit import RateLimiter
from mesh_proxy.routing.matchers import MatcherError
from tests.unit.mesh_proxy.making import access, compiled, dice, head, route


def limit(name: str = "l", most: int = 1, **fields: Any) -> LocalRateLimit:
    return LocalRateLimit(name, most, **({"interval": 10.0, "enabled": MILLION, "enforced": MILLION} | fields))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def limiter(config: LocalRateLimit) -> tuple[RateLimiter, Clock]:
    clock = Clock()
    return RateLimiter(LocalRateLimitFilter(config), None, clock), clock


def test_what_comes_too_often_is_answered_and_later_passes_again() -> None:
    made, clock = limiter(limit(status=503, answer_headers=(HeaderValue("X-Limited", "yes"),), tells=True))
    request = head()
    assert made.on_request(request, None, dice(), access(request)) is None
    verdict = made.on_request(request, None, dice(), access(request))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.flags, verdict.reply.details) == (503, "RL", "local_rate_limited")
    assert verdict.fields == (
        (b"x-limited", b"yes"),
        (b"x-ratelimit-limit", b"1"),
        (b"x-ratelimit-remaining", b"0"),
        (b"x-ratelimit-reset", b"10"),
    )
    clock.now += 10.0
    assert made.on_request(request, None, dice(), access(request)) is None
    assert made.limit.counters.values == {"enabled": 3, "ok": 2, "rate_limited": 1, "enforced": 1}


def test_a_route_has_its_own_limit_and_else_its_hosts() -> None:
    made, _ = limiter(limit("usual", 9))
    own = compiled(route("/", rate_limit=limit("own")), rate_limit=limit("host"))
    shared = compiled(route("/"), rate_limit=limit("host"))
    without = compiled(route("/"))
    request = head()
    for one in (own, shared, without, None):
        assert made.on_request(request, one, dice(), access(request)) is None
    assert [one.limit.config.name for one in (own, shared) if one.limit is not None] == ["own", "host"]
    assert made.limit.counters.values["ok"] == 2


@pytest.mark.parametrize(("config", "concerned"), [(limit(), True), (limit(enabled=0), False), (limit(most=0), False)])
def test_it_is_asked_only_where_it_has_a_say(config: LocalRateLimit, concerned: bool) -> None:
    assert limiter(config)[0].concerns(None) is concerned


def test_a_share_of_the_requests_is_looked_at_and_a_share_of_these_refused() -> None:
    made, _ = limiter(limit(enabled=MILLION // 2, enforced=MILLION // 2, request_headers=(HeaderValue("x-late", "1"),)))
    request = head()
    assert made.on_request(request, None, dice(0.6), access(request)) is None  # not looked at
    assert made.on_request(request, None, dice(0.4), access(request)) is None  # the only token
    assert made.on_request(request, None, dice(0.4, 0.6), access(request)) is None
    assert request.get(b"x-late") == b"1"
    assert isinstance(made.on_request(request, None, dice(0.4, 0.4), access(request)), Answer)


def test_formats_are_refused() -> None:
    with pytest.raises(MatcherError, match="x-a: formats in headers of rate limits are not supported yet"):
        limiter(limit(answer_headers=(HeaderValue("x-a", "%PROTOCOL%"),)))
