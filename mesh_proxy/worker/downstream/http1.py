"""A connection from a client that speaks HTTP/1.1: requests in their order, one at a time."""

from typing import Final

from mesh_proxy import errors
from mesh_proxy.protocol.body import EMPTY, Body, Chunked, Sized, chunk
from mesh_proxy.protocol.http1 import TOO_MANY_FIELDS, BadMessage, Field, Head
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import heads
from mesh_proxy.worker.admission import no_underscores
from mesh_proxy.worker.connection import HIGH, Connection
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.counting import count_end, count_invitation
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.exchange import Exchange

_LINGER: Final = 1.0
"""Seconds for the client to close after its last answer (Envoy's ``delayed_close_timeout``)."""
_PATIENCE: Final = 60.0
"""Seconds in which a client may take nothing of what waits for it, before it is given up."""
_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Http1Downstream(Client):
    """See the module's docstring."""

    __slots__ = (
        "_asked", "_began", "_body", "_buffer", "_chain", "_chunk", "_close", "_connection", "_context", "_ended",
        "_exchange", "_finishing", "_leaving", "_processing", "_requests", "_snapshot", "_tunnel", "_unread",
        "_until",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        connection: Connection,
        chain: HttpChain,
        info: ConnectionInfo,
    ) -> None:
        super().__init__(info)
        self._context = context
        self._snapshot = context.snapshot
        self._chain = chain
        self._buffer = bytearray()
        self._body: Body = EMPTY
        self._exchange: Exchange | None = None
        self._asked = Head()
        self._chunk = False
        self._close = False
        self._ended = False
        self._finishing = False
        self._tunnel = False
        self._processing = False
        self._unread = 0
        self._began: float = 0.0
        """When the first byte came of a head that is not complete; 0: there is none."""
        self._requests: int = 0
        longest = chain.limits.connection
        self._until: float = context.loop.now + longest if longest else 0.0
        self._leaving: bool = False
        """Whether the connection ends with its next answer, or soon without one."""
        self._connection = connection
        connection.owner = self
        context.connections[self] = None
        context.loop.watch_slowly(self)
        chain.stats.add("downstream_cx_total")
        self._rest()

    # What the client sends.

    def on_connected(self, connection: Connection) -> None:
        """Never: it stands already."""

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if not data:
            self._on_end()
        elif self._tunnel and self._exchange is not None:
            self._exchange.on_request_data(data)
        elif self._is_content(data) and self._exchange is not None:
            exchange = self._exchange
            exchange.on_request_data(data)
            self._tell_end(exchange)
        elif not self._finishing:
            if self._exchange is None and not self._buffer and self._take_whole_head(data):
                return
            self._buffer += data
            self._process()

    def _take_whole_head(self, data: bytes) -> bool:
        """Begins a request whose head and nothing else came, if it can be begun: most requests are like that."""
        end = len(data) - len(_END)
        if end <= 0 or end > self._chain.max_head or data[end:] != _END or self._connection.queued > HIGH:
            return False
        lines = data.split(b"\r\n")
        # An empty line may come before a request, and there may be several requests.
        last = len(lines) - 2
        for place in range(last):
            if not lines[place]:
                return False
        del lines[-2:]
        self._start(lines, end)
        return True

    def _is_content(self, data: bytes) -> bool:
        """Whether all of it is a part of the request's body, to be passed on as it is."""
        return self._exchange is not None and not self._body.done and not self._buffer and self._body.direct(data)

    def _on_end(self) -> None:
        """The client has ended its side: the request under way is abandoned, as Envoy does."""
        self._ended = True
        if self._exchange is not None:
            self._exchange.on_client_gone()
        else:
            self._note_cut_head()
        self.close()

    def _note_cut_head(self) -> None:
        """A request that the client has begun, and will not go on with."""
        if self._began:
            record = self._record()
            record.began, self._began = self._began, 0.0
            record.details = "downstream_remote_disconnect"
            record.flag("DC")
            self._chain.stats.add("downstream_rq_total")
            self._context.logs.write(self._chain.logs, record)

    def _process(self) -> None:
        """Everything that can be done with what is in the buffer."""
        if self._processing:
            return  # an answer given at once: the loop below goes on with what follows
        self._processing = True
        try:
            self._process_all()
        finally:
            self._processing = False

    def _process_all(self) -> None:
        while self._connection.descriptor >= 0:
            if self._exchange is None:
                if self._finishing:
                    return
                if self.congested():
                    self._connection.pause()  # it asks and asks and does not read
                    return
                if not self._take_head():
                    return
            elif self._body.done:
                # The next request waits its turn; its bytes stay where they are until this one is answered.
                if len(self._buffer) > HIGH:
                    self._connection.pause()
                return
            if self._exchange is not None and not self._take_body(self._exchange):
                return

    def _take_head(self) -> bool:
        """Begin the next request; ``False`` when its head is not complete."""
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]  # an empty line before a request is to be ignored (RFC 9112 2.2)
        if not buffer:
            return False
        end = buffer.find(_END)
        broken = end < 0 and heads.broken(buffer)
        if end < 0 and len(buffer) <= self._chain.max_head and not broken:
            self._await_head()
            return False
        if not broken and (end < 0 or end > self._chain.max_head):
            self._refuse(self._record(), errors.HEADERS_TOO_LARGE)
            return False
        data = bytes(buffer if broken else buffer[:end])
        del buffer[: end + 4]
        return self._start(data.split(b"\r\n"), len(data))

    def _await_head(self) -> None:
        """The head has begun and is not complete: from its first byte on it has only so long."""
        if not self._began:
            now, seconds = self._context.loop.now, self._chain.limits.head
            self._began = now
            self._context.loop.watch_about(self, now + seconds if seconds else 0.0)

    def _start(self, lines: list[bytes], size: int) -> bool:
        """The next request, whose head (without the empty line) has these lines, and so many bytes; ``False``: it is none."""
        stays = self._snapshot is self._context.snapshot or self._renew()
        chain = self._chain
        record = self._record()
        if self._began:
            record.began, self._began = self._began, 0.0
            self._context.loop.watch(self, 0.0)
        self.deadline = 0.0
        try:
            head = self._context.parser.request_of(lines, chain.limits.max_headers)
            if chain.underscores:
                no_underscores(head, chain)
        except BadMessage as error:
            details = str(error)
            self._refuse(record, errors.TOO_MANY_HEADERS if details == TOO_MANY_FIELDS else errors.bad_request(details))
            return False
        if not stays:
            head.close = True
        self._requests += 1
        if self._requests == chain.limits.requests:
            chain.stats.add("downstream_cx_max_requests_reached")
            self._leaving = True
        # Names, values and three more of each line, as Envoy counts them.
        record.head_received = size - len(lines[0]) - len(head.fields)
        self._begin(head, record)
        return True

    def _renew(self) -> bool:
        """Take what the configuration in force has for this connection: clients keep theirs for hours.

        ``False``: it has nothing, and the connection is to end with its next request.
        """
        runtime = self._context.snapshot.listeners.get(self.info.listener)
        chain = None if runtime is None else runtime.chain(self.info.arrival)
        if not isinstance(chain, HttpChain):
            return False
        if chain.guards and chain.refusal(self.info.access()):
            return False
        self._snapshot, self._chain = self._context.snapshot, chain
        self.info.buckets.clear()  # of limits that are no more
        return True

    def _record(self) -> Record:
        record = Record(self._context.loop.now, self._context.wall())
        self.info.describe(record)
        return record

    def _begin(self, head: Head, record: Record) -> None:
        if head.minor == 0:
            record.protocol = b"HTTP/1.0"
        self._body = Chunked() if head.chunked else Sized(head.length) if head.length > 0 else EMPTY
        self._asked, self._chunk, self._close = head, False, False
        self._exchange = exchange = Exchange(self._context, self._chain, self, head, record)
        if head.expect and not self._chain.config.proxy_100_continue:
            # Envoy answers by itself and hands the body on.
            head.drop(b"expect")
            self._connection.send(_CONTINUE)
            count_invitation(self._chain.tallies)
        exchange.start(self._body.done)

    def _take_body(self, exchange: Exchange) -> bool:
        """Hand on what there is of the body; ``False`` when more is needed."""
        if self._body.done:
            return True
        try:
            content = self._body.take(self._buffer)
        except BadMessage as error:
            self._finishing = True
            exchange.on_malformed_request(str(error))
            return False
        if content:
            exchange.on_request_data(content)
        self._tell_end(exchange)
        return self._body.done

    def _tell_end(self, exchange: Exchange) -> None:
        """When the request is complete, and still under way."""
        if self._body.done and self._exchange is exchange:
            exchange.on_request_end(self._body.trailers if isinstance(self._body, Chunked) else [])

    def _refuse(self, record: Record, reply: errors.LocalReply) -> None:
        """Answer what is no request, and end the connection: nothing that follows can be trusted."""
        self._finishing = True
        record.status, record.details = reply.status, reply.details
        record.flag(reply.flags)
        record.bytes_sent = len(reply.body)
        more: list[Field] = []
        if self._chain.replies is not None:
            reply, more = self._chain.replies.apply(reply, more, record)
            record.bytes_sent = len(reply.body)
        fields = heads.local(reply, more, [self._context.date(), self._chain.server_field])
        fields.append(heads.CLOSE)
        record.response = answer = Head()
        answer.status = reply.status
        answer.replace(fields)
        made = heads.response(reply.status, fields)
        record.head_sent = len(made) - made.find(b"\r\n") - len(_END)
        self._connection.send(made + reply.body)
        self._context.logs.write(self._chain.logs, record)
        stats = self._chain.stats
        for name in ("downstream_rq_total", "downstream_rq_completed", "downstream_rq_4xx"):
            stats.add(name)
        if "DPE" in reply.flags:
            stats.add("downstream_cx_protocol_error")
        self._buffer.clear()
        self._close_gently()

    # What the exchange says.

    def interim(self, head: Head, fields: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        if self._asked.minor:
            self._connection.send(heads.response(head.status, fields))

    def answer(self, head: Head, fields: list[Field], end: bool) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        asked = self._asked
        bodiless = asked.method == b"HEAD" or head.status in (204, 304)
        self._chunk, must_close = heads.frame(head, fields, bodiless, asked.minor, end)
        if self._until and self._context.loop.now >= self._until:
            self._leaving = True
        # Whoever is answered before everything was said may go on saying it: the next request could not be found (Envoy).
        self._close = must_close or asked.close or self._leaving or self._context.draining or not self._body.done
        if self._close:
            fields.append(heads.CLOSE)
        elif not asked.minor:
            fields.append(heads.KEEP_ALIVE)
        made = heads.response(head.status, fields)
        if self._exchange is not None:
            self._exchange.record.head_sent = len(made) - heads.first_line(head.status) - len(_END)
        self._connection.send(made)

    def content(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._connection.send(chunk(content) if self._chunk else content)

    def relays_to(self) -> Connection | None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        return None if self._chunk or self._tunnel else self._connection

    def congested(self) -> bool:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        return self._connection.queued > HIGH

    def switch(self, head: Head, fields: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._tunnel = self._close = True
        self._connection.send(heads.response(head.status, fields))
        self._connection.resume()
        if self._buffer and self._exchange is not None:
            rest = bytes(self._buffer)
            self._buffer.clear()
            self._exchange.on_request_data(rest)

    def pause(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._connection.pause()

    def resume(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        if not self._ended:
            self._connection.resume()

    def finish(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._exchange = None
        if self._connection.descriptor < 0:
            return
        if self._chunk:
            self._connection.send(heads.last_chunk(trailers))
        # A client that still sends what nobody reads any more would wait for ever (RFC 9112 9.6).
        if self._close or not self._body.done or self._context.draining:
            self._finishing = True
            self._close_gently()
            return
        self._connection.forgo()
        self._rest()
        self.resume()
        if self._buffer:
            self._process()

    def abort(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._exchange = None
        self.close()

    # The connection.

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if self._exchange is not None:
            self._exchange.on_client_drained()
        elif self._finishing:
            self._linger()
        elif self._buffer:
            self._connection.resume()
            self._process()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._ended = True
        self._forget()
        if self._exchange is not None:
            self._exchange.on_client_gone()
        else:
            self._note_cut_head()

    def on_deadline(self, now: float) -> None:
        """Nothing was asked for long, or the client did not close after the last answer; unless it still reads."""
        if self._began:
            record = self._record()
            record.began, self._began = self._began, 0.0
            self._chain.stats.add(self._chain.limits.head_counter)
            self._refuse(record, self._chain.limits.head_reply)
            return
        if self._until and now >= self._until and not self._leaving and not self._finishing:
            self._leaving = True  # a request that is on its way is answered still
            self._chain.stats.add("downstream_cx_max_duration_reached")
            self.deadline = now + self._chain.limits.drain
            return
        queued, before = self._connection.queued, self._unread
        if not self._finishing and not self._leaving:
            self._chain.stats.add("downstream_cx_idle_timeout")
        if queued and (queued < before or not before):
            self._linger()
        else:
            self.close()

    def _linger(self) -> None:
        self._unread = self._connection.queued
        self.deadline = self._context.loop.now + (_PATIENCE if self._unread else _LINGER)

    def _rest(self) -> None:
        """Wait for the next request."""
        self._unread = 0
        self.deadline = self._chain.limits.rest_until(self._context.loop.now, self._until)

    def _close_gently(self) -> None:
        """End our side and give the client a moment to read: closing at once could destroy the answer (RFC 9112 9.6)."""
        if self._connection.closed:
            self._forget()
            return
        self._connection.end()
        self._linger()
        self._connection.resume()

    def drain(self) -> None:
        """Close when idle; a request under way is answered first."""
        if self._exchange is not None:
            return
        if self._connection.queued:
            self._finishing = True
            self._close_gently()
        else:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._connection.close()
        self._forget()

    def _forget(self) -> None:
        if self in self._context.connections:
            # Where nothing more can come, Envoy does not wait for the client to close.
            ours = self._finishing and self._close and self._body.done
            count_end(self._chain.stats, self._ended and not ours, self._exchange is not None)
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
