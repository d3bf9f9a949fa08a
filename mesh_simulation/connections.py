"""A proxy as a connection meets it: the real listeners and chains, made of a compiled configuration.

What a proxy would find out by looking into the connection (TLS or not, HTTP or not, the server's name) is known here. The
choice among the chains is the proxy's.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    ExtAuthzFilter,
    FilterChain,
    ForwardProxyFilter,
    GrpcWebFilter,
    HeaderEdits,
    HttpConnectionManager,
    HttpProtocolOptions,
    JwtAuthnFilter,
    LbPolicy,
    NetworkRbac,
    ProxyConfig,
    RouteConfiguration,
    SocketAddress,
    TcpProxy,
    VirtualHost,
)
from mesh_proxy.authorization.enforcement import Enforcer
from mesh_proxy.chains import TLS, Arrival
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.routing.table import CompiledHost, RouteTable
from mesh_proxy.snapshot import Chain, HttpChain, ListenerRuntime, Snapshot, TcpChain
from mesh_proxy.telemetry.stats import Counters

HTTP_NAMES = (b"http/1.1", b"h2c", b"http/1.0")
"""What the HTTP inspector calls requests without TLS, of whichever version."""
NEVER = 0.999_999_9
"""The random number with which only what is certain happens: every share below 100 % is missed."""


_ELSEWHERE = (JwtAuthnFilter, ExtAuthzFilter, ForwardProxyFilter, GrpcWebFilter)
"""Filters that are not run here: tokens are told (:mod:`mesh_simulation.tokens`), the rest is named in
:mod:`mesh_simulation.limits`."""

_PLAIN = HttpProtocolOptions()

NO_CHAIN = FilterChain(TcpProxy(""))
"""The configuration of a chain that is not there."""


def certain() -> float:
    """See :data:`NEVER`."""
    return NEVER


class Seen:
    """What is known of a connection: whether TLS, by whose name, with which ALPN; and whether requests of HTTP."""

    __slots__ = ("alpn", "http", "server_name", "tls")

    def __init__(self, *, http: bool, tls: bool = False, server_name: str = "", alpn: tuple[str, ...] = ()) -> None:
        self.http = http
        self.tls = tls
        self.server_name = server_name
        self.alpn = alpn

    @property
    def key(self) -> tuple[Any, ...]:
        """Two with equal keys meet the same chains."""
        return (self.http, self.tls, self.server_name, self.alpn) if self.tls else (self.http, False)

    def arrival(self, destination: tuple[str, int], source: str) -> Arrival:
        """What the inspectors of a listener find."""
        if self.tls:
            protocols = tuple(name.encode() for name in self.alpn)
            return Arrival(destination, source, TLS, self.server_name.lower().encode(), protocols)
        return Arrival(destination, source, protocols=HTTP_NAMES if self.http else ())


class Met(NamedTuple):
    """What a connection comes to: the listener, the chain as it is configured, and as it runs (``None``: there is none)."""

    listener: str
    config: FilterChain
    chain: Chain | None


class Tables:
    """Tables of routes, and the virtual hosts in them, each made once for all proxies that have the very same."""

    def __init__(self) -> None:
        self._tables: dict[int, RouteTable] = {}
        self._hosts: dict[tuple[int, HeaderEdits], CompiledHost] = {}

    def of(self, config: RouteConfiguration) -> RouteTable:
        """The table, which keeps its configuration, and so the id."""
        found = self._tables.get(id(config))
        if found is None:
            found = self._tables[id(config)] = RouteTable(config, self._host)
        return found

    def _host(self, config: VirtualHost, edits: HeaderEdits) -> CompiledHost:
        key = id(config), edits
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = CompiledHost(config, edits)
        return found


def _as_it_is(chain: FilterChain) -> Chain:
    return cast("Chain", chain)


class Proxied:
    """One compiled configuration; listeners, tables and clusters are made when they are asked for.

    ``tables`` are shared by those proxies that have them alike.
    """

    def __init__(self, config: ProxyConfig, tables: Tables) -> None:
        self.config = config
        self._tables = tables
        self._routes = {route.name: route for route in config.routes}
        self._clusters = {cluster.name: cluster for cluster in config.clusters}
        self._endpoints = {assignment.cluster_name: assignment for assignment in config.endpoints}
        self._made: dict[str, ClusterRuntime] = {}
        self._snapshot: Snapshot | None = None
        self._chains: dict[int, Chain] = {}
        self._met: dict[Any, Met] = {}

    def meets(self, destination: tuple[str, int], source: str, seen: Seen, entry: str) -> "Met":
        """The listener and the chain for a connection that was redirected to the listener ``entry``."""
        key = (destination, source, seen.key, entry)
        found = self._met.get(key)
        if found is None:
            snapshot = self._listeners()
            runtime = snapshot.listeners[entry]
            if runtime.config.use_original_dst:
                runtime = snapshot.hand_over(destination) or runtime
            # The listener chooses among chains as they are configured: of many, one will be run.
            chosen = cast("FilterChain | None", runtime.chain(seen.arrival(destination, source)))
            made = None if chosen is None else self._run_time(chosen)
            found = self._met[key] = Met(runtime.name, chosen or NO_CHAIN, made)
        return found

    def listening(self, port: int) -> str | None:
        """The bound listener on a port."""
        for name, runtime in self._listeners().listeners.items():
            address = runtime.config.address
            if isinstance(address, SocketAddress) and address.port == port and runtime.config.bind_to_port:
                return name
        return None

    @property
    def ports(self) -> tuple[int, ...]:
        """Those of the listeners that are bound."""
        bound = {listener.address for listener in self.config.listeners if listener.bind_to_port}
        return tuple(sorted(address.port for address in bound if isinstance(address, SocketAddress)))

    def _listeners(self) -> Snapshot:
        """Everything that listens; chains are as they are configured."""
        found = self._snapshot
        if found is None:
            found = self._snapshot = Snapshot()
            for listener in self.config.listeners:
                runtime = ListenerRuntime(listener, _as_it_is, ())
                found.listeners[listener.name] = runtime
                if not listener.bind_to_port and isinstance(listener.address, SocketAddress):
                    found.by_destination[listener.address.address, listener.address.port] = runtime
        return found

    def _run_time(self, chain: FilterChain) -> Chain:
        made = self._chains.get(id(chain))
        if made is None:
            config = chain.filter
            counters = Counters(config.stat_prefix)
            if isinstance(config, TcpProxy):
                made = TcpChain(config, (), counters)
            else:
                made = HttpChain(_simulated(config), self._table(config), (), counters)
            rules = (guard for guard in chain.guards if isinstance(guard, NetworkRbac))
            made.guards = tuple(Enforcer(guard, Counters(guard.stat_prefix)) for guard in rules)
            self._chains[id(chain)] = made  # the listener keeps the configuration, and so its id
        return made

    def _table(self, config: HttpConnectionManager) -> RouteTable:
        route = config.route_config if config.route_config is not None else self._routes[config.rds_name]
        return self._tables.of(route)

    def cluster(self, name: str) -> ClusterRuntime | None:
        """The cluster; its hosts are the real ones, whatever is asked of the way to them."""
        made = self._made.get(name)
        if made is None and name in self._clusters:
            config = self._clusters[name]
            assignment = self._endpoints.get(config.assignment_name)
            made = self._made[name] = _runtime(config, assignment, certain)
        return made


def _runtime(config: Cluster, assignment: ClusterLoadAssignment | None, random: Callable[[], float]) -> ClusterRuntime:
    """How a host is spoken to and which of several is taken does not decide whether there is one."""
    static = config
    if config.type is ClusterType.FORWARD_PROXY:  # whose host is whichever is asked for
        static = replace(config, type=ClusterType.ORIGINAL_DST, dns_cache=None)
    policy = LbPolicy.CLUSTER_PROVIDED if static.type is ClusterType.ORIGINAL_DST else LbPolicy.ROUND_ROBIN
    if config.type in (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS):
        static = replace(config, type=ClusterType.STATIC)  # names stand for what they resolve to
    return ClusterRuntime(replace(static, http=_PLAIN, lb_policy=policy), assignment, random)


def _simulated(config: HttpConnectionManager) -> HttpConnectionManager:
    kept = tuple(item for item in config.http_filters if not isinstance(item, _ELSEWHERE))
    return config if len(kept) == len(config.http_filters) else replace(config, http_filters=kept)
