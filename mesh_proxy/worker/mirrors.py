"""Copies of requests: sent beside the real one, piece by piece as that comes, their answers dropped (Envoy's shadowing).

A copy is in nobody's way: it waits for no client and makes none wait. What of a body its host does not take is kept up to a
bound, and beyond that the copy is given up. Requests for another protocol are not copied: half of a conversation is none.
"""

from typing import Final

from mesh_api.config import Mirror
from mesh_api.config.routes import MILLION
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing.authorities import named
from mesh_proxy.routing.table import without_port
from mesh_proxy.worker.connection import HIGH
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.heads import INSIDE
from mesh_proxy.worker.named_hosts import default_port
from mesh_proxy.worker.request import Request
from mesh_proxy.worker.upstream.pool import acquire
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.sharing import lane_of
from mesh_proxy.worker.upstream.waiting import leave

MOST: Final = HIGH
"""Bytes of a body that wait for the copy's host, beside those that its connection holds already."""
_TOLD_ANEW: Final = (b"x-envoy-internal", b"x-forwarded-for")


class Shadow(User):
    """One copy under way. ``timeout``: seconds for the answer from when everything was said; 0: as long as it takes."""

    __slots__ = (
        "_authority", "_cluster", "_complete", "_context", "_done", "_fields", "_finished", "_host", "_parts", "_ready",
        "_size", "_target", "_timeout", "_trailers", "_upstream",
    )  # fmt: skip

    def __init__(self, context: Context, cluster: ClusterRuntime, host: Host, head: Head, timeout: float) -> None:
        super().__init__(head)
        self._context = context
        self._cluster = cluster
        self._host = host
        self._timeout: float = timeout
        self._target: bytes = b""
        self._authority: bytes = b""
        self._fields: list[Field] = []
        self._parts: list[bytes] = []
        self._size: int = 0
        self._trailers: list[Field] = []
        self._upstream: Upstream | None = None
        self._ready: bool = False
        self._complete: bool = False
        self._finished: bool = False
        """Whether all of it, which is complete, was handed to the host."""
        self._done: bool = False

    def start(self, target: bytes, authority: bytes, fields: list[Field], request: Request) -> bool:
        """Send it, with what there is of the request; ``False``: the cluster's limits forbid that."""
        cluster, host = self._cluster, self._host
        self._target, self._authority, self._fields = target, authority, fields
        self._parts = list(request.body.kept())
        self._size = sum([len(part) for part in self._parts])
        host.active_requests += 1
        cluster.resources.active_requests += 1
        if request.body.complete:
            self.finish(request.body.trailers)
        lane = lane_of(cluster, host, authority, None) if cluster.parts else host.lane
        if not acquire(self._context, cluster, host, lane, self, b""):
            self._end()
        return not self._done

    # What the client says.

    def send(self, content: bytes) -> None:
        """A part of the request's body."""
        upstream = self._upstream
        if self._done:
            return
        if upstream is not None and self._ready and not self._parts and not upstream.congested():
            upstream.content(content)
            return
        self._parts.append(content)
        self._size += len(content)
        if self._size > MOST:
            self.drop()

    def finish(self, trailers: list[Field]) -> None:
        """The request is complete: from now on its host has so long."""
        if self._done:
            return
        self._complete, self._trailers = True, trailers
        if self._timeout:
            self._context.loop.watch(self, self._context.loop.now + self._timeout)
        self._flush()

    @property
    def complete(self) -> bool:
        """Whether it needs nothing more of the client."""
        return self._complete

    def drop(self) -> None:
        """It is given up."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.detach()
        else:
            leave(self._cluster, self)
        self._end()

    def on_deadline(self, now: float) -> None:
        """Its host takes too long."""
        self._cluster.counters.add("upstream_rq_timeout")
        self._cluster.count_status(504)
        self.drop()

    # What the host says.

    def on_begun(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = upstream

    def on_ready(self, upstream: Upstream) -> None:
        """Send it."""
        self._cluster.counters.add("upstream_rq_total")
        self._host.total_requests += 1
        self._upstream, self._ready = upstream, True
        self._finished = self._complete and not self._parts and not self._trailers
        upstream.request(self.head.method, self._target, self._authority, self._fields, self._finished)
        self._flush()

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._flush()

    def _flush(self) -> None:
        """Hand on what waits, as long as the host takes it."""
        upstream = self._upstream
        if upstream is None or not self._ready or self._finished:
            return
        while self._parts and not upstream.congested():
            part = self._parts.pop(0)
            self._size -= len(part)
            upstream.content(part)
        if self._complete and not self._parts:
            self._finished = True
            upstream.finish(self._trailers)

    def on_interim(self, head: Head) -> None:
        """Dropped."""

    def on_switched(self, head: Head) -> None:
        """Never: that is not asked for."""

    def on_response(self, head: Head, end: bool) -> None:
        """Counted, and dropped."""
        self._cluster.count_status(head.status)

    def on_response_data(self, content: bytes) -> None:
        """Dropped."""

    def on_response_end(self, trailers: list[Field]) -> None:
        """It has served its purpose."""
        self._upstream = None
        self._end()

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """Counted as the cluster's failure, as for a request that somebody waits for."""
        self._upstream = None
        self._cluster.count_status(503)
        self._end()

    def on_aborted(self, reply: LocalReply) -> None:
        """Dropped."""
        self._upstream = None
        self._end()

    def on_malformed(self, details: str) -> None:
        """Counted."""
        self._upstream = None
        self._cluster.count_status(502)
        self._end()

    def request_complete(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._complete and not self._parts

    def upgrading(self) -> bool:
        """Never: such requests are not copied."""
        return False

    def _end(self) -> None:
        if self._done:
            return
        self._done = True
        self._parts = []
        self._host.active_requests -= 1
        self._cluster.resources.active_requests -= 1
        self._context.loop.forget(self)


NO_SHADOWS: Final[list[Shadow]] = []
"""Of a request without copies; never to be changed."""


def mirror(
    context: Context,
    request: Request,
    mirrors: tuple[Mirror, ...],
    target: bytes,
    outgoing: tuple[bytes, list[Field]],
    timeout: float,
) -> list[Shadow]:
    """Begin the copies that the route asks for; they look as the request does when it goes out (Envoy)."""
    begun: list[Shadow] = []
    if request.head.upgrade:
        return begun
    host, fields = outgoing
    for wanted in mirrors:
        cluster = request.snapshot.clusters.get(wanted.cluster)
        if cluster is None or context.random() * MILLION >= wanted.fraction:
            continue
        authority = host if wanted.disable_shadow_host_suffix else shadow_host(host)
        chosen = cluster.pick(named(authority, default_port(cluster)) if cluster.by_name else None, [], 0)
        if chosen is None:
            continue
        limits = cluster.resources
        if limits.active_requests >= limits.max_requests:
            cluster.counters.add("upstream_rq_active_overflow")
            continue
        copy = Shadow(context, cluster, chosen, _framed_as(request.head), timeout)
        if copy.start(target, authority, _from_inside(fields, context.own_address()), request):
            begun.append(copy)
    return begun


def _framed_as(head: Head) -> Head:
    """What a connection asks of a request's head, for as long as the copy lives: the request itself may go elsewhere."""
    made = Head()
    made.method, made.scheme, made.length, made.chunked = head.method, head.scheme, head.length, head.chunked
    return made


def _from_inside(fields: list[Field], address: bytes) -> list[Field]:
    """The fields of a copy, which this proxy sends of its own accord: from inside, and in its own name (Envoy)."""
    before = b",".join([field.value for field in fields if field.name == b"x-forwarded-for"])
    made = [field for field in fields if field.name not in _TOLD_ANEW]
    made += [INSIDE, field_of(b"x-forwarded-for", before + b"," + address if before else address)]
    return made


def shadow_host(authority: bytes) -> bytes:
    """The host with the mark of a copy, before its port."""
    name = without_port(authority)
    return name + b"-shadow" + authority[len(name) :]
