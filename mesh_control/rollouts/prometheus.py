"""Measurements by Prometheus: Istio's standard metrics of the candidate's requests, over each limit's window."""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from mesh_control.rollouts.proxies import Fetch
from mesh_policy import json_text
from mesh_policy.durations import parse_duration
from mesh_policy.releases import ErrorRate, Latency, Limit, Mirror
from mesh_policy.releases.machine import Reading, Rollout

UNKNOWN = "unknown"
"""What Istio's metrics write for what they do not know."""


@dataclass(slots=True)
class PrometheusMeasurements:
    """Asks the Prometheus at ``url``. The series must be scraped several times within a window, or nothing is measured."""

    url: str
    fetch: Fetch

    async def read(self, rollout: Rollout, now: float) -> Mapping[str, Reading]:
        """See :class:`~mesh_control.rollouts.measurements.Measurements`."""
        found = await asyncio.gather(*(self._reading(rollout, limit) for limit in rollout.limits))
        return {str(limit): item for limit, item in zip(rollout.limits, found, strict=True) if item is not None}

    def forget(self, name: str) -> None:
        """Nothing is remembered here."""

    async def _reading(self, rollout: Rollout, limit: Limit) -> Reading | None:
        queries = queries_of(rollout, limit)
        try:
            requests, value = [await self._ask(query) for query in queries]
        except (OSError, TimeoutError, ValueError):
            return None
        if requests is None or not 0 <= requests < math.inf:
            return None
        if value is None or not math.isfinite(value):  # of no requests there is no share
            return Reading(requests=0, value=0.0)
        return Reading(requests=int(requests), value=value)

    async def _ask(self, query: str) -> float | None:
        """The one value of a query; ``None`` when it has none. Raises :class:`ValueError` for an answer of another form."""
        answer = json_text.parse(await self.fetch(f"{self.url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"))
        try:
            result = answer["data"]["result"]
            return float(result[0]["value"][1]) if result else None
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"Prometheus answered {answer!r}") from error


def queries_of(rollout: Rollout, limit: Limit) -> tuple[str, str]:
    """The queries for the number of requests and for the value, percent or milliseconds.

    Nobody waits for the answers to mirrored requests, so those are measured where they arrive.
    """
    release = rollout.release
    reporter = "destination" if isinstance(release, Mirror) else "source"
    candidate = _Candidate(reporter, release.host, release.versions[1], parse_duration(limit.window))
    requests = f"sum({candidate.each('increase', 'istio_requests_total')})"
    if isinstance(limit, ErrorRate):
        failed = candidate.each("increase", "istio_requests_total", ',response_code=~"5.."')
        return requests, f"100 * (sum({failed}) or vector(0)) / {requests}"
    if isinstance(limit, Latency):
        times = candidate.each("rate", "istio_request_duration_milliseconds_bucket")
        return requests, f"histogram_quantile({limit.quantile:g}, sum by (le) ({times}))"
    raise TypeError(f"{limit!r} cannot be measured")


@dataclass(frozen=True, slots=True)
class _Candidate:
    reporter: str
    host: str
    version: str
    window: timedelta

    def each(self, function: str, metric: str, condition: str = "") -> str:
        """A function of the candidate's series of a metric.

        What a client's proxy answers in the place of a host (no connection, a timeout) has the version ``unknown``, for the
        host told none; of what the proxy knows about hosts by itself, the metrics name the canonical revision
        (istio/proxy, ``istio_stats.cc``: the endpoint's encoding does not have app and version).
        """
        window = f"[{max(1, round(self.window.total_seconds()))}s]"
        service = {"reporter": self.reporter, "destination_service": self.host}
        told = {"destination_version": self.version}
        known = {"destination_version": UNKNOWN, "destination_canonical_revision": self.version}
        # A text of PromQL is one of Go: JSON's, but for what JSON writes as two surrogates.
        chosen = (
            ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in (service | labels).items())
            for labels in (told, known)
        )
        return " or ".join(f"{function}({metric}{{{labels}{condition}}}{window})" for labels in chosen)
