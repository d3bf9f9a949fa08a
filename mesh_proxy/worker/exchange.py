"""One request on its way: admitted, routed, filtered, answered. The steps in :meth:`Exchange.start` are the request's life.

It talks to the client through a :class:`~mesh_proxy.worker.downstream.client.Client`; what is sent on is the business of its
:class:`~mesh_proxy.worker.router.Router`. What it decides by (routing, filters) is pure and elsewhere.
"""

from typing import Final

from mesh_api.config.routes import InternalRedirects
from mesh_proxy import errors
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Again, Answer, Ask, Delay, Filter, Passed, Told, Verdict, Whole
from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import PEER, Field, Head, field_of, is_grpc
from mesh_proxy.routing.metadata import NOTHING
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry import operations
from mesh_proxy.telemetry.grpc_calls import Call
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.workload import METADATA
from mesh_proxy.worker.admission import admit, may_upgrade
from mesh_proxy.worker.answering import Answering
from mesh_proxy.worker.bodies import Bodies, give_length
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.counting import count_request
from mesh_proxy.worker.deciding import find_route, no_cluster, own_answer, rewritten
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.following import NOWHERE, Steps, continued, follow, rewrite
from mesh_proxy.worker.inquiries import Inquiry
from mesh_proxy.worker.request_body import RequestBody
from mesh_proxy.worker.router import Router
from mesh_proxy.worker.stream_clock import clock_of

_PEER: Final = 1 << PEER


@mypyc_attr(free_list_len=1)
class Exchange(Answering):
    """See the module's docstring."""

    __slots__ = ("_delayed", "_found", "_steps")

    def __init__(self, context: Context, chain: HttpChain, client: Client, head: Head, record: Record) -> None:
        super().__init__(context, chain, client, head, record)
        self._delayed: Delay | None = None
        self._found: CompiledRoute | Answer | None = None
        """What is done when the answer is there that a filter waits for."""
        self._steps: Steps | None = None

    # The way there.

    def start(self, complete: bool) -> None:
        """Route the request and send it on, or answer it; ``complete``: it has no body."""
        self.body.complete = complete
        if complete:
            self.record.heard = self._context.loop.now
        head, chain, context, info = self.head, self._chain, self._context, self.client.info
        refused = admit(
            head,
            chain,
            info.remote_address,
            context.request_ids,
            self.record,
            secure=info.peer is not None,
            port=info.arrival.destination[1],
            vouched=info.vouched(chain.config.client_cert_details) if info.peer is not None else b"",
        )
        if refused is not None:
            if refused is errors.NOT_RELATIVE:
                chain.stats.add("downstream_rq_non_relative_path")
            self.reply(refused)
            return
        self.suppresses = chain.suppresses
        if self.record.inside:
            self.at_edge = False
        if chain.tracer is not None:
            chain.tracer.begin(head, self.record, context.random)
        if head.seen & _PEER:
            self.record.peer = head.get(METADATA) or b""
        found = find_route(head, chain.table, context.random)
        if not isinstance(found, Answer):
            self._route = found
            self.record.route = found.name
        if chain.tracer is not None:
            operations.of_request(head, self.record, self._operation(), chain.tracer.inbound)
        if head.upgrade and self._route is not None and not may_upgrade(head, self._route, chain):
            self._name_cluster()
            chain.stats.add("downstream_rq_ws_on_non_ws_route")
            self.reply(errors.UPGRADE_FAILED)
            return
        if chain.limits.timed or (self._route is not None and self._route.timed):
            self._keep_time(self._route)
        self._filters = chain.filters_for(self._route)
        if self._filters:
            self._ask(found)
        else:
            self._pass(found)

    def _keep_time(self, route: CompiledRoute | None) -> None:
        """The request has limits of time: those of its route, else of the connection manager."""
        action = None if route is None else route.action
        self._clock = clock_of(self._context.loop, self, self._chain.limits, action)

    def _ask(self, found: CompiledRoute | Answer) -> None:
        """Asks the filters that are left; what was found is done when all have passed."""
        access = self._access()
        while self._asked < len(self._filters):
            item = self._filters[self._asked]
            self._asked += 1
            if item.asks:
                self._tell_all(access)
            verdict = item.on_request(self.head, self._route, self._context.random, access)
            if verdict is not None:
                after = self._settle(item, verdict, found, access)
                if after is None:
                    return
                found = after
            if item.changes:
                change = item.change_request(self.head, self._route, self.body.complete)
                if change is not None:
                    self._changing().change_incoming(change)
        self._learn(access)
        self._pass(found)

    def _access(self) -> Access:
        access = self.client.info.access()
        access.head, access.remote = self.head, self.record.downstream_remote
        if self.record.metadata is not None:
            access.metadata = self.record.metadata
        return access

    def _tell_all(self, access: Access) -> None:
        """What only those ask for who tell others of a request."""
        record = self.record
        self.client.info.tell_all(access)
        access.body, access.received = self.body.kept(), record.bytes_received
        access.protocol, access.started = record.protocol, record.started

    def _settle(
        self, item: Filter, verdict: Verdict, found: CompiledRoute | Answer, access: Access
    ) -> CompiledRoute | Answer | None:
        """Do what a filter says; what is found now, ``None``: the request does not go on, at least not yet."""
        if isinstance(verdict, Again):
            return self._find_again(item, access)
        if isinstance(verdict, Passed):
            self._added = verdict.edits if self._added is None else self._added + verdict.edits
            return found
        if isinstance(verdict, Whole) and self.body.complete:
            return found
        self._learn(access)
        if isinstance(verdict, Whole):
            self._gather(verdict, found)
        elif isinstance(verdict, Ask):
            self._found = found
            self._inquiry = inquiry = Inquiry(self._context, verdict.question, self)
            inquiry.start(self.snapshot.clusters.get(verdict.question.cluster))
        elif verdict is not None:
            self._asked -= isinstance(verdict, Answer)  # it has nothing to say about its own answer
            self._heed(verdict)
        return None

    def on_told(self, told: Told | None) -> None:
        """See :class:`~mesh_proxy.worker.asking.Asker`."""
        found, self._found, self._inquiry = self._found, None, None
        if found is None or self._done:
            return
        item, access = self._filters[self._asked - 1], self._access()
        verdict = item.on_told(told, self.head, self._route, access)
        if verdict is not None:
            found = self._settle(item, verdict, found, access)
        if found is not None:
            self._learn(access)
            self._ask(found)

    def _gather(self, whole: Whole, found: CompiledRoute | Answer) -> None:
        """All of the request is waited for."""
        bodies = self._changing()
        bodies.whole, bodies.found = whole, found
        self._name_cluster()

    def _learn(self, access: Access) -> None:
        """What filters have found out and taken away, for the log."""
        self.record.path = self.head.target
        if access.metadata is not NOTHING:
            self.record.metadata = dict(access.metadata)

    def _find_again(self, item: Filter, access: Access) -> CompiledRoute | Answer:
        """The route by what the filter has found out; of the filters those behind it are still to be asked."""
        chain, loop = self._chain, self._context.loop
        found = find_route(self.head, chain.table, self._context.random, access.metadata)
        route = None if isinstance(found, Answer) else found
        if route is self._route:
            return found
        self._route = route
        self.record.route = b"" if route is None else route.name
        self._filters = (*self._filters[: self._asked], *chain.filters_behind(item, route))
        if self._clock is not None:
            loop.forget(self._clock)
            self._clock = None
        if chain.limits.timed or (route is not None and route.timed):
            self._keep_time(route)
        if route is not None and self.head.upgrade and not may_upgrade(self.head, route, chain):
            return Answer(errors.UPGRADE_FAILED)
        return found

    def _pass(self, found: CompiledRoute | Answer) -> None:
        """No filter stands in the way: what was found is done (Envoy's router filter, which counts it)."""
        self._chain.tallies.routed.number += 1
        if isinstance(found, Answer):
            if found.reply.details == "direct_response":
                self._chain.stats.add("rq_direct_response")
            self._heed(found)
        else:
            self._act(found)

    def _heed(self, verdict: Answer | Delay) -> None:
        """A filter answers by itself, or lets the request wait."""
        if isinstance(verdict, Answer):
            self._name_cluster()
            if verdict.charged:
                self._charge(verdict.reply.status)
            self.reply(verdict.reply, [field_of(name, value) for name, value in verdict.fields])
            return
        self._delayed = verdict
        self.record.flag(verdict.flag)
        self._context.loop.watch(self, self._context.loop.now + verdict.seconds)

    def _charge(self, status: int) -> None:
        """An answer in the name of the cluster that the request would have gone to."""
        cluster = self.snapshot.clusters.get(self.record.cluster.decode())
        if cluster is not None:
            cluster.count_status(status)

    def _name_cluster(self) -> None:
        """For the log: where the request would have gone that is answered here."""
        route = self._route
        if route is not None and route.action is not None and not self.record.cluster:
            destination = route.choose(self._context.random(), self.head)
            if destination.cluster in self.snapshot.clusters:
                self.record.cluster = destination.label

    def on_deadline(self, now: float) -> None:
        """A delay is over."""
        delayed, self._delayed = self._delayed, None
        route = self._route
        if delayed is None or route is None:
            return
        if delayed.then is not None:
            self._heed(delayed.then)
        else:
            self._ask(route)

    def _act(self, route: CompiledRoute) -> None:
        answer = own_answer(route, self.head)
        if answer is not None:
            self._chain.stats.add("rq_direct_response")
            self._heed(answer)
        else:
            self._forward(route)

    def _forward(self, route: CompiledRoute) -> None:
        head, record = self.head, self.record
        destination = route.choose(self._context.random(), head)
        cluster = self.snapshot.clusters.get(destination.cluster)
        if cluster is None:
            self.reply(no_cluster(route))
            return
        record.cluster = destination.label
        target = rewritten(route, head)
        if target is not None and self.suppresses:
            record.path = target
        elif target is not None:
            record.original_path = head.target
        record.destination = cluster.facts
        if self._chain.grpc_stats is not None and is_grpc(head):
            self._call = Call(cluster.counters, head.path, self._chain.grpc_stats.stats_for_all_methods)
            for part in self.body.kept():
                self._call.asked.take(part)
        metrics = self._chain.metrics
        if metrics is not None and not metrics.inbound:
            for field in self._context.introduction:
                head.add(field)
        self._router = router = Router(self._context, self, route, destination, cluster, target or head.target)
        router.start()

    # The request's body.

    def on_request_data(self, content: bytes) -> None:
        """A part of the request's body."""
        if self._done:
            return
        self.record.bytes_received += len(content)
        if self._clock is not None:
            self._clock.active = self._context.loop.now
        if self._bodies is not None:
            content = self._let_in(self._bodies, content)
            if not content:
                return
        self._pass_on(content)

    def _pass_on(self, content: bytes) -> None:
        """A part of the body that no filter keeps."""
        if self._call is not None:
            self._call.asked.take(content)
        if self._router is not None and self._router.send(content):
            return
        self.body.keep(content, False)
        if not self.body.replayable:
            self.client.pause()

    def _let_in(self, bodies: Bodies, content: bytes) -> bytes:
        """What goes on at once of a part of the body."""
        incoming, whole = bodies.incoming, bodies.whole
        if incoming is not None:
            content = incoming.take(content)
            if incoming.refusal is not None:
                self._refuse_body(incoming.refusal)
                return b""
        if whole is None or not content:
            return content
        self.body.keep(content, False)
        bodies.gathered += len(content)
        if whole.then is None and bodies.gathered >= whole.most and bodies.found is not None:
            bodies.whole = None
            self._ask(bodies.found)
        elif whole.then is not None and bodies.gathered > whole.most:
            bodies.whole = None
            self._heed(whole.then)
        return b""

    def _end_in(self, bodies: Bodies, trailers: list[Field]) -> None:
        """What filters kept of the body until it was complete."""
        incoming = bodies.incoming
        if incoming is None:
            return
        bodies.incoming = None
        rest = incoming.finish(trailers)
        if incoming.refusal is not None:
            self._refuse_body(incoming.refusal)
        elif rest and (rest := self._let_in(bodies, rest)):
            self._pass_on(rest)

    def _refuse_body(self, reply: LocalReply) -> None:
        """The body is none of the kind that a filter takes."""
        if self._router is not None:
            self._router.stop()
        if self.answered:
            self.abandon()
        else:
            self.reply(reply)

    def on_request_end(self, trailers: list[Field]) -> None:
        """The request is complete."""
        bodies = self._bodies
        if bodies is not None and not self._done:
            self._end_in(bodies, trailers)
        self.body.complete, self.body.trailers = True, trailers
        self.record.heard = self._context.loop.now
        if self._clock is not None:
            self._clock.complete()
        if self._done:
            return
        if self._router is not None:
            self._router.on_request_end()
        elif bodies is not None and bodies.whole is not None and bodies.found is not None:
            if bodies.whole.tells_length:
                give_length(self.head, bodies.gathered)
            bodies.whole = None
            self._ask(bodies.found)

    def on_malformed_request(self, details: str) -> None:
        """The body of the request breaks the protocol."""
        self.record.flag("DPE")
        if self._router is not None:
            self._router.stop()
        if not self.answered:
            self.head.close = True
            self.reply(errors.bad_request(details))
        else:
            self.abandon()

    # Another way.

    def on_redirect(self, head: Head, policy: InternalRedirects, target: bytes) -> bool:
        """See :class:`~mesh_proxy.worker.request.Request`."""
        route, router, asked = self._route, self._router, self.head
        if route is None or router is None or not self.body.complete or not self.body.replayable:
            return False
        if self._steps is None:
            self._steps = Steps()
        before = b"%b://%b%b" % (asked.scheme, asked.host, target)
        had_body = asked.method
        found = follow(asked, head, route, policy, self._chain.table, self._steps, self._context.random)
        if isinstance(found, str):
            if found != NOWHERE:
                self._chain.stats.add(f"passthrough_internal_redirect_{found}")
            return False
        host = asked.host
        router.stop()
        router.end()
        asked.host = host
        bodiless = asked.method != had_body
        rewrite(asked, head, policy, before, bodiless)
        if bodiless:
            self.body = RequestBody()
            self.body.complete = True
        self._begin_again(found, head.status)
        return True

    def _begin_again(self, route: CompiledRoute, status: int) -> None:
        """The request takes another route, as if it were a new one; the log tells of both."""
        loop, before = self._context.loop, self.record
        before.status, before.details = status, "internal_redirect"
        before.route, before.path = route.name, self.head.target
        before.ended = loop.now
        self._route, self._router, self._asked = route, None, 0
        before.cluster = b""
        self._name_cluster()
        self._context.logs.write(self._chain.logs, before)
        count_request(self._chain.tallies, self.record.protocol)
        self.record = record = continued(before, route, self.head, self.body.kept(), loop.now, self._context.wall())
        self.client.info.describe(record)
        if self._clock is not None:
            loop.forget(self._clock)
            self._clock = None
        if self._chain.limits.timed or route.timed:
            self._keep_time(route)
        self._filters = self._chain.filters_for(route)
        self._ask(route)
