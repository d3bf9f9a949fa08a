"""One request on its way: route, attempts, answer. The list of steps in :meth:`Exchange.start` is the request's life.

It talks to the client through a :class:`Client` and to hosts through :class:`~mesh_proxy.worker.upstream.Upstream`; what it
decides by (routing, balancing, retries, outliers) is pure and elsewhere.
"""

from collections.abc import Iterator

from mesh_proxy import errors
from mesh_proxy.authorization import Access
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime, status_counters
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Answer, Delay, Filter
from mesh_proxy.protocol.body import chunk
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.resilience import retry
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing.table import CompiledRoute, Destination
from mesh_proxy.snapshot import HttpChain, Snapshot
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import composition, heads
from mesh_proxy.worker.admission import admit
from mesh_proxy.worker.client import Client
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.deciding import find_route, no_cluster, own_answer, rewritten
from mesh_proxy.worker.mirrors import mirror
from mesh_proxy.worker.request_body import RequestBody
from mesh_proxy.worker.upstream import Upstream, acquire

NOWHERE = ("", 0)
"""Where a connection goes of which nobody says it."""
_CLASSES = tuple(f"downstream_rq_{digit}xx" for digit in range(10))


class Exchange:
    """See the module's docstring."""

    __slots__ = (
        "_attempts", "_body", "_chain", "_chunk", "_client", "_close", "_cluster", "_context", "_delayed", "_destination",
        "_done", "_expires", "_filters", "_host", "_ready", "_response_head", "_retry_at", "_route", "_snapshot", "_target",
        "_tried", "_try_began", "_try_expires", "_tunnel", "_upgrade", "_upstream", "deadline", "head", "record",
    )  # fmt: skip

    def __init__(self, context: Context, chain: HttpChain, client: Client, head: Head, record: Record) -> None:
        self._context = context
        self._snapshot: Snapshot = context.snapshot
        self._chain = chain
        self._client = client
        self.head = head
        self.record = record
        record.request = head
        record.path = head.target
        self.deadline = 0.0
        self._target = head.target
        self._route: CompiledRoute | None = None
        self._destination: Destination | None = None
        self._cluster: ClusterRuntime | None = None
        self._host: Host | None = None
        self._upstream: Upstream | None = None
        self._tried: list[Host] = []
        self._attempts = 0
        self._body = RequestBody(head.chunked)
        self._response_head: Head | None = None
        self._chunk = False
        self._close = head.close
        self._expires = self._try_expires = self._retry_at = 0.0
        self._try_began = 0.0
        self._delayed: Delay | None = None
        self._filters: Iterator[Filter] = iter(())
        self._upgrade = False
        self._tunnel = False
        self._done = False
        self._ready = False

    # The way there.

    def start(self, complete: bool) -> None:
        """Route the request and send it on, or answer it; ``complete``: it has no body."""
        self._body.complete = complete
        head, chain, context = self.head, self._chain, self._context
        refused = admit(head, chain, self._client.remote_address, context.request_ids, self.record)
        self._close = head.close
        if refused is not None:
            self.reply(refused)
            return
        self._target, self._upgrade = head.target, head.upgrade != b""
        found = find_route(head, chain.table, context.random)
        if not isinstance(found, Answer):
            self._route = found
            self.record.route = found.name
        filters = chain.filters_for(self._route)
        if filters:
            self._filters = iter(filters)
            self._ask(found)
        elif isinstance(found, Answer):
            self._heed(found)
        else:
            self._act(found)

    def _ask(self, found: CompiledRoute | Answer) -> None:
        """Asks the filters that are left; what was found is done when all have passed."""
        client, record = self._client, self.record
        destination = client.original_destination or NOWHERE
        access = Access(self.head, client.remote_address, destination, remote=record.downstream_remote)
        for item in self._filters:
            verdict = item.on_request(self.head, self._route, self._context.random, access)
            if verdict is not None:
                self._heed(verdict)
                return
        if isinstance(found, Answer):
            self._heed(found)
        else:
            self._act(found)

    def _heed(self, verdict: Answer | Delay) -> None:
        """A filter answers by itself, or lets the request wait."""
        if isinstance(verdict, Answer):
            self.reply(verdict.reply, [field_of(name, value) for name, value in verdict.fields])
            return
        self._delayed = verdict
        self.record.flag(verdict.flag)
        self._context.loop.watch(self, self._context.loop.now + verdict.seconds)

    def _act(self, route: CompiledRoute) -> None:
        answer = own_answer(route, self.head)
        if answer is not None:
            self._heed(answer)
        else:
            self._forward(route)

    def _forward(self, route: CompiledRoute) -> None:
        self._destination = destination = route.choose(self._context.random(), self.head)
        self.record.cluster = destination.label
        cluster = self._snapshot.clusters.get(destination.cluster)
        if cluster is None:
            self.reply(no_cluster(route))
            return
        self._cluster = cluster
        target = rewritten(route, self.head)
        if target is not None:
            self.record.original_path, self._target = self._target, target
        cluster.counters.add("upstream_rq_total")
        if cluster.active_requests >= cluster.thresholds.max_requests:
            cluster.counters.add("upstream_rq_pending_overflow")
            self.reply(errors.OVERFLOW)
            return
        cluster.active_requests += 1
        if route.action is not None and route.action.mirrors:
            mirror(self._context, self._snapshot, route.action.mirrors, self.head, self._target, self._outgoing())
        self._start_clocks()
        self._attempt()

    def _attempt(self) -> None:
        """Try one host."""
        cluster, context = self._cluster, self._context
        assert cluster is not None  # noqa: S101 (set before the first attempt)
        policy = self._route.retry if self._route is not None else None
        avoid = self._tried if policy is not None and policy.avoid_previous_hosts else []
        tries = policy.host_selection_retry_max_attempts if policy is not None and avoid else 0
        host = cluster.pick(self._client.original_destination, avoid, tries)
        self._attempts += 1
        if host is None:
            cluster.counters.add("upstream_cx_none_healthy")
            self.reply(errors.NO_HEALTHY_UPSTREAM)
            return
        self._host = host
        self._tried.append(host)
        host.active_requests += 1
        host.total_requests += 1
        self.record.upstream_host = host.address
        self._try_began = context.loop.now
        if not acquire(context, cluster, host, self):
            self._leave_host()
            self.reply(errors.OVERFLOW)

    def _leave_host(self) -> None:
        if self._host is not None:
            self._host.active_requests -= 1
            self._host = None

    def on_begun(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._upstream, self._ready = upstream, False

    def on_ready(self, upstream: Upstream) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._upstream, self._ready = upstream, True
        self.record.upstream_local = upstream.local_address
        host, fields = self._outgoing()
        upstream.send(heads.request(self.head.method, self._target, host, fields))
        for part in self._body.parts():
            upstream.send(part)
        if self._body.complete:
            upstream.send(self._body.end())
        elif not upstream.congested:
            self._client.resume()

    def _outgoing(self) -> tuple[bytes, list[Field]]:
        """Host and fields of the request as the route wants them."""
        return composition.request(
            self.head, self._route, self._destination, self._host, self.record, self._attempts, self._upgrade
        )

    # The request's body.

    def on_request_data(self, content: bytes) -> None:
        """A part of the request's body."""
        if self._done:
            return
        self.record.bytes_received += len(content)
        upstream = self._upstream if self._ready else None
        if upstream is None:
            self._body.keep(content, False)
            if not self._body.replayable:
                self._client.pause()
            return
        if self._tunnel:
            upstream.send(content)
        else:
            self._body.keep(content, True)
            upstream.send(self._body.framed(content))
        if upstream.congested:
            self._client.pause()

    def on_request_end(self, trailers: bytes) -> None:
        """The request is complete: its timeouts begin (Envoy counts from here)."""
        self._body.complete, self._body.trailers = True, trailers
        if self._done:
            return
        self._start_clocks()
        if self._upstream is not None and self._ready and not self._tunnel:
            self._upstream.send(self._body.end())

    def _start_clocks(self) -> None:
        """Route and per-try timeouts run from when both the request is complete and it was sent on."""
        route = self._route
        if route is None or self._cluster is None or not self._body.complete or self._done:
            return
        now = self._context.loop.now
        if route.timeout and not self._expires:
            self._expires = now + route.timeout
        self._arm_try(route, now)

    def _arm_try(self, route: CompiledRoute, now: float) -> None:
        limit = route.retry.per_try_timeout if route.retry is not None else None
        self._try_expires = now + limit if limit else 0.0
        self._watch()

    def _watch(self) -> None:
        """Wait for whichever of the times comes first."""
        if self._delayed is not None or self._done:
            return
        due = self._expires
        if self._try_expires and (not due or self._try_expires < due):
            due = self._try_expires
        if self._retry_at and (not due or self._retry_at < due):
            due = self._retry_at
        if due != self.deadline:
            self._context.loop.watch(self, due)

    def request_complete(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        return self._body.complete

    def upgrading(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        return self._upgrade

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        if not self._body.complete or self._tunnel:
            self._client.resume()

    # The way back.

    def on_interim(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        # Envoy invites the body by itself and drops these, unless it is told to leave them to the upstream.
        if self._chain.config.proxy_100_continue and self.head.minor:
            self._client.send(heads.response(head.status, head.reason, heads.forwarded_response(head, False)))

    def on_switched(self, head: Head, rest: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._response_head, self._tunnel, self._close = head, True, True
        self._expires = self._try_expires = 0.0
        self._watch()
        self.record.status, self.record.response, self.record.details = 101, head, "via_upstream"
        head.replace(self._response_fields(head))
        head.fields += self._signature(head.dated)
        self._client.send(heads.response(101, head.reason, head.fields))
        self._client.switch()
        if rest:
            self.on_response_data(rest)

    def on_response(self, head: Head, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._count_status(head.status)
        policy = self._route.retry if self._route is not None else None
        if policy is not None and retry.on_status(policy, head.status):
            if self._may_retry(policy.num_retries):
                upstream, self._upstream = self._upstream, None
                if upstream is not None:
                    upstream.detach()
                self._again()
                return
            if self._attempts > 1:
                self.record.flag("URX")
        self._try_expires = 0.0
        self._watch()
        self._send_head(head)
        if content:
            self.on_response_data(content)

    def _count_status(self, status: int) -> None:
        cluster, host = self._cluster, self._host
        if cluster is None:
            return
        for name in status_counters(status):
            cluster.counters.add(name)
        cluster.timing.add((self._context.loop.now - self._try_began) * 1000)
        if host is not None:
            if status >= 500:
                host.errors += 1
            cluster.on_status(host, status, self._context.loop.now)

    def _response_fields(self, head: Head) -> list[Field]:
        route, destination = self._route, self._destination
        took = None
        if self._body.complete and not self._upgrade:  # else it is not known how long the host took (Envoy)
            took = int((self._context.loop.now - self._try_began) * 1000)
        fields = composition.answer(head, destination, self.record, took, self._tunnel)
        if route is not None:
            for item in reversed(self._chain.filters_for(route)):
                fields = item.on_response(self.head, route, fields)
        return fields

    def _send_head(self, head: Head) -> None:
        self._response_head = head
        record = self.record
        record.response, record.status, record.details = head, head.status, "via_upstream"
        bodiless = self.head.method == b"HEAD" or head.status in (204, 304)
        fields = self._response_fields(head)
        self._chunk, must_close = heads.frame(head, fields, bodiless, self.head.minor)
        self._close = self._close or must_close or self._context.draining
        fields += self._signature(head.dated)
        if self._close:
            fields.append(heads.CLOSE)
        elif not self.head.minor:
            fields.append(heads.KEEP_ALIVE)
        head.replace(fields)  # what the access log is to tell
        self._client.send(heads.response(head.status, head.reason, fields))

    def _signature(self, dated: bool) -> list[Field]:
        """Who answers, and when."""
        chain = self._chain
        fields = [chain.server_field] if dated else [self._context.date(), chain.server_field]
        identity = self.head.get(b"x-request-id") if chain.config.always_set_request_id_in_response else None
        if identity is not None:
            fields.append(field_of(b"x-request-id", identity))
        return fields

    def on_response_data(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self.record.bytes_sent += len(content)
        self._client.send(chunk(content) if self._chunk else content)
        if self._client.congested() and self._upstream is not None:
            self._upstream.connection.pause()

    def on_client_drained(self) -> None:
        """Everything sent to the client has gone out."""
        if self._upstream is not None:
            self._upstream.connection.resume()

    def on_response_end(self, trailers: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        if self._tunnel:
            upstream, self._upstream = self._upstream, None
            if upstream is not None:
                upstream.detach()
        else:
            self._upstream = None
        if self._chunk:
            self._client.send(b"0\r\n" + trailers + b"\r\n")
        # A client that still sends what nobody reads any more would wait for ever (RFC 9112 9.6).
        self._finish(self._close or not self._body.complete)

    # What goes wrong.

    def on_failure(self, failure: Failure, reason: str, timed_out: bool) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._upstream = None
        cluster, host = self._cluster, self._host
        if cluster is not None and host is not None:
            cluster.on_local_failure(host, self._context.loop.now)
        policy = self._route.retry if self._route is not None else None
        if policy is not None and retry.on_failure(policy, failure) and self._may_retry(policy.num_retries):
            self._again()
            return
        retried = self._attempts > 1
        if failure is Failure.REFUSED:
            made = errors.connection_timeout(retried) if timed_out else errors.connect_failure(reason, retried)
            self.record.failure = "" if timed_out else errors.transport_failure(reason)
        else:
            made = errors.connection_termination(retried and self._covers(failure))
        self.reply(made)

    def _covers(self, failure: Failure) -> bool:
        policy = self._route.retry if self._route is not None else None
        return policy is not None and retry.on_failure(policy, failure)

    def _may_retry(self, limit: int) -> bool:
        cluster = self._cluster
        if self._attempts > limit or not self._body.replayable or cluster is None or self._response_head is not None:
            return False
        if cluster.active_retries >= cluster.thresholds.max_retries:
            cluster.counters.add("upstream_rq_retry_overflow")
            return False
        return True

    def _again(self) -> None:
        """Another attempt, after a pause."""
        self._leave_host()
        self._ready = False
        cluster, route = self._cluster, self._route
        if cluster is None or route is None or route.retry is None:
            return
        cluster.counters.add("upstream_rq_retry")
        cluster.active_retries += 1
        pause = retry.back_off(route.retry, self._attempts, self._context.random)
        self._retry_at = self._context.loop.now + max(pause, 0.001)
        self._try_expires = 0.0
        self._watch()

    def on_aborted(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._upstream = None
        self.record.flag("UC")
        self.record.details = "upstream_reset_after_response_started{connection_termination}"
        if self._cluster is not None and self._host is not None:
            self._cluster.on_local_failure(self._host, self._context.loop.now)
        self._abandon()

    def on_malformed(self, details: str) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._upstream = None
        if self._cluster is not None and self._host is not None:
            self._cluster.on_local_failure(self._host, self._context.loop.now)
        self.reply(errors.protocol_error(details))

    def on_malformed_request(self, details: str) -> None:
        """The body of the request breaks the protocol."""
        self.record.flag("DPE")
        if self._response_head is None:
            self._drop_upstream()
            self._close = True
            self.reply(errors.bad_request(details))
        else:
            self._drop_upstream()
            self._abandon()

    def on_deadline(self, now: float) -> None:
        """A delay, a pause or a timeout is over."""
        if self._delayed is not None:
            self._resume_delayed()
        elif self._retry_at and now >= self._retry_at and not (self._expires and now >= self._expires):
            self._retry_at = 0.0
            self._end_retry()
            self._again_now(now)
        elif self._expires and now >= self._expires:
            self._timed_out(errors.RESPONSE_TIMEOUT)
        elif self._try_expires and now >= self._try_expires:
            self._try_timed_out()
        else:
            self._watch()

    def _again_now(self, now: float) -> None:
        """The pause before another attempt is over."""
        if self._body.complete and self._route is not None:
            self._arm_try(self._route, now)
        else:
            self._watch()
        self._attempt()

    def _end_retry(self) -> None:
        if self._cluster is not None:
            self._cluster.active_retries -= 1

    def _resume_delayed(self) -> None:
        delayed, self._delayed = self._delayed, None
        route = self._route
        if delayed is None or route is None:
            return
        if delayed.then is not None:
            self._heed(delayed.then)
        else:
            self._ask(route)

    def _timed_out(self, reply: LocalReply) -> None:
        cluster, host = self._cluster, self._host
        if cluster is not None:
            cluster.counters.add("upstream_rq_timeout")
            if host is not None and self._upstream is not None:
                cluster.on_status(host, 504, self._context.loop.now)
        if self._retry_at:
            self._retry_at = 0.0
            self._end_retry()
        self._drop_upstream()
        if self._response_head is None:
            self.reply(reply)
        else:
            self.record.flag(reply.flags)
            self._abandon()

    def _try_timed_out(self) -> None:
        cluster, host = self._cluster, self._host
        self._try_expires = 0.0
        policy = self._route.retry if self._route is not None else None
        if cluster is not None:
            cluster.counters.add("upstream_rq_per_try_timeout")
            if host is not None:
                cluster.on_status(host, 504, self._context.loop.now)
        self._drop_upstream()
        if policy is not None and retry.on_failure(policy, Failure.PER_TRY) and self._may_retry(policy.num_retries):
            self._again()
            return
        flags = "URX,UT" if self._attempts > 1 else "UT"
        self.reply(errors.PER_TRY_TIMEOUT._replace(flags=flags))

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.detach()
        elif self._host is not None and self in self._host.pending and self._cluster is not None:
            self._host.pending.remove(self)
            self._cluster.pending_requests -= 1

    def on_client_gone(self) -> None:
        """The client is gone before the answer was complete."""
        if self._done:
            return
        self.record.flag("DC")
        self.record.details = "downstream_remote_disconnect"
        self._drop_upstream()
        self._end()

    # The end.

    def reply(self, reply: LocalReply, fields: list[Field] | None = None) -> None:
        """Answer with something of our own."""
        self.record.flag(reply.flags)
        self.record.status, self.record.details = reply.status, reply.details
        if self._cluster is not None:  # what a host did not answer counts as its cluster's failure (Envoy)
            for name in status_counters(reply.status):
                self._cluster.counters.add(name)
        # What follows a request that was not understood cannot be trusted to be a request.
        broken = reply.status in (400, 426, 431) and "DPE" in reply.flags
        close = self._close or broken or not self._body.complete or self._context.draining
        more = list(fields or ())
        if self._route is not None:
            for edit in self._route.reply_edits:
                more = edit.apply(more, self.record)
        signature = [self._context.date(), self._chain.server_field]
        head, body = heads.local(reply, more, signature, close)
        if self.head.method != b"HEAD":
            self.record.bytes_sent += len(body)
            head += body
        self._client.send(head)
        self._finish(close)

    def _finish(self, close: bool) -> None:
        self._end()
        self._client.finished(close)

    def _abandon(self) -> None:
        self._end()
        self._client.abort()

    def _end(self) -> None:
        """Free what is held, count, and write the access log; once."""
        if self._done:
            return
        self._done = True
        if self._retry_at:
            self._end_retry()
        self._leave_host()
        if self._cluster is not None and self._attempts:
            self._cluster.active_requests -= 1
        loop = self._context.loop
        if self.deadline:
            loop.watch(self, 0.0)
        self.record.ended = loop.now
        stats = self._chain.stats
        stats.add("downstream_rq_total")
        if self.record.status:
            stats.add(_CLASSES[self.record.status // 100])
            stats.add("downstream_rq_completed")
        self._context.logs.write(self._chain.logs, self.record)
