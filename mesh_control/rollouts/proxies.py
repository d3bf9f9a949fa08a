"""Measurements by the proxies themselves: their statistics are read, and what came on top within a window is summed."""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mesh_api.node import Node
from mesh_control.rollouts.measurements import Counts, reading
from mesh_policy.durations import parse_duration
from mesh_policy.releases.machine import Reading, Rollout

STATS = "STATS_ADDRESS"
"""Field of a node's metadata: ``ADDRESS:PORT`` of its statistics; ``0.0.0.0`` and ``[::]`` stand for the node's own."""
Fetch = Callable[[str], Awaitable[str]]
"""Gives the text of a URL. Raises :class:`OSError` or :class:`TimeoutError`."""
_LINE = re.compile(
    r"^envoy_cluster_(?:(\w+?)_)?(upstream_rq_completed|upstream_rq_xx|upstream_rq_time_bucket)\{([^}]*)\} (\d+)",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def stats_url(node: Node) -> str | None:
    """Where a proxy's statistics are; ``None`` for one that does not say."""
    address = str(node.metadata.get(STATS, ""))
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return None
    if host in ("0.0.0.0", "[::]"):  # noqa: S104 (nothing is bound here)
        own = node.parsed_id().address
        host = f"[{own}]" if ":" in own else own
    return f"http://{host}:{port}/stats/prometheus"


def counts_of(text: str, host: str, subset: str) -> Counts:
    """What a proxy counted as a client of a subset, over all ports of its host.

    A real Envoy to which nobody said how names of clusters are built takes them to end at the first dot: the rest of the
    host begins the name of the series then. The semicolon is what Istio ends a cluster's statistical name with.
    """
    first, _, rest = host.partition(".")
    names = {("", host), ("", f"{host};"), *((re.sub(r"\W", "_", f"{rest}{end}"), first) for end in ("", ";"))}
    requests = errors = 0
    buckets: dict[float, int] = {}
    for prefix, name, labels, value in _LINE.findall(text):
        found = dict(_LABEL.findall(labels))
        parts = found.get("envoy_cluster_name", "").split("|")
        if len(parts) != 4 or parts[0] != "outbound" or parts[2] != subset or (prefix, parts[3]) not in names:
            continue
        if name == "upstream_rq_completed":
            requests += int(value)
        elif name == "upstream_rq_xx":
            errors += int(value) if found.get("envoy_response_code_class") == "5" else 0
        else:
            bound = float(found.get("le", "+Inf"))
            buckets[bound] = buckets.get(bound, 0) + int(value)
    return Counts(requests, errors, buckets)


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    counts: Mapping[str, Counts]
    """By proxy."""


@dataclass(slots=True)
class ProxyMeasurements:
    """Reads the statistics of every proxy, where it says they are (:data:`STATS`).

    A proxy that does not say, or does not answer, makes the measurement impossible: what its clients met, nobody knows
    then. Until a window has been watched for its whole length, what was seen of it counts.
    """

    nodes: Callable[[], Mapping[str, Node]]
    fetch: Fetch
    elsewhere: Callable[[], Mapping[str, str]] = dict
    """Of proxies that may be connected to other replicas, by name where their statistics are."""
    _looks: dict[str, "deque[_Look]"] = field(default_factory=dict)

    async def read(self, rollout: Rollout, now: float) -> Mapping[str, Reading]:
        """See :class:`~mesh_control.rollouts.measurements.Measurements`."""
        if not rollout.limits:
            return {}
        counts = await self._counts(rollout)
        if counts is None:
            return {}
        looks = self._looks.setdefault(rollout.name, deque())
        looks.append(_Look(now, counts))
        longest = max(parse_duration(limit.window).total_seconds() for limit in rollout.limits)
        while len(looks) > 2 and looks[1].at <= now - longest:
            looks.popleft()
        return {
            str(limit): reading(limit, _within(looks, now - parse_duration(limit.window).total_seconds()))
            for limit in rollout.limits
        }

    def forget(self, name: str) -> None:
        """See :class:`~mesh_control.rollouts.measurements.Measurements`."""
        self._looks.pop(name, None)

    async def _counts(self, rollout: Rollout) -> Mapping[str, Counts] | None:
        places: dict[str, str | None] = {**self.elsewhere()}
        places |= {name: url or places.get(name) for name, node in self.nodes().items() for url in [stats_url(node)]}
        known = {name: url for name, url in places.items() if url is not None}
        if not known or len(known) < len(places):
            return None
        try:
            texts = await asyncio.gather(*map(self.fetch, known.values()))
        except (OSError, TimeoutError):
            return None
        host, candidate = rollout.release.host, rollout.release.versions[1]
        return {name: counts_of(text, host, candidate) for name, text in zip(known, texts, strict=True)}


def _within(looks: Sequence[_Look], start: float) -> Counts:
    """What was counted after ``start``: the newest look against the last one before it, proxy by proxy.

    A proxy that a former look does not know had counted before it was looked at first: that is not of this window.
    """
    newest = looks[-1]
    before = next((look for look in reversed(looks) if look.at <= start), looks[0])
    total = Counts()
    for name, counts in newest.counts.items():
        former = before.counts.get(name)
        if former is None:
            former = next(look.counts[name] for look in looks if name in look.counts)
        total = total.plus(counts.since(former))
    return total
