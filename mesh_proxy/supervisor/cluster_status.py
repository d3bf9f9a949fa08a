"""``GET /clusters``: each cluster with its hosts, as Envoy's admin interface shows them. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from mesh_api.config import CircuitBreakerThresholds, Cluster
from mesh_proxy.ipc import HostStats, Stats


def clusters_text(clusters: Iterable[Cluster], static: frozenset[str], stats: Stats) -> str:
    """``cluster::...`` lines; ``static`` names the clusters of the bootstrap."""
    lines: list[str] = []
    for cluster in clusters:
        lines += (f"{cluster.name}::{line}" for line in _lines(cluster, cluster.name not in static))
        for host in stats.hosts.get(cluster.name, ()):
            lines += (f"{cluster.name}::{host.address}::{line}" for line in _host_lines(host))
    return "".join(line + "\n" for line in lines)


def clusters_json(clusters: Iterable[Cluster], static: frozenset[str], stats: Stats) -> dict[str, Any]:
    """``envoy.admin.v3.Clusters``."""
    return {
        "cluster_statuses": [
            {
                "name": cluster.name,
                "added_via_api": cluster.name not in static,
                "host_statuses": [_host_json(host) for host in stats.hosts.get(cluster.name, ())],
                "circuit_breakers": {"thresholds": [_thresholds_json(cluster)]},
                "observability_name": cluster.alt_stat_name or cluster.name,
                **({"eds_service_name": cluster.eds_service_name} if cluster.eds_service_name else {}),
            }
            for cluster in clusters
        ]
    }


def _lines(cluster: Cluster, dynamic: bool) -> Iterator[str]:
    limits = cluster.thresholds or CircuitBreakerThresholds()
    yield f"observability_name::{cluster.alt_stat_name or cluster.name}"
    yield f"default_priority::max_connections::{limits.max_connections}"
    yield f"default_priority::max_pending_requests::{limits.max_pending_requests}"
    yield f"default_priority::max_requests::{limits.max_requests}"
    yield f"default_priority::max_retries::{limits.max_retries}"
    yield f"added_via_api::{str(dynamic).lower()}"
    if cluster.eds_service_name:
        yield f"eds_service_name::{cluster.eds_service_name}"


def _host_lines(host: HostStats) -> Iterator[str]:
    yield f"cx_active::{host.active_connections}"
    yield f"rq_active::{host.active_requests}"
    yield f"rq_error::{host.errors}"
    yield f"rq_total::{host.total_requests}"
    yield f"hostname::{host.hostname}"
    yield f"health_flags::{_health_flags(host)}"
    yield f"weight::{host.weight}"
    for part, place in zip(("region", "zone", "sub_zone"), (*host.locality.split("/"), "", ""), strict=False):
        yield f"{part}::{place}"
    yield f"priority::{host.priority}"
    yield f"times_ejected::{host.times_ejected}"


def _health_flags(host: HostStats) -> str:
    flags = ["/failed_outlier_check"] if host.ejected else []
    if not host.healthy and not host.ejected:
        flags.append("/failed_eds_health")
    return "".join(flags) or "healthy"


def _host_json(host: HostStats) -> dict[str, Any]:
    counters = {"rq_error": host.errors, "rq_total": host.total_requests, "times_ejected": host.times_ejected}
    gauges = {"cx_active": host.active_connections, "rq_active": host.active_requests}
    health: dict[str, Any] = {"eds_health_status": "HEALTHY" if host.healthy or host.ejected else "UNHEALTHY"}
    if host.ejected:
        health["failed_outlier_check"] = True
    return {
        "address": _address_json(host.address),
        # Protobuf's JSON writes 64-bit numbers as strings.
        "stats": [
            *({"name": name, "value": str(value)} for name, value in counters.items()),
            *({"name": name, "value": str(value), "type": "GAUGE"} for name, value in gauges.items()),
        ],
        "health_status": health,
        "weight": host.weight,
        **({"hostname": host.hostname} if host.hostname else {}),
        **({"priority": host.priority} if host.priority else {}),
    }


def _address_json(address: str) -> dict[str, Any]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return {"pipe": {"path": address}}
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _thresholds_json(cluster: Cluster) -> dict[str, int]:
    limits = cluster.thresholds or CircuitBreakerThresholds()
    return {
        "max_connections": limits.max_connections,
        "max_pending_requests": limits.max_pending_requests,
        "max_requests": limits.max_requests,
        "max_retries": limits.max_retries,
    }
