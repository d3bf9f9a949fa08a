"""A cluster at run time: its hosts, who chooses among them, what is counted. It owns no socket."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    SocketAddress,
    UpstreamProxyProtocol,
)
from mesh_api.config.routes import MILLION
from mesh_proxy.balancing.balancer import Balancer, Members
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import (
    ACTIVE_UNHEALTHY,
    FAILED_AT_ONCE,
    PENDING_FIRST,
    PENDING_REMOVAL,
    Host,
)
from mesh_proxy.balancing.host_set import Locality
from mesh_proxy.balancing.named import Name, key_of
from mesh_proxy.balancing.original_destination import OriginalDestinations
from mesh_proxy.balancing.policies import balancer_of, same_kind
from mesh_proxy.places import Place, places_of, target_of
from mesh_proxy.resilience.circuit_breakers import Resources
from mesh_proxy.resilience.outlier import Outliers
from mesh_proxy.telemetry.facts import ClusterFacts
from mesh_proxy.telemetry.stats import Counters, Tally, Timing
from mesh_proxy.tls.transports import PLAIN, Transports

__all__ = ["ClusterError", "ClusterRuntime", "check", "status_counters", "target_of"]

Random = Callable[[], float]
AUTO: Final = "auto"
"""TLS agrees with each host on what is spoken (Envoy ``auto_config``)."""
DNS = (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS)


class ClusterError(ValueError):
    """A cluster that this proxy cannot run."""


def check(config: Cluster) -> None:
    """Raises :class:`ClusterError` for what cannot be run. Costs nothing, so that a snapshot can ask for all at first."""
    if config.http.protocol == AUTO and config.tls is None and not config.tls_matches:
        raise ClusterError("an upstream protocol that TLS is to agree on needs TLS")
    if config.http.protocol not in ("http1", "http2", "downstream", AUTO):
        raise ClusterError(f"upstream protocol {config.http.protocol} is not supported yet")
    ring = config.ring_hash
    if ring is not None and ring.minimum_ring_size > ring.maximum_ring_size:
        raise ClusterError("ring hash: minimum_ring_size is more than maximum_ring_size")
    if config.subsets is not None and config.lb_policy.value == "CLUSTER_PROVIDED":
        raise ClusterError("subsets need a policy of their own")


class ClusterRuntime:
    """One cluster. Hosts, counters and ejections live on when the configuration changes (:meth:`configure`).

    Requests of default priority count in ``resources``, those of high priority in ``high``.
    """

    def __init__(self, config: Cluster, assignment: ClusterLoadAssignment | None, random: Random) -> None:
        check(config)
        self._random = random
        self.transports: Transports = PLAIN
        self.name = config.name
        self.label = config.name.encode()
        self.stat_name = config.alt_stat_name or config.name
        self.counters = Counters(f"cluster.{self.stat_name}")
        self._answered: dict[int, tuple[Tally, ...]] = {}
        self._requests: Tally | None = None
        self.ejections: dict[str, int] = {}
        self.timing = Timing()
        self.hosts: dict[str, Host] = {}
        self.resources = Resources()
        self.high = Resources()
        self.outliers: Outliers | None = None
        self.config = config
        self.protocol: str = config.http.protocol
        self.max_per_host: int = -1
        """Connections that each host may have; -1: as many as there are."""
        self.longest_stream: float = 0.0
        """Seconds that a request may take at a host; 0: as long as it takes."""
        self.checked: bool = False
        """Whether hosts are asked whether they are well."""
        self._drops: tuple[tuple[str, int], ...] = ()
        self.parts: bool = False
        """Whether not every request may have any connection."""
        self.assignment: ClusterLoadAssignment | None = None
        self.places: tuple[Place, ...] = ()
        """Of clusters by DNS: what is to be resolved."""
        self.original_destination = config.type is ClusterType.ORIGINAL_DST
        self.by_name: bool = config.type is ClusterType.FORWARD_PROXY
        """Whether requests and connections name their host (:meth:`name_host`)."""
        self._destinations = OriginalDestinations(self.hosts, self.counters)
        self.now: float = 0.0
        """Seconds of the loop's clock, at the last :meth:`sweep`."""
        self._found: dict[Place, tuple[SocketAddress, ...]] = {}
        self._stale_at = 0.0
        self._local: Locality | None = None
        self._neighbours: tuple[Host, ...] = ()
        self._plain = PickContext(0.0)
        self._bounded = False
        self.balancer: Balancer = balancer_of(config, Members(()), random, self.counters)
        self._take(config, assignment)

    # Configuration.

    def configure(self, config: Cluster, assignment: ClusterLoadAssignment | None) -> None:
        """Take a new configuration; an equal one changes nothing. Raises :class:`ClusterError` before anything changed."""
        check(config)
        if config == self.config and self._assigned(config, assignment) == self.assignment:
            self._renew_stale()
            return
        self._take(config, assignment)

    @staticmethod
    def _assigned(config: Cluster, assignment: ClusterLoadAssignment | None) -> ClusterLoadAssignment | None:
        return assignment if config.type is ClusterType.EDS else config.load_assignment

    def _take(self, config: Cluster, assignment: ClusterLoadAssignment | None) -> None:
        before, self.config, self.protocol = self.config, config, config.http.protocol
        known: dict[str, object] | None = {"istio": dict(config.metadata)} if config.metadata else None
        self.facts = ClusterFacts(config.name, self.stat_name, known, config.services)
        self.resources.configure(config.thresholds)
        self.high.configure(config.high_thresholds)
        self.original_destination = config.type is ClusterType.ORIGINAL_DST
        self.parts = _parts(config)
        self.max_per_host = -1 if config.max_connections_per_host is None else config.max_connections_per_host
        self.longest_stream = config.http.max_stream_duration or 0.0
        self.checked = bool(config.health_checks)
        self.assignment = found = self._assigned(config, assignment)
        self._drops = () if found is None else found.drop_overloads
        self._bounded = config.hash_balance_factor > 0
        self._renew_stale()
        if not same_kind(config, before):
            self.balancer = balancer_of(config, Members(()), self._random, self.counters)
        if self.original_destination:
            self._destinations.configure(config)
            return
        if self.by_name:
            self._rebuild()
            return
        places = tuple(places_of(found))
        if config.type in DNS:
            self._name(places)
        else:
            self.counters.add("update_success" if found is not None else "update_attempt")
            if config.type is ClusterType.EDS and found is not None and not places:
                self.counters.add("update_empty")
            self._place(places)

    def _renew_stale(self) -> None:
        after = None if self.assignment is None else self.assignment.endpoint_stale_after
        # From the next sweep on: a cluster that was just made does not know the time yet.
        self._stale_at = -after if after else 0.0

    def _name(self, places: tuple[Place, ...]) -> None:
        """Take other names; what is known of those that stay is kept until they are resolved again."""
        known = {(place.name, place.port): found for place, found in self._found.items()}
        logical = self.config.type is ClusterType.LOGICAL_DNS
        self.places = places[:1] if logical else places
        self._found = {
            place: known[place.name, place.port] for place in self.places if (place.name, place.port) in known
        }
        self._place(self._resolved())

    @property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The names and ports that stand for hosts, of clusters by DNS."""
        return tuple((place.name, place.port) for place in self.places)

    def resolve(self, place: Place, addresses: Sequence[str]) -> bool:
        """The addresses of a name; whether they are others than before. None: it has no host now."""
        if place not in self.places:
            return False
        logical = self.config.type is ClusterType.LOGICAL_DNS
        found = tuple(SocketAddress(address, place.port) for address in addresses)
        found = found[:1] if logical else tuple(dict.fromkeys(found))
        before = self._found.get(place)
        if before is not None and (found == before if logical else set(found) == set(before)):
            self.counters.add("update_no_rebuild")
            return False
        self._found[place] = found
        if logical and len(self.hosts) == 1 and found:
            (host,) = self.hosts.values()
            self._move(host, place.at(found[0]))
            self.hosts.clear()
            self.hosts[host.name] = host
            self._rebuild()
        else:
            self._place(self._resolved())
        return True

    def unresolved(self, place: Place) -> None:
        """A name could not be looked up: what is known of it stays, and nobody waits for it any longer."""
        if place in self.places:
            self._found.setdefault(place, ())

    @staticmethod
    def _move(host: Host, place: Place) -> None:
        """A logical host is elsewhere; its connections go on (Envoy's logical DNS)."""
        host.name = str(place.endpoint.address)
        host.address = host.name.encode()
        host.target = target_of(place.endpoint)
        host.discover(place.endpoint, place.priority, place.locality)

    def name_host(self, name: Name, addresses: Sequence[str]) -> None:
        """The host that a request or connection names has one of these addresses: the first, and after each connection that
        did not come about the next one."""
        key = key_of(name)
        known = self.hosts.get(key)
        address = addresses[0 if known is None else known.connect_failures % len(addresses)]
        if known is not None and known.target == (address, name[1]):
            return
        place = Place(Endpoint(SocketAddress(address, name[1]), hostname=name[0]))
        if known is None:
            self.hosts[key] = known = place.host()
            self._begin(known)
            self.counters.add("membership_change")
            self._rebuild()
        else:
            self._move(known, place)

    def forget_names(self, kept: Callable[[Name], bool]) -> None:
        """Leave only hosts whose names are known still, or that are busy."""
        gone = [
            key
            for key, host in self.hosts.items()
            if not host.active_connections and not host.active_requests and not kept((host.hostname, host.target[1]))
        ]
        for key in gone:
            del self.hosts[key]
            self.counters.add("membership_change")
        if gone:
            self._rebuild()

    def _resolved(self) -> tuple[Place, ...]:
        return tuple(place.at(address) for place in self.places for address in self._found.get(place, ()))

    @property
    def warm(self) -> bool:
        """Whether it may get traffic: every name was resolved, or could not be, once (Envoy's warming)."""
        return len(self._found) == len(self.places)

    def set_hosts(self, endpoints: Iterable[tuple[Endpoint, int]]) -> None:
        """Take a new list of hosts with their priorities; those that stay keep their connections and their record."""
        self._place(tuple(Place(endpoint, priority) for endpoint, priority in endpoints))

    def _place(self, places: Sequence[Place]) -> None:
        known, made, changed = self.hosts, {}, False
        for place in places:
            name = str(place.endpoint.address)
            if name in made:
                continue  # the first one counts (Envoy)
            host = known.get(name)
            if host is None:
                host = place.host()
                self._begin(host)
                changed = True
            else:
                changed = host.discover(place.endpoint, place.priority, place.locality) or changed
                host.flags &= ~PENDING_REMOVAL
            made[name] = host
        for name, host in known.items():
            if name not in made:
                changed = True
                if self._outlives(host):
                    host.flags |= PENDING_REMOVAL
                    made[name] = host
        if changed or len(made) != len(known):
            self.counters.add("membership_change")
        self.hosts.clear()
        self.hosts.update(made)
        self._rebuild()

    def _begin(self, host: Host) -> None:
        """A host that is new here."""
        if not self.config.health_checks:
            host.healthy_since = self.now
        elif host.endpoint is None or host.endpoint.health_check is None or not host.endpoint.health_check.disabled:
            host.flags |= ACTIVE_UNHEALTHY | (PENDING_FIRST if self.config.ignore_new_hosts_until_first_hc else 0)

    def _outlives(self, host: Host) -> bool:
        """Whether a host that discovery has no more stays while active checks find it healthy."""
        config = self.config
        return (
            bool(config.health_checks)
            and not config.ignore_health_on_host_removal
            and config.type is ClusterType.EDS
            and not host.flags & (ACTIVE_UNHEALTHY | FAILED_AT_ONCE)
        )

    def drop(self, host: Host) -> None:
        """A host that discovery has no more was found unhealthy."""
        if self.hosts.get(host.name) is host:
            del self.hosts[host.name]
            self.counters.add("membership_change")
            self._rebuild()

    def _rebuild(self) -> None:
        hosts = tuple(self.hosts.values())
        self.balancer.replace(self.config, Members(hosts, self.assignment, self._local, self._neighbours))
        detection = self.config.outlier_detection
        if detection is None:
            self.outliers = None
            for host in hosts:
                host.ejected_until = 0.0
            self.ejections.pop("ejections_active", None)
        else:
            swept_at = 0.0 if self.outliers is None else self.outliers.swept_at
            self.outliers = Outliers(detection, hosts, self._random, self.refresh, self.ejections, swept_at)

    def refresh(self) -> None:
        """The health of a host is another."""
        self.balancer.refresh()

    def set_local(self, locality: Locality, neighbours: Iterable[Host]) -> None:
        """Where this proxy is, and the hosts of the cluster that it is one of (Envoy ``local_cluster_name``)."""
        self._local, self._neighbours = locality, tuple(neighbours)
        self._rebuild()

    # Requests.

    def choose(self, context: PickContext) -> Host | None:
        """A host for a request. ``None``: there is none."""
        if self.original_destination:
            return None if context.destination is None else self._destinations.pick(context.destination)
        if self._bounded:
            context.active_requests = self.resources.active_requests + self.high.active_requests
        return self.balancer.pick(context)

    def pick(self, destination: tuple[str, int] | None, avoid: list[Host], attempts: int, key: int = -1) -> Host | None:
        """A host for who asks nothing in particular; ``destination`` is where the connection was going, ``key`` that of
        consistent hashing (-1: there is none)."""
        context = self._plain
        context.now = self.now
        context.destination = destination
        context.hash = key
        context.tried = avoid
        context.retry = context.avoid_tried = bool(avoid) and attempts > 0
        context.attempts = attempts
        host = self.choose(context)
        context.tried = []
        return host

    def shares(self) -> dict[Host, float]:
        """Which part of its requests each host gets, of those that get any; of no use where hosts follow destinations."""
        return self.balancer.shares(self.now)

    def destination_of(
        self, header: Callable[[bytes], bytes | None], connection: tuple[str, int] | None
    ) -> tuple[str, int] | None:
        """Where a request of a cluster that follows destinations goes; ``header`` gives the value of a header."""
        return self._destinations.destination_of(header, connection)

    def dropped(self) -> str:
        """The category for which this request is to be dropped (Envoy ``drop_overloads``); empty: it is not."""
        for category, parts in self._drops:
            if self._random() * MILLION < parts:
                self.counters.add("upstream_rq_drop_overload")
                return category
        return ""

    def breaker(self, high: bool) -> Resources:
        """What requests of a priority have under way, and their limits."""
        return self.high if high else self.resources

    def on_status(self, host: Host, status: int, now: float) -> None:
        """A host answered."""
        if status < 500:
            host.successes += 1
        if self.outliers is not None:
            self.outliers.on_status(host, status, now)

    def count_status(self, status: int, scope: str = "") -> None:
        """An answer of a host, or in the place of one."""
        if scope:
            for name in status_counters(status):
                self.counters.add(scope + name)
            return
        for tally in self._answered.get(status) or self._tallies(status):
            tally.number += 1

    def count_request(self) -> None:
        """A request is sent to a host."""
        requests = self._requests
        if requests is None:
            requests = self._requests = self.counters.tally("upstream_rq_total")
        requests.number += 1

    def _tallies(self, status: int) -> tuple[Tally, ...]:
        """Those of an answer with that status; made for what comes, as most clusters are not asked for anything."""
        found = self._answered[status] = tuple([self.counters.tally(name) for name in status_counters(status)])
        return found

    def on_connected(self, host: Host, now: float) -> None:
        """A host could be reached."""
        if self.outliers is not None:
            self.outliers.on_connected(host, now)

    def on_local_failure(self, host: Host, now: float, status: int = 503) -> None:
        """A host could not be reached, broke off, or (504) took too long."""
        host.errors += 1
        if self.outliers is not None:
            self.outliers.on_local_failure(host, now, status)

    def on_failed_at_once(self, host: Host) -> None:
        """An answer had ``x-envoy-immediate-health-check-fail``: the host is unhealthy until an active check passes."""
        if self.config.health_checks and not host.flags & ACTIVE_UNHEALTHY:
            host.flags |= ACTIVE_UNHEALTHY | FAILED_AT_ONCE
            self.refresh()

    def sweep(self, now: float) -> None:
        """To be called about once a second."""
        self.now = now
        if self.outliers is not None and now >= self.outliers.deadline:
            self.outliers.sweep(now)
        if self._stale_at < 0.0:
            self._stale_at = now - self._stale_at
        elif self._stale_at and now >= self._stale_at:
            self._stale_at = 0.0
            self.counters.add("assignment_stale")
            self._place(())
        if self.original_destination:
            self._destinations.sweep(now)

    # What callers counted before there were two priorities.

    @property
    def thresholds(self) -> CircuitBreakerThresholds:
        """Limits of requests of default priority."""
        return self.resources.thresholds

    @property
    def active_connections(self) -> int:
        """Connections that are open or begun."""
        return self.resources.active_connections

    @active_connections.setter
    def active_connections(self, value: int) -> None:
        self.resources.active_connections = value

    @property
    def active_requests(self) -> int:
        """Requests under way."""
        return self.resources.active_requests

    @active_requests.setter
    def active_requests(self, value: int) -> None:
        self.resources.active_requests = value

    @property
    def pending_requests(self) -> int:
        """Requests that wait for a connection."""
        return self.resources.pending_requests

    @pending_requests.setter
    def pending_requests(self, value: int) -> None:
        self.resources.pending_requests = value

    @property
    def active_retries(self) -> int:
        """Retries under way."""
        return self.resources.active_retries

    @active_retries.setter
    def active_retries(self, value: int) -> None:
        self.resources.active_retries = value


def _parts(config: Cluster) -> bool:
    sockets = (config.tls, *(match.socket for match in config.tls_matches))
    announced = any(isinstance(socket, UpstreamProxyProtocol) for socket in sockets)
    return config.http.auto_sni or config.http.auto_san_validation or announced


@cache
def status_counters(status: int) -> tuple[str, str, str]:
    """The counters of a cluster that an answer with that status adds to."""
    return f"upstream_rq_{status}", f"upstream_rq_{status // 100}xx", "upstream_rq_completed"
