"""Requests that wait for a connection to a host, within the cluster's limits; whatever protocol the host speaks."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.worker.upstream.seam import User


def may_connect(cluster: ClusterRuntime, host: Host) -> bool:
    """Whether one more connection is allowed. One to a host always is, or a limit of 0 would stop everything (Envoy)."""
    return cluster.active_connections < cluster.thresholds.max_connections or not host.active_connections


def is_full(cluster: ClusterRuntime) -> bool:
    """Whether no request may wait any more, be it for a connection that is only on its way (Envoy); it is counted then."""
    full = cluster.pending_requests >= cluster.thresholds.max_pending_requests
    if full:
        cluster.counters.add("upstream_rq_pending_overflow")
    return full


def wait(cluster: ClusterRuntime, host: Host, user: User) -> bool:
    """Lets the request wait for its turn; ``False`` when the cluster's limits forbid that, too."""
    if is_full(cluster):
        return False
    cluster.pending_requests += 1
    cluster.counters.add("upstream_rq_pending_total")
    host.pending.append(user)
    return True


def refuse(cluster: ClusterRuntime, user: User, error: OSError) -> None:
    """A connection failed at once."""
    cluster.counters.add("upstream_cx_connect_fail")
    user.on_failure(Failure.REFUSED, error.strerror or str(error), False)
