"""Local rate limits (Envoy's ``envoy.filters.http.local_ratelimit``): 429 for what comes too often."""

import time
from collections.abc import Callable

from mesh_api.config import LocalRateLimitFilter
from mesh_api.config.routes import MILLION
from mesh_proxy.authorization import Access
from mesh_proxy.filters.base import Answer, Filter, Verdict
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.resilience.rate_limit import RateLimit
from mesh_proxy.routing.table import CompiledRoute


class RateLimiter(Filter):
    """Asks the limit of the route, of its virtual host, or its own, the first that there is. ``clock`` gives seconds."""

    def __init__(
        self, config: LocalRateLimitFilter, _stats: object = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = RateLimit(config.limit)
        self._clock = clock

    def _of(self, route: CompiledRoute | None) -> RateLimit:
        return self.limit if route is None or route.limit is None else route.limit

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Where a limit has a bucket and is switched on."""
        limit = self._of(route)
        return limit.bucket is not None and limit.config.enabled > 0

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """The answer to a request for which there is no token."""
        limit = self._of(route)
        config, bucket, counters = limit.config, limit.bucket_of(access.buckets), limit.counters
        if bucket is None or not _happens(config.enabled, random):
            return None
        counters.add("enabled")
        now = self._clock()
        if bucket.take(now):
            counters.add("ok")
            return None
        counters.add("rate_limited")
        if not _happens(config.enforced, random):
            for name, value in limit.request_fields:
                head.add(field_of(name, value))
            return None
        counters.add("enforced")
        return Answer(limit.reply, (*limit.answer_fields, *limit.told(now)))

    def on_response(self, head: Head, route: CompiledRoute, fields: list[Field]) -> list[Field]:
        """The answer tells what is left."""
        limit = self._of(route)
        if not limit.config.tells:
            return fields
        return fields + [field_of(name, value) for name, value in limit.told(self._clock())]


def _happens(parts: int, random: Callable[[], float]) -> bool:
    return parts >= MILLION or random() * MILLION < parts
