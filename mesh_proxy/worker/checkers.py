"""What active health checks ask over HTTP/1.1 and TCP. HTTP/2 is in :mod:`mesh_proxy.worker.http2_checkers`."""

from typing import Final

from mesh_api.config.health_checks import HealthCheck, HttpCheck, TcpCheck
from mesh_proxy.balancing.host import Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.body import Body, Chunked, Empty, Sized, UntilClose
from mesh_proxy.protocol.http1 import BadMessage, Head, Parser
from mesh_proxy.protocol.http2.receiving import Tables
from mesh_proxy.resilience import health_checks as logic
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.loop import Loop, Waiter

LARGEST: Final = 64 * 1024
"""Bytes of an answer that are looked at."""
AGENT: Final = "Envoy/HC"


@mypyc_attr(allow_interpreted_subclasses=True)
class Checked(Waiter):
    """One host that is asked, as a :class:`Checker` sees it. ``hostname`` is what it is called where a check says nothing."""

    def __init__(
        self, loop: Loop, parser: Parser, tables: Tables, cluster: ClusterRuntime, config: HealthCheck, host: Host
    ) -> None:
        super().__init__()
        self.loop = loop
        self.parser = parser
        self.tables = tables
        self.cluster = cluster
        self.config = config
        self.host = host
        self.hostname: str = ""

    def dial(self, owner: Owner) -> Connection:
        """A connection to where the host is asked. Raises :class:`OSError`."""
        raise NotImplementedError

    def on_result(self, result: int) -> None:
        """What the check came to."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Checker(Owner):
    """Asks one host over one protocol; tells ``session`` what it came to, once for each :meth:`start`."""

    def __init__(self, session: Checked) -> None:
        super().__init__()
        self.session = session

    def start(self) -> None:
        """Ask."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up whatever is open."""
        raise NotImplementedError


class TcpChecker(Checker):
    """A connection, and bytes there and back where the configuration has some."""

    def __init__(self, session: Checked, check: TcpCheck) -> None:
        super().__init__(session)
        self._check = check
        self._connection: Connection | None = None
        self._received = bytearray()

    def start(self) -> None:
        """See :class:`Checker`."""
        self._received.clear()
        try:
            self._connection = self.session.dial(self)
        except OSError:
            self.session.on_result(logic.UNREACHABLE)

    def close(self) -> None:
        """See :class:`Checker`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if self._check.send:
            connection.send(self._check.send)
        if not self._check.receive:
            self._end(logic.PASSED)

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._received += data
        if logic.found_in(self._check.receive, bytes(self._received)):
            self._end(logic.PASSED)
        elif not data or len(self._received) > LARGEST:
            self._end(logic.UNREACHABLE)

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._connection = None
        self.session.on_result(logic.UNREACHABLE)

    def _end(self, result: int) -> None:
        self.close()
        self.session.on_result(result)


class HttpChecker(Checker):
    """A request of HTTP/1.1, on the same connection each time where it may be."""

    def __init__(self, session: Checked, check: HttpCheck) -> None:
        super().__init__(session)
        self._check = check
        self._connection: Connection | None = None
        self._buffer = bytearray()
        self._content = bytearray()
        self._head: Head | None = None
        self._body: Body = Empty()
        self._asked = False

    def start(self) -> None:
        """See :class:`Checker`."""
        self._asked = True
        if self._connection is not None:
            self._ask(self._connection)
            return
        try:
            self._connection = self.session.dial(self)
        except OSError:
            self._end(logic.UNREACHABLE, False)

    def close(self) -> None:
        """See :class:`Checker`."""
        connection, self._connection = self._connection, None
        self._buffer.clear()
        if connection is not None:
            connection.close()

    def on_connected(self, connection: Connection) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        self._head = None
        self._content.clear()
        connection.send(request_bytes(self._check, self.session.hostname))

    def on_data(self, connection: Connection, data: bytes) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        if not self._asked:
            self.close()  # the host ends a connection that nobody uses, or talks out of turn
            return
        if not data:
            until_close = self._head is not None and isinstance(self._body, UntilClose)
            self._finish(False) if until_close else self._end(logic.UNREACHABLE, False)
            return
        self._buffer += data
        try:
            self._process()
        except BadMessage:
            self._end(logic.FAILED, False)

    def _process(self) -> None:
        while self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LARGEST:
                    raise BadMessage("http1.headers_too_large")
                return
            head = self.session.parser.response(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if head.status >= 200:
                self._head, self._body = head, _body_of(head, self._check.method)
        if not self._body.done:
            content = self._body.take(self._buffer)
            if len(self._content) < LARGEST:
                self._content += content
        if self._body.done:
            self._finish(not self._head.close)

    def _finish(self, reusable: bool) -> None:
        result = http_verdict(self.session, self._check, self._head, bytes(self._content))
        self._end(result, reusable and not self._buffer and self.session.config.reuse_connection)

    def _end(self, result: int, reusable: bool) -> None:
        self._asked = False
        if not reusable:
            self.close()
        self.session.on_result(result)

    def on_lost(self, connection: Connection, reason: str) -> None:
        """See :class:`~mesh_proxy.worker.connection.Owner`."""
        self._connection = None
        self._buffer.clear()
        if self._asked:
            self._end(logic.UNREACHABLE, False)


def _body_of(head: Head, method: str) -> Body:
    if method == "HEAD" or head.status in (204, 304):
        return Empty()
    if head.chunked:
        return Chunked()
    return Sized(head.length) if head.length >= 0 else UntilClose()


def request_fields(check: HttpCheck, hostname: str) -> dict[str, str]:
    """The fields of the request of a check, the host among them; the configuration's replace those that it has by itself."""
    fields = {"host": check.host or hostname, "user-agent": AGENT}
    for header in check.headers_to_add:
        name = header.name.lower()
        fields[name] = f"{fields[name]},{header.value}" if header.append and name in fields else header.value
    for name in check.headers_to_remove:
        fields.pop(name.lower(), None)
    return fields


def request_bytes(check: HttpCheck, hostname: str) -> bytes:
    """The request of a check."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in request_fields(check, hostname).items())
    length = "content-length: 0\r\n" if check.method in ("POST", "PUT", "PATCH") else ""
    return f"{check.method} {check.path} HTTP/1.1\r\n{lines}{length}\r\n".encode()


def http_verdict(session: Checked, check: HttpCheck, head: Head | None, content: bytes) -> int:
    """What an answer says of a host, which may say itself that it is to have no more traffic."""
    result = logic.FAILED if head is None else logic.http_result(check, head)
    if result == logic.PASSED and check.receive and not logic.found_in(check.receive, content):
        result = logic.FAILED
    if head is not None and head.get(b"x-envoy-immediate-health-check-fail") is not None:
        session.cluster.on_failed_at_once(session.host)
        result = logic.FAILED
    return result
