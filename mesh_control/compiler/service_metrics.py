"""Istio's metrics of a proxy of our own, as Telemetries change them (Istio, ``mergeMetrics`` of ``model/telemetry.go``).

No other Envoy than Istio's has the filter that is asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from mesh_api.config import MetricOverride, ServiceMetrics
from mesh_control.compiler import extension_providers, telemetry
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.telemetry import Side
from mesh_policy.telemetry.telemetry import Metrics, MetricSelector, TagOverride

PROMETHEUS: Final = "prometheus"
ALL: Final = "ALL_METRICS"
NAMES: Final[Mapping[str, str]] = {
    "REQUEST_COUNT": "requests_total",
    "REQUEST_DURATION": "request_duration_milliseconds",
    "REQUEST_SIZE": "request_bytes",
    "RESPONSE_SIZE": "response_bytes",
    "TCP_OPENED_CONNECTIONS": "tcp_connections_opened_total",
    "TCP_CLOSED_CONNECTIONS": "tcp_connections_closed_total",
    "TCP_SENT_BYTES": "tcp_sent_bytes_total",
    "TCP_RECEIVED_BYTES": "tcp_received_bytes_total",
    "GRPC_REQUEST_MESSAGES": "request_messages_total",
    "GRPC_RESPONSE_MESSAGES": "response_messages_total",
}
"""What a Telemetry calls a metric to its name behind ``istio_``."""
NOTHING: Final = (MetricOverride(drop=True),)


@dataclass(slots=True)
class _Change:
    """What has been said about one metric so far."""

    disabled: bool = False
    tags: dict[str, TagOverride] = field(default_factory=dict)


def service_metrics(scope: Scope, side: Side) -> ServiceMetrics | None:
    """The metrics of one side of a proxy; ``None``: as they are where nobody says anything, or it makes none of Istio's."""
    if not scope.proxy.own:
        return None
    entries = [entry for policy in telemetry.policies_of(scope) for entry in policy.spec.metrics or ()]
    overrides, interval = _changes(scope, side, entries)
    fallback = side is Side.OUTBOUND
    if fallback and not overrides and interval is None:
        return None
    return ServiceMetrics(overrides, fallback, None if interval is None else interval.total_seconds())


def _changes(
    scope: Scope, side: Side, entries: Iterable[Metrics]
) -> tuple[tuple[MetricOverride, ...], timedelta | None]:
    """Of the entries for Prometheus, later ones over earlier ones; an entry without providers has those before it."""
    default = scope.world.mesh.default_providers.metrics or (PROMETHEUS,)
    inherited, wanted = default, default
    mine: list[Metrics] = []
    for entry in entries:
        inherited = tuple(provider.name for provider in entry.providers or ()) or inherited
        wanted = inherited if entry.providers else wanted
        if any(_is_prometheus(scope, name) for name in inherited):
            mine.append(entry)
    if not any(_is_prometheus(scope, name) for name in wanted):
        return NOTHING, None
    intervals = [entry.reporting_interval for entry in mine if entry.reporting_interval is not None]
    return _merged(side, mine), intervals[-1] if intervals else None


def _is_prometheus(scope: Scope, name: str) -> bool:
    known = extension_providers.provider(scope.world, name)
    return known is not None and known.prometheus is not None


def _merged(side: Side, entries: Iterable[Metrics]) -> tuple[MetricOverride, ...]:
    changes: dict[str, _Change] = {}
    none = False
    for override in (override for entry in entries for override in entry.overrides or ()):
        match = override.match or MetricSelector()
        if match.mode not in (None, "CLIENT_AND_SERVER", side.mode):
            continue
        if _is_all(match) and override.disabled:
            none = True
            continue
        none = False
        for name in _names(match):
            change = changes.setdefault(name, _Change())
            change.disabled = change.disabled if override.disabled is None else override.disabled
            change.tags |= override.tag_overrides or {}
    return NOTHING if none else tuple(_override(name, changes[name]) for name in sorted(changes))


def _is_all(match: MetricSelector) -> bool:
    return match.custom_metric is None and match.metric in (None, ALL)


def _names(match: MetricSelector) -> tuple[str, ...]:
    """Istio's standard metrics by its own word and by their names are two, of which the latter counts later."""
    if match.custom_metric is not None:
        return (match.custom_metric,)
    return tuple(NAMES) if match.metric in (None, ALL) else (match.metric,)


def _override(name: str, change: _Change) -> MetricOverride:
    return MetricOverride(
        NAMES.get(name, name),
        tuple((label, tag.value or "") for label, tag in sorted(change.tags.items()) if tag.operation != "REMOVE"),
        tuple(label for label, tag in sorted(change.tags.items()) if tag.operation == "REMOVE"),
        change.disabled,
    )
