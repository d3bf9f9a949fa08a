"""Requests that wait for a connection to a host, within the cluster's limits; whatever protocol the host speaks."""

from typing import Final

from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.worker.upstream.seam import User

NEVER: Final = 0
NOW: Final = 1
LATER: Final = 2


def may_connect(cluster: ClusterRuntime, host: Host, lane: Lane) -> bool:
    """Whether one more connection is allowed, by the cluster's limit and by its hosts'; it is counted where it is not. One of
    a lane always is, or a limit of 0 would stop everything (Envoy)."""
    if cluster.active_connections < cluster.thresholds.max_connections and (
        cluster.max_per_host < 0 or host.active_connections < cluster.max_per_host
    ):
        return True
    cluster.counters.add("upstream_cx_overflow")
    return not lane.connections


def is_full(cluster: ClusterRuntime) -> bool:
    """Whether no request may wait any more, be it for a connection that is only on its way (Envoy); it is counted then."""
    full = cluster.pending_requests >= cluster.thresholds.max_pending_requests
    if full:
        cluster.counters.add("upstream_rq_pending_overflow")
    return full


def wait(cluster: ClusterRuntime, lane: Lane, user: User) -> bool:
    """Lets the request wait for its turn; ``False`` when the cluster's limits forbid that, too."""
    if is_full(cluster):
        return False
    cluster.pending_requests += 1
    cluster.counters.add("upstream_rq_pending_total")
    user.lane = lane
    lane.pending.append(user)
    return True


def turn_of(cluster: ClusterRuntime, host: Host, lane: Lane, user: User) -> int:
    """When a request gets a connection that none is there for: :data:`NOW`, and it is to be begun; :data:`LATER`, it waits
    for its turn; :data:`NEVER`, as the cluster's limits forbid to wait."""
    if not may_connect(cluster, host, lane):
        return LATER if wait(cluster, lane, user) else NEVER
    if is_full(cluster):
        return NEVER
    cluster.counters.add("upstream_rq_pending_total")
    return NOW


def next_of(cluster: ClusterRuntime, lane: Lane) -> User:
    """The request that has waited longest; there must be one."""
    user: User = lane.pending.pop(0)
    user.lane = None
    cluster.pending_requests -= 1
    return user


def leave(cluster: ClusterRuntime, user: User) -> None:
    """It waits no more, if it did."""
    lane, user.lane = user.lane, None
    if lane is not None:
        lane.pending.remove(user)
        cluster.pending_requests -= 1


def refuse(cluster: ClusterRuntime, user: User, error: OSError) -> None:
    """A connection failed at once."""
    cluster.counters.add("upstream_cx_connect_fail")
    user.on_failure(Failure.REFUSED, error.strerror or str(error), False)
