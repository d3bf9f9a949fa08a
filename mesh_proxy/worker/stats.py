"""The worker's numbers, gathered for the supervisor."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.ipc import HostStats, Stats
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.listeners import Listeners


def collect(context: Context, listeners: Listeners) -> Stats:
    """Everything, under Envoy's names."""
    stats = Stats(listeners=listeners.addresses())
    for counters in (*context.snapshot.counters.values(), *listeners.counters.values()):
        stats.counters.update(counters.named())
    for name, cluster in context.snapshot.clusters.items():
        _cluster(stats, name, cluster)
    stats.gauges["server.total_connections"] = len(context.connections)
    return stats


def _cluster(stats: Stats, name: str, cluster: ClusterRuntime) -> None:
    stats.counters.update(cluster.counters.named())
    for key, value in cluster.ejections.items():
        target = stats.gauges if key == "ejections_active" else stats.counters
        target[f"cluster.{name}.outlier_detection.{key}"] = value
    hosts = tuple(cluster.hosts.values())
    scope = f"cluster.{name}"
    stats.gauges[f"{scope}.membership_total"] = len(hosts)
    stats.gauges[f"{scope}.membership_healthy"] = sum(1 for host in hosts if host.available)
    stats.gauges[f"{scope}.upstream_cx_active"] = cluster.active_connections
    stats.gauges[f"{scope}.upstream_rq_active"] = cluster.active_requests
    stats.gauges[f"{scope}.upstream_rq_pending_active"] = cluster.pending_requests
    stats.histograms[f"{scope}.upstream_rq_time"] = cluster.timing.read()
    stats.hosts[name] = tuple(_host(host) for host in hosts)


def _host(host: Host) -> HostStats:
    return HostStats(
        address=host.name,
        healthy=host.healthy,
        ejected=bool(host.ejected_until),
        weight=host.weight,
        active_connections=host.active_connections,
        active_requests=host.active_requests,
        total_requests=host.total_requests,
        errors=host.errors,
        times_ejected=host.times_ejected,
        priority=host.priority,
    )
