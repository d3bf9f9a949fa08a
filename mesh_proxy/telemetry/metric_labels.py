"""What a configuration changes of the labels of Istio's metrics, and which it does not want (Telemetry, ``istio.stats``)."""

from collections.abc import Callable
from typing import Final

from mesh_api.config.service_metrics import MetricOverride, ServiceMetrics
from mesh_proxy.ipc import Labels
from mesh_proxy.telemetry.cel import compile_value
from mesh_proxy.telemetry.record import Record

PREFIX: Final = "istio_"
_UNKNOWN: Final = "unknown"


class CustomLabels:
    """The changes of one configuration. Raises :class:`~mesh_proxy.telemetry.operators.FormatError` for an expression that
    cannot be evaluated.

    Values are taken of a record once, when it is over; what of them goes to which metric is asked when metrics are read.
    """

    __slots__ = ("_changes", "_expressions", "config")

    def __init__(self, config: ServiceMetrics) -> None:
        self.config = config
        self._expressions: list[Callable[[Record], str]] = []
        self._changes: list[tuple[MetricOverride, tuple[tuple[str, int], ...]]] = []
        known: dict[str, int] = {}
        for metric in config.metrics:
            places = []
            for label, text in metric.dimensions:
                if text not in known:
                    known[text] = len(self._expressions)
                    self._expressions.append(compile_value(text))
                places.append((label, known[text]))
            self._changes.append((metric, tuple(places)))

    def values(self, record: Record) -> tuple[str, ...]:
        """What the expressions are of a record."""
        return tuple([expression(record) or _UNKNOWN for expression in self._expressions])

    def labels(self, name: str, labels: Labels, values: tuple[str, ...]) -> Labels | None:
        """The labels of a series of the metric ``name``; ``None``: it is not wanted."""
        found = dict(labels)
        for metric, places in self._changes:
            if metric.name and PREFIX + metric.name != name:
                continue
            if metric.drop:
                return None
            for label in metric.tags_to_remove:
                found.pop(label, None)
            for label, place in places:
                found[label] = values[place]
        return tuple(found.items())
