"""A cluster at run time: its hosts, who chooses among them, what is counted. It owns no socket."""

from collections.abc import Callable, Iterable
from functools import cache

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LbPolicy,
    PipeAddress,
    SocketAddress,
)
from mesh_proxy.balancing.balancer import Balancer
from mesh_proxy.balancing.host import Host
from mesh_proxy.resilience.outlier import Outliers
from mesh_proxy.telemetry.stats import Counters, Timing
from mesh_proxy.tls.transports import PLAIN, Transports

Random = Callable[[], float]
SUPPORTED = (LbPolicy.ROUND_ROBIN, LbPolicy.LEAST_REQUEST, LbPolicy.RANDOM, LbPolicy.CLUSTER_PROVIDED)
_ORIGINAL_DESTINATIONS = 4096


class ClusterError(ValueError):
    """A cluster that this proxy cannot run."""


class ClusterRuntime:
    """One cluster. Hosts, counters and ejections live on when the configuration changes (:meth:`configure`)."""

    def __init__(self, config: Cluster, assignment: ClusterLoadAssignment | None, random: Random) -> None:
        self._random = random
        self.name = config.name
        self.label = config.name.encode()
        self.counters = Counters(f"cluster.{config.name}")
        self.ejections: dict[str, int] = {}
        self.timing = Timing()
        self.hosts: dict[str, Host] = {}
        self.active_connections = 0
        self.active_requests = 0
        self.pending_requests = 0
        self.active_retries = 0
        self.outliers: Outliers | None = None
        self.config = config
        self.thresholds = CircuitBreakerThresholds()
        self.names: tuple[tuple[str, int], ...] = ()
        self.original_destination = config.type is ClusterType.ORIGINAL_DST
        self.transports: Transports = PLAIN
        self.configure(config, assignment)

    def configure(self, config: Cluster, assignment: ClusterLoadAssignment | None) -> None:
        """Take a new configuration. Raises :class:`ClusterError` before anything is changed."""
        if config.lb_policy not in SUPPORTED:
            raise ClusterError(f"lb_policy {config.lb_policy.value} is not supported yet")
        if config.http.protocol != "http1":
            raise ClusterError(f"upstream protocol {config.http.protocol} is not supported yet")
        self.config = config
        self.thresholds = config.thresholds or CircuitBreakerThresholds()
        self.original_destination = config.type is ClusterType.ORIGINAL_DST
        if self.original_destination:
            return
        found = assignment if config.type is ClusterType.EDS else config.load_assignment
        endpoints = [] if found is None else [(e, loc.priority) for loc in found.localities for e in loc.endpoints]
        if config.type in (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS):
            self.names = tuple(
                (e.address.address, e.address.port) for e, _ in endpoints if isinstance(e.address, SocketAddress)
            )
            self._rebuild()
        else:
            self.set_hosts(endpoints)

    def set_hosts(self, endpoints: Iterable[tuple[Endpoint, int]]) -> None:
        """Take a new list of hosts; those that stay keep their connections and their record."""
        hosts: dict[str, Host] = {}
        for endpoint, priority in endpoints:
            fresh = Host(str(endpoint.address), target_of(endpoint), endpoint, priority)
            known = self.hosts.get(fresh.name)
            if known is not None:
                known.endpoint, known.weight = endpoint, fresh.weight
                known.healthy, known.priority = fresh.healthy, priority
            hosts[fresh.name] = known or fresh
        self.hosts = hosts
        self._rebuild()

    def _rebuild(self) -> None:
        hosts = tuple(self.hosts.values())
        panic = self.config.healthy_panic_threshold
        choices = self.config.least_request_choice_count
        self.balancer = Balancer(self.config.lb_policy, hosts, self._random, panic, choices)
        detection = self.config.outlier_detection
        if detection is None:
            self.outliers = None
            for host in hosts:
                host.ejected_until = 0.0
            self.ejections.pop("ejections_active", None)
            self.balancer.refresh()
        else:
            swept_at = 0.0 if self.outliers is None else self.outliers.swept_at
            self.outliers = Outliers(detection, hosts, self._random, self.balancer.refresh, self.ejections, swept_at)

    def pick(self, destination: tuple[str, int] | None, avoid: list[Host], attempts: int) -> Host | None:
        """A host for a request; ``destination`` is where the connection was going, for clusters that follow it."""
        if self.original_destination:
            return None if destination is None else self._original(destination)
        return self.balancer.pick(avoid, attempts)

    def _original(self, destination: tuple[str, int]) -> Host:
        name = f"{destination[0]}:{destination[1]}"
        host = self.hosts.get(name)
        if host is None:
            if len(self.hosts) >= _ORIGINAL_DESTINATIONS:
                self.hosts = {key: h for key, h in self.hosts.items() if h.active_connections}
            host = self.hosts[name] = Host(name, destination)
        return host

    def on_status(self, host: Host, status: int, now: float) -> None:
        """A host answered."""
        if self.outliers is not None:
            self.outliers.on_status(host, status, now)

    def on_local_failure(self, host: Host, now: float) -> None:
        """A host could not be reached."""
        host.errors += 1
        if self.outliers is not None:
            self.outliers.on_local_failure(host, now)

    def sweep(self, now: float) -> None:
        """To be called about once a second."""
        if self.outliers is not None and now >= self.outliers.deadline:
            self.outliers.sweep(now)


def target_of(endpoint: Endpoint) -> tuple[str, int] | str:
    """What a socket connects to."""
    address = endpoint.address
    if isinstance(address, PipeAddress):
        return "\0" + address.path[1:] if address.path.startswith("@") else address.path
    return address.address, address.port


@cache
def status_counters(status: int) -> tuple[str, str, str]:
    """The counters of a cluster that an answer with that status adds to."""
    return f"upstream_rq_{status}", f"upstream_rq_{status // 100}xx", "upstream_rq_completed"
