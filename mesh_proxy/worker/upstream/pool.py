"""Where a request gets its connection: by the protocol that the cluster's hosts speak."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import AUTO, ClusterRuntime
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.upstream import http1, http2, negotiated
from mesh_proxy.worker.upstream.seam import User


def acquire(context: Context, cluster: ClusterRuntime, host: Host, lane: Lane, user: User, downstream: bytes) -> bool:
    """Gets the user its place on a connection of ``lane``, now or later; ``False`` when the cluster's limits forbid to wait.

    ``downstream`` is the protocol that the client speaks (``HTTP/2``): some clusters are spoken to in the same.
    """
    protocol = cluster.protocol
    if protocol == "http2" or (protocol == "downstream" and downstream == b"HTTP/2"):
        return http2.acquire(context, cluster, host, lane, user)
    if protocol == AUTO:
        return negotiated.acquire(context, cluster, host, lane, user)
    return http1.acquire(context, cluster, host, lane, user)
