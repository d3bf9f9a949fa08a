"""One request on its way: admitted, routed, filtered, answered. The steps in :meth:`Exchange.start` are the request's life.

It talks to the client through a :class:`~mesh_proxy.worker.downstream.client.Client`; what is sent on is the business of its
:class:`~mesh_proxy.worker.router.Router`. What it decides by (routing, filters) is pure and elsewhere.
"""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Answer, Delay, Filter
from mesh_proxy.protocol.http1 import Field, Head, field_of, is_grpc
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import heads
from mesh_proxy.worker.admission import admit
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.deciding import find_route, no_cluster, own_answer, rewritten
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.router import Request, Router

_CLASSES: Final = tuple(f"downstream_rq_{digit}xx" for digit in range(10))


class Exchange(Request):
    """See the module's docstring."""

    __slots__ = (
        "_asked", "_chain", "_context", "_delayed", "_done", "_filters", "_route", "_router",
    )  # fmt: skip

    def __init__(self, context: Context, chain: HttpChain, client: Client, head: Head, record: Record) -> None:
        super().__init__(client, head, record, context.snapshot, chain.config.use_remote_address)
        self._context = context
        self._chain = chain
        record.request = head
        record.path = head.target
        self._route: CompiledRoute | None = None
        self._router: Router | None = None
        self._delayed: Delay | None = None
        self._filters: tuple[Filter, ...] = ()
        """What has something to do with the request; and of those so many have been asked."""
        self._asked = 0
        self._done = False

    # The way there.

    def start(self, complete: bool) -> None:
        """Route the request and send it on, or answer it; ``complete``: it has no body."""
        self.body.complete = complete
        head, chain, context, info = self.head, self._chain, self._context, self.client.info
        refused = admit(
            head, chain, info.remote_address, context.request_ids, self.record, secure=info.peer is not None
        )
        if refused is not None:
            self.reply(refused)
            return
        found = find_route(head, chain.table, context.random)
        if not isinstance(found, Answer):
            self._route = found
            self.record.route = found.name
        self._filters = chain.filters_for(self._route)
        if self._filters:
            self._ask(found)
        elif isinstance(found, Answer):
            self._heed(found)
        else:
            self._act(found)

    def _ask(self, found: CompiledRoute | Answer) -> None:
        """Asks the filters that are left; what was found is done when all have passed."""
        access = self.client.info.access()
        access.head, access.remote = self.head, self.record.downstream_remote
        while self._asked < len(self._filters):
            item = self._filters[self._asked]
            self._asked += 1
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
            self._heed(answer)
        else:
            self._forward(route)

    def _forward(self, route: CompiledRoute) -> None:
        head, record = self.head, self.record
        destination = route.choose(self._context.random(), head)
        record.cluster = destination.label
        cluster = self.snapshot.clusters.get(destination.cluster)
        if cluster is None:
            self.reply(no_cluster(route))
            return
        target = rewritten(route, head)
        if target is not None:
            record.original_path = head.target
        self._router = router = Router(self._context, self, route, destination, cluster, target or head.target)
        router.start()

    # The request's body.

    def on_request_data(self, content: bytes) -> None:
        """A part of the request's body."""
        if self._done:
            return
        self.record.bytes_received += len(content)
        if self._router is not None and self._router.send(content):
            return
        self.body.keep(content, False)
        if not self.body.replayable:
            self.client.pause()

    def on_request_end(self, trailers: list[Field]) -> None:
        """The request is complete."""
        self.body.complete, self.body.trailers = True, trailers
        if not self._done and self._router is not None:
            self._router.on_request_end()

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

    # The way back.

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came from the host."""
        # Envoy invites the body by itself and drops these, unless it is told to leave them to the upstream.
        if self._chain.config.proxy_100_continue:
            self.client.interim(head, heads.forwarded_response(head, False))

    def on_switched(self, head: Head, destination_fields: list[Field]) -> None:
        """The host takes the other protocol."""
        self.answered = self.tunnel = True
        fields = self._filtered(destination_fields)
        fields += self._signature(head.dated)
        head.replace(fields)
        self.client.switch(head, fields)

    def on_response(self, head: Head, routed: list[Field], end: bool) -> None:
        """The answer's head came, its fields as the route wants them; ``end``: no content follows."""
        self.answered = True
        fields = self._filtered(routed)
        fields += self._signature(head.dated)
        self.client.answer(head, fields, end)
        head.replace(fields)  # what the access log is to tell

    def _filtered(self, fields: list[Field]) -> list[Field]:
        route = self._route
        if route is not None and self._filters:
            for item in reversed(self._filters):
                fields = item.on_response(self.head, route, fields)
        return fields

    def _signature(self, dated: bool) -> list[Field]:
        """Who answers, and when."""
        chain = self._chain
        fields = [chain.server_field] if dated else [self._context.date(), chain.server_field]
        identity = self.head.get(b"x-request-id") if chain.config.always_set_request_id_in_response else None
        if identity is not None:
            fields.append(field_of(b"x-request-id", identity))
        return fields

    def on_response_data(self, content: bytes) -> None:
        """A part of the answer's body came."""
        self.record.bytes_sent += len(content)
        self.client.content(content)

    def on_client_drained(self) -> None:
        """Everything sent to the client has gone out."""
        if self._router is not None:
            self._router.resume()

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        self._end()
        self.client.finish(trailers)

    # The end.

    def reply(self, reply: LocalReply, fields: list[Field] | None = None) -> None:
        """Answer with something of our own."""
        record, head = self.record, self.head
        record.flag(reply.flags)
        record.status, record.details = reply.status, reply.details
        if self._router is not None:  # what a host did not answer counts as its cluster's failure (Envoy)
            self._router.count_status(reply.status)
        # What follows a request that was not understood cannot be trusted to be a request.
        broken = reply.status in (400, 426, 431) and "DPE" in reply.flags
        head.close = head.close or broken or not self.body.complete
        more = list(fields or ())
        grpc = is_grpc(head)
        if grpc and not any(field[1] == b"grpc-status" for field in more):
            reply, told = errors.as_grpc(reply)
            more += [field_of(name, value) for name, value in told]
            record.status = reply.status
        if self._route is not None:
            for edit in self._route.reply_edits:
                more = edit.apply(more, record)
        answer = Head()
        answer.status, answer.length = reply.status, -1 if grpc else len(reply.body)
        made = heads.local(reply, more, [self._context.date(), self._chain.server_field], grpc)
        content = reply.body if head.method != b"HEAD" else b""
        self.client.answer(answer, made, not content)
        if content:
            record.bytes_sent += len(content)
            self.client.content(content)
        self.on_response_end([])

    def on_client_gone(self, flag: str = "DC", details: str = "downstream_remote_disconnect") -> None:
        """The client is gone before the answer was complete, or has given the request up."""
        if self._done:
            return
        self.record.flag(flag)
        self.record.details = details
        if self._router is not None:
            self._router.stop()
        self._end()

    def abandon(self) -> None:
        """The answer cannot be completed."""
        self._end()
        self.client.abort()

    def _end(self) -> None:
        """Free what is held, count, and write the access log; once."""
        if self._done:
            return
        self._done = True
        if self._router is not None:
            self._router.end()
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
