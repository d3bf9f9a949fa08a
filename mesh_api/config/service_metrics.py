"""What is different of Istio's metrics (``stats.PluginConfig``, the filter ``istio.stats``).

https://istio.io/latest/docs/reference/config/proxy_extensions/stats/
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricOverride:
    """What is different of one metric, or of all where ``name`` is empty; its prefix ``istio_`` is not written.

    ``dimensions`` are labels and the expressions (:mod:`mesh_api.expressions`) that give their values.
    """

    name: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    tags_to_remove: tuple[str, ...] = ()
    drop: bool = False


@dataclass(frozen=True, slots=True)
class ServiceMetrics:
    """``istio.stats``: the metrics of requests and connections. ``host_fallback``: where no cluster knows the service, it is
    called by the host that was asked for.
    ``tcp_interval``: seconds between two reports about an open connection."""

    metrics: tuple[MetricOverride, ...] = ()
    host_fallback: bool = True
    tcp_interval: float | None = None
