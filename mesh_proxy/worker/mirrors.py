"""Copies of requests: sent beside the real one, their answers dropped."""

from mesh_api.config import Mirror
from mesh_api.config.routes import MILLION
from mesh_proxy.cluster import ClusterRuntime, status_counters
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing.table import without_port
from mesh_proxy.snapshot import Snapshot
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.upstream.pool import acquire
from mesh_proxy.worker.upstream.seam import Upstream, User


class Shadow(User):
    """One copy under way. Only requests without a body are copied at this depth: nothing of a body is kept for it."""

    __slots__ = ("_authority", "_cluster", "_fields", "_target")

    def __init__(
        self, head: Head, target: bytes, authority: bytes, fields: list[Field], cluster: ClusterRuntime
    ) -> None:
        super().__init__(head)
        self._target = target
        self._authority = authority
        self._fields = fields
        self._cluster = cluster

    def on_begun(self, upstream: Upstream) -> None:
        """Nothing to do yet."""

    def on_ready(self, upstream: Upstream) -> None:
        """Send it."""
        self._cluster.counters.add("upstream_rq_total")
        upstream.request(self.head.method, self._target, self._authority, self._fields, True)

    def on_interim(self, head: Head) -> None:
        """Dropped."""

    def on_switched(self, head: Head) -> None:
        """Dropped."""

    def on_response(self, head: Head, end: bool) -> None:
        """Counted, and dropped."""
        self._count(head.status)

    def on_response_data(self, content: bytes) -> None:
        """Dropped."""

    def on_response_end(self, trailers: list[Field]) -> None:
        """Dropped."""

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """Counted as the cluster's failure, as for a request that somebody waits for."""
        self._count(503)

    def on_aborted(self, reply: LocalReply) -> None:
        """Dropped."""

    def on_malformed(self, details: str) -> None:
        """Counted."""
        self._count(502)

    def _count(self, status: int) -> None:
        for name in status_counters(status):
            self._cluster.counters.add(name)

    def on_upstream_drained(self) -> None:
        """Nothing waits."""

    def request_complete(self) -> bool:
        """There is no body."""
        return True

    def upgrading(self) -> bool:
        """Never: the field for it is not copied."""
        return False


def mirror(
    context: Context,
    snapshot: Snapshot,
    mirrors: tuple[Mirror, ...],
    head: Head,
    target: bytes,
    outgoing: tuple[bytes, list[Field]],
) -> None:
    """Send the copies that the route asks for; they look as the request does when it goes out (Envoy)."""
    if head.chunked or head.length > 0:
        return
    host, fields = outgoing
    for wanted in mirrors:
        cluster = snapshot.clusters.get(wanted.cluster)
        if cluster is None or context.random() * MILLION >= wanted.fraction:
            continue
        chosen = cluster.pick(None, [], 0)
        if chosen is not None:
            authority = host if wanted.disable_shadow_host_suffix else shadow_host(host)
            acquire(context, cluster, chosen, Shadow(head, target, authority, list(fields), cluster), b"")


def shadow_host(authority: bytes) -> bytes:
    """The host with the mark of a copy, before its port."""
    name = without_port(authority)
    return name + b"-shadow" + authority[len(name) :]
