"""One request on its way: route, attempts, answer. The list of steps in :meth:`Exchange.start` is the request's life.

It talks to the client through a :class:`Client` and to hosts through :class:`~mesh_proxy.worker.upstream.Upstream`; what it
decides by (routing, balancing, retries, outliers) is pure and elsewhere.
"""

from email.utils import formatdate
from typing import Protocol

from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Answer, Delay, Verdict
from mesh_proxy.protocol.body import chunk
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.resilience import retry
from mesh_proxy.resilience.retry import Failure
from mesh_proxy.routing import paths
from mesh_proxy.routing.edits import request_edits, response_edits
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain, Snapshot
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import heads, redirects
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.mirrors import mirror
from mesh_proxy.worker.upstream import Upstream, acquire

RETRY_BUFFER = 64 * 1024
"""Bytes of a request's body that are kept for another attempt; a longer one is tried once."""


class Client(Protocol):
    """Who asked."""

    remote_address: bytes
    remote_is_internal: bool
    original_destination: tuple[str, int] | None

    def send(self, data: bytes) -> None:
        """Bytes of the answer."""
        ...

    def finished(self, close: bool) -> None:
        """The answer is complete; ``close``: so is the connection."""
        ...

    def abort(self) -> None:
        """The answer cannot be completed."""
        ...

    def switch(self) -> None:
        """From now on the connection carries bytes of another protocol."""
        ...

    def pause(self) -> None:
        """Take no more of the request."""
        ...

    def resume(self) -> None:
        """Take more of it again."""
        ...

    def congested(self) -> bool:
        """Whether more waits to be sent than should."""
        ...


class Exchange:
    """See the module's docstring."""

    __slots__ = (
        "_action_place",
        "_attempts",
        "_chain",
        "_chunk",
        "_client",
        "_close",
        "_cluster",
        "_context",
        "_delayed",
        "_done",
        "_expires",
        "_host",
        "_kept",
        "_parts",
        "_path",
        "_query",
        "_ready",
        "_request_done",
        "_response_head",
        "_retry_at",
        "_route",
        "_snapshot",
        "_target",
        "_tried",
        "_try_began",
        "_try_expires",
        "_tunnel",
        "_upgrade",
        "_upstream",
        "deadline",
        "head",
        "record",
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
        self._path = self._query = b""
        self._target = head.target
        self._route: CompiledRoute | None = None
        self._action_place = 0
        self._cluster: ClusterRuntime | None = None
        self._host: Host | None = None
        self._upstream: Upstream | None = None
        self._tried: list[Host] = []
        self._attempts = 0
        self._parts: list[bytes] = []
        self._kept = 0
        self._request_done = False
        self._response_head: Head | None = None
        self._chunk = False
        self._close = head.close
        self._expires = self._try_expires = self._retry_at = 0.0
        self._try_began = 0.0
        self._delayed: Delay | None = None
        self._upgrade = False
        self._tunnel = False
        self._done = False
        self._ready = False

    # The way there.

    def start(self) -> None:
        """Route the request and send it on, or answer it."""
        refused = self._refusal()
        if refused is not None:
            self.reply(refused)
            return
        host = self._chain.table.host(self.head.host)
        route = None if host is None else host.find(self.head, self._path, self._query, self._context.random)
        if route is None:
            self.reply(errors.ROUTE_NOT_FOUND)
            return
        self._route = route
        self.record.route = route.name
        for item in self._chain.filters:
            if not self._passed(item.on_request(self.head, route, self._context.random)):
                return
        self._act(route)

    def _refusal(self) -> LocalReply | None:
        """What is wrong with the request itself."""
        head, config = self.head, self._chain.config
        if head.minor == 0 and not config.accept_http_10:
            return errors.UPGRADE_REQUIRED
        if head.target[:7].lower() == b"http://":
            # Absolute form: the target's authority counts, whatever Host says (RFC 9112 3.2.2).
            authority, slash, rest = head.target[7:].partition(b"/")
            head.host = authority
            self._target = slash + rest or b"/"
        if not head.host:
            return errors.MISSING_HOST
        if self._target[:1] != b"/" and not (self._target == b"*" and head.method == b"OPTIONS"):
            return errors.ROUTE_NOT_FOUND if head.method == b"CONNECT" else errors.bad_request("http1.codec_error")
        if head.upgrade and head.upgrade != b"h2c":
            if head.upgrade not in self._chain.upgrades:
                return errors.UPGRADE_FAILED
            self._upgrade = True
        self._path, question, self._query = self._target.partition(b"?")
        if config.normalize_path:
            normal = paths.normalize(self._path)
            if normal is None:
                return errors.bad_request("path_normalization_failed")
            self._path = paths.merge_slashes(normal) if config.merge_slashes else normal
            self._target = self._path + question + self._query
        self.record.path = self._target
        self._identify()
        return None

    def _identify(self) -> None:
        """Every request has an id, the same for each attempt; one from a stranger is not believed (Envoy)."""
        head, config = self.head, self._chain.config
        known = head.get(b"x-request-id") is not None
        edge = config.use_remote_address and not self._client.remote_is_internal
        if known and edge and not config.preserve_external_request_id:
            head.fields = [f for f in head.fields if f[1] != b"x-request-id"]
            known = False
        if not known and config.generate_request_id:
            head.fields.append(heads.field(b"x-request-id", self._context.request_ids.next()))
        if config.use_remote_address:
            address = self._client.remote_address.rpartition(b":")[0].strip(b"[]")
            before = head.get(b"x-forwarded-for")
            head.fields = [f for f in head.fields if f[1] != b"x-forwarded-for"]
            head.fields.append(heads.field(b"x-forwarded-for", before + b"," + address if before else address))

    def _passed(self, verdict: Verdict) -> bool:
        """Whether a filter lets the request go on now."""
        if verdict is None:
            return True
        if isinstance(verdict, Answer):
            self.reply(verdict.reply, [heads.field(name, value) for name, value in verdict.fields])
            return False
        self._delayed = verdict
        self.record.flag(verdict.flag)
        self._context.loop.watch(self, self._context.loop.now + verdict.seconds)
        return False

    def _act(self, route: CompiledRoute) -> None:
        if route.redirect is not None:
            location = redirects.location(route, self.head, self._path, self._query)
            reply = LocalReply(route.redirect.code, "", "direct_response")
            self.reply(reply, [heads.field(b"location", location)])
        elif route.direct is not None:
            self.reply(LocalReply(route.direct.status, "", "direct_response", route.direct.body))
        else:
            self._forward(route)

    def _forward(self, route: CompiledRoute) -> None:
        self._action_place = route.choose(self._context.random())
        name = route.clusters[self._action_place]
        self.record.cluster = name.encode()
        cluster = self._snapshot.clusters.get(name)
        if cluster is None:
            code = route.action.cluster_not_found_code if route.action is not None else 503
            self.reply(errors.CLUSTER_NOT_FOUND._replace(status=code))
            return
        self._cluster = cluster
        self._rewrite(route)
        cluster.counters.add("upstream_rq_total")
        if cluster.active_requests >= cluster.thresholds.max_requests:
            cluster.counters.add("upstream_rq_pending_overflow")
            self.reply(errors.OVERFLOW)
            return
        cluster.active_requests += 1
        mirror(self._context, self._snapshot, route, self.head, self._target)
        self._start_clocks()
        self._attempt()

    def _rewrite(self, route: CompiledRoute) -> None:
        """The path as the route wants it upstream."""
        action = route.action
        if action is None:
            return
        path = self._path
        if route.regex_rewrite is not None:
            path = route.regex_rewrite.apply(path)
        elif action.prefix_rewrite:
            path = action.prefix_rewrite.encode() + path[len(route.prefix) :]
        if path != self._path:
            self.record.original_path = self._target
            self._target = path + (b"?" + self._query if self._query else b"")

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
        upstream.send(self._head())
        for part in self._parts:
            upstream.send(self._framed(part))
        if self._kept < 0:
            self._parts.clear()  # too long to be kept: this attempt is the only one
        if self._request_done:
            self._end_of_request(upstream)
        elif not upstream.congested:
            self._client.resume()

    def _head(self) -> bytes:
        """The request's head for this attempt."""
        head, route, action = self.head, self._route, None
        fields = heads.forwarded_request(head, self._upgrade)
        fields += self._added()
        host = head.host
        if route is not None and route.action is not None:
            action = route.action
            weighted = action.weighted_clusters[self._action_place].edits if action.weighted_clusters else None
            edits = [edit for edit in (weighted, route.edits, route.vhost_edits) if edit is not None]
            for edit in request_edits(*edits):
                fields = edit.apply(fields, self.record)
            if action.host_rewrite:
                host = action.host_rewrite.encode()
                fields.append(heads.field(b"x-envoy-original-host", head.host))
        return heads.request(head.method, self._target, host, fields)

    def _added(self) -> list[Field]:
        """What the proxy tells the host about the request."""
        head, made = self.head, list[Field]()
        if head.get(b"x-forwarded-proto") is None:
            made.append(heads.field(b"x-forwarded-proto", b"http"))
        if self.record.original_path:
            made.append(heads.field(b"x-envoy-original-path", self.record.original_path))
        route = self._route
        if route is not None and route.timeout:
            made.append(heads.field(b"x-envoy-expected-rq-timeout-ms", b"%d" % int(route.timeout * 1000)))
        host = self._chain.table.host(head.host)
        if host is not None and host.config.include_request_attempt_count:
            made.append(heads.field(b"x-envoy-attempt-count", b"%d" % self._attempts))
        return made

    # The request's body.

    def on_request_data(self, content: bytes) -> None:
        """A part of the request's body."""
        if self._done:
            return
        self.record.bytes_received += len(content)
        upstream = self._upstream if self._ready else None
        if self._tunnel and upstream is not None:
            upstream.send(content)
        else:
            self._keep(content)
            if upstream is not None:
                upstream.send(self._framed(content))
            elif self._kept < 0:
                self._client.pause()
        if upstream is not None and upstream.congested:
            self._client.pause()

    def _keep(self, content: bytes) -> None:
        """For another attempt, and until there is a connection. Negative: it is too long to be kept for the former."""
        if self._kept >= 0:
            self._parts.append(content)
            self._kept += len(content)
            if self._kept > RETRY_BUFFER:
                self._kept = -1
                if self._ready:
                    self._parts.clear()
        elif not self._ready:
            self._parts.append(content)

    def _framed(self, content: bytes) -> bytes:
        return chunk(content) if self.head.chunked else content

    def on_request_end(self, trailers: bytes) -> None:
        """The request is complete: its timeouts begin (Envoy counts from here)."""
        self._request_done = True
        if self._done:
            return
        self._start_clocks()
        if self._upstream is not None and self._ready:
            self._end_of_request(self._upstream, trailers)

    def _start_clocks(self) -> None:
        """Route and per-try timeouts run from when both the request is complete and it was sent on."""
        route = self._route
        if route is None or self._cluster is None or not self._request_done or self._done:
            return
        now = self._context.loop.now
        if route.timeout and not self._expires:
            self._expires = now + route.timeout
        self._arm_try(now)

    def _arm_try(self, now: float) -> None:
        policy = self._route.retry if self._route is not None else None
        limit = policy.per_try_timeout if policy is not None else None
        self._try_expires = now + limit if limit and self._cluster is not None else 0.0
        self._watch()

    def _watch(self) -> None:
        if self._delayed is not None or self._done:
            return
        times = [t for t in (self._expires, self._try_expires, self._retry_at) if t]
        self._context.loop.watch(self, min(times) if times else 0.0)

    def _end_of_request(self, upstream: Upstream, trailers: bytes = b"") -> None:
        if self.head.chunked and not self._tunnel:
            upstream.send(b"0\r\n" + trailers + b"\r\n")

    def request_complete(self) -> bool:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        return self._request_done

    def on_upstream_drained(self) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        if not self._request_done or self._tunnel:
            self._client.resume()

    # The way back.

    def on_interim(self, head: Head) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        if head.status == 100 and not self.head.expect:
            return
        self._client.send(heads.response(head.status, head.reason, []))

    def on_switched(self, head: Head, rest: bytes) -> None:
        """See :class:`~mesh_proxy.worker.upstream.User`."""
        self._response_head, self._tunnel, self._close = head, True, True
        self._expires = self._try_expires = 0.0
        self._watch()
        self.record.status, self.record.response, self.record.details = 101, head, "via_upstream"
        self._client.send(heads.response(101, head.reason, self._response_fields(head)))
        self._client.switch()
        if rest:
            self.on_response_data(rest)

    def on_response(self, head: Head, ended: bool) -> None:
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
        self._send_head(head, ended)

    def _count_status(self, status: int) -> None:
        cluster, host = self._cluster, self._host
        if cluster is None:
            return
        cluster.counters.add(f"upstream_rq_{status}")
        cluster.counters.add(f"upstream_rq_{status // 100}xx")
        cluster.counters.add("upstream_rq_completed")
        cluster.timing.add((self._context.loop.now - self._try_began) * 1000)
        if host is not None:
            if status >= 500:
                host.errors += 1
            cluster.on_status(host, status, self._context.loop.now)

    def _response_fields(self, head: Head) -> list[Field]:
        fields = heads.forwarded_response(head, self._tunnel)
        route = self._route
        if route is None:
            return fields
        took = int((self._context.loop.now - self._try_began) * 1000)
        fields.append(heads.field(b"x-envoy-upstream-service-time", b"%d" % took))
        action = route.action
        weighted = action.weighted_clusters[self._action_place].edits if action and action.weighted_clusters else None
        for edit in response_edits(*(e for e in (weighted, route.edits, route.vhost_edits) if e is not None)):
            fields = edit.apply(fields, self.record)
        for item in reversed(self._chain.filters):
            fields = item.on_response(self.head, route, fields)
        return fields

    def _send_head(self, head: Head, ended: bool) -> None:
        self._response_head = head
        self.record.response, self.record.status = head, head.status
        self.record.details = "via_upstream"
        bodiless = self.head.method == b"HEAD" or head.status in (204, 304)
        fields = self._response_fields(head)
        fields, self._chunk, must_close = heads.framing(head, fields, bodiless, self.head.minor)
        self._close = self._close or must_close or self._context.draining
        if head.get(b"date") is None:
            fields.append(heads.field(b"date", formatdate(usegmt=True).encode()))
        fields.append(heads.field(b"server", self._chain.server_name))
        if self._close:
            fields.append(heads.field(b"connection", b"close"))
        self._client.send(heads.response(head.status, head.reason, fields))

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
        self._finish(self._close or not self._request_done)

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
        if self._attempts > limit or self._kept < 0 or cluster is None or self._response_head is not None:
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
            self.on_client_gone()

    def on_deadline(self, now: float) -> None:
        """A delay, a pause or a timeout is over."""
        if self._delayed is not None:
            self._resume_delayed()
        elif self._retry_at and now >= self._retry_at and not (self._expires and now >= self._expires):
            self._retry_at = 0.0
            self._end_retry()
            if self._request_done:
                self._arm_try(now)
            self._watch()
            self._attempt()
        elif self._expires and now >= self._expires:
            self._timed_out(errors.RESPONSE_TIMEOUT)
        elif self._try_expires and now >= self._try_expires:
            self._try_timed_out()
        else:
            self._watch()

    def _end_retry(self) -> None:
        if self._cluster is not None:
            self._cluster.active_retries -= 1

    def _resume_delayed(self) -> None:
        delayed, self._delayed = self._delayed, None
        route = self._route
        if delayed is None or route is None:
            return
        if delayed.then is not None:
            self._passed(delayed.then)
            return
        self._act(route)

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
        # What follows a request that was not understood cannot be trusted to be a request.
        broken = reply.status in (400, 426, 431) and "DPE" in reply.flags
        close = self._close or broken or not self._request_done or self._context.draining
        more = list(fields or ())
        route = self._route
        if route is not None:
            for edit in response_edits(route.edits, route.vhost_edits):
                more = edit.apply(more, self.record)
        head, body = heads.local(reply, self._chain.server_name, more, close)
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
        loop.watch(self, 0.0)
        self.record.ended = loop.now
        stats = self._chain.stats
        stats.add("downstream_rq_total")
        if self.record.status:
            stats.add(f"downstream_rq_{self.record.status // 100}xx")
            stats.add("downstream_rq_completed")
        self._context.logs.write(self._chain.logs, self.record)
