"""Statistics as text: Envoy's plain and JSON forms, and Prometheus with Envoy's names and labels. Pure."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from mesh_proxy.ipc import Histogram, Stats

QUANTILES: Final = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100)
"""Percentages that Envoy shows of a histogram."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4"

_LABELLED: Final = {
    "cluster": "envoy_cluster_name",
    "listener": "envoy_listener_address",
    "http": "envoy_http_conn_manager_prefix",
    "tcp": "envoy_tcp_prefix",
}
"""The first part of a name whose second part becomes a label, as Envoy's tag extraction does."""

# Names of clusters and addresses hold dots, so what follows is found by the words that statistics begin with. They hold an
# underscore, or a fixed word beside them, which DNS names do not.
_STATISTIC: Final = re.compile(
    r"\.(?=(?:(?:downstream|upstream|membership|lb|retry|original_dst|no|rq|bind|assignment|update|cx)_\w+"
    r"|ssl\.\w+|circuit_breakers\.(?:default|high)\.\w+|outlier_detection\.\w+|(?:external|internal)\.upstream_\w+)$)"
)
_AGREED: Final = re.compile(r"(.*\.ssl\.)(cipher|version)s\.(.+)")
_RESPONSE_CODE: Final = re.compile(r"(.*_rq)_(\d{3})")
_RESPONSE_CLASS: Final = re.compile(r"(.*_rq)_(\d)xx")
_NOT_ALLOWED: Final = re.compile(r"[^a-zA-Z0-9_]")

Keep = Callable[[str], bool]


def used(stats: Stats) -> Stats:
    """Without what is zero, which is as good as never used (``?usedonly``)."""
    return replace(
        stats,
        counters={name: value for name, value in stats.counters.items() if value},
        gauges={name: value for name, value in stats.gauges.items() if value},
        histograms={name: value for name, value in stats.histograms.items() if value.count},
    )


def everything(_: str) -> bool:
    """Chooses every name."""
    return True


def plain(stats: Stats, keep: Keep = everything) -> str:
    """``name: value`` lines, sorted; histograms after them, as quantiles."""
    numbers = sorted((stats.counters | stats.gauges).items())
    lines = [f"{name}: {value}" for name, value in numbers if keep(name)]
    for name, histogram in sorted(stats.histograms.items()):
        if keep(name):
            shown = " ".join(f"P{percent:g}({_text(value)})" for percent, value in quantiles(histogram))
            lines.append(f"{name}: {shown if histogram.count else 'No recorded values'}")
    return "".join(line + "\n" for line in lines)


def as_json(stats: Stats, keep: Keep = everything) -> dict[str, Any]:
    """``{"stats": [{"name", "value"} ...]}``, histograms last in Envoy's form."""
    numbers: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in sorted((stats.counters | stats.gauges).items()) if keep(name)
    ]
    shown = [
        {
            "name": name,
            "values": [{"cumulative": value, "interval": None} for _, value in quantiles(histogram)],
        }
        for name, histogram in sorted(stats.histograms.items())
        if keep(name)
    ]
    if shown:
        numbers.append({"histograms": {"supported_quantiles": list(QUANTILES), "computed_quantiles": shown}})
    return {"stats": numbers}


def prometheus(stats: Stats, keep: Keep = everything) -> str:
    """Prometheus' text format."""
    lines: list[str] = []
    for kind, values in (("counter", stats.counters), ("gauge", stats.gauges)):
        families: dict[str, list[tuple[dict[str, str], int]]] = {}
        for name, value in values.items():
            if keep(name):
                family, labels = family_of(name)
                families.setdefault(family, []).append((labels, value))
        for family, samples in sorted(families.items()):
            lines.append(f"# TYPE {family} {kind}")
            lines += sorted(f"{family}{_braces(labels)} {value}" for labels, value in samples)
    lines += _histograms(stats.histograms, keep)
    lines += _labelled(stats, keep)
    return "".join(line + "\n" for line in lines)


def _labelled(stats: Stats, keep: Keep) -> Iterator[str]:
    """Numbers about services, which come with their labels."""
    families: dict[str, list[tuple[dict[str, str], int | Histogram]]] = {}
    for (family, labels), value in stats.labelled.items():
        if keep(family):
            families.setdefault(family, []).append((dict(labels), value))
    for family, samples in sorted(families.items()):
        kind = "histogram" if isinstance(samples[0][1], Histogram) else "counter"
        yield f"# TYPE {family} {kind}"
        for each, number in samples:
            if isinstance(number, Histogram):
                yield from _histogram(family, each, number)
            else:
                yield f"{family}{_braces(each)} {number}"


def family_of(name: str) -> tuple[str, dict[str, str]]:
    """``cluster.a.upstream_rq_200`` -> ``envoy_cluster_upstream_rq``, its cluster and its response code."""
    labels: dict[str, str] = {}
    if agreed := _AGREED.fullmatch(name):
        name, labels[f"envoy_ssl_{agreed[2]}"] = f"{agreed[1]}{agreed[2]}s", agreed[3]
    head, _, rest = name.partition(".")
    if head in _LABELLED and rest:
        match = _STATISTIC.search(rest)
        place = match.start() if match else rest.rfind(".")
        if place > 0:
            # Istio ends the names of its clusters in statistics with a semicolon, to find their end.
            owner, within, prefix = rest[:place].partition(".http.") if head == "listener" else (rest[:place], "", "")
            labels[_LABELLED[head]] = owner.rstrip(";")
            if within:
                labels[_LABELLED["http"]] = prefix.rstrip(";")
            name = f"{head}{'.http' if within else ''}.{rest[place + 1 :]}"
    if match := _RESPONSE_CODE.fullmatch(name):
        name, labels["envoy_response_code"] = match.groups()
    elif match := _RESPONSE_CLASS.fullmatch(name):
        name, labels["envoy_response_code_class"] = f"{match[1]}_xx", match[2]
    return "envoy_" + _NOT_ALLOWED.sub("_", name), labels


def quantiles(histogram: Histogram) -> Iterator[tuple[float, float]]:
    """Percent and value, interpolated within the bucket; the last bucket's lower bound where it has no upper one."""
    for percent in QUANTILES:
        yield percent, _quantile(histogram, percent / 100)


def _quantile(histogram: Histogram, share: float) -> float:
    if not histogram.count:
        return 0.0
    target, seen, lower = share * histogram.count, 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if count and seen + count >= target:
            return lower if math.isinf(bound) else lower + (bound - lower) * max(0.0, target - seen) / count
        seen += count
        lower = lower if math.isinf(bound) else bound
    return lower


def _histograms(histograms: dict[str, Histogram], keep: Keep) -> Iterable[str]:
    families: dict[str, list[tuple[dict[str, str], Histogram]]] = {}
    for name, histogram in histograms.items():
        if keep(name):
            family, labels = family_of(name)
            families.setdefault(family, []).append((labels, histogram))
    for family, samples in sorted(families.items()):
        yield f"# TYPE {family} histogram"
        for labels, histogram in samples:
            yield from _histogram(family, labels, histogram)


def _histogram(family: str, labels: dict[str, str], histogram: Histogram) -> Iterator[str]:
    seen = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        seen += count
        if not math.isinf(bound):
            yield f"{family}_bucket{_braces({**labels, 'le': _text(bound)})} {seen}"
    yield f"{family}_bucket{_braces({**labels, 'le': '+Inf'})} {histogram.count}"
    yield f"{family}_sum{_braces(labels)} {_text(histogram.sum)}"
    yield f"{family}_count{_braces(labels)} {histogram.count}"


def _braces(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _text(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else repr(value)
