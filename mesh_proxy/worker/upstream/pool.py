"""Where a request gets its connection: by the protocol that the cluster's hosts speak."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.upstream import http1, http2
from mesh_proxy.worker.upstream.seam import User


def acquire(context: Context, cluster: ClusterRuntime, host: Host, user: User, downstream: bytes) -> bool:
    """Gets the user its place, now or later; ``False`` when the cluster's limits forbid to wait.

    ``downstream`` is the protocol that the client speaks (``HTTP/2``): some clusters are spoken to in the same.
    """
    protocol = cluster.protocol
    if protocol == "http2" or (protocol == "downstream" and downstream == b"HTTP/2"):
        return http2.acquire(context, cluster, host, user)
    return http1.acquire(context, cluster, host, user)
