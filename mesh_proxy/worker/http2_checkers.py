"""What active health checks ask over HTTP/2: requests as over HTTP/1.1, and the service of health of gRPC
(``grpc.health.v1``; Envoy ``HttpHealthCheckerImpl``, ``GrpcHealthCheckerImpl``)."""

from typing import Final

from mesh_api.config.health_checks import GrpcCheck, HttpCheck
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.session import Session
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import CLOSED, Stream
from mesh_proxy.protocol.numbers import whole
from mesh_proxy.resilience import health_checks as logic
from mesh_proxy.worker.checkers import AGENT, LARGEST, Checked, Checker, http_verdict, request_fields
from mesh_proxy.worker.connection import Connection

_METHOD: Final = b"/grpc.health.v1.Health/Check"
_MOST_STATUS: Final = 2**31 - 1


class Multiplexed(Checker):
    """One request at a time over HTTP/2, on the same connection each time where it may be."""

    def __init__(self, session: Checked) -> None:
        super().__init__(session)
        self._connection: Connection | None = None
        self._http2: Session | None = None
        self._stream: Stream | None = None
        self.head: Head | None = None
        self.content = bytearray()

    def start(self) -> None:
        """See :class:`~mesh_proxy.worker.checkers.Checker`."""
        self.head = None
        self.content.clear()
        if self._connection is not None:
            self._ask()
            return
        session = self.session
        self._http2 = Session(Settings(), _Heard(self), session.tables, True, session.loop.now)
        try:
            self._connection = session.dial(self)
        except OSError:
            session.on_result(logic.UNREACHABLE)

    def ask(self, http2: Session) -> Stream:
        """Begin the request."""
        raise NotImplementedError

    def verdict(self, trailers: list[Field]) -> int:
        """What the whole answer says."""
        raise NotImplementedError

    def _ask(self) -> None:
        if self._http2 is not None:
            self._stream = self.ask(self._http2)
            self.write()

    def write(self) -> None:
        """Hand on what there is to be sent."""
        connection, http2 = self._connection, self._http2
        while connection is not None and http2 is not None and (output := http2.take_output()):
            connection.send(output)

    def close(self) -> None:
        """See :class:`~mesh_proxy.worker.checkers.Checker`."""
        connection, self._connection, self._http2, self._stream = self._connection, None, None, None
        if connection is not None:
            connection.close()

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._ask()

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if data and self._http2 is not None:
            self._http2.receive(data, self.session.loop.now)
            self.write()
        else:
            self.lose()

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self.lose()

    def lose(self) -> None:
        """The connection is of no use any more, and with it an answer that has not come."""
        asked = self._stream is not None or (self._connection is not None and not self._stands)
        self.close()
        if asked:
            self.session.on_result(logic.UNREACHABLE)

    @property
    def _stands(self) -> bool:
        return self._connection is not None and not self._connection.connecting

    def end(self, trailers: list[Field]) -> None:
        """The answer is complete."""
        stream, self._stream = self._stream, None
        if stream is None or self._http2 is None:
            return
        if stream.state != CLOSED:
            self._http2.reset(stream, frames.NO_ERROR)
        result = self.verdict(trailers)
        if not self.session.config.reuse_connection or self._http2.leaving:
            self.close()
        self.session.on_result(result)

    def leave(self) -> None:
        """The host takes no more requests on this connection; one that it has is answered."""
        if self._stream is None:
            self.close()

    def take(self, stream: Stream, data: bytes) -> None:
        """A part of the answer's content."""
        if len(self.content) < LARGEST:
            self.content += data
        if self._http2 is not None:
            self._http2.consumed(stream, len(data))


class _Heard(Handler):
    """What the host says, told on."""

    __slots__ = ("_checker",)

    def __init__(self, checker: Multiplexed) -> None:
        self._checker = checker

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        """The answer's head."""
        self._checker.head = head
        if end:
            self._checker.end([])

    def on_interim(self, stream: Stream, head: Head) -> None:
        """Not what was asked for."""

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        """A part of its content."""
        self._checker.take(stream, data)
        if end:
            self._checker.end([])

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        """Its end."""
        self._checker.end(fields)

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        """The host, or the protocol, gives it up."""
        self._checker.lose()

    def on_window(self, stream: Stream) -> None:
        """Questions are short."""

    def on_settings(self) -> None:
        """It speaks HTTP/2."""

    def on_pong(self, opaque: bytes) -> None:
        """Nobody asked."""

    def on_goaway(self, last: int, code: int) -> None:
        """It takes no more."""
        self._checker.leave()

    def on_failure(self, code: int, details: str) -> None:
        """Nothing goes on."""
        self._checker.lose()


class Http2Checker(Multiplexed):
    """A request of HTTP."""

    def __init__(self, session: Checked, check: HttpCheck) -> None:
        super().__init__(session)
        self._check = check

    def ask(self, http2: Session) -> Stream:
        """See :class:`Multiplexed`."""
        check = self._check
        fields = request_fields(check, self.session.hostname)
        host = fields.pop("host", "").encode()
        lines = [field_of(name.encode(), value.encode()) for name, value in fields.items()]
        return http2.request(
            check.method.encode(), b"http", host, check.path.encode(), lines, True, self.session.loop.now
        )

    def verdict(self, trailers: list[Field]) -> int:
        """See :class:`Multiplexed`."""
        return http_verdict(self.session, self._check, self.head, bytes(self.content))


class GrpcChecker(Multiplexed):
    """A call of ``grpc.health.v1.Health/Check``."""

    def __init__(self, session: Checked, check: GrpcCheck) -> None:
        super().__init__(session)
        self._check = check

    def ask(self, http2: Session) -> Stream:
        """See :class:`Multiplexed`."""
        check, now = self._check, self.session.loop.now
        host = (check.authority or self.session.hostname).encode()
        fields = {"te": "trailers", "content-type": "application/grpc", "user-agent": AGENT}
        for header in check.initial_metadata:
            name = header.name.lower()
            fields[name] = f"{fields[name]},{header.value}" if header.append and name in fields else header.value
        lines = [field_of(name.encode(), value.encode()) for name, value in fields.items()]
        stream = http2.request(b"POST", b"http", host, _METHOD, lines, False, now)
        http2.data(stream, logic.grpc_question(check.service_name), True)
        return stream

    def verdict(self, trailers: list[Field]) -> int:
        """See :class:`Multiplexed`."""
        head = self.head
        if head is None or not (head.get(b"content-type") or b"").startswith(b"application/grpc"):
            return logic.FAILED
        told = next((field.value for field in trailers if field.name == b"grpc-status"), head.get(b"grpc-status"))
        status = -1 if told is None else whole(told, _MOST_STATUS)
        return logic.grpc_result(head.status, status, bytes(self.content))
