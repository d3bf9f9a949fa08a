"""Copies of requests: sent beside the real one, their answers dropped."""

from mesh_api.config.routes import MILLION
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import Snapshot
from mesh_proxy.worker import heads
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.upstream import Upstream, acquire


class Shadow:
    """One copy under way. Only requests without a body are copied at this depth: nothing of a body is kept for it."""

    __slots__ = ("_target", "head")

    def __init__(self, head: Head, target: bytes) -> None:
        self.head = head
        self._target = target

    def on_begun(self, upstream: Upstream) -> None:
        """Nothing to do yet."""

    def on_ready(self, upstream: Upstream) -> None:
        """Send it."""
        fields = heads.forwarded_request(self.head, False)
        upstream.send(heads.request(self.head.method, self._target, self.head.host, fields))

    def on_interim(self, head: Head) -> None:
        """Dropped."""

    def on_switched(self, head: Head, rest: bytes) -> None:
        """Dropped."""

    def on_response(self, head: Head, ended: bool) -> None:
        """Dropped."""

    def on_response_data(self, content: bytes) -> None:
        """Dropped."""

    def on_response_end(self, trailers: bytes) -> None:
        """Dropped."""

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """Dropped."""

    def on_aborted(self) -> None:
        """Dropped."""

    def on_malformed(self, details: str) -> None:
        """Dropped."""

    def on_upstream_drained(self) -> None:
        """Nothing waits."""

    def request_complete(self) -> bool:
        """There is no body."""
        return True


def mirror(context: Context, snapshot: Snapshot, route: CompiledRoute, head: Head, target: bytes) -> None:
    """Send the copies that the route asks for."""
    action = route.action
    if action is None or not action.mirrors or head.chunked or head.length > 0:
        return
    for wanted in action.mirrors:
        cluster = snapshot.clusters.get(wanted.cluster)
        if cluster is None or context.random() * MILLION >= wanted.fraction:
            continue
        host = cluster.pick(None, [], 0)
        if host is not None:
            acquire(context, cluster, host, Shadow(head, target))
