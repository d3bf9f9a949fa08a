"""A request at its cluster: hosts chosen, attempts made and made again, times kept (Envoy's router filter).

What it decides by (balancing, retries, outliers) is pure and elsewhere; it is what the connections to hosts call back.
"""

from typing import Final

from mesh_api.config import LbPolicy
from mesh_proxy import errors
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import INTERNAL, LENGTH, Field, Head, field_of
from mesh_proxy.resilience.retry import Failure, RetryRules, policy_for
from mesh_proxy.routing.table import CompiledRoute, Destination, timeout_field
from mesh_proxy.worker import composition
from mesh_proxy.worker.connection import Connection
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.deadlines import Deadlines, timeout_of
from mesh_proxy.worker.mirrors import NO_SHADOWS, Shadow, mirror
from mesh_proxy.worker.request import Request
from mesh_proxy.worker.upstream import tunnel
from mesh_proxy.worker.upstream.pool import acquire
from mesh_proxy.worker.upstream.seam import Upstream
from mesh_proxy.worker.upstream.sharing import lane_of
from mesh_proxy.worker.upstream.waiting import leave

HASHED: Final = (LbPolicy.RING_HASH, LbPolicy.MAGLEV)
_INTERNAL: Final = 1 << INTERNAL


@mypyc_attr(free_list_len=1)
class Router(Deadlines):
    """See the module's docstring."""

    __slots__ = (
        "_attempts", "_authority", "_choice", "_cluster", "_context", "_cookies", "_counts", "_destination", "_host",
        "_limits", "_ready", "_request", "_route", "_shadows", "_target", "_try_began", "_upgrade", "_upstream",
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
        super().__init__(context.loop, request.head)
        self._context = context
        self._request = request
        self._route = route
        self._destination = destination
        self._cluster = cluster
        self._target = target
        self._upgrade = request.head.upgrade != b""
        """Whether the host is asked for another protocol, or for a tunnel."""
        self._host: Host | None = None
        self._upstream: Upstream | None = None
        self._ready = False
        self._attempts = 0
        self._authority: bytes = b""
        self._counts: bool = False
        """Whether it counts among the cluster's requests."""
        self._limits = cluster.breaker(route.high)
        self._choice = PickContext(context.loop.now)
        self._shadows: list[Shadow] = NO_SHADOWS
        """Copies that go along with it."""
        self._cookies: list[bytes] = []
        """What the answer sets, so that the client comes to the same host again."""
        self._try_began: float = 0.0

    # The way there.

    def start(self) -> None:
        """Send the request to a host."""
        cluster, route, request, limits = self._cluster, self._route, self._request, self._limits
        if cluster.by_name and not self._named():
            return
        if cluster.dropped():
            self._reply(errors.DROP_OVERLOAD)
            return
        self._prepare()
        if limits.active_requests >= limits.max_requests:
            self._overflow()
            return
        limits.active_requests += 1
        self._counts = True
        action = route.action if route.mirrored else None
        if action is not None:
            timeout = timeout_of(self._route, self.head)
            self._shadows = mirror(self._context, request, action.mirrors, self._target, self._outgoing(), timeout)
        if request.body.complete:
            self._start_clocks(timeout_of(self._route, self.head))
        self._attempt()

    def _named(self) -> bool:
        """Whether it is known which host the request names; else it is answered, or begins again when that is known."""
        if self._done:
            return False
        head, request, cluster = self.head, self._request, self._cluster
        authority = composition.authority(head, self._route, self._destination)
        found = self._context.names.asked_for(cluster, head.host, authority, request.client.info.looks_up, self.start)
        if not isinstance(found, LocalReply):
            self._choice.destination = found
            return found is not None
        if found.flags == errors.NO_HEALTHY_UPSTREAM.flags:
            cluster.counters.add("upstream_cx_none_healthy")
            self._reply(found)
        else:
            request.reply(found)
        return False

    def _overflow(self) -> None:
        """The cluster has as many requests as it may have; Envoy finds out when a host is chosen."""
        host = self._cluster.choose(self._choice)
        if host is None:
            self._reply(errors.NO_HEALTHY_UPSTREAM)
            return
        self._request.record.chose(host, 1)
        self._cluster.counters.add("upstream_rq_active_overflow")
        self._reply(errors.OVERFLOW)

    def _prepare(self) -> None:
        """What of the request decides about hosts and retries."""
        route, head, choice, info = self._route, self.head, self._choice, self._request.client.info
        rules = route.retry
        if head.seen & _INTERNAL and not self._request.at_edge:
            policy = policy_for(None if rules is None else rules.policy, head)
            if policy is not None and (rules is None or policy != rules.policy):
                rules = RetryRules(policy)
        if rules is not None and rules.covers_request(head):
            self._retry = rules
            choice.attempts, choice.priority_frequency = rules.selections, rules.priority_frequency
            choice.avoid_tried, choice.omit_canary = rules.avoids_tried, rules.omits_canary
            choice.omit_labels = rules.omits_labels
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
            self._reply(errors.NO_HEALTHY_UPSTREAM)
            return
        self._host = host
        choice.tried.append(host)
        host.active_requests += 1
        if self._limits.recent is not None:
            self._limits.recent.count(choice.now)
        self._request.record.chose(host, self._attempts)
        self._try_began = self._context.loop.now
        lane = self._lane(host) if cluster.parts or self._request.client.info.source else host.lane
        if self._upgrade and self._route.ends_connect and self.head.method == b"CONNECT":
            tunnel.begin(self._context, cluster, host, lane, self)
        elif not acquire(self._context, cluster, host, lane, self, self._request.record.protocol):
            self._leave_host()
            self._request.record.chose(None, self._attempts)
            self._reply(errors.OVERFLOW)

    def _lane(self, host: Host) -> Lane:
        authority = composition.authority(self.head, self._route, self._destination)
        return lane_of(self._cluster, host, authority, self._request.client.info)

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
        cluster, host = self._cluster, self._host
        cluster.count_request()
        if host is not None:
            host.total_requests += 1
        longest = cluster.longest_stream
        if longest:
            self._longest_until = self._loop.now + longest
            self._watch()
        request = self._request
        record = request.record
        record.upstream_local, record.upstream = upstream.local_address, upstream.facts
        record.passed, record.answered = self._context.loop.now, 0.0
        authority, fields = self._outgoing()
        self._authority = authority
        if self._upgrade:
            upstream.request(self.head.method, self._target, authority, fields, False)
            return  # what the client says already is for the other protocol
        body = request.body
        parts = body.parts()
        end = body.complete and not parts and not body.trailers
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
        route, rules, request = self._route, self._retry, self._request
        told, grpc_timeout = route.timeout_field if rules is None else route.try_field, 0.0
        if self._attempts > 1 or route.tells_grpc_timeout or (rules is not route.retry and rules is not None):
            # Else it is the route's own, and prepared.
            left = self._time_left()
            told = timeout_field(left)
            grpc_timeout = left if route.tells_grpc_timeout else 0.0
        made = composition.request(
            self.head,
            route,
            self._destination,
            self._host,
            request.record,
            self._attempts,
            self._upgrade and self.head.method != b"CONNECT",
            None if request.suppresses else told,
            grpc_timeout,
        )
        return composition.without_own(made) if request.suppresses else made

    def _time_left(self) -> float:
        """Seconds that the host has for its answer; 0: as long as it takes."""
        whole = timeout_of(self._route, self.head)
        rules = self._retry
        limit = rules.try_timeout if rules is not None else 0.0
        if not whole:
            return limit
        if self._attempts > 1 and self._expires:
            whole = max(self._expires - self._loop.now, 0.001)
        return min(limit, whole) if limit else whole

    def send(self, content: bytes) -> bool:
        """A part of the request's body; ``False``: there is nobody yet to send it to."""
        upstream = self._upstream
        for shadow in self._shadows:
            shadow.send(content)
        if upstream is None or not self._ready or (self._upgrade and not self._request.tunnel):
            return False
        if not self._request.tunnel:
            self._request.body.keep(content, True)
        upstream.content(content)
        if upstream.congested():
            self._request.client.pause()
        return True

    def on_request_end(self) -> None:
        """The request is complete: its timeouts begin (Envoy counts from here), if it is known where it goes."""
        if not self._counts:
            return
        for shadow in self._shadows:
            shadow.finish(self._request.body.trailers)
        self._start_clocks(timeout_of(self._route, self.head))
        if self._upstream is not None and self._ready and self._upgrade is self._request.tunnel:
            self._upstream.finish(self._request.body.trailers)

    def request_complete(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._request.body.complete and not self._upgrade

    def upgrading(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._upgrade

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if not self._request.body.complete or self._request.tunnel:
            self._request.client.resume()

    # What takes too long.

    def on_pause_over(self, now: float) -> None:
        """See :class:`~mesh_proxy.worker.deadlines.Deadlines`."""
        self._limits.active_retries -= 1
        if self._request.body.complete:
            self._arm_try(now)
        else:
            self._watch()
        self._attempt()

    def on_timeout(self) -> None:
        """See :class:`~mesh_proxy.worker.deadlines.Deadlines`."""
        cluster, host = self._cluster, self._host
        cluster.counters.add("upstream_rq_timeout")
        if host is not None and self._upstream is not None:
            host.timeouts += 1
            cluster.on_local_failure(host, self._context.loop.now, 504)
        self.stop()
        self._give_up(errors.RESPONSE_TIMEOUT)

    def on_longest(self) -> None:
        """See :class:`~mesh_proxy.worker.deadlines.Deadlines`."""
        self._cluster.counters.add("upstream_rq_max_duration_reached")
        self._drop_upstream()
        if not self._retries(Failure.RESET):
            self._give_up(errors.upstream_duration_timeout(self._request.body.complete))

    def _retries(self, failure: Failure) -> bool:
        """Whether another attempt is made after such a failure, which is begun then."""
        rules = self._retry
        if rules is None or self._request.answered:
            return False
        if not rules.on_failure(failure):
            if self._attempts > 1:
                self._cluster.counters.add("upstream_rq_retry_success")  # as Envoy counts what is not tried again
            return False
        if not self._may_retry():
            return False
        self._again(None)
        return True

    def _give_up(self, reply: LocalReply) -> None:
        """Answer in the place of a host; where its answer has begun already, it breaks off."""
        if not self._request.answered:
            self._reply(reply)
            return
        self._request.record.flag(reply.flags)
        self._request.record.details = reply.details
        self._request.abandon()

    def _reply(self, reply: LocalReply) -> None:
        """What a host did not answer counts as its cluster's failure (Envoy)."""
        self._cluster.count_status(reply.status)
        self._request.reply(reply)

    def on_try_timeout(self, reply: LocalReply) -> None:
        """See :class:`~mesh_proxy.worker.deadlines.Deadlines`."""
        cluster, host = self._cluster, self._host
        idle = reply is errors.PER_TRY_IDLE_TIMEOUT
        cluster.counters.add("upstream_rq_per_try_idle_timeout" if idle else "upstream_rq_per_try_timeout")
        if host is not None:
            host.timeouts += 1
            cluster.on_local_failure(host, self._context.loop.now, 504)
        self._drop_upstream()
        if not self._retries(Failure.PER_TRY):
            self._give_up(reply)

    # The way back.

    def on_interim(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._cluster.count_status(head.status)
        self._request.on_interim(head)

    def on_switched(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._stop_clocks()
        request, record = self._request, self._request.record
        if not head.upgrade and self.head.method != b"CONNECT":
            head.upgrade = self.head.upgrade  # HTTP/2 does not repeat it
        self._cluster.count_status(head.status)
        if self._retry is not None and self._attempts > 1:
            self._cluster.counters.add("upstream_rq_retry_success")
        record.response, record.status, record.details = head, head.status, "via_upstream"
        waiting = request.body.parts()
        request.on_switched(head, composition.answer(head, self._destination, record, None, True))
        upstream = self._upstream
        if upstream is None:
            return
        for part in waiting:
            upstream.content(part)
        if waiting or not request.body.complete:
            request.client.resume()

    def on_response(self, head: Head, end: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        loop, cluster, host = self._context.loop, self._cluster, self._host
        took = (loop.now - self._try_began) * 1000
        cluster.timing.add(took)
        if host is not None:
            if head.status >= 500:
                host.errors += 1
            cluster.on_status(host, head.status, loop.now)
            if cluster.checked and head.get(b"x-envoy-immediate-health-check-fail") is not None:
                cluster.counters.add("health_check.failure")
                cluster.counters.add("health_check.passive_failure")
                cluster.on_failed_at_once(host)
        rules = self._retry
        if rules is not None:
            if not rules.on_answer(head):
                if self._attempts > 1:
                    cluster.counters.add("upstream_rq_retry_success")
            elif self._may_retry():
                self._cluster.count_status(head.status, "retry.")
                self._drop_upstream()
                self._again(head)
                return
        self._answer_begins()
        if self._upgrade and head.status == 200 and self.head.upgrade == b"websocket":
            self._pass_over_handshake(head)
            return
        redirects = self._route.redirects
        if redirects is not None and head.status in redirects.codes:
            if self._request.on_redirect(head, redirects, self._target):
                self._cluster.counters.add("upstream_internal_redirect_succeeded_total")
                return
            self._cluster.counters.add("upstream_internal_redirect_failed_total")
        self._cluster.count_status(head.status)
        request, record = self._request, self._request.record
        record.answered = loop.now
        record.response, record.status, record.details = head, head.status, "via_upstream"
        known = (
            request.body.complete and not self._upgrade and not request.suppresses
        )  # else it is not known how long the host took (Envoy)
        fields = composition.answer(head, self._destination, record, int(took) if known else None, False)
        fields += [field_of(b"set-cookie", cookie) for cookie in self._cookies]
        if request.suppresses:
            fields += composition.times_of_others(head)
        request.on_response(head, fields, end)

    def _pass_over_handshake(self, head: Head) -> None:
        """The host answers as if nobody had asked for another protocol; its content would be taken for that (Envoy)."""
        self._drop_upstream()
        record = self._request.record
        record.response, record.status, record.details = head, head.status, "websocket_handshake_unsuccessful"
        fields = composition.answer(head, self._destination, record, None, False)
        head.length = -1
        self._request.on_response(head, [field for field in fields if field.kind != LENGTH], True)
        self._request.on_response_end([])

    def on_response_data(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if self._idle_until:
            self._note_activity()
        self._request.on_response_data(content)
        if self._upstream is not None and self._request.client.congested():
            self._upstream.pause()

    def relays_to(self) -> Connection | None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        return self._request.relays_to()

    def on_response_relayed(self, amount: int) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if self._idle_until and amount:
            self._note_activity()
        self._request.on_response_relayed(amount)

    def resume(self) -> None:
        """The client takes more of the answer."""
        if self._upstream is not None:
            self._upstream.resume()

    def on_response_end(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        upstream, self._upstream = self._upstream, None
        if self._request.tunnel and upstream is not None:
            if upstream.unframed:
                self._request.record.flag(errors.ANSWER_ENDED.flags)
                self._request.record.details = errors.ANSWER_ENDED.details
            upstream.detach()
        self._request.on_response_end(trailers)

    # What goes wrong.

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        if self._host is not None:
            self._cluster.on_local_failure(self._host, self._context.loop.now)
        if self._retries(failure):
            return
        retried = self._attempts > 1
        if failure is Failure.REFUSED:
            made = errors.connection_timeout(retried) if timed_out else errors.connect_failure(reason, retried)
            self._request.record.failure = "" if timed_out else errors.transport_failure(reason)
        else:
            made = errors.reset(reason, retried)
        self._reply(made)

    def _may_retry(self) -> bool:
        cluster, rules = self._cluster, self._retry
        if rules is None or not self._request.body.replayable or self._request.answered:
            return False
        if self._attempts > rules.policy.num_retries:
            cluster.counters.add("upstream_rq_retry_limit_exceeded")
            self._request.record.flag("URX")
            return False
        if not self._limits.may_retry(self._context.loop.now):
            cluster.counters.add("upstream_rq_retry_overflow")
            self._request.record.flag("UO")
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
        self._pause(pause or rules.pause(self._attempts, context.random))

    def on_aborted(self, reply: LocalReply) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        record = self._request.record
        record.flag(reply.flags)
        record.details = reply.details
        self._count_failure()
        self._request.abandon()

    def on_malformed(self, details: str) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        self._upstream = None
        self._count_failure()
        self._reply(errors.protocol_error(details))

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
        else:
            leave(self._cluster, self)

    def end(self) -> None:
        """The request is over: free what is held; to be called once."""
        self._done = True
        if self._authority:
            self.head.host = self._authority  # which the log tells (Envoy)
        if self._retry_at:
            self._limits.active_retries -= 1
        self._leave_host()
        for shadow in self._shadows:
            if not shadow.complete:
                shadow.drop()  # the rest of it will not come
        if self._counts:
            self._limits.active_requests -= 1
        if self.deadline:
            self._context.loop.watch(self, 0.0)
