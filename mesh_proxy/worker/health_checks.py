"""Active health checks over the worker's connections: when hosts are asked, and what they are asked over HTTP/1.1 and TCP.

What an answer means is decided elsewhere (:mod:`mesh_proxy.resilience.health_checks`). Another transport is a
:class:`Checker` of its own, made in :func:`checker_of`.
"""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from mesh_api.config.health_checks import GrpcCheck, HealthCheck, HostCheck, HttpCheck, TcpCheck
from mesh_proxy.balancing.host import ACTIVE_UNHEALTHY, PENDING_REMOVAL, Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.body import Body, Chunked, Empty, Sized, UntilClose
from mesh_proxy.protocol.http1 import BadMessage, Head, Parser
from mesh_proxy.resilience import health_checks as logic
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.dialling import dial
from mesh_proxy.worker.loop import Loop, Waiter

_LARGEST: Final = 64 * 1024
Random = Callable[[], float]


class Checker(Owner):
    """Asks one host over one protocol; tells ``session`` what it came to, once for each :meth:`start`."""

    def __init__(self, session: "Session") -> None:
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

    def __init__(self, session: "Session", check: TcpCheck) -> None:
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
        elif not data or len(self._received) > _LARGEST:
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

    def __init__(self, session: "Session", check: HttpCheck) -> None:
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
                if len(self._buffer) > _LARGEST:
                    raise BadMessage("http1.headers_too_large")
                return
            head = self.session.parser.response(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if head.status >= 200:
                self._head, self._body = head, _body_of(head, self._check.method)
        if not self._body.done:
            content = self._body.take(self._buffer)
            if len(self._content) < _LARGEST:
                self._content += content
        if self._body.done:
            self._finish(not self._head.close)

    def _finish(self, reusable: bool) -> None:
        head, check = self._head, self._check
        result = logic.FAILED if head is None else logic.http_result(check, head)
        if result == logic.PASSED and check.receive and not logic.found_in(check.receive, bytes(self._content)):
            result = logic.FAILED
        if head is not None and head.get(b"x-envoy-immediate-health-check-fail") is not None:
            self.session.cluster.on_failed_at_once(self.session.host)
            result = logic.FAILED
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


def request_bytes(check: HttpCheck, hostname: str) -> bytes:
    """The request of a check; the configuration's fields replace those that it has by itself."""
    fields = {"host": check.host or hostname, "user-agent": "Envoy/HC"}
    for header in check.headers_to_add:
        name = header.name.lower()
        fields[name] = f"{fields[name]},{header.value}" if header.append and name in fields else header.value
    for name in check.headers_to_remove:
        fields.pop(name.lower(), None)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    length = "content-length: 0\r\n" if check.method in ("POST", "PUT", "PATCH") else ""
    return f"{check.method} {check.path} HTTP/1.1\r\n{lines}{length}\r\n".encode()


class Session(Waiter):
    """The checks of one host. ``deadline`` is when the next one begins, or the one under way has taken too long."""

    def __init__(self, checks: "HealthChecks", cluster: ClusterRuntime, config: HealthCheck, host: Host) -> None:
        super().__init__()
        self._checks = checks
        self.cluster = cluster
        self.config = config
        self.host = host
        self.parser = checks.parser
        self._health = logic.HostHealth(config, host)
        self._running = False
        own = host.endpoint.health_check if host.endpoint is not None else None
        self.hostname = (own.hostname if own is not None else "") or host.hostname or cluster.name
        self._target = _target(host, config, own)
        self._checker = checker_of(self, config)

    def start(self, now: float) -> None:
        """The first check is at once, or within the initial jitter."""
        self._checks.loop.watch(self, now + self._checks.random() * self.config.initial_jitter)

    def dial(self, owner: "TcpChecker | HttpChecker") -> Connection:
        """A connection to where the host is asked. Raises :class:`OSError`."""
        return dial(self._checks.loop, self.cluster, self._target, owner)

    def on_deadline(self, now: float) -> None:
        """The next one is due, or the one under way has taken too long."""
        if self._running:
            self._checker.close()
            self.on_result(logic.TIMED_OUT)
            return
        self._running = True
        self.cluster.counters.add("health_check.attempt")
        self._checks.loop.watch(self, now + self.config.timeout)
        self._checker.start()

    def on_result(self, result: int) -> None:
        """What the check came to."""
        if not self._running:
            return
        self._running = False
        now, first = self._checks.loop.now, self._health.first
        changed = self._health.on_result(result, now)
        self._count(result)
        self._checks.log(self, logic.events(result, changed, first, self.config))
        if changed == logic.CHANGED:
            self.cluster.refresh()
        if result in (logic.PASSED, logic.DEGRADED) and self.cluster.outliers is not None:
            self.cluster.outliers.on_check_passed(self.host)
        traffic = bool(self.cluster.counters.values["upstream_cx_total"])
        self._checks.loop.watch(self, now + self._health.wait(result, changed, traffic, self._checks.random))
        if self.host.flags & PENDING_REMOVAL and self.host.flags & ACTIVE_UNHEALTHY:
            self.cluster.drop(self.host)

    def _count(self, result: int) -> None:
        counters = self.cluster.counters
        if result in (logic.PASSED, logic.DEGRADED):
            counters.add("health_check.success")
            return
        counters.add("health_check.failure")
        if result in (logic.UNREACHABLE, logic.TIMED_OUT):
            counters.add("health_check.network_failure")

    def close(self) -> None:
        """The host is asked no more."""
        self._running = False
        self._checker.close()
        self._checks.loop.forget(self)


def checker_of(session: Session, config: HealthCheck) -> Checker:
    """The transport of a check. Checks of gRPC are refused before (:mod:`mesh_proxy.support`)."""
    if isinstance(config.check, HttpCheck):
        return HttpChecker(session, config.check)
    if isinstance(config.check, GrpcCheck):
        raise NotImplementedError("checks of gRPC need HTTP/2")
    return TcpChecker(session, config.check)


def _target(host: Host, config: HealthCheck, own: HostCheck | None) -> Host:
    """Where the host is asked: it may have another address or port for that."""
    if not isinstance(host.target, tuple):
        return host
    address, port = host.target
    if own is not None:
        address, port = own.address or address, own.port or port
    if config.alt_port is not None and (own is None or not own.port):
        port = config.alt_port
    return host if (address, port) == host.target else Host(host.name, (address, port), host.endpoint)


class HealthChecks:
    """All of them. ``log`` is given a file and a line for it."""

    def __init__(
        self,
        loop: Loop,
        clusters: Callable[[], Iterable[ClusterRuntime]],
        random: Random,
        wall: Callable[[], float],
        write: Callable[[str, bytes], None],
    ) -> None:
        self.loop = loop
        self.random = random
        self.parser = Parser()
        self._clusters = clusters
        self._wall = wall
        self._write = write
        self._sessions: dict[Host, Session] = {}

    def check(self, now: float) -> None:
        """Begin with hosts that are new, and end with those that are gone; to be called about once a second, and with every
        new configuration."""
        current: dict[Host, Session] = {}
        for cluster in self._clusters():
            for config in cluster.config.health_checks[:1]:
                for host in list(cluster.hosts.values()):
                    session = self._sessions.get(host)
                    if session is None or session.config != config or session.cluster is not cluster:
                        if _unchecked(host):
                            continue
                        session = Session(self, cluster, config, host)
                        session.start(now)
                    current[host] = session
        for host, session in self._sessions.items():
            if current.get(host) is not session:
                session.close()
        self._sessions = current

    def log(self, session: Session, events: list[dict[str, object]]) -> None:
        """Writes events of a host into the log that its check has."""
        path, kinds = session.config.event_log_path, {HttpCheck: "HTTP", TcpCheck: "TCP", GrpcCheck: "GRPC"}
        if not path:
            return
        for event in events:
            line = {
                "health_checker_type": kinds[type(session.config.check)],
                "host": _address(session.host),
                "cluster_name": session.cluster.name,
                **event,
                "timestamp": datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds"),
            }
            self._write(path, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """End."""
        for session in self._sessions.values():
            session.close()
        self._sessions = {}


def append_line(path: str, line: bytes) -> None:
    """Writes a line of an event log: there are few, so the file is not kept open."""
    try:
        with open(path, "ab", buffering=0) as file:
            file.write(line)
    except OSError as error:
        sys.stderr.write(f"event log {path}: {error}\n")


def _unchecked(host: Host) -> bool:
    return host.endpoint is not None and host.endpoint.health_check is not None and host.endpoint.health_check.disabled


def _address(host: Host) -> dict[str, object]:
    if isinstance(host.target, tuple):
        return {"socket_address": {"address": host.target[0], "port_value": host.target[1]}}
    return {"pipe": {"path": host.target}}
