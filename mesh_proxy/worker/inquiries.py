"""Requests that the proxy itself makes of a cluster before a client's request may go on: one attempt, answered or not."""

from typing import Final

from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Question, Told
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing.table import timeout_field
from mesh_proxy.worker.asking import Asker
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.heads import INSIDE, service_time
from mesh_proxy.worker.upstream.pool import acquire
from mesh_proxy.worker.upstream.seam import Upstream, User
from mesh_proxy.worker.upstream.sharing import lane_of
from mesh_proxy.worker.upstream.waiting import leave

_MOST: Final = 1 << 20
"""Bytes of an answer; of a longer one no more is told."""


class Inquiry(User):
    """One question under way. It tells its asker once, unless it is given up before."""

    __slots__ = (
        "_asked",
        "_asker",
        "_body",
        "_cluster",
        "_context",
        "_done",
        "_host",
        "_question",
        "_size",
        "_told",
        "_upstream",
    )

    def __init__(self, context: Context, question: Question, asker: Asker) -> None:
        super().__init__(_framed(question))
        self._context = context
        self._question = question
        self._asker: Asker | None = asker
        self._cluster: ClusterRuntime | None = None
        self._host: Host | None = None
        self._upstream: Upstream | None = None
        self._told: Head | None = None
        self._body: list[bytes] = []
        self._size: int = 0
        self._asked: float = 0.0
        self._done: bool = False

    def start(self, cluster: ClusterRuntime | None) -> None:
        """Ask a host of ``cluster`` (``None``: there is no such). The asker may be told at once."""
        host = None if cluster is None else cluster.pick(None, [], 0)
        if cluster is None or host is None:
            self._end(None)
            return
        self._cluster = cluster
        limits = cluster.resources
        if limits.active_requests >= limits.max_requests:
            cluster.counters.add("upstream_rq_active_overflow")
            self._end(None)
            return
        self._host = host
        host.active_requests += 1
        limits.active_requests += 1
        if self._question.timeout:
            self._context.loop.watch(self, self._context.loop.now + self._question.timeout)
        lane = lane_of(cluster, host, self._question.authority, None) if cluster.parts else host.lane
        if not acquire(self._context, cluster, host, lane, self, b""):
            self._fail(503)

    def drop(self) -> None:
        """Nobody wants to know any more."""
        self._asker = None
        self._let_go()
        self._end(None)

    def _let_go(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.detach()
        elif self._cluster is not None:
            leave(self._cluster, self)

    def on_deadline(self, now: float) -> None:
        """It takes too long."""
        if self._cluster is not None:
            self._cluster.counters.add("upstream_rq_timeout")
        self._let_go()
        self._count(504)
        self._end_with_what_came()

    # What the host says.

    def on_begun(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = upstream

    def on_ready(self, upstream: Upstream) -> None:
        """Ask."""
        self._upstream, self._asked = upstream, self._context.loop.now
        if self._cluster is not None:
            self._cluster.counters.add("upstream_rq_total")
        if self._host is not None:
            self._host.total_requests += 1
        question = self._question
        body = question.body
        fields = [*question.fields, INSIDE]
        if question.signed:
            fields.append(field_of(b"x-forwarded-for", self._context.own_address()))
        told = timeout_field(question.timeout)
        if told is not None:
            fields.append(told)
        upstream.request(question.method, question.target, question.authority, fields, not body)
        if body:
            upstream.content(body)
            upstream.finish([])

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""

    def on_interim(self, head: Head) -> None:
        """Dropped."""

    def on_switched(self, head: Head) -> None:
        """Never: that is not asked for."""

    def on_response(self, head: Head, end: bool) -> None:
        """The answer begins."""
        self._told = head
        self._count(head.status)

    def on_response_data(self, content: bytes) -> None:
        """More of it."""
        self._body.append(content)
        self._size += len(content)
        if self._size > _MOST:
            self._let_go()
            self._end_with_what_came()

    def on_response_end(self, trailers: list[Field]) -> None:
        """It is whole."""
        self._upstream = None
        head = self._told
        if head is None:
            self._end(None)
            return
        took = int((self._context.loop.now - self._asked) * 1000)
        self._end(Told(head.status, [*head.fields, service_time(took)], b"".join(self._body), trailers, took))

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        self._fail(503)

    def on_aborted(self, reply: LocalReply) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        self._end_with_what_came()

    def on_malformed(self, details: str) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None and upstream.said >= 0:
            self._told = told = Head()
            told.status = upstream.said
        self._count(502)
        self._end_with_what_came()

    def request_complete(self) -> bool:
        """Always: all of it is there from the beginning."""
        return True

    def upgrading(self) -> bool:
        """Never."""
        return False

    # The end.

    def _fail(self, status: int) -> None:
        self._count(status)
        self._end(None)

    def _end_with_what_came(self) -> None:
        """The answer is not whole; what it began with may say enough."""
        head = self._told
        self._end(None if head is None else Told(head.status, head.fields, b"".join(self._body), [], whole=False))

    def _count(self, status: int) -> None:
        if self._cluster is not None:
            self._cluster.count_status(status)

    def _end(self, told: Told | None) -> None:
        if self._done:
            return
        self._done = True
        self._context.loop.forget(self)
        if self._host is not None and self._cluster is not None:
            self._host.active_requests -= 1
            self._cluster.resources.active_requests -= 1
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.on_told(told)


def _framed(question: Question) -> Head:
    """What a connection asks of a request's head."""
    made = Head()
    made.method, made.scheme, made.length = question.method, b"http", len(question.body)
    return made
