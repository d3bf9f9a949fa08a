"""A connection from a client that speaks HTTP/2: a stream for each request, all of them at the same time."""

from typing import Final

from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.session import Session
from mesh_proxy.protocol.http2.stream import CLOSED, Stream
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.connection import HIGH, Connection, Owner
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.counting import count_end, count_invitation
from mesh_proxy.worker.downstream.client import Client
from mesh_proxy.worker.exchange import Exchange

_GRACE: Final = 1.0
"""Seconds for the client to close when everything is over (Envoy's ``delayed_close_timeout``)."""


class Http2Downstream(Owner):
    """See the module's docstring."""

    __slots__ = (
        "_by_client", "_chain", "_connection", "_context", "_ending", "_leaving", "_patient", "_requests",
        "_session", "_snapshot", "_until", "_waking", "info",
    )  # fmt: skip

    def __init__(self, context: Context, connection: Connection, chain: HttpChain, info: ConnectionInfo) -> None:
        super().__init__()
        self._context = context
        self._chain = chain
        self._snapshot = context.snapshot
        self._connection = connection
        self.info = info
        self._session = Session(chain.http2, _Requests(self), context.tables, False, context.loop.now)
        self._waking = False
        self._by_client: bool = False
        """Whether it was the client that ended the connection."""
        self._leaving = False
        """Whether the client has been told to open no more streams; and that none is taken any more."""
        self._ending = False
        self._patient: bool = False
        """Whether requests that are on their way are waited for, though there are none: nobody is in a hurry."""
        self._requests: int = 0
        longest = chain.limits.connection
        self._until: float = context.loop.now + longest if longest else 0.0
        connection.owner = self
        context.connections[self] = None
        context.loop.watch_slowly(self)
        chain.stats.add("downstream_cx_total")
        chain.stats.add("downstream_cx_http2_total")
        self._rest()
        self.wake()

    # What the client sends.

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if not data:
            self._by_client = True
            self.close()
            return
        self._session.receive(data, self._context.loop.now)
        self.wake()

    def begin(self, stream: Stream, head: Head, end: bool) -> None:
        """A request came."""
        if not self._leaving:
            self.deadline = self._until
        self._requests += 1
        if self._requests == self._chain.limits.requests:
            self._chain.stats.add("downstream_cx_max_requests_reached")
            self._announce_end()
            self._patient = True
        if self._snapshot is not self._context.snapshot and not self._renew():
            self.drain()
        record = Record(self._context.loop.now, self._context.wall())
        record.protocol = b"HTTP/2"
        self.info.describe(record)
        client = Http2Client(self, self._session, stream)
        stream.user = client
        client.begin(self._context, self._chain, head, record, end)

    def refused(self, details: str) -> None:
        """A request that was malformed: nobody has seen it but the log."""
        record = Record(self._context.loop.now, self._context.wall())
        record.protocol = b"HTTP/2"
        self.info.describe(record)
        record.flag("DPE")
        record.details = details
        self._chain.stats.add("downstream_rq_total")
        self._chain.stats.add("downstream_rq_http2_total")
        self._context.logs.write(self._chain.logs, record)

    def _renew(self) -> bool:
        """Take what the configuration in force has for this connection; ``False``: it has nothing."""
        runtime = self._context.snapshot.listeners.get(self.info.listener)
        chain = None if runtime is None else runtime.chain(self.info.arrival)
        self._snapshot = self._context.snapshot
        if not isinstance(chain, HttpChain) or (chain.guards and chain.refusal(self.info.access())):
            return False
        self._chain = chain
        self.info.buckets.clear()  # of limits that are no more
        return True

    def fail(self, code: int, details: str) -> None:
        """The client breaks the protocol, or is gone: no stream goes on."""
        if code:
            self._chain.stats.add("downstream_cx_protocol_error")
        self._abandon("DPE" if code else "DC", details or "downstream_remote_disconnect")
        self._leaving = self._ending = True
        self.wake()

    def _abandon(self, flag: str, details: str) -> None:
        for stream in list(self._session.streams.values()):
            client = stream.user
            if isinstance(client, Http2Client):
                client.gone(flag, details)
        self._session.streams.clear()

    # What is sent.

    def wake(self) -> None:
        """There may be something to send: when the handler that runs now has returned."""
        if not self._waking:
            self._waking = True
            self._context.loop.flush_after(self)

    def flush(self) -> None:
        """Hand what there is to the connection, as long as it takes it."""
        self._waking = False
        connection, session = self._connection, self._session
        if connection.descriptor < 0:
            return
        while connection.queued <= HIGH and (output := session.take_output()):
            connection.send(output)
        if self._ending and not session.streams:
            connection.end()
            self.deadline = self._context.loop.now + _GRACE

    def on_drained(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.wake()

    def ended(self) -> None:
        """A request is over."""
        if not self._session.streams:
            if not self._leaving:
                self._rest()
            elif not self._patient:
                self._end()
        self.wake()

    # The connection.

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._by_client = True
        self._forget()

    def on_deadline(self, now: float) -> None:
        """Nothing was asked for long, the client did not close after the end, or the first step of the end is over."""
        if self._leaving and not self._ending:
            self._end()
        elif self._until and now >= self._until and not self._leaving:
            self._chain.stats.add("downstream_cx_max_duration_reached")
            self._announce_end()
            self._patient = True
        elif not self._session.streams:
            if not self._leaving:
                self._chain.stats.add("downstream_cx_idle_timeout")
            self.close()

    def _end(self) -> None:
        self._session.goaway()
        self._ending = True
        self.wake()

    def _rest(self) -> None:
        self.deadline = self._chain.limits.rest_until(self._context.loop.now, self._until)

    def drain(self) -> None:
        """Take no more requests; those under way, or on their way, are answered."""
        if self._leaving:
            return
        if self._session.streams:
            self._announce_end()
        else:
            self._leaving = True
            self._end()

    def _announce_end(self) -> None:
        """The first of two steps: requests that the client sends before it has heard of it are still taken (RFC 9113 6.8)."""
        self._leaving = True
        self._session.shutdown_notice()
        self.deadline = self._context.loop.now + self._chain.limits.drain
        self.wake()

    def close(self) -> None:
        """Close at once."""
        self._connection.close()
        self._forget()

    def _forget(self) -> None:
        if self in self._context.connections:
            count_end(self._chain.stats, self._by_client, bool(self._session.streams))
        self._context.connections.pop(self, None)
        self._context.loop.forget(self)
        self._abandon("DC", "downstream_remote_disconnect")


class _Requests(Handler):
    """What the session tells, told on."""

    __slots__ = ("_downstream",)

    def __init__(self, downstream: Http2Downstream) -> None:
        self._downstream = downstream

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        """A request."""
        self._downstream.begin(stream, head, end)

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        """A part of its body."""
        client = stream.user
        if isinstance(client, Http2Client):
            client.on_content(data, end)

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        """Its end."""
        client = stream.user
        if isinstance(client, Http2Client):
            client.on_end(fields)

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        """The client, or the protocol, gives it up."""
        client = stream.user
        if not isinstance(client, Http2Client):
            self._downstream.refused(details)
        else:
            client.gone("DR" if details.startswith("http2.remote") else "DPE", details)

    def on_window(self, stream: Stream) -> None:
        """The client takes more of the answer."""
        client = stream.user
        if isinstance(client, Http2Client):
            client.drained()

    def on_interim(self, stream: Stream, head: Head) -> None:
        """Never: clients send none."""

    def on_settings(self) -> None:
        """The client speaks HTTP/2."""

    def on_pong(self, opaque: bytes) -> None:
        """Nobody asked."""

    def on_goaway(self, last: int, code: int) -> None:
        """It will close when it has everything."""

    def on_failure(self, code: int, details: str) -> None:
        """Nothing goes on."""
        self._downstream.fail(code, details)


class Http2Client(Client):
    """One request."""

    __slots__ = ("_downstream", "_ended", "_exchange", "_paused", "_session", "_stream")

    def __init__(self, downstream: Http2Downstream, session: Session, stream: Stream) -> None:
        super().__init__(downstream.info)
        self._downstream = downstream
        self._session = session
        self._stream = stream
        self._exchange: Exchange | None = None
        self._paused = False
        self._ended = False

    def begin(self, context: Context, chain: HttpChain, head: Head, record: Record, end: bool) -> None:
        """The request's head; ``end``: it is all of it."""
        self._exchange = exchange = Exchange(context, chain, self, head, record)
        if head.expect and not chain.config.proxy_100_continue:
            head.drop(b"expect")
            self._session.interim(self._stream, 100, [])
            count_invitation(chain.tallies)
        exchange.start(end)

    def on_content(self, content: bytes, end: bool) -> None:
        """A part of its body."""
        exchange = self._exchange
        if exchange is not None and content:
            exchange.on_request_data(content)
        if not self._paused:
            self._session.consumed(self._stream, len(content))
        if end:
            self.on_end([])

    def on_end(self, trailers: list[Field]) -> None:
        """The request is complete."""
        if self._exchange is not None:
            self._exchange.on_request_end(trailers)

    def gone(self, flag: str, details: str) -> None:
        """Nobody waits for the answer."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_client_gone(flag, details)

    def drained(self) -> None:
        """Everything sent has gone out."""
        if self._exchange is not None:
            self._exchange.on_client_drained()

    # What the exchange says.

    def interim(self, head: Head, fields: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._session.interim(self._stream, head.status, fields)
        self._downstream.wake()

    def answer(self, head: Head, fields: list[Field], end: bool) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._ended = end
        self._session.respond(self._stream, head.status, fields, end)
        self._downstream.wake()

    def content(self, content: bytes) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._session.data(self._stream, content, False)
        self._downstream.wake()

    def finish(self, trailers: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._exchange = None
        stream, session = self._stream, self._session
        if not self._ended:
            if trailers:
                session.trailers(stream, trailers)
            else:
                session.data(stream, b"", True)
        if stream.state != CLOSED and not stream.queued:
            session.reset(stream, frames.NO_ERROR)  # the rest of the request is wanted by nobody (RFC 9113 8.1)
        if stream.state == CLOSED:
            stream.user = None  # they know each other, and the garbage collector is to have nothing to do
        self._downstream.ended()

    def abort(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._exchange = None
        self._session.reset(self._stream, frames.INTERNAL_ERROR)
        self._downstream.ended()

    def switch(self, head: Head, fields: list[Field]) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._session.respond(self._stream, 200, fields, False)
        self._downstream.wake()

    def pause(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        self._paused = True

    def resume(self) -> None:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        if self._paused:
            self._paused = False
            self._session.consumed(self._stream, self._stream.unconsumed)
            self._downstream.wake()

    def congested(self) -> bool:
        """See :class:`~mesh_proxy.worker.downstream.client.Client`."""
        return self._stream.queued > HIGH
