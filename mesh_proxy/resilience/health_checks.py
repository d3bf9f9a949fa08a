"""Active health checks: what an answer says of a host, and when it is asked again (Envoy ``HealthCheckerImplBase``).

Pure: whoever speaks to hosts tells what came, and asks how long to wait.
"""

from collections.abc import Callable
from typing import Final

from mesh_api.config.health_checks import HealthCheck, HttpCheck
from mesh_proxy.balancing.host import (
    ACTIVE_DEGRADED,
    ACTIVE_TIMEOUT,
    ACTIVE_UNHEALTHY,
    FAILED_AT_ONCE,
    PENDING_FIRST,
    Host,
)
from mesh_proxy.protocol.http1 import Head

PASSED: Final = 0
DEGRADED: Final = 1
FAILED: Final = 2
RETRIABLE: Final = 3
UNREACHABLE: Final = 4
TIMED_OUT: Final = 5
"""What a check came to. :data:`FAILED` makes a host unhealthy at once, what comes after it only after some in a row."""

UNCHANGED: Final = 0
PENDING: Final = 1
CHANGED: Final = 2

_NO_TRAFFIC: Final = 60.0
_FAILURE_TYPES: Final = {FAILED: "ACTIVE", RETRIABLE: "ACTIVE", UNREACHABLE: "NETWORK", TIMED_OUT: "NETWORK_TIMEOUT"}


class HostHealth:
    """What the checks of one host have said so far. The flags are the host's own."""

    __slots__ = ("config", "first", "good", "host", "ill")

    def __init__(self, config: HealthCheck, host: Host) -> None:
        self.config = config
        self.host = host
        self.first: bool = True
        self.good: int = 0
        self.ill: int = 0

    def on_result(self, result: int, now: float) -> int:
        """Take a result; whether the host's health changed, or may with the next one like it."""
        changed = self._passed(result == DEGRADED, now) if result in (PASSED, DEGRADED) else self._failed(result)
        host = self.host
        if host.flags & PENDING_FIRST:
            host.flags &= ~PENDING_FIRST
            changed = CHANGED
        self.first = False
        return changed

    def _passed(self, degraded: bool, now: float) -> int:
        host, changed = self.host, UNCHANGED
        self.ill = 0
        host.flags &= ~ACTIVE_TIMEOUT
        if host.flags & ACTIVE_UNHEALTHY:
            self.good += 1
            # The first check of all is enough: it makes starting faster (Envoy).
            if self.first or self.good >= self.config.healthy_threshold:
                self.good = 0
                host.flags &= ~(ACTIVE_UNHEALTHY | FAILED_AT_ONCE)
                host.healthy_since = now
                changed = CHANGED
            else:
                changed = PENDING
        if degraded is not bool(host.flags & ACTIVE_DEGRADED):
            host.flags ^= ACTIVE_DEGRADED
            changed = CHANGED if changed == UNCHANGED else changed
        return changed

    def _failed(self, result: int) -> int:
        host = self.host
        self.good = 0
        if result == TIMED_OUT:
            host.flags |= ACTIVE_TIMEOUT
        if host.flags & ACTIVE_UNHEALTHY:
            return UNCHANGED
        self.ill += 1
        if result != FAILED and self.ill < self.config.unhealthy_threshold:
            return PENDING
        self.ill = 0
        host.flags |= ACTIVE_UNHEALTHY
        return CHANGED

    def wait(self, result: int, changed: int, traffic: bool, random: Callable[[], float]) -> float:
        """Seconds until the next check; ``traffic``: a connection to the cluster was ever made."""
        config, well = self.config, result in (PASSED, DEGRADED)
        if not traffic:
            base = _NO_TRAFFIC if config.no_traffic_interval is None else config.no_traffic_interval
            if well and changed != PENDING and config.no_traffic_healthy_interval is not None:
                base = config.no_traffic_healthy_interval
        else:
            base = config.interval
            if not well and config.unhealthy_interval is not None:
                base = config.unhealthy_interval
            edge = config.healthy_edge_interval if well else config.unhealthy_edge_interval
            if changed == PENDING and edge is not None:
                base = edge
        jitter = config.interval_jitter + base * config.interval_jitter_percent / 100.0
        return base + random() * jitter


def http_result(check: HttpCheck, head: Head) -> int:
    """What the head of an answer says."""
    status = head.status
    if not _within(check.expected, status):
        return RETRIABLE if _within(check.retriable, status) else FAILED
    return DEGRADED if head.get(b"x-envoy-degraded") is not None else PASSED


def _within(ranges: tuple[tuple[int, int], ...], status: int) -> bool:
    return any(start <= status < end for start, end in ranges)


def found_in(parts: tuple[bytes, ...], content: bytes) -> bool:
    """Whether all parts stand in the content, one after the other."""
    at = 0
    for part in parts:
        at = content.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


SERVING: Final = b"\x08\x01"
"""``grpc.health.v1.HealthCheckResponse`` of a service that is well."""


def grpc_request(service: str) -> bytes:
    """``grpc.health.v1.HealthCheckRequest``."""
    name = service.encode()
    size = b""
    left = len(name)
    while left > 0x7F:
        size += bytes((left & 0x7F | 0x80,))
        left >>= 7
    return b"\n" + size + bytes((left,)) + name if name else b""


def grpc_question(service: str) -> bytes:
    """:func:`grpc_request` as one message of gRPC."""
    body = grpc_request(service)
    return b"\0" + len(body).to_bytes(4, "big") + body


def grpc_result(status: int, grpc_status: int, content: bytes) -> int:
    """What the answer to :func:`grpc_question` says: one message whose status is ``SERVING``."""
    if status != 200 or grpc_status != 0 or len(content) < 7 or content[0]:
        return FAILED
    return PASSED if content[5:] == SERVING else FAILED


def events(result: int, changed: int, first: bool, config: HealthCheck) -> list[dict[str, object]]:
    """What the event log says of a result (``HealthCheckEvent``, without host, cluster and time)."""
    made: list[dict[str, object]] = []
    if result in (PASSED, DEGRADED):
        if changed == CHANGED:
            made.append({"add_healthy_event": {"first_check": first}})
        if config.always_log_success:
            made.append({"successful_health_check_event": {}})
        return made
    kind = {"failure_type": _FAILURE_TYPES[result]}
    if changed == CHANGED:
        made.append({"eject_unhealthy_event": kind})
    if first or config.always_log_failures:
        made.append({"health_check_failure_event": {**kind, "first_check": first}})
    return made
