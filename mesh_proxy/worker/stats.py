"""The worker's numbers, gathered for the supervisor."""

from typing import Final

from mesh_proxy.balancing.context import CANARY
from mesh_proxy.balancing.host import DEGRADED, EXCLUDED, HEALTHY, Host
from mesh_proxy.balancing.subsets import Subset
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.ipc import HostStats, Stats
from mesh_proxy.snapshot import scope_of
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.listeners import Listeners
from mesh_proxy.worker.tcp import TcpSession

_COMPLETED: Final = "upstream_rq_completed"
OF_LISTENERS: Final = ("downstream_rq_completed", *(f"downstream_rq_{digit}xx" for digit in range(1, 6)))
"""What connection managers count for their listener, too (Envoy ``listener.ADDRESS.http.PREFIX``)."""


def collect(context: Context, listeners: Listeners) -> Stats:
    """Everything, under Envoy's names."""
    sessions = [connection for connection in context.connections if isinstance(connection, TcpSession)]
    for session in sessions:
        session.tell()
    stats = Stats(listeners=listeners.addresses())
    for counters in listeners.counters.values():
        stats.counters.update(counters.named())
        stats.gauges[f"{counters.scope}.downstream_cx_active"] = 0
    for counters in context.snapshot.counters.values():
        if counters.scope.startswith("http."):
            collect_manager(stats, counters)
        else:
            stats.counters.update(counters.named())
    for session in sessions:
        runtime = context.snapshot.listeners.get(session.listener)
        if runtime is not None:
            _add(stats.gauges, f"{scope_of(runtime.config.address)}.downstream_cx_active", 1)
    stats.gauges.update(context.names.gauges())
    for gate in context.snapshot.gates.values():
        if gate.limit is not None:
            stats.gauges[f"{gate.counters.scope}.active_connections"] = gate.limit.taken
    headers = context.snapshot.counters.get("proxy_proto")
    if headers is not None:
        wrong = sum(value for key, value in headers.values.items() if key.endswith(("error", "not_found_disallowed")))
        stats.counters["downstream_cx_proxy_proto_error"] = wrong
    for name, cluster in context.snapshot.clusters.items():
        collect_cluster(stats, name, cluster, context.loop.now)
    stats.labelled.update(context.snapshot.registry.read())
    outbox = context.logs.outbox
    stats.counters["telemetry.handed_over"] = outbox.added
    stats.counters["telemetry.overflowed"] = outbox.dropped
    stats.gauges["server.total_connections"] = len(context.connections)
    return stats


def reset(context: Context, listeners: Listeners) -> None:
    """Count from zero again; what there is at this moment goes on."""
    snapshot = context.snapshot
    managers = [counters for counters in snapshot.counters.values() if counters.scope.startswith("http.")]
    active = [
        counters.values["downstream_cx_total"] - counters.values["downstream_cx_destroy"] for counters in managers
    ]
    clusters = [cluster.counters for cluster in snapshot.clusters.values()]
    for counters in (*snapshot.counters.values(), *listeners.counters.values(), *clusters):
        counters.values.clear()
    # Connections that stand are the difference of two counters.
    for counters, number in zip(managers, active, strict=True):
        counters.values["downstream_cx_destroy"] = -number
    snapshot.registry.clear()
    for reporter in snapshot.reporters:
        reporter.forget()


def collect_cluster(stats: Stats, name: str, cluster: ClusterRuntime, now: float) -> None:
    """Those of one cluster; ``now`` is the loop's time."""
    stats.counters.update(cluster.counters.named())
    scope = f"cluster.{cluster.stat_name}"
    for key, value in cluster.ejections.items():
        target = stats.gauges if key == "ejections_active" else stats.counters
        target[f"{scope}.outlier_detection.{key}"] = value
    for key, value in gauges(cluster, now).items():
        stats.gauges[f"{scope}.{key}"] = value
    stats.histograms[f"{scope}.upstream_rq_time"] = times = cluster.timing.read()
    # No address is internal unless it is said to be: every request comes from outside (Envoy's word for it).
    for key, value in cluster.counters.values.items():
        if key.startswith("upstream_rq_") and (key == _COMPLETED or key[12:13].isdigit()):
            stats.counters[f"{scope}.external.{key}"] = value
    if times.count:
        stats.histograms[f"{scope}.external.upstream_rq_time"] = times
    stats.hosts[name] = tuple(_host(host) for host in cluster.hosts.values())


def collect_manager(stats: Stats, counters: Counters) -> None:
    """What the connection managers of a listener have counted, and have at this moment; those of others with the same name
    are added to it."""
    scope, values, totals = counters.scope, counters.values, stats.counters
    for name, value in values.items():
        _add(totals, f"{scope}.{name}", value)
    for name in OF_LISTENERS:
        if values.get(name):
            totals[f"{counters.owner}.{scope}.{name}"] = values[name]
    open_now = values["downstream_cx_total"] - values["downstream_cx_destroy"]
    _add(stats.gauges, f"{scope}.downstream_rq_active", counters.active)
    _add(stats.gauges, f"{scope}.downstream_cx_active", open_now)
    _add(stats.gauges, f"{counters.owner}.downstream_cx_active", open_now)
    key, times = f"{scope}.downstream_rq_time", counters.times.read()
    stats.histograms[key] = stats.histograms[key].merged(times) if key in stats.histograms else times
    for what in ("cx", "rq"):
        of_http1 = values[f"downstream_{what}_total"] - values.get(f"downstream_{what}_http2_total", 0)
        if of_http1:
            _add(totals, f"{scope}.downstream_{what}_http1_total", of_http1)


def _add(totals: dict[str, int], name: str, amount: int) -> None:
    totals[name] = totals.get(name, 0) + amount


def gauges(cluster: ClusterRuntime, now: float) -> dict[str, int]:
    """What a cluster has at this moment, under Envoy's names without the cluster's."""
    hosts, both = tuple(cluster.hosts.values()), (cluster.resources, cluster.high)
    counted = [host for host in hosts if not host.flags & EXCLUDED]
    healthy = sum(1 for host in counted if host.health == HEALTHY)
    degraded = sum(1 for host in counted if host.health == DEGRADED)
    made = {
        "membership_total": len(hosts),
        "membership_healthy": healthy,
        "membership_degraded": degraded,
        "membership_excluded": len(hosts) - len(counted),
        "warming_state": int(not cluster.warm),
        "upstream_cx_active": sum(part.active_connections for part in both),
        "upstream_rq_active": sum(part.active_requests for part in both),
        "upstream_rq_pending_active": sum(part.pending_requests for part in both),
    }
    made.update(cluster.resources.gauges("default", now))
    if cluster.config.high_thresholds is not None:
        made.update(cluster.high.gauges("high", now))
    if cluster.config.health_checks:
        made["health_check.healthy"], made["health_check.degraded"] = healthy, degraded
    if isinstance(cluster.balancer, Subset):
        made["lb_subsets_active"] = cluster.balancer.active()
    return made


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
        locality="/".join(host.locality) if any(host.locality) else "",
        hostname=host.hostname,
        flags=host.flags,
        canary=host.endpoint is not None and CANARY in host.endpoint.lb_metadata,
        success_rate=host.success_rate,
        local_success_rate=host.local_success_rate,
        successes=host.successes,
        timeouts=host.timeouts,
        pending_requests=host.waiting,
        total_connections=host.total_connections,
        connect_failures=host.connect_failures,
    )
