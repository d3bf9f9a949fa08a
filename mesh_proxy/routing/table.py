"""A route configuration, compiled: virtual host by host, route by path, headers and query, first match wins."""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from mesh_api.config import (
    BufferOverride,
    CompressorOverride,
    CorsPolicy,
    DirectResponse,
    HeaderEdits,
    PathMatchKind,
    Redirect,
    Route,
    RouteAction,
    RouteConfiguration,
    VirtualHost,
)
from mesh_api.config.load_balancing import Labels
from mesh_api.config.routes import MILLION, InternalRedirects
from mesh_proxy.protocol.http1 import Field, Head, field_of, is_grpc
from mesh_proxy.resilience.rate_limit import RateLimit
from mesh_proxy.resilience.retry import RetryRules
from mesh_proxy.routing.edits import request_edits, response_edits
from mesh_proxy.routing.hash_policies import HashPolicies
from mesh_proxy.routing.hashing import RequestHash
from mesh_proxy.routing.matchers import (
    HeaderTest,
    MatcherError,
    ParameterTest,
    origin_test,
    parse_query,
)
from mesh_proxy.routing.metadata import NOTHING, MetadataTest
from mesh_proxy.routing.path_tests import path_test
from mesh_proxy.routing.paths import RegexReplacement
from mesh_proxy.telemetry.access_log import FormatError
from mesh_proxy.telemetry.operations import told_as

_CACHE_LIMIT: Final = 4096
_CACHED_PATH: Final = 512


class CompiledRoute:
    """One rule with everything that can be prepared."""

    __slots__ = (
        "action", "attempt_count", "buffer", "compressor", "config", "connects", "cors", "cumulative", "destinations",
        "direct", "ends_connect", "fraction", "grpc_only", "hashed", "headers", "high", "keys", "limit",
        "max_grpc_timeout", "metadata", "mirrored", "name", "names_host", "operation", "origins", "parameters", "path",
        "prefix", "prefix_rewrite", "redirect", "redirects", "regex_rewrite", "reply_edits", "retry",
        "tells_grpc_timeout", "timed", "timeout", "timeout_field", "total", "try_field", "upgrades", "upgrades_off",
        "whole_rewrite",
    )  # fmt: skip

    def __init__(self, route: Route, host: VirtualHost, table_edits: HeaderEdits) -> None:
        self.config = route
        self.name = route.name.encode()
        self.operation = told_as(route.operation if route.tells_operation else "")
        """How the proxy at the other end is told what its requests are called in traces."""
        self.path = path_test(route.match.path)
        self.prefix = route.match.path.value.encode() if route.match.path.kind is not PathMatchKind.REGEX else b""
        self.headers = tuple(HeaderTest(match) for match in route.match.headers)
        self.grpc_only: bool = route.match.grpc_only
        self.fraction: int | None = route.match.runtime_fraction
        self.parameters = tuple(ParameterTest(match) for match in route.match.query_parameters)
        self.metadata = tuple(MetadataTest(match) for match in route.match.dynamic_metadata)
        """What filters must have left behind."""
        edits = (route.edits, host.edits, table_edits)
        self.reply_edits = response_edits(*edits)
        self.attempt_count = host.include_request_attempt_count
        action = route.action
        self.action: RouteAction | None = action if isinstance(action, RouteAction) else None
        self.redirect: Redirect | None = action if isinstance(action, Redirect) else None
        self.direct: DirectResponse | None = action if isinstance(action, DirectResponse) else None
        self.cors: CorsPolicy | None = host.cors if route.cors is None else route.cors
        self.origins = () if self.cors is None else tuple(origin_test(match) for match in self.cors.allow_origins)
        self.compressor: CompressorOverride | None = host.compressor if route.compressor is None else route.compressor
        self.buffer: BufferOverride | None = host.buffer if route.buffer is None else route.buffer
        self.timeout: float = 0.0
        self.tells_grpc_timeout: bool = False
        """Whether calls of gRPC are told in ``grpc-timeout`` how much time they have."""
        self.redirects: InternalRedirects | None = None
        """Which redirects of hosts are followed here."""
        self.limit: RateLimit | None = None
        """How often it may be taken; of its own, or its virtual host's."""
        self.connects: bool = route.match.path.kind is PathMatchKind.CONNECT
        """Whether it takes requests for tunnels, and no others."""
        self.ends_connect: bool = False
        self.upgrades: frozenset[bytes] = frozenset()
        self.upgrades_off: frozenset[bytes] = frozenset()
        """What may be upgraded to on this route, whatever holds elsewhere."""
        self.whole_rewrite: bool = route.match.path.kind is PathMatchKind.REGEX
        """Whether a new prefix takes the place of the whole path, all of which was compared."""
        self.timed: bool = False
        """Whether it has limits of time of its own, beside the timeout."""
        self.retry: RetryRules | None = None
        self.keys: HashPolicies | None = None
        """What consistent hashing is by."""
        self.high: bool = False
        """Whether requests are of high priority."""
        self.timeout_field: Field | None = None
        self.try_field: Field | None = None
        """How hosts are told how long they have, and how long where the retry policy gives each attempt a time."""
        self.max_grpc_timeout: float | None = None
        self.mirrored: bool = False
        """Whether copies of requests are sent elsewhere."""
        self.names_host: bool = False
        """Whether hosts are asked for by the names that discovery gives them."""
        self.regex_rewrite: RegexReplacement | None = None
        self.prefix_rewrite: bytes = b""
        self.destinations: tuple[Destination, ...] = ()
        self.cumulative: tuple[int, ...] = ()
        self.total: int = 0
        self.hashed: RequestHash | None = None
        if self.action is not None:
            self._action(self.action, edits)
        if self.redirect is not None and self.redirect.regex_rewrite is not None:
            self.regex_rewrite = RegexReplacement(self.redirect.regex_rewrite)

    def _action(self, action: RouteAction, edits: tuple[HeaderEdits, ...]) -> None:
        self.timeout = 15.0 if action.timeout is None else action.timeout  # Envoy's own default
        own = (action.idle_timeout, action.max_stream_duration, action.grpc_timeout_header_max)
        self.timed = any(limit is not None for limit in own)
        self.timeout_field = timeout_field(self.timeout)
        self.max_grpc_timeout = action.max_grpc_timeout
        self.mirrored, self.names_host = bool(action.mirrors), action.auto_host_rewrite
        self.tells_grpc_timeout = action.max_grpc_timeout is not None and action.max_stream_duration is None
        self.retry = None if action.retry is None else RetryRules(action.retry)
        limit = 0.0 if self.retry is None else self.retry.try_timeout
        self.try_field = timeout_field(min(limit, self.timeout or limit)) if limit else self.timeout_field
        self.keys = HashPolicies(action.hash_policies) if action.hash_policies else None
        self.high = action.high_priority
        self.redirects = action.internal_redirects
        self.ends_connect = action.ends_connect
        on = (*action.upgrades, "connect") if action.ends_connect else action.upgrades
        self.upgrades = frozenset(name.lower().encode() for name in on)
        self.upgrades_off = frozenset(name.lower().encode() for name in action.upgrades_off)
        if action.regex_rewrite is not None:
            self.regex_rewrite = RegexReplacement(action.regex_rewrite)
        self.prefix_rewrite = action.prefix_rewrite.encode()
        self.destinations = tuple(
            Destination(
                item.name,
                item.host_rewrite or action.host_rewrite,
                (item.edits, *edits),
                tuple(sorted({**dict(action.metadata_match), **dict(item.metadata_match)}.items())),
                bool(item.host_rewrite),
            )
            for item in action.weighted_clusters
        ) or (Destination(action.cluster, action.host_rewrite, edits, tuple(sorted(action.metadata_match))),)
        weights = [item.weight for item in action.weighted_clusters]
        self.cumulative = tuple(accumulate(weights))
        self.total = sum(weights)
        if action.use_hash_policy and action.weighted_clusters:
            self.hashed = RequestHash(action.hash_policies)

    def choose(self, random: float, head: Head) -> "Destination":
        """The destination for a random number in [0, 1), or for the hash of the head where the route wants it so."""
        if not self.total:
            return self.destinations[0]
        hashed = None if self.hashed is None else self.hashed.of(head)
        at = int(random * self.total) if hashed is None else hashed % self.total
        place = 0
        for reached in self.cumulative:
            if at < reached:
                break
            place += 1
        return self.destinations[place]


class Destination:
    """A cluster that a route may send to, with what is done to heads on the way there and back.

    Edits are applied from the most to the least specific (Envoy): destination, route, virtual host, route configuration.
    """

    __slots__ = ("cluster", "host_rewrite", "label", "labels", "own_host", "request_edits", "response_edits")

    def __init__(
        self,
        cluster: str,
        host_rewrite: str,
        edits: tuple[HeaderEdits, ...],
        labels: Labels = (),
        own_host: bool = False,
    ) -> None:
        """``labels`` are those of the subset of the cluster's hosts that is meant. ``own_host``: the host that is written is
        not the route's, and of the client's nothing is told (Envoy)."""
        self.labels = labels
        self.own_host = own_host
        self.cluster = cluster
        self.label = cluster.encode()
        self.host_rewrite = host_rewrite.encode()
        self.request_edits = request_edits(*edits)
        self.response_edits = response_edits(*edits)


def timeout_field(seconds: float) -> Field | None:
    """How a host is told how long it has; ``None``: as long as it takes."""
    return field_of(b"x-envoy-expected-rq-timeout-ms", b"%d" % int(seconds * 1000 + 1e-6)) if seconds else None


class CompiledHost:
    """A virtual host. The routes that a path can take are remembered by path, for paths repeat."""

    __slots__ = ("_by_path", "config", "needs_tls", "routes")

    def __init__(self, config: VirtualHost, table_edits: HeaderEdits) -> None:
        self.config = config
        self.needs_tls: bool = config.require_tls
        self.routes = tuple(CompiledRoute(route, config, table_edits) for route in config.routes)
        shared = None if config.rate_limit is None else RateLimit(config.rate_limit)
        for route in self.routes:
            own = route.config.rate_limit
            route.limit = shared if own is None else RateLimit(own)
        self._by_path: dict[bytes, tuple[CompiledRoute, ...]] = {}

    def find(
        self,
        head: Head,
        path: bytes,
        query: bytes,
        random: Callable[[], float],
        metadata: Mapping[str, object] = NOTHING,
    ) -> CompiledRoute | None:
        """The first route that holds; ``path`` is normalised and without its query, ``metadata`` what filters left behind."""
        candidates = self._by_path.get(path)
        if candidates is None:
            candidates = tuple(
                route for route in self.routes if route.connects is not bool(path) and route.path.holds(path)
            )
            if len(path) <= _CACHED_PATH:
                if len(self._by_path) >= _CACHE_LIMIT:
                    self._by_path.clear()
                self._by_path[path] = candidates
        for route in candidates:
            if _holds(route, head, query, random, metadata):
                return route
        return None


def _holds(
    route: CompiledRoute, head: Head, query: bytes, random: Callable[[], float], metadata: Mapping[str, object]
) -> bool:
    for test in route.headers:
        if not test.holds(head):
            return False
    if route.parameters:
        parameters = parse_query(query)
        for parameter in route.parameters:
            if not parameter.holds(parameters):
                return False
    if route.grpc_only and not is_grpc(head):
        return False
    for condition in route.metadata:
        if not condition.holds(metadata):
            return False
    return route.fraction is None or random() * MILLION < route.fraction


class RouteTable:
    """Virtual hosts by domain: exact, then the longest ``*.suffix``, then the longest ``prefix.*``, then ``*`` (Envoy)."""

    __slots__ = ("_any", "_domains", "_exact", "_hosts", "_ignore_port", "_prefixes", "_suffixes", "config")

    def __init__(
        self,
        config: RouteConfiguration,
        compile_host: Callable[[VirtualHost, HeaderEdits], CompiledHost] = CompiledHost,
    ) -> None:
        """``compile_host`` is for whoever has many tables with the same hosts in them."""
        self.config = config
        self._exact: dict[bytes, CompiledHost] = {}
        self._suffixes: list[tuple[bytes, CompiledHost]] = []
        self._prefixes: list[tuple[bytes, CompiledHost]] = []
        self._any: CompiledHost | None = None
        self._domains: set[bytes] = set()
        self._hosts: list[CompiledHost] = []
        self._ignore_port = config.ignore_port_in_host_matching
        for host in config.virtual_hosts:
            try:
                self._add(compile_host(host, config.edits))
            except (MatcherError, FormatError) as error:
                raise MatcherError(f"virtual host {host.name}: {error}") from None
        self._suffixes.sort(key=lambda item: -len(item[0]))
        self._prefixes.sort(key=lambda item: -len(item[0]))

    def _add(self, host: CompiledHost) -> None:
        self._hosts.append(host)
        for domain in host.config.domains:
            name = domain.lower().encode()
            if name in self._domains or b"*" in name.removeprefix(b"*").removesuffix(b"*"):
                # Which of two hosts is meant, nobody can say; Envoy refuses both.
                raise MatcherError(f"the domain {domain} is taken, or has its * in the middle")
            self._domains.add(name)
            if name == b"*":
                self._any = host
            elif name.startswith(b"*"):
                self._suffixes.append((name[1:], host))
            elif name.endswith(b"*"):
                self._prefixes.append((name[:-1], host))
            else:
                self._exact[name] = host

    def limits(self) -> Iterator[RateLimit]:
        """The rate limits of its routes and virtual hosts."""
        for host in self._hosts:
            for route in host.routes:
                if route.limit is not None:
                    yield route.limit

    def host(self, authority: bytes) -> CompiledHost | None:
        """The virtual host for a ``Host`` field."""
        if not self._ignore_port:
            known = self._exact.get(authority)
            if known is not None:
                return known  # as it stands, as nearly all are
        name = authority.lower()
        if self._ignore_port:
            name = without_port(name)
        found = self._exact.get(name)
        if found is not None:
            return found
        for suffix, host in self._suffixes:
            if name.endswith(suffix) and len(name) > len(suffix):
                return host
        for prefix, host in self._prefixes:
            if name.startswith(prefix) and len(name) > len(prefix):
                return host
        return self._any


def without_port(authority: bytes) -> bytes:
    """The host of an authority."""
    host, colon, port = authority.rpartition(b":")
    return host if colon and port.isdigit() and (b":" not in host or host.endswith(b"]")) else authority
