"""A configuration, compiled: complete or not at all. Swapped by one assignment; requests under way keep the one before.

What has a life of its own (hosts with their connections, counters, ejections) is carried over by name, so a swap loses
nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, TypeVar

from mesh_api.config import (
    AnyAccessLog,
    Cluster,
    ConnectionGate,
    ConnectionLimit,
    ConnectionRateLimit,
    DnsCache,
    DownstreamTls,
    FilterChain,
    ForwardProxyFilter,
    GrpcStatsFilter,
    Guard,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    ListenerFilterExemption,
    NetworkExtAuthz,
    NetworkRbac,
    PipeAddress,
    ProxyConfig,
    RouterFilter,
    ServiceMetrics,
    SniForwardProxy,
    SocketAddress,
    TcpProxy,
    TrafficDirection,
    UpstreamTls,
)
from mesh_api.config.secrets import Secret
from mesh_proxy.authorization import Access
from mesh_proxy.authorization.enforcement import Enforcer
from mesh_proxy.chains import Arrival, ChainError, Chains, Fit
from mesh_proxy.cluster import ClusterError, ClusterRuntime, check
from mesh_proxy.filters import Filter, FilterError, compile_filters
from mesh_proxy.filters.ext_authz_connections import ConnectionAuthz
from mesh_proxy.filters.rate_limit import RateLimiter
from mesh_proxy.inside import Inside
from mesh_proxy.limits import Limits
from mesh_proxy.local_replies import ReplyRules
from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.resilience.gates import Gate
from mesh_proxy.resilience.rate_limit import RateLimit
from mesh_proxy.routing.matchers import MatcherError
from mesh_proxy.routing.table import CompiledRoute, RouteTable
from mesh_proxy.support import refused
from mesh_proxy.telemetry.access_log import FormatError
from mesh_proxy.telemetry.logs import Log, log_of
from mesh_proxy.telemetry.service_metrics import Registry, Reporter
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.telemetry.tracing import Tracer
from mesh_proxy.tls.contexts import Tls, TlsError, named
from mesh_proxy.tls.transports import Transports

T = TypeVar("T")
INSPECTORS: Final = (ListenerFilter.TLS_INSPECTOR, ListenerFilter.HTTP_INSPECTOR)
_HTTPS: Final = 443
_INSPECTION: Final = 15.0
"""Seconds in which a client must have said what it speaks (Envoy's default)."""


class SnapshotError(ValueError):
    """A resource that cannot be run: its name and why."""

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(f"{resource}: {reason}")
        self.resource = resource
        self.reason = reason


class _Guarded:
    """What decides, before anything is read, whether a connection may go on; and its TLS."""

    guards: tuple[Enforcer, ...] = ()
    askings: tuple[ConnectionAuthz, ...] = ()
    """Servers that decide; asked after the guards."""
    gates: tuple[Gate, ...] = ()
    """What counts connections; asked before the guards."""
    tls: Tls | None = None
    metrics: Reporter | None = None
    """Counts requests and connections for the mesh; ``None``: the listener is for neither direction."""
    name: bytes = b""
    """Of the filter chain."""
    handshake_seconds: float = 0.0
    """In which a client must be done with TLS; 0: whenever."""

    def refusal(self, access: Access) -> str:
        """Why a connection is refused; empty: it is not. Asked at once, not at the first byte as Envoy does, so that nothing
        is sent to or from a server before it is known who asks."""
        return next(filter(None, (guard.refusal(access) for guard in self.guards)), "")


class RequestTallies:
    """What a connection manager counts of every request, by Envoy's names in its ``stats``."""

    __slots__ = ("classes", "completed", "http2", "routed", "total")

    def __init__(self, stats: Counters) -> None:
        self.total = stats.tally("downstream_rq_total")
        self.http2 = stats.tally("downstream_rq_http2_total")
        self.completed = stats.tally("downstream_rq_completed")
        self.classes = tuple([stats.tally(f"downstream_rq_{digit}xx") for digit in range(10)])
        self.routed = stats.tally("rq_total")


class HttpChain(_Guarded):
    """What a connection manager needs at run time."""

    def __init__(
        self, config: HttpConnectionManager, table: RouteTable, logs: tuple[Log, ...], stats: Counters
    ) -> None:
        if "chain" in config.client_cert_details:
            raise FilterError("the chain of a client's certificate in x-forwarded-client-cert is not supported yet")
        self.config = config
        self.table = table
        self.logs = logs
        self.stats = stats
        self.tallies = RequestTallies(stats)
        self.tracer: Tracer | None = None
        self.filters = compile_filters(config.http_filters, stats)
        counted = [item for item in config.http_filters if isinstance(item, GrpcStatsFilter)]
        self.grpc_stats: GrpcStatsFilter | None = counted[0] if counted else None
        """How calls of gRPC are counted; ``None``: they are not."""
        self.looks_up = any(isinstance(item, ForwardProxyFilter) for item in config.http_filters)
        """Whether hosts that requests name are looked up before they go on."""
        self._concerned: dict[CompiledRoute | None, tuple[Filter, ...]] = {}
        self.server_field = field_of(b"server", config.server_name.encode())
        self.upgrades = frozenset(name.lower().encode() for name in config.upgrades)
        self.max_head = config.max_request_headers_kb * 1024
        self.limits = Limits(config)
        self.strips_host = bool(config.strip_port or config.strip_trailing_host_dot)
        self.replies = None if config.local_replies is None else ReplyRules(config.local_replies)
        """What becomes of answers of our own; ``None``: they stay as they are."""
        self.inside = Inside(config.internal_networks) if config.internal_networks else None
        """Whose requests are the mesh's own; ``None``: nobody's are."""
        self.suppresses = (
            isinstance(config.http_filters[-1], RouterFilter) and config.http_filters[-1].suppress_envoy_headers
        )
        """Whether neither hosts nor clients are told what Envoy tells of itself."""
        self.via = config.via.encode()
        self.overwrites_server = config.server_header_transformation == "OVERWRITE"
        self.adds_server = config.server_header_transformation != "PASS_THROUGH"
        self.own_form: bool = config.normalize_path
        """Whether paths are brought into one form, and slashes that follow each other made one."""
        self.merges_slashes: bool = config.merge_slashes
        self.accepts_http10: bool = config.accept_http_10
        self.edge: bool = config.use_remote_address
        """Whether clients are strangers."""
        self.hops: int = config.xff_num_trusted_hops
        self.tells_origin: bool = not config.skip_xff_append
        self.tells_port: bool = config.append_x_forwarded_port
        self.makes_ids: bool = config.generate_request_id
        self.keeps_ids: bool = config.preserve_external_request_id or not config.use_remote_address
        self.answers_ids: bool = config.always_set_request_id_in_response
        self.escaped_slashes = config.path_with_escaped_slashes_action
        """``KEEP_UNCHANGED`` or what is done about slashes that a path has as escapes."""
        self.underscores = config.headers_with_underscores_action != "ALLOW"
        self.http2 = _http2(config)

    def rate_limits(self) -> Iterator[RateLimit]:
        """Those of its filters, virtual hosts and routes."""
        for item in self.filters:
            if isinstance(item, RateLimiter):
                yield item.limit
                yield from self.table.limits()

    def filters_for(self, route: CompiledRoute | None) -> tuple[Filter, ...]:
        """Those that have something to do with the route (``None``: with what no route takes), in their order."""
        found = self._concerned.get(route)
        if found is None:
            found = self._concerned[route] = tuple(item for item in self.filters if item.concerns(route))
        return found

    def filters_behind(self, item: Filter, route: CompiledRoute | None) -> tuple[Filter, ...]:
        """Of those for the route the ones that come after a filter."""
        behind = self.filters[self.filters.index(item) + 1 :]
        return tuple(one for one in self.filters_for(route) if one in behind)


def _http2(config: HttpConnectionManager) -> Settings:
    """What clients that speak HTTP/2 may do; without a word of the configuration, Envoy's defaults."""
    usual = Settings()
    streams, window, whole = (
        config.max_concurrent_streams, config.initial_stream_window_size, config.initial_connection_window_size
    )  # fmt: skip
    return Settings(
        max_concurrent_streams=usual.max_concurrent_streams if streams is None else streams,
        initial_stream_window_size=usual.initial_stream_window_size if window is None else window,
        initial_connection_window_size=usual.initial_connection_window_size if whole is None else whole,
        max_headers=config.max_request_headers_kb * 1024,
        allow_connect=config.allow_connect,
        max_headers_count=100 if config.max_headers_count is None else config.max_headers_count,
        headers_with_underscores_action=config.headers_with_underscores_action,
    )


class TcpChain(_Guarded):
    """What a TCP proxy needs at run time."""

    def __init__(self, config: TcpProxy, logs: tuple[Log, ...], stats: Counters) -> None:
        self.config = config
        self.logs = logs
        self.stats = stats
        self.clusters = tuple((item.name, item.weight) for item in config.weighted_clusters) or ((config.cluster, 1),)
        self.total = sum(weight for _, weight in self.clusters)
        self.names_port: int = -1
        """Of the host that a connection names by TLS, where that is looked up before bytes go on; -1: it is not."""

    def choose(self, random: float) -> str:
        """The cluster for a random number in [0, 1)."""
        point = random * self.total
        for name, weight in self.clusters:
            point -= weight
            if point < 0:
                return name
        return self.clusters[-1][0]


Chain = HttpChain | TcpChain


class ListenerRuntime:
    """A listener: what looks into its connections, and its chains."""

    def __init__(self, config: Listener, compile_chain: Callable[[FilterChain], Chain], logs: tuple[Log, ...]) -> None:
        self.config = config
        self.name = config.name
        self.logs = logs
        self.inspection_seconds = (
            _INSPECTION if config.listener_filters_timeout is None else config.listener_filters_timeout
        )
        self._chains = Chains([(chain.match, compile_chain(chain)) for chain in config.filter_chains])
        default = config.default_filter_chain
        self.default: Chain | None = None
        if default is not None:
            Fit(default.match)  # what it asks for is not looked at, but must not be what nobody can know
            self.default = compile_chain(default)
        filters = config.listener_filters
        self.wants_original = config.use_original_dst or ListenerFilter.ORIGINAL_DST in filters
        self.keeps_source = ListenerFilter.ORIGINAL_SRC in filters
        """Whether hosts are connected to from the addresses of clients."""
        self._announced = ListenerFilter.PROXY_PROTOCOL in filters
        self.headers = Counters("proxy_proto")
        """Of the PROXY protocol."""
        self._inspectors = tuple(item for item in filters if item in INSPECTORS)
        self._inspectors_of: dict[int, tuple[ListenerFilter, ...]] = {}

    def announced(self, port: int) -> bool:
        """Whether connections to a port begin with a header of the PROXY protocol."""
        return self._announced and not any(
            item.filter is ListenerFilter.PROXY_PROTOCOL and _exempts(item, port)
            for item in self.config.listener_filter_exemptions
        )

    def chain(self, arrival: Arrival) -> Chain | None:
        """The chain for a connection."""
        return self._chains.choose(arrival) or self.default

    def inspectors(self, port: int) -> tuple[ListenerFilter, ...]:
        """What looks into connections to a port before their chain is chosen."""
        found = self._inspectors_of.get(port)
        if found is None:
            off = {item.filter for item in self.config.listener_filter_exemptions if _exempts(item, port)}
            found = self._inspectors_of[port] = tuple(item for item in self._inspectors if item not in off)
        return found


def _exempts(exemption: ListenerFilterExemption, port: int) -> bool:
    return any(start <= port < end for start, end in exemption.ports) is not exemption.invert


class Snapshot:
    """Everything that a worker runs."""

    def __init__(self) -> None:
        self.clusters: dict[str, ClusterRuntime] = {}
        self.listeners: dict[str, ListenerRuntime] = {}
        self.by_destination: dict[tuple[str, int], ListenerRuntime] = {}
        """Listeners that are not bound, by the address that connections are handed over for."""
        self.counters: dict[str, Counters] = {}
        self.registry = Registry()
        """Numbers about services."""
        self.reporters: list[Reporter] = []
        self.gates: dict[tuple[str, str, ConnectionGate], Gate] = {}
        """By the names of listener and filter chain."""
        self.tls: dict[DownstreamTls | UpstreamTls, tuple[tuple[Secret | None, ...], Tls]] = {}
        """What was made of each setting of TLS, with the secrets that it was made of."""

    def hand_over(self, destination: tuple[str, int]) -> ListenerRuntime | None:
        """The listener for an original destination: its very address, else its port on any."""
        found = self.by_destination.get(destination)
        if found is None and ":" in destination[0]:
            found = self.by_destination.get(("::", destination[1]))
        return found or self.by_destination.get(("0.0.0.0", destination[1]))  # noqa: S104 (a listener's name)


class Builder:
    """Makes a snapshot of a configuration, with what lives on from the one before."""

    def __init__(self, before: Snapshot, random: Callable[[], float], secrets: Iterable[Secret] = ()) -> None:
        self._before = before
        self._random = random
        self._secrets = {secret.name: secret for secret in secrets}
        self._made = Snapshot()
        self._made.registry = before.registry
        self._reporters: dict[ServiceMetrics | None, Reporter] = {}
        self._direction = TrafficDirection.UNSPECIFIED
        self._name = ""
        """Of the listener that is made."""
        self._owner = ""
        """The same in statistics."""
        self._tables: dict[str, RouteTable] = {}
        self._caches: dict[str, DnsCache] = {}

    def build(self, config: ProxyConfig) -> Snapshot:
        """The snapshot. Raises :class:`SnapshotError`; the one before is untouched then."""
        missing = config.missing()
        if missing:
            raise SnapshotError(missing[0], "is referred to and not there")
        self._refuse(config)
        for route in config.routes:
            self._tables[route.name] = _guard(f"route configuration {route.name}", partial(RouteTable, route))
        for listener in config.listeners:
            self._listener(listener)
        self._clusters(config)
        return self._made

    @staticmethod
    def _refuse(config: ProxyConfig) -> None:
        """Raises for what would have to be passed over."""
        for kind, resources in (
            ("listener", config.listeners), ("route configuration", config.routes), ("cluster", config.clusters)
        ):  # fmt: skip
            for resource in resources:
                for problem in refused(resource):
                    raise SnapshotError(f"{kind} {resource.name}", problem)

    def _clusters(self, config: ProxyConfig) -> None:
        """Last, as it touches what lives on: every cluster is looked at before one is changed."""
        assignments = {assignment.cluster_name: assignment for assignment in config.endpoints}
        transports: dict[str, Transports] = {}
        for cluster in config.clusters:
            _guard(f"cluster {cluster.name}", partial(check, cluster))
            if cluster.dns_cache is not None:
                _guard(f"cluster {cluster.name}", partial(self._cache, cluster.dns_cache))
                self._counters(f"dns_cache.{cluster.dns_cache.name}")
            transports[cluster.name] = _guard(f"cluster {cluster.name}", partial(self._transports, cluster))
        for cluster in config.clusters:
            assignment = assignments.get(cluster.assignment_name)
            known = self._before.clusters.get(cluster.name)
            if known is not None and known.config.type is cluster.type:
                known.configure(cluster, assignment)
            else:
                known = ClusterRuntime(cluster, assignment, self._random)
            known.transports = transports[cluster.name]
            self._made.clusters[cluster.name] = known

    def _transports(self, cluster: Cluster) -> Transports:
        known = self._before.clusters.get(cluster.name)
        return Transports(cluster, self._tls, None if known is None else known.transports)

    def _tls(self, config: DownstreamTls | UpstreamTls) -> Tls:
        """Made anew only where the secrets are others."""
        used = tuple(self._secrets.get(name) for name in named(config.common))
        known = self._made.tls.get(config) or self._before.tls.get(config)
        if known is None or known[0] != used:
            known = used, Tls(config, self._secrets)
        self._made.tls[config] = known
        return known[1]

    def _listener(self, listener: Listener) -> None:
        name = f"listener {listener.name}"
        self._reporters, self._direction, self._name = {}, listener.traffic_direction, listener.name
        self._owner = scope_of(listener.address)
        made = _guard(name, lambda: ListenerRuntime(listener, self._chain, _logs(listener.access_logs)))
        if ListenerFilter.PROXY_PROTOCOL in listener.listener_filters:
            made.headers = self._counters(made.headers.scope)
        self._made.listeners[listener.name] = made
        if not listener.bind_to_port:
            for address in (listener.address, *listener.additional_addresses):
                if not isinstance(address, PipeAddress):
                    self._made.by_destination[address.address, address.port] = made

    def _chain(self, chain: FilterChain) -> Chain:
        made = self._terminal(chain)
        apart = ServiceMetrics, ConnectionRateLimit, ConnectionLimit, NetworkExtAuthz, SniForwardProxy
        made.guards = tuple(self._enforcer(guard) for guard in chain.guards if not isinstance(guard, apart))
        made.gates = tuple(
            self._gate(chain, guard)
            for guard in chain.guards
            if isinstance(guard, ConnectionRateLimit | ConnectionLimit)
        )
        made.askings = tuple(
            ConnectionAuthz(guard, self._counters(ConnectionAuthz.scope(guard)))
            for guard in chain.guards
            if isinstance(guard, NetworkExtAuthz)
        )
        for guard in chain.guards:
            if isinstance(guard, SniForwardProxy):
                self._names(guard, made)
        made.tls = None if chain.tls is None else self._tls(chain.tls)
        made.name = chain.name.encode()
        made.metrics = self._reporter(chain)
        made.handshake_seconds = chain.connect_timeout or 0.0
        return made

    def _reporter(self, chain: FilterChain) -> Reporter | None:
        """Chains of a listener that ask for the same have one together."""
        if self._direction is TrafficDirection.UNSPECIFIED:
            return None
        filters = chain.filter.http_filters if isinstance(chain.filter, HttpConnectionManager) else chain.guards
        config = next((found for found in filters if isinstance(found, ServiceMetrics)), None)
        known = self._reporters.get(config)
        if known is None:
            inbound = self._direction is TrafficDirection.INBOUND
            known = self._reporters[config] = Reporter(self._made.registry, inbound, config)
            self._made.reporters.append(known)
        return known

    def _gate(self, chain: FilterChain, config: ConnectionGate) -> Gate:
        """One that stays as it was goes on counting."""
        key = self._name, chain.name, config
        known = self._before.gates.get(key) or Gate(config, self._counters(Gate.scope(config)))
        self._made.gates[key] = known
        self._made.counters[known.counters.scope] = known.counters
        return known

    def _names(self, guard: SniForwardProxy, chain: Chain) -> None:
        if not isinstance(chain, TcpChain):
            raise FilterError("server names are looked up for bytes alone")
        chain.names_port = _HTTPS if guard.port is None else guard.port
        self._cache(guard.cache)

    def _cache(self, cache: DnsCache) -> None:
        """Of one name there is one cache, whoever has it."""
        if self._caches.setdefault(cache.name, cache) != cache:
            raise FilterError(f"the DNS cache {cache.name} has other settings elsewhere")

    def _enforcer(self, guard: Guard) -> Enforcer:
        if not isinstance(guard, NetworkRbac):
            raise FilterError(f"{type(guard).__name__} is not supported yet")
        return Enforcer(guard, self._counters(_guard_scope(guard)))

    def _terminal(self, chain: FilterChain) -> Chain:
        config = chain.filter
        logs = _logs(config.access_logs)
        if isinstance(config, TcpProxy):
            return TcpChain(config, logs, self._counters(f"tcp.{config.stat_prefix}"))
        for item in config.http_filters:
            if isinstance(item, ForwardProxyFilter):
                self._cache(item.cache)
        counters = self._counters(f"http.{config.stat_prefix}", self._owner)
        made = HttpChain(config, self._table(config), logs, counters)
        for limit in made.rate_limits():
            limit.counters = self._counters(limit.counters.scope)
        if config.tracing is not None:
            made.tracer = Tracer(config.tracing, config.request_id_samples is not False, self._direction)
        return made

    def _table(self, config: HttpConnectionManager) -> RouteTable:
        return self._tables[config.rds_name] if config.route_config is None else RouteTable(config.route_config)

    def _counters(self, scope: str, owner: str = "") -> Counters:
        key = f"{owner}.{scope}" if owner else scope
        known = self._made.counters.get(key) or self._before.counters.get(key) or Counters(scope, owner)
        self._made.counters[key] = known
        return known


def scope_of(address: SocketAddress | PipeAddress) -> str:
    """A listener's name in statistics (Envoy)."""
    return f"listener.{str(address).replace(':', '_')}"


def _guard_scope(guard: NetworkRbac) -> str:
    return f"{guard.stat_prefix.removesuffix('.')}.rbac"


def _logs(configs: tuple[AnyAccessLog, ...]) -> tuple[Log, ...]:
    return tuple(map(log_of, configs))


def _guard(resource: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (MatcherError, FormatError, FilterError, ClusterError, ChainError, TlsError) as error:
        raise SnapshotError(resource, str(error)) from None
