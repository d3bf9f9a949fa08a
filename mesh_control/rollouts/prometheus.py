"""Measurements by Prometheus: Istio's standard metrics of the candidate's requests, over each limit's window."""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from mesh_control.rollouts.proxies import Fetch
from mesh_policy.durations import parse_duration
from mesh_policy.releases import ErrorRate, Latency, Limit, Mirror
from mesh_policy.releases.machine import Reading, Rollout


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
        answer = json.loads(await self.fetch(f"{self.url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"))
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
    window = f"[{max(1, round(parse_duration(limit.window).total_seconds()))}s]"
    labels = {
        "reporter": "destination" if isinstance(release, Mirror) else "source",
        "destination_service": release.host,
        "destination_version": release.versions[1],
    }
    chosen = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    requests = f"sum(increase(istio_requests_total{{{chosen}}}{window}))"
    if isinstance(limit, ErrorRate):
        failed = f'sum(increase(istio_requests_total{{{chosen},response_code=~"5.."}}{window}))'
        return requests, f"100 * ({failed} or vector(0)) / {requests}"
    if isinstance(limit, Latency):
        times = f"sum by (le) (rate(istio_request_duration_milliseconds_bucket{{{chosen}}}{window}))"
        return requests, f"histogram_quantile({limit.quantile:g}, {times})"
    raise TypeError(f"{limit!r} cannot be measured")
