"""Statistics of several workers as one. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from mesh_proxy.ipc import Histogram, HostStats, Labels, Stats

ALIKE: Final = (
    ".membership_total", ".membership_healthy", ".membership_degraded", ".membership_excluded", "_open",
    ".lb_subsets_active", ".warming_state", ".health_check.healthy", ".health_check.degraded",
)  # fmt: skip
"""Endings of gauges that say the same thing in every worker; all others count something that the workers share out."""


def merge(parts: Iterable[Stats]) -> Stats:
    """The sum of ``parts``: counters, gauges and histograms add up, hosts are joined by address, listeners united."""
    counters: dict[str, int] = {}
    gauges: dict[str, int] = {}
    histograms: dict[str, Histogram] = {}
    hosts: dict[str, dict[str, HostStats]] = {}
    listeners: dict[str, str] = {}
    labelled: dict[tuple[str, Labels], int | Histogram] = {}
    for part in parts:
        for name, value in part.counters.items():
            counters[name] = counters.get(name, 0) + value
        for name, value in part.gauges.items():
            known_value = gauges.get(name, 0)
            gauges[name] = max(known_value, value) if name.endswith(ALIKE) else known_value + value
        for name, histogram in part.histograms.items():
            histograms[name] = _add(histograms.get(name), histogram)
        for key, number in part.labelled.items():
            before = labelled.get(key)
            if isinstance(number, Histogram):
                labelled[key] = _add(before if isinstance(before, Histogram) else None, number)
            else:
                labelled[key] = (before if isinstance(before, int) else 0) + number
        for cluster, seen in part.hosts.items():
            known = hosts.setdefault(cluster, {})
            for host in seen:
                known[host.address] = _join(known.get(host.address), host)
        listeners.update(part.listeners)
    joined = {cluster: tuple(known[address] for address in sorted(known)) for cluster, known in hosts.items()}
    return Stats(counters, gauges, histograms, joined, listeners, labelled)


def _add(left: Histogram | None, right: Histogram) -> Histogram:
    # Other bounds: a worker of another release during an upgrade. The newer one counts from here on.
    if left is None or left.bounds != right.bounds:
        return right
    return left.merged(right)


def _join(left: HostStats | None, right: HostStats) -> HostStats:
    """One host as two workers see it. Each ejects for itself: it counts as ejected when one of them ejects it."""
    if left is None:
        return right
    return replace(
        right,
        healthy=left.healthy and right.healthy,
        ejected=left.ejected or right.ejected,
        active_connections=left.active_connections + right.active_connections,
        active_requests=left.active_requests + right.active_requests,
        total_requests=left.total_requests + right.total_requests,
        errors=left.errors + right.errors,
        times_ejected=left.times_ejected + right.times_ejected,
        flags=left.flags | right.flags,
        success_rate=_worse(left.success_rate, right.success_rate),
        local_success_rate=_worse(left.local_success_rate, right.local_success_rate),
        successes=left.successes + right.successes,
        timeouts=left.timeouts + right.timeouts,
        pending_requests=left.pending_requests + right.pending_requests,
        total_connections=left.total_connections + right.total_connections,
        connect_failures=left.connect_failures + right.connect_failures,
    )


def _worse(left: float, right: float) -> float:
    """Of two rates that are known, the lower one: each worker judges by its own."""
    return max(left, right) if left < 0.0 or right < 0.0 else min(left, right)
