"""The way back of a request: what came of it, told to the client, counted and logged. :mod:`~mesh_proxy.worker.exchange` has
the way there."""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import AnswerEdit, Filter, edited
from mesh_proxy.filters.grpc_web import MARK
from mesh_proxy.protocol.http1 import PEER, Field, Head, field_of, is_grpc
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry import operations
from mesh_proxy.telemetry.grpc_calls import Call
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.service_metrics import Reporter
from mesh_proxy.telemetry.workload import METADATA
from mesh_proxy.worker import heads
from mesh_proxy.worker.admission import CONNECT
from mesh_proxy.worker.bodies import Bodies
from mesh_proxy.worker.connection import Connection
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.counting import EARLY, count_answer, count_request, count_reset
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.inquiries import Inquiry
from mesh_proxy.worker.request import Request
from mesh_proxy.worker.router import Router
from mesh_proxy.worker.signatures import signed
from mesh_proxy.worker.stream_clock import StreamClock

_PEER: Final = 1 << PEER
_BY_FLAGS: Final = {"NR": "no_route", "NC": "no_cluster"}


class Answering(Request):
    """A request that is answered once, by a host or by the proxy itself, or given up."""

    __slots__ = (
        "_added", "_asked", "_bodies", "_call", "_chain", "_clock", "_context", "_done", "_filters", "_inquiry", "_route",
        "_router",
    )  # fmt: skip

    def __init__(self, context: Context, chain: HttpChain, client: Client, head: Head, record: Record) -> None:
        super().__init__(client, head, record, context.snapshot, chain.edge)
        self._context = context
        self._chain = chain
        record.request = head
        chain.stats.active += 1
        record.path = head.target
        self._route: CompiledRoute | None = None
        self._router: Router | None = None
        self._filters: tuple[Filter, ...] = ()
        """What has something to do with the request; and of those so many have been asked."""
        self._asked = 0
        self._bodies: Bodies | None = None
        """What filters do to bodies, where they do."""
        self._added: list[AnswerEdit] | None = None
        """What filters want the client to be told besides."""
        self._inquiry: Inquiry | None = None
        """What a filter has asked somebody, while the request waits for that."""
        self._call: Call | None = None
        """Of gRPC, where those are counted."""
        self._clock: StreamClock | None = None
        self._done = False

    def _changing(self) -> Bodies:
        if self._bodies is None:
            self._bodies = Bodies()
        return self._bodies

    def on_interim(self, head: Head) -> None:
        """An interim answer (1xx) came from the host."""
        if self._clock is not None:
            self._clock.active = self._context.loop.now
        # Envoy invites the body by itself and drops these, unless it is told to leave them to the upstream.
        if self._chain.config.proxy_100_continue:
            count_answer(self._chain.tallies, head.status)
            self.client.interim(head, heads.forwarded_response(head, False))

    def on_switched(self, head: Head, destination_fields: list[Field]) -> None:
        """The host takes the other protocol."""
        self.answered = self.tunnel = True
        if self._clock is not None:
            self._clock.complete()
        # HTTP/2 says 200 to every other protocol, HTTP/1.1 only to a tunnel.
        head.status = 200 if self.head.upgrade == CONNECT else 101
        self.record.status = head.status
        fields = self._signed(self._filtered(destination_fields, head, True), head)
        head.replace(fields)
        count_answer(self._chain.tallies, head.status)
        self._chain.stats.add(EARLY)
        self.client.switch(head, fields)

    def on_response(self, head: Head, routed: list[Field], end: bool) -> None:
        """The answer's head came, its fields as the route wants them; ``end``: no content follows."""
        self.answered = True
        if self._clock is not None:
            self._clock.complete()
        if not self.body.complete:
            self._chain.stats.add(EARLY)
        fields = self._signed(self._filtered(routed, head, end), head)
        if self._chain.metrics is not None:
            fields = self._acquaint(self._chain.metrics, head, fields)
        self._send_head(head, fields, end)
        head.replace(fields)  # what the access log is to tell

    def _send_head(self, head: Head, fields: list[Field], end: bool) -> None:
        if self._bodies is None:
            self.client.answer(head, fields, end)
        else:
            self._bodies.answer(self.client, head, fields, end)

    def _acquaint(self, metrics: Reporter, head: Head, fields: list[Field]) -> list[Field]:
        """Proxies tell each other who they are, and nobody else (Istio's metadata exchange)."""
        if head.seen & _PEER:
            if not metrics.inbound:
                self.record.peer = head.get(METADATA) or b""
            fields = [field for field in fields if field.kind != PEER]
        if metrics.inbound and self.record.peer:
            fields += self._context.introduction
        return fields

    def _operation(self) -> Field | None:
        return None if self._route is None else self._route.operation

    def _signed(self, fields: list[Field], answer: Head | None) -> list[Field]:
        """The fields of an answer (``None``: of one of our own) with what the proxy says of itself."""
        made = signed(fields, answer, self.head, self._chain, self._context)
        tracer = self._chain.tracer
        return made if tracer is None else operations.of_answer(made, self.record, self._operation(), tracer.inbound)

    def _filtered(self, fields: list[Field], answer: Head, end: bool) -> list[Field]:
        """The fields of an answer after the filters that the request has passed, which may change its body as well."""
        if not self._filters:
            return fields
        if self._added is not None:
            fields = edited(fields, self._added)
        route = self._route
        for item in reversed(self._filters[: self._asked]):
            if route is not None:
                fields = item.on_response(self.head, route, fields)
            if item.changes:
                change = item.change_response(self.head, route, answer, fields, end)
                if change is not None:
                    self._changing().change_outgoing(change)
        return fields

    def on_response_data(self, content: bytes) -> None:
        """A part of the answer's body came."""
        if self._clock is not None:
            self._clock.active = self._context.loop.now
        if self._call is not None:
            self._call.answers.take(content)
        if self._bodies is not None and not self.tunnel:
            content = self._bodies.take(content)
            if not content:
                return
        self.record.bytes_sent += len(content)
        self.client.content(content)

    def relays_to(self) -> Connection | None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if self._bodies is not None or self._call is not None or self.tunnel:
            return None
        return self.client.relays_to()

    def on_response_relayed(self, amount: int) -> None:
        """See :class:`~mesh_proxy.worker.upstream.seam.User`."""
        if self._clock is not None and amount:
            self._clock.active = self._context.loop.now
        self.record.bytes_sent += amount

    def on_client_drained(self) -> None:
        """Everything sent to the client has gone out."""
        if self._router is not None:
            self._router.resume()

    def on_response_end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        if self._call is not None:
            self._call.end(self.record.response, trailers)
        if self._bodies is not None and not self.tunnel:
            self.record.bytes_sent += self._bodies.finish(self.client, trailers)
        self.record.trailers = trailers
        if not self.body.complete or self.head.upgrade:
            count_reset(self._chain.stats, self.tunnel)
        self._end()
        self.client.finish(trailers)

    # The end.

    def reply(self, reply: LocalReply, fields: list[Field] | None = None) -> None:
        """Answer with something of our own."""
        record, head = self.record, self.head
        record.flag(reply.flags)
        record.status, record.details = reply.status, reply.details
        # What follows a request that was not understood cannot be trusted to be a request.
        broken = reply.status in (400, 426, 431) and "DPE" in reply.flags
        head.close = head.close or broken or not self.body.complete
        more = list(fields or ())
        if self._route is not None:
            for edit in self._route.reply_edits:
                more = edit.apply(more, record)
        if self._chain.replies is not None:
            reply, more = self._chain.replies.apply(reply, more, record)
        if is_grpc(head) and head.get(MARK) is None and not any(field.name == b"grpc-status" for field in more):
            reply, told = errors.as_grpc(reply)
            more = [field for field in more if field.name != b"content-type"]
            more += [field_of(name, value) for name, value in told]
            record.status = reply.status
        if not self.body.complete or head.upgrade:
            self._chain.stats.add(EARLY)
        answer = Head()
        answer.status, answer.length = reply.status, len(reply.body) or -1
        if reply.overloaded and self._chain.suppresses:
            reply = reply._replace(overloaded=False)
        if reply.location:
            more.append(field_of(b"location", reply.location))
        content = reply.body if head.method != b"HEAD" else b""
        made = self._filtered(heads.local(reply, more, []), answer, not content)
        made = self._signed(made, None)
        self._send_head(answer, made, not content)
        answer.replace(made)
        record.response = answer
        if content:
            self.on_response_data(content)
        self.on_response_end([])

    def on_client_gone(self, flag: str = "DC", details: str = "downstream_remote_disconnect") -> None:
        """The client is gone before the answer was complete, or has given the request up."""
        if self._done:
            return
        count_reset(self._chain.stats, False)
        self.record.flag(flag)
        self.record.details = details
        if self._router is not None:
            self._router.stop()
        self._end()

    def on_late(self, reply: LocalReply, counted: str) -> None:
        """See :class:`~mesh_proxy.worker.request.Request`."""
        self._chain.stats.add(counted)
        if self._router is not None:
            self._router.stop()
        if not self.answered:
            self.reply(reply)
            return
        self.record.flag(reply.flags)
        self.record.details = reply.details
        self.abandon()

    def abandon(self) -> None:
        """The answer cannot be completed."""
        count_reset(self._chain.stats, True)
        self._end()
        self.client.abort()

    def _end(self) -> None:
        """Free what is held, count, and write the access log; once."""
        if self._done:
            return
        self._done = True
        if self._router is not None:
            self._router.end()
            self._router = None  # they know each other: without, every request would be left to the garbage collector
        if self._inquiry is not None:
            self._inquiry.drop()
            self._inquiry = None
        loop = self._context.loop
        if self.deadline:
            loop.watch(self, 0.0)
        if self._clock is not None:
            loop.forget(self._clock)
            self._clock = None
        if self._call is not None:
            self._call.close()
        self.record.ended = loop.now
        stats = self._chain.stats
        count_request(self._chain.tallies, self.record.protocol)
        stats.active -= 1
        stats.times.add((loop.now - self.record.began) * 1000.0)
        if self.record.flags in _BY_FLAGS:
            stats.add(_BY_FLAGS[self.record.flags])
        if self.record.status and not self.tunnel:
            count_answer(self._chain.tallies, self.record.status)
        metrics, tracer = self._chain.metrics, self._chain.tracer
        if metrics is not None:
            metrics.request(self.record)
        if tracer is not None:
            operation = "" if self._route is None else self._route.config.operation
            tracer.end(self.record, operation, self._context.logs.outbox)
        self._context.logs.write(self._chain.logs, self.record)
