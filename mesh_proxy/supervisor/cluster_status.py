"""``GET /clusters``: each cluster with its hosts, as Envoy's admin interface shows them. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from mesh_api.config import CircuitBreakerThresholds, Cluster
from mesh_proxy.balancing.host import (
    ACTIVE_DEGRADED,
    ACTIVE_TIMEOUT,
    ACTIVE_UNHEALTHY,
    EDS_DEGRADED,
    EDS_DRAINING,
    EDS_UNHEALTHY,
    FAILED_AT_ONCE,
    PENDING_FIRST,
    PENDING_REMOVAL,
)
from mesh_proxy.ipc import HostStats, Stats

_EJECTED: Final = 1 << 16
"""Beside the flags of a host, which do not have it."""
_FLAGS: Final = (
    (ACTIVE_UNHEALTHY, "/failed_active_hc", "failed_active_health_check"),
    (_EJECTED, "/failed_outlier_check", "failed_outlier_check"),
    (EDS_UNHEALTHY, "/failed_eds_health", ""),
    (ACTIVE_DEGRADED, "/degraded_active_hc", "failed_active_degraded_check"),
    (EDS_DEGRADED, "/degraded_eds_health", ""),
    (PENDING_REMOVAL, "/pending_dynamic_removal", "pending_dynamic_removal"),
    (PENDING_FIRST, "/pending_active_hc", "pending_active_hc"),
    (FAILED_AT_ONCE, "/excluded_via_immediate_hc_fail", "excluded_via_immediate_hc_fail"),
    (ACTIVE_TIMEOUT, "/active_hc_timeout", "active_hc_timeout"),
    (EDS_DRAINING, "/eds_status_draining", ""),
)
"""Bit, name in text, field of ``HostHealthStatus`` in JSON."""
_LIMITS: Final = ("max_connections", "max_pending_requests", "max_requests", "max_retries")


def clusters_text(clusters: Iterable[Cluster], static: frozenset[str], stats: Stats) -> str:
    """``cluster::...`` lines; ``static`` names the clusters of the bootstrap."""
    lines: list[str] = []
    for cluster in clusters:
        hosts = stats.hosts.get(cluster.name, ())
        lines += (f"{cluster.name}::{line}" for line in _lines(cluster, cluster.name not in static, hosts))
        for host in hosts:
            lines += (f"{cluster.name}::{host.address}::{line}" for line in _host_lines(host))
    return "".join(line + "\n" for line in lines)


def clusters_json(clusters: Iterable[Cluster], static: frozenset[str], stats: Stats) -> dict[str, Any]:
    """``envoy.admin.v3.Clusters``. What has its default is left out, as in protobuf's JSON."""
    return {
        "cluster_statuses": [
            _cluster_json(cluster, cluster.name not in static, stats.hosts.get(cluster.name, ()))
            for cluster in clusters
        ]
    }


def _cluster_json(cluster: Cluster, dynamic: bool, hosts: Sequence[HostStats]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": cluster.name}
    if dynamic:
        made["added_via_api"] = True
    for name, rates in (
        ("success_rate_ejection_threshold", [host.success_rate for host in hosts]),
        ("local_origin_success_rate_ejection_threshold", [host.local_success_rate for host in hosts]),
    ):
        if _split(cluster, name) and (threshold := _spread(cluster, rates)[1]) >= 0.0:
            made[name] = {"value": threshold}
    if hosts:
        made["host_statuses"] = [_host_json(host) for host in hosts]
    made["circuit_breakers"] = {
        "thresholds": [
            {name: getattr(_limits(cluster.thresholds), name) for name in _LIMITS},
            {"priority": "HIGH"} | {name: getattr(_limits(cluster.high_thresholds), name) for name in _LIMITS},
        ]
    }
    made["observability_name"] = cluster.alt_stat_name or cluster.name
    if cluster.eds_service_name:
        made["eds_service_name"] = cluster.eds_service_name
    return made


def _split(cluster: Cluster, name: str) -> bool:
    """Whether a rate means something for a cluster."""
    detection = cluster.outlier_detection
    return detection is not None and (detection.split_external_local_origin_errors or not name.startswith("local"))


def _lines(cluster: Cluster, dynamic: bool, hosts: Sequence[HostStats]) -> Iterator[str]:
    yield f"observability_name::{cluster.alt_stat_name or cluster.name}"
    if cluster.outlier_detection is not None:
        for prefix, rates in (
            ("", [host.success_rate for host in hosts]),
            ("local_origin_", [host.local_success_rate for host in hosts]),
        ):
            average, threshold = _spread(cluster, rates)
            yield f"outlier::{prefix}success_rate_average::{average:g}"
            yield f"outlier::{prefix}success_rate_ejection_threshold::{threshold:g}"
    for priority, limits in (("default", cluster.thresholds), ("high", cluster.high_thresholds)):
        for name in _LIMITS:
            yield f"{priority}_priority::{name}::{getattr(_limits(limits), name)}"
    yield f"added_via_api::{str(dynamic).lower()}"
    if cluster.eds_service_name:
        yield f"eds_service_name::{cluster.eds_service_name}"


def _limits(thresholds: CircuitBreakerThresholds | None) -> CircuitBreakerThresholds:
    return thresholds or CircuitBreakerThresholds()


def _spread(cluster: Cluster, rates: Sequence[float]) -> tuple[float, float]:
    """The average of the rates that are known, and below what a host is ejected; -1: too few are."""
    known, detection = [rate for rate in rates if rate >= 0.0], cluster.outlier_detection
    if detection is None or not known or len(known) < detection.success_rate_minimum_hosts:
        return -1.0, -1.0
    average = sum(known) / len(known)
    deviation = math.sqrt(sum((rate - average) ** 2 for rate in known) / len(known))
    return average, average - deviation * detection.success_rate_stdev_factor / 1000.0


def _counters(host: HostStats) -> dict[str, int]:
    return {
        "cx_connect_fail": host.connect_failures,
        "cx_total": host.total_connections,
        "rq_error": host.errors,
        "rq_success": host.successes,
        "rq_timeout": host.timeouts,
        "rq_total": host.total_requests,
    }


def _gauges(host: HostStats) -> dict[str, int]:
    return {
        "cx_active": host.active_connections,
        "rq_active": host.active_requests,
        "rq_pending_active": host.pending_requests,
    }


def _host_lines(host: HostStats) -> Iterator[str]:
    for name, value in sorted((_counters(host) | _gauges(host)).items()):
        yield f"{name}::{value}"
    yield f"hostname::{host.hostname}"
    yield f"health_flags::{_health_flags(host)}"
    yield f"weight::{host.weight}"
    for part, place in zip(("region", "zone", "sub_zone"), (*host.locality.split("/"), "", ""), strict=False):
        yield f"{part}::{place}"
    yield f"canary::{str(host.canary).lower()}"
    yield f"priority::{host.priority}"
    yield f"success_rate::{host.success_rate:g}"
    yield f"local_origin_success_rate::{host.local_success_rate:g}"
    yield f"times_ejected::{host.times_ejected}"


def _flags(host: HostStats) -> int:
    flags = host.flags | (_EJECTED if host.ejected else 0)
    # A worker that says only "not healthy" means by discovery.
    return flags if host.healthy or flags else EDS_UNHEALTHY


def _health_flags(host: HostStats) -> str:
    flags = _flags(host)
    return "".join(text for bit, text, _ in _FLAGS if flags & bit) or "healthy"


def _eds_health(flags: int) -> str:
    if flags & EDS_DRAINING:
        return "DRAINING"
    if flags & EDS_UNHEALTHY:
        return "UNHEALTHY"
    return "DEGRADED" if flags & EDS_DEGRADED else "HEALTHY"


def _host_json(host: HostStats) -> dict[str, Any]:
    flags = _flags(host)
    health: dict[str, Any] = {name: True for bit, _, name in _FLAGS if name and flags & bit}
    made: dict[str, Any] = {
        "address": _address_json(host.address),
        "stats": [
            *(_metric(name, value) for name, value in _counters(host).items()),
            *({"type": "GAUGE"} | _metric(name, value) for name, value in _gauges(host).items()),
        ],
        "health_status": health | {"eds_health_status": _eds_health(flags)},
        "weight": host.weight,
    }
    for name, rate in (
        ("success_rate", host.success_rate), ("local_origin_success_rate", host.local_success_rate)
    ):  # fmt: skip
        if rate >= 0.0:
            made[name] = {"value": rate}
    if host.hostname:
        made["hostname"] = host.hostname
    if host.priority:
        made["priority"] = host.priority
    parts = zip(("region", "zone", "sub_zone"), host.locality.split("/"), strict=False)
    made["locality"] = {name: value for name, value in parts if value}
    return made


def _metric(name: str, value: int) -> dict[str, str]:
    # Protobuf's JSON writes 64-bit numbers as strings.
    return {"name": name} | ({"value": str(value)} if value else {})


def _address_json(address: str) -> dict[str, Any]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return {"pipe": {"path": address}}
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
