"""A local rate limit, ready: its bucket and what it answers (Envoy's ``local_ratelimit``).

Each worker has a bucket of its own; Envoy's threads share one.
"""

from typing import Final

from mesh_api.config import HeaderValue
from mesh_api.config.routes import LocalRateLimit
from mesh_proxy.errors import LocalReply
from mesh_proxy.resilience.token_bucket import TokenBucket
from mesh_proxy.routing.matchers import MatcherError
from mesh_proxy.telemetry.stats import Counters

_EXHAUSTED, _UNAVAILABLE = 8, 14
_TEXT: Final = b"local_rate_limited"
Pairs = tuple[tuple[bytes, bytes], ...]


class RateLimit:
    """One limit, of a filter, a virtual host or a route. Raises
    :class:`~mesh_proxy.routing.matchers.MatcherError`."""

    __slots__ = ("answer_fields", "bucket", "config", "counters", "reply", "request_fields")

    def __init__(self, config: LocalRateLimit) -> None:
        self.config = config
        self.bucket = TokenBucket(config.most, config.fill / config.interval) if config.most else None
        if config.per_connection and config.tells:
            raise MatcherError("x-ratelimit headers of limits of single connections are not supported yet")
        self.counters = Counters(f"{config.name}.http_local_rate_limit")
        grpc = _EXHAUSTED if config.resource_exhausted else _UNAVAILABLE
        self.reply = LocalReply(config.status, "RL", "local_rate_limited", _TEXT, grpc=grpc)
        self.answer_fields = _pairs(config.answer_headers)
        self.request_fields = _pairs(config.request_headers)

    def bucket_of(self, buckets: dict[object, TokenBucket]) -> TokenBucket | None:
        """The bucket for a request over the connection that these are of."""
        config = self.config
        if not config.per_connection or not config.most:
            return self.bucket
        found = buckets.get(self)
        if found is None:
            found = buckets[self] = TokenBucket(config.most, config.fill / config.interval)
        return found

    def told(self, now: float) -> Pairs:
        """What clients are told of what is left."""
        bucket = self.bucket
        if bucket is None or not self.config.tells:
            return ()
        left, wait = bucket.left(now), bucket.wait(now)
        return (
            (b"x-ratelimit-limit", b"%d" % bucket.most),
            (b"x-ratelimit-remaining", b"%d" % left),
            (b"x-ratelimit-reset", b"%d" % int(wait + 0.999)),
        )


def _pairs(headers: tuple[HeaderValue, ...]) -> Pairs:
    for header in headers:
        if "%" in header.value:
            raise MatcherError(f"{header.name}: formats in headers of rate limits are not supported yet")
    return tuple((header.name.lower().encode(), header.value.encode()) for header in headers)
