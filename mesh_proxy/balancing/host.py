"""A host of a cluster, with what is known of it while the proxy runs."""

from typing import Any, Final

from mesh_api.config import Endpoint, HealthStatus
from mesh_proxy.balancing.lanes import Lane, Lanes

EDS_UNHEALTHY: Final = 1
EDS_DRAINING: Final = 2
EDS_DEGRADED: Final = 4
ACTIVE_UNHEALTHY: Final = 8
ACTIVE_DEGRADED: Final = 16
ACTIVE_TIMEOUT: Final = 32
PENDING_FIRST: Final = 64
PENDING_REMOVAL: Final = 128
FAILED_AT_ONCE: Final = 256
"""Bits of :attr:`Host.flags`: why a host is not simply healthy (Envoy ``HostImpl::HealthFlag``); ejection stands apart."""

EXCLUDED: Final = PENDING_FIRST | FAILED_AT_ONCE | EDS_DRAINING
"""Hosts that do not count at all, neither as healthy nor in the total."""
_UNHEALTHY: Final = EDS_UNHEALTHY | EDS_DRAINING | ACTIVE_UNHEALTHY
_DEGRADED: Final = EDS_DEGRADED | ACTIVE_DEGRADED
_BY_DISCOVERY: Final = EDS_UNHEALTHY | EDS_DRAINING | EDS_DEGRADED

HEALTHY: Final = 2
DEGRADED: Final = 1
UNHEALTHY: Final = 0


class Host:
    """One host. It outlives a change of configuration as long as its address stays in its cluster.

    ``target`` is what the socket connects to. ``ejected_until`` is the time until which it is ejected (0: it is not),
    ``healthy_since`` the time from which slow start counts (0: not known).
    """

    __slots__ = (
        "active_connections", "active_requests", "address", "connect_failures", "consecutive_5xx", "consecutive_gateway",
        "consecutive_local",
        "ejected_until", "endpoint", "errors", "external_failures", "external_requests", "flags", "healthy_since", "lane",
        "lanes",
        "local_failures", "local_requests", "local_success_rate", "locality", "name", "priority",
        "success_rate",
        "successes", "target", "timeouts", "times_ejected", "total_connections", "total_requests", "weight",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        target: Any,
        endpoint: Endpoint | None = None,
        priority: int = 0,
        locality: tuple[str, str, str] = ("", "", ""),
    ) -> None:
        self.name = name
        self.address = name.encode()
        self.target = target
        self.endpoint = endpoint
        self.weight: int = endpoint.weight if endpoint is not None else 1
        self.flags: int = 0
        self.priority: int = priority
        self.locality = locality
        """Region, zone, and sub-zone."""
        self.healthy_since: float = 0.0
        self.lane = Lane()
        """Connections of requests that may share any."""
        self.lanes = Lanes()
        """Connections of all others."""
        self.active_connections: int = 0
        self.active_requests: int = 0
        self.total_requests: int = 0
        self.errors: int = 0
        self.successes: int = 0
        self.timeouts: int = 0
        self.total_connections: int = 0
        self.connect_failures: int = 0
        self.consecutive_5xx: int = 0
        self.consecutive_gateway: int = 0
        self.consecutive_local: int = 0
        self.external_requests: int = 0
        self.external_failures: int = 0
        self.local_requests: int = 0
        self.local_failures: int = 0
        self.success_rate: float = -1.0
        self.local_success_rate: float = -1.0
        """Percent of the last interval; -1: too few hosts had enough requests."""
        self.ejected_until: float = 0.0
        self.times_ejected: int = 0
        if endpoint is not None:
            self.discover(endpoint, priority, locality)

    def discover(self, endpoint: Endpoint, priority: int, locality: tuple[str, str, str]) -> bool:
        """Take what discovery says now; whether anything of it matters to balancing."""
        flags = self.flags & ~_BY_DISCOVERY
        if endpoint.health is HealthStatus.UNHEALTHY:
            flags |= EDS_UNHEALTHY
        elif endpoint.health is HealthStatus.DRAINING:
            flags |= EDS_DRAINING
        elif endpoint.health is HealthStatus.DEGRADED:
            flags |= EDS_DEGRADED
        known = self.endpoint
        same = (
            known is not None
            and (flags, endpoint.weight, priority, locality) == (self.flags, self.weight, self.priority, self.locality)
            and (endpoint.lb_metadata, endpoint.hostname) == (known.lb_metadata, known.hostname)
        )
        self.endpoint, self.weight, self.flags = endpoint, endpoint.weight, flags
        self.priority, self.locality = priority, locality
        return not same

    def resting(self) -> list[Any]:
        """Its connections of HTTP/1.1 that nobody uses."""
        return [*self.lane.idle, *self.lanes.idle()]

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection to it."""
        return len(self.lane.pending) + self.lanes.waiting()

    @property
    def hostname(self) -> str:
        """The name that discovery gives it."""
        return self.endpoint.hostname if self.endpoint is not None else ""

    @property
    def health(self) -> int:
        """:data:`HEALTHY`, :data:`DEGRADED` or :data:`UNHEALTHY` (Envoy ``coarseHealth``)."""
        flags = self.flags
        if self.ejected_until != 0.0 or flags & _UNHEALTHY:
            return UNHEALTHY
        return DEGRADED if flags & _DEGRADED else HEALTHY

    @property
    def healthy(self) -> bool:
        """Whether it is healthy by discovery and by active checks, ejected or not."""
        return not self.flags & _UNHEALTHY

    @property
    def available(self) -> bool:
        """Whether it may be chosen without panic: healthy or degraded, and not ejected."""
        return self.ejected_until == 0.0 and not self.flags & _UNHEALTHY
