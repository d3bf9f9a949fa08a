"""Active health checks over the worker's connections: when hosts are asked, and over which transport.

What an answer means is decided elsewhere (:mod:`mesh_proxy.resilience.health_checks`). Another transport is a
:class:`~mesh_proxy.worker.checkers.Checker` of its own, made in :func:`checker_of`.
"""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Final

from mesh_api.config.health_checks import GrpcCheck, HealthCheck, HostCheck, HttpCheck, TcpCheck
from mesh_proxy.balancing.host import ACTIVE_UNHEALTHY, PENDING_REMOVAL, Host
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.http1 import Parser
from mesh_proxy.protocol.http2.receiving import Tables
from mesh_proxy.resilience import health_checks as logic
from mesh_proxy.telemetry.times import stamp
from mesh_proxy.worker.checkers import Checked, Checker, HttpChecker, TcpChecker
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.dialling import dial
from mesh_proxy.worker.http2_checkers import GrpcChecker, Http2Checker
from mesh_proxy.worker.loop import Loop

Random = Callable[[], float]
_STAMP: Final = stamp("%Y-%m-%dT%H:%M:%S.%3f+00:00")


class Session(Checked):
    """The checks of one host. ``deadline`` is when the next one begins, or the one under way has taken too long."""

    def __init__(self, checks: "HealthChecks", cluster: ClusterRuntime, config: HealthCheck, host: Host) -> None:
        super().__init__(checks.loop, checks.parser, checks.tables, cluster, config, host)
        self._checks = checks
        self._health = logic.HostHealth(config, host)
        self._running = False
        own = host.endpoint.health_check if host.endpoint is not None else None
        self.hostname = (own.hostname if own is not None else "") or host.hostname or cluster.name
        self._target = _target(host, config, own)
        self._checker = checker_of(self, config)

    def start(self, now: float) -> None:
        """The first check is at once, or within the initial jitter."""
        self._checks.loop.watch(self, now + self._checks.random() * self.config.initial_jitter)

    def dial(self, owner: Owner) -> Connection:
        """A connection to where the host is asked. Raises :class:`OSError`."""
        return dial(self._checks.loop, self.cluster, self._target, owner, self._target.lane)

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
    """The transport of a check."""
    check = config.check
    if isinstance(check, HttpCheck):
        return Http2Checker(session, check) if check.http2 else HttpChecker(session, check)
    if isinstance(check, GrpcCheck):
        return GrpcChecker(session, check)
    return TcpChecker(session, check)


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
        self.tables = Tables()
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
                "timestamp": _STAMP(self._wall()).decode(),
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
