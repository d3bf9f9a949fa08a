"""A request at its cluster: hosts chosen, attempts made and made again, times kept (Envoy's router filter).

What it decides by (balancing, retries, outliers) is pure and elsewhere; it is what the connections to hosts call back.
"""

from typing import Final

from mesh_api.config import LbPolicy
from mesh_proxy import errors
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime, status_counters
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import INTERNAL, Field, Head, field_of, grpc_timeout, is_grpc
from mesh_proxy.resilience.retry import Failure, RetryRules, policy_for
from mesh_proxy.routing.table import CompiledRoute, Destination
from mesh_proxy.snapshot import Snapshot
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import composition
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.loop import Waiter
from mesh_proxy.worker.mirrors import mirror
from mesh_proxy.worker.request_body import RequestBody
from mesh_proxy.worker.upstream.pool import acquire
from mesh_proxy.worker.upstream.seam import Upstream, User

HASHED: Final = (LbPolicy.RING_HASH, LbPolicy.MAGLEV)
_INTERNAL: Final = 1 << INTERNAL


class Request(Waiter):
    """Whose request it is; :class:`~mesh_proxy.worker.exchange.Exchange`."""

    __slots__ = ("answered", "at_edge", "body", "client", "head", "record", "snapshot", "tunnel")

    def __init__(self, client: Client, head: Head, record: Record, snapshot: Snapshot, at_edge: bool) -> None:
        super().__init__()
        self.client = client
        self.head = head
        self.record = record
        self.snapshot = snapshot
        self.at_edge = at_edge
        """Whether clients are strangers, whose words about the proxy do not count."""
        self.body = RequestBody()
        self.tunnel: bool = False
        """Whether the host has taken the other protocol that was asked for."""
        self.answered: bool = False
        """Whether the client has been sent an answer's head."""

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came."""
        raise NotImplementedError

    def on_switched(self, head: Head, destination_fields: list[Field]) -> None:
        """The host takes the other protocol."""
        raise NotImplementedError

    def on_response(self, head: Head, routed: list[Field], end: bool) -> None:
        """The answer's head came, with its fields as the route wants them; ``end``: no content follows."""
        raise NotImplementedError

    def on_response_data(self, content: bytes) -> None:
        """A part of its body came."""
        raise NotImplementedError

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def reply(self, reply: LocalReply, fields: list[Field] | None = None) -> None:
        """No host answers: this is the answer."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The answer broke off."""
        raise NotImplementedError


class Router(User):
    """See the module's docstring."""

    __slots__ = (
        "_attempts", "_choice", "_cluster", "_context", "_cookies", "_destination", "_done", "_expires", "_host",
        "_idle_until", "_limits", "_ready", "_request", "_retry", "_retry_at", "_route", "_target", "_try_began",
        "_try_expires", "_upgrade", "_upstream",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        request: Request,
        route: CompiledRoute,
        destination: Destination,
        cluster: ClusterRuntime,
        target: bytes,
    ) -> None:
        super().__init__(request.head)
        self._context = context
        self._request = request
        self._route = route
        self._destination = destination
        self._cluster = cluster
        self._target = target
        self._upgrade = request.head.upgrade != b""
        self._host: Host | None = None
        self._upstream: Upstream | None = None
        self._ready = False
        self._attempts = 0
        self._limits = cluster.breaker(route.high)
        self._retry: RetryRules | None = None
        self._choice = PickContext(context.loop.now)
        self._cookies: list[bytes] = []
        """What the answer sets, so that the client comes to the same host again."""
        self._expires = self._try_expires = self._idle_until = self._retry_at = self._try_began = 0.0
        self._done = False

    # The way there.

    def start(self) -> None:
        """Send the request to a host."""
        cluster, action, request, limits = self._cluster, self._route.action, self._request, self._limits
        cluster.counters.add("upstream_rq_total")
        if cluster.dropped():
            request.reply(errors.DROP_OVERLOAD)
            return
        if limits.active_requests >= limits.max_requests:
            cluster.counters.add("upstream_rq_pending_overflow")
            request.reply(errors.OVERFLOW)
            return
        limits.active_requests += 1
        self._prepare()
        if action is not None and action.mirrors:
            mirror(self._context, request.snapshot, action.mirrors, self.head, self._target, self._outgoing())
        if request.body.complete:
            self._start_clocks()
        self._attempt()

    def _prepare(self) -> None:
        """What of the request decides about hosts and retries."""
        route, head, choice, info = self._route, self.head, self._choice, self._request.client.info
        rules = route.retry
        if head.seen & _INTERNAL and not self._request.at_edge:
            policy = policy_for(None if rules is None else rules.policy, head)
            if policy is not None and (rules is None or policy != rules.policy):
                rules = RetryRules(policy)
        if rules is not None and rules.covers_request(head):
            self._retry, policy = rules, rules.policy
            choice.attempts = policy.host_selection_retry_max_attempts
            choice.avoid_tried, choice.omit_canary = policy.avoid_previous_hosts, policy.omit_canary
            choice.omit_labels = policy.omit_host_metadata
            choice.priority_frequency = policy.priority_update_frequency if policy.other_priorities else 0
        choice.labels = self._destination.labels
        destination = info.arrival.destination
        if self._cluster.original_destination:
            choice.destination = self._cluster.destination_of(head.get, destination)
        if route.keys is not None and self._cluster.config.lb_policy in HASHED:
            choice.hash = route.keys.key(head, info.remote_address, info.local_address, self._cookies)

    def _attempt(self) -> None:
        """Try one host."""
        cluster, choice = self._cluster, self._choice
        choice.now, choice.retry = self._context.loop.now, self._attempts > 0
        host = cluster.choose(choice)
        self._attempts += 1
        if host is None:
            cluster.counters.add("upstream_cx_none_healthy")
            self._request.reply(errors.NO_HEALTHY_UPSTREAM)
            return
        self._host = host
        choice.tried.append(host)
        host.active_requests += 1
        host.total_requests += 1
        self._request.record.upstream_host = host.address
        self._try_began = self._context.loop.now
        if not acquire(self._context, cluster, host, self, self._request.record.protocol):
            self._leave_host()
            self._request.reply(errors.OVERFLOW)

    def _leave_host(self) -> None:
        if self._host is not None:
            self._host.active_requests -= 1
            self._host = None

    def on_begun(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream, self._ready = upstream, False

    def on_ready(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream, self._ready = upstream, True
        request = self._request
        request.record.upstream_local = upstream.local_address
        body = request.body
        parts = body.parts()
        end = body.complete and not parts and not body.trailers
        authority, fields = self._outgoing()
        upstream.request(self.head.method, self._target, authority, fields, end)
        for part in parts:
            upstream.content(part)
        if body.complete:
            if not end:
                upstream.finish(body.trailers)
        elif not upstream.congested():
            request.client.resume()

    def _outgoing(self) -> tuple[bytes, list[Field]]:
        """Authority and fields of the request as the route wants them."""
        return composition.request(
            self.head, self._route, self._destination, self._host, self._request.record, self._attempts, self._upgrade
        )

    def send(self, content: bytes) -> bool:
        """A part of the request's body; ``False``: there is nobody yet to send it to."""
        upstream = self._upstream
        if upstream is None or not self._ready:
            return False
        if not self._request.tunnel:
            self._request.body.keep(content, True)
        upstream.content(content)
        if upstream.congested():
            self._request.client.pause()
        return True

    def on_request_end(self) -> None:
        """The request is complete: its timeouts begin (Envoy counts from here)."""
        self._start_clocks()
        if self._upstream is not None and self._ready and not self._request.tunnel:
            self._upstream.finish(self._request.body.trailers)

    def request_complete(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._request.body.complete

    def upgrading(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._upgrade

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if not self._request.body.complete or self._request.tunnel:
            self._request.client.resume()

    # The times.

    def _start_clocks(self) -> None:
        """Route and per-try timeouts run from when both the request is complete and it was sent on."""
        if self._done:
            return
        now = self._context.loop.now
        if not self._expires and (timeout := self._timeout()):
            self._expires = now + timeout
        self._arm_try(now)

    def _timeout(self) -> float:
        """Seconds for the whole request: the route's, or where that says so what a call of gRPC asks for."""
        route = self._route
        longest = route.action.max_grpc_timeout if route.action is not None else None
        if longest is None or not is_grpc(self.head):
            return route.timeout
        asked = grpc_timeout(self.head)
        return min(asked or longest, longest) if longest else asked

    def _arm_try(self, now: float) -> None:
        rules = self._retry
        limit = rules.policy.per_try_timeout if rules is not None else None
        self._try_expires = now + limit if limit else 0.0
        self._active()
        self._watch()

    def _active(self) -> None:
        """Something came: an attempt is given up when nothing does."""
        rules = self._retry
        limit = rules.policy.per_try_idle_timeout if rules is not None else None
        if limit:
            self._idle_until = self._context.loop.now + limit

    def _watch(self) -> None:
        """Wait for whichever of the times comes first."""
        if self._done:
            return
        due = self._expires
        if self._try_expires and (not due or self._try_expires < due):
            due = self._try_expires
        if self._idle_until and not self._retry_at and (not due or self._idle_until < due):
            due = self._idle_until
        if self._retry_at and (not due or self._retry_at < due):
            due = self._retry_at
        if due != self.deadline:
            self._context.loop.watch(self, due)

    def on_deadline(self, now: float) -> None:
        """A pause or a timeout is over."""
        if self._retry_at and now >= self._retry_at and not (self._expires and now >= self._expires):
            self._retry_at = 0.0
            self._limits.active_retries -= 1
            if self._request.body.complete:
                self._arm_try(now)
            else:
                self._watch()
            self._attempt()
        elif self._expires and now >= self._expires:
            self._timed_out()
        elif self._try_expires and now >= self._try_expires:
            self._try_timed_out(errors.PER_TRY_TIMEOUT)
        elif self._idle_until and now >= self._idle_until and not self._retry_at:
            self._cluster.counters.add("upstream_rq_per_try_idle_timeout")
            self._try_timed_out(errors.PER_TRY_IDLE_TIMEOUT)
        else:
            self._watch()

    def _timed_out(self) -> None:
        cluster, host = self._cluster, self._host
        cluster.counters.add("upstream_rq_timeout")
        if host is not None and self._upstream is not None:
            host.timeouts += 1
            cluster.on_local_failure(host, self._context.loop.now, 504)
        self.stop()
        if not self._request.answered:
            self._request.reply(errors.RESPONSE_TIMEOUT)
        else:
            self._request.record.flag(errors.RESPONSE_TIMEOUT.flags)
            self._request.abandon()

    def _try_timed_out(self, reply: LocalReply) -> None:
        cluster, host, rules = self._cluster, self._host, self._retry
        self._try_expires = self._idle_until = 0.0
        if reply is errors.PER_TRY_TIMEOUT:
            cluster.counters.add("upstream_rq_per_try_timeout")
        if host is not None:
            host.timeouts += 1
            cluster.on_local_failure(host, self._context.loop.now, 504)
        self._drop_upstream()
        if self._request.answered:
            self._request.record.flag(reply.flags)
            self._request.abandon()
        elif rules is not None and rules.on_failure(Failure.PER_TRY) and self._may_retry():
            self._again(None)
        else:
            flags = f"URX,{reply.flags}" if self._attempts > 1 else reply.flags
            self._request.reply(reply._replace(flags=flags))

    # The way back.

    def on_interim(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._request.on_interim(head)

    def on_switched(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._expires = self._try_expires = self._idle_until = 0.0
        self._watch()
        record = self._request.record
        record.response, record.status, record.details = head, 101, "via_upstream"
        self._request.on_switched(head, composition.answer(head, self._destination, record, None, True))

    def on_response(self, head: Head, end: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self.count_status(head.status)
        loop, cluster, host = self._context.loop, self._cluster, self._host
        took = (loop.now - self._try_began) * 1000
        cluster.timing.add(took)
        if host is not None:
            if head.status >= 500:
                host.errors += 1
            cluster.on_status(host, head.status, loop.now)
            if cluster.config.health_checks and head.get(b"x-envoy-immediate-health-check-fail") is not None:
                cluster.on_failed_at_once(host)
        rules = self._retry
        if rules is not None and rules.on_answer(head):
            if self._may_retry():
                self._drop_upstream()
                self._again(head)
                return
            if self._attempts > 1:
                self._request.record.flag("URX")
        if self._try_expires or self._idle_until:
            self._try_expires = 0.0
            self._active()
            self._watch()
        request, record = self._request, self._request.record
        record.response, record.status, record.details = head, head.status, "via_upstream"
        known = request.body.complete and not self._upgrade  # else it is not known how long the host took (Envoy)
        fields = composition.answer(head, self._destination, record, int(took) if known else None, False)
        fields += [field_of(b"set-cookie", cookie) for cookie in self._cookies]
        request.on_response(head, fields, end)

    def count_status(self, status: int) -> None:
        """An answer of the cluster, or in its place."""
        for name in status_counters(status):
            self._cluster.counters.add(name)

    def on_response_data(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if self._idle_until:
            self._active()
        self._request.on_response_data(content)
        if self._upstream is not None and self._request.client.congested():
            self._upstream.pause()

    def resume(self) -> None:
        """The client takes more of the answer."""
        if self._upstream is not None:
            self._upstream.resume()

    def on_response_end(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        upstream, self._upstream = self._upstream, None
        if self._request.tunnel and upstream is not None:
            upstream.detach()
        self._request.on_response_end(trailers)

    # What goes wrong.

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        if self._host is not None:
            self._cluster.on_local_failure(self._host, self._context.loop.now)
        covered = self._retry is not None and self._retry.on_failure(failure)
        if covered and self._may_retry():
            self._again(None)
            return
        retried = self._attempts > 1
        if failure is Failure.REFUSED:
            made = errors.connection_timeout(retried) if timed_out else errors.connect_failure(reason, retried)
            self._request.record.failure = "" if timed_out else errors.transport_failure(reason)
        else:
            made = errors.connection_termination(retried and covered)
        self._request.reply(made)

    def _may_retry(self) -> bool:
        cluster, rules = self._cluster, self._retry
        if rules is None or not self._request.body.replayable or self._request.answered:
            return False
        if self._attempts > rules.policy.num_retries:
            cluster.counters.add("upstream_rq_retry_limit_exceeded")
            return False
        if not self._limits.may_retry():
            cluster.counters.add("upstream_rq_retry_overflow")
            return False
        return True

    def _again(self, head: Head | None) -> None:
        """Another attempt, after a pause; ``head`` is of the answer that is not good enough."""
        self._leave_host()
        self._ready = False
        rules, context, counters = self._retry, self._context, self._cluster.counters
        if rules is None:
            return
        counters.add("upstream_rq_retry")
        self._limits.active_retries += 1
        pause = 0.0 if head is None else rules.told_pause(head, context.wall(), context.random)
        counters.add(f"upstream_rq_retry_backoff_{'ratelimited' if pause else 'exponential'}")
        pause = pause or rules.pause(self._attempts, context.random)
        self._retry_at = context.loop.now + max(pause, 0.001)
        self._try_expires = self._idle_until = 0.0
        self._watch()

    def on_aborted(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        record = self._request.record
        record.flag("UC")
        record.details = "upstream_reset_after_response_started{connection_termination}"
        self._count_failure()
        self._request.abandon()

    def on_malformed(self, details: str) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        self._count_failure()
        self._request.reply(errors.protocol_error(details))

    def _count_failure(self) -> None:
        if self._host is not None:
            self._cluster.on_local_failure(self._host, self._context.loop.now)

    # The end.

    def stop(self) -> None:
        """Nobody waits for an answer any more."""
        self._drop_upstream()
        if self._retry_at:
            self._retry_at = 0.0
            self._limits.active_retries -= 1

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.detach()
        elif self._host is not None and self in self._host.pending:
            self._host.pending.remove(self)
            self._cluster.pending_requests -= 1

    def end(self) -> None:
        """The request is over: free what is held; to be called once."""
        self._done = True
        if self._retry_at:
            self._limits.active_retries -= 1
        self._leave_host()
        if self._attempts:
            self._limits.active_requests -= 1
        if self.deadline:
            self._context.loop.watch(self, 0.0)
