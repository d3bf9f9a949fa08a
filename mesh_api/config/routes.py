"""Routing of HTTP requests (Envoy ``route.v3``)."""

from dataclasses import dataclass, field
from enum import Enum

from mesh_api.config.authorization import MetadataMatch
from mesh_api.config.compression import BufferOverride, CompressorOverride
from mesh_api.config.load_balancing import Labels
from mesh_api.config.matchers import HeaderMatch, QueryParameterMatch, StringMatch

MILLION = 1_000_000
"""Denominator of every fraction in this package."""


class PathMatchKind(Enum):
    """``PATH_SEPARATED_PREFIX`` matches ``/a`` and ``/a/b``, not ``/ab``. ``REGEX`` is RE2 on the whole path."""

    EXACT = "path"
    PREFIX = "prefix"
    PATH_SEPARATED_PREFIX = "path_separated_prefix"
    REGEX = "safe_regex"
    CONNECT = "connect_matcher"
    """Requests that ask for a tunnel, which have no path; other conditions on paths hold for none of them."""


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A condition on the path without its query. ``REGEX`` ignores ``case_sensitive``."""

    kind: PathMatchKind
    value: str
    case_sensitive: bool = True


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All conditions must hold. ``runtime_fraction`` (parts per million) takes only that share of the requests.

    ``dynamic_metadata`` asks for what earlier filters left behind, such as the claims of the request's token.
    """

    path: PathMatch
    headers: tuple[HeaderMatch, ...] = ()
    query_parameters: tuple[QueryParameterMatch, ...] = ()
    runtime_fraction: int | None = None
    grpc_only: bool = False
    dynamic_metadata: tuple[MetadataMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderValue:
    """A header to write; ``append`` adds to an existing one, otherwise it is replaced (or added when absent).

    ``only`` writes it where there is none (``ABSENT``), or where there is one to be replaced (``PRESENT``).
    """

    name: str
    value: str
    append: bool = False
    only: str = ""
    keep_empty: bool = False
    """Whether it is written without a value, too."""


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Edits of the request's and the response's headers; values may hold Envoy's command operators."""

    request_set: tuple[HeaderValue, ...] = ()
    request_remove: tuple[str, ...] = ()
    response_set: tuple[HeaderValue, ...] = ()
    response_remove: tuple[str, ...] = ()


NO_EDITS = HeaderEdits()


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    """One of several destinations; the chance is ``weight`` over the sum of all weights."""

    name: str
    weight: int
    edits: HeaderEdits = NO_EDITS
    host_rewrite: str = ""
    metadata_match: Labels = ()
    """Beside those of the action; the same key counts here."""


@dataclass(frozen=True, slots=True)
class RateLimitedBackOff:
    """A host's answer says when to come again: ``reset_headers`` are names and formats (``SECONDS`` or ``UNIX_TIMESTAMP``),
    of which the first that can be read holds, unless it asks for more than ``max_interval`` seconds."""

    reset_headers: tuple[tuple[str, str], ...]
    max_interval: float = 300.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a request is tried again. ``num_retries`` does not count the first attempt.

    ``retry_on`` holds Envoy's names (``connect-failure``, ``refused-stream``, ``5xx``, ``gateway-error``, ``reset``,
    ``reset-before-request``, ``retriable-status-codes``, ``unavailable``, ``cancelled`` ...). Seconds for the times.
    """

    retry_on: tuple[str, ...]
    num_retries: int = 1
    per_try_timeout: float | None = None
    retriable_status_codes: tuple[int, ...] = ()
    host_selection_retry_max_attempts: int = 1
    avoid_previous_hosts: bool = False
    back_off_base: float = 0.025
    back_off_max: float | None = None
    retriable_request_headers: tuple[HeaderMatch, ...] = ()
    other_priorities: bool = False
    """Whether retries go to hosts of another priority (Envoy's ``previous_priorities``)."""
    priority_update_frequency: int = 2
    """After how many attempts another priority is chosen, with ``other_priorities``."""
    omit_canary: bool = False
    omit_host_metadata: Labels = ()
    """Hosts with these labels are avoided."""
    retriable_headers: tuple[HeaderMatch, ...] = ()
    """``retriable-headers``: an answer with one of these is tried again."""
    per_try_idle_timeout: float | None = None
    rate_limited_back_off: RateLimitedBackOff | None = None


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """What a hash is computed from; exactly one of the four is set. A ``terminal`` one is the last when there is a hash."""

    header: str = ""
    cookie: str = ""
    cookie_ttl: float | None = None
    cookie_path: str = ""
    cookie_attributes: tuple[tuple[str, str], ...] = ()
    """Names and values that are written into a cookie that the proxy sets."""
    query_parameter: str = ""
    source_ip: bool = False
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of the request sent to ``cluster`` for ``fraction`` parts per million; its answer is dropped."""

    cluster: str
    fraction: int = MILLION
    disable_shadow_host_suffix: bool = True
    trace_sampled: bool | None = None
    """Whether spans of copies are kept; ``None``: as with the request itself."""


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """Replaces every match of the RE2 ``pattern`` in the path by ``substitution`` (``\\1`` refers to a group)."""

    pattern: str
    substitution: str


@dataclass(frozen=True, slots=True)
class InternalRedirects:
    """Redirects of hosts that the proxy follows by itself: so many in a row, of answers with these codes.

    A redirect is followed to another route than those that were taken before (``previous_routes``), to those named in
    ``allowed_routes`` (``None``: to any), from HTTPS to HTTP and back (``cross_scheme``), or at least not from HTTPS to HTTP
    (``safe_cross_scheme`` with it). ``copied_headers`` go from the redirecting answer into the next request.
    """

    most: int = 1
    codes: tuple[int, ...] = (302,)
    previous_routes: bool = False
    allowed_routes: tuple[str, ...] | None = None
    cross_scheme: bool = False
    safe_cross_scheme: bool = False
    copied_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteAction:
    """Sends the request to one cluster or to one of several by weight (then ``cluster`` is empty).

    ``timeout`` in seconds: ``None`` means Envoy's default of 15 s, ``0`` no limit (what Istio sends when no timeout is
    asked for). ``max_grpc_timeout``: ``None`` ignores ``grpc-timeout``, 0 honours it uncapped, as the request's timeout.
    ``grpc_timeout_header_max`` does the same for the stream's maximum duration. ``cluster_not_found_code`` (404, 500 or
    503) answers when the cluster does not exist.
    """

    cluster: str = ""
    weighted_clusters: tuple[WeightedCluster, ...] = ()
    timeout: float | None = None
    idle_timeout: float | None = None
    max_stream_duration: float | None = None
    max_grpc_timeout: float | None = None
    grpc_timeout_header_max: float | None = None
    grpc_timeout_header_offset: float | None = None
    """Seconds that are taken from what the client gives itself, so that it hears of the end rather than gives up."""
    retry: RetryPolicy | None = None
    prefix_rewrite: str = ""
    regex_rewrite: RegexRewrite | None = None
    host_rewrite: str = ""
    auto_host_rewrite: bool = False
    append_x_forwarded_host: bool = False
    hash_policies: tuple[HashPolicy, ...] = ()
    use_hash_policy: bool = False
    """Whether what ``hash_policies`` say chooses among the weighted clusters; chance does for a request without it."""
    mirrors: tuple[Mirror, ...] = ()
    cluster_not_found_code: int = 503
    upgrades: tuple[str, ...] = ()
    upgrades_off: tuple[str, ...] = ()
    """Upgrades that the connection manager allows, and not here. ``CONNECT`` counts as one."""
    ends_connect: bool = False
    """Whether what comes within the tunnel of CONNECT goes to the host as it is, and not the request for the tunnel."""
    metadata_match: Labels = ()
    """Which of the cluster's ``subsets`` is meant."""
    internal_redirects: InternalRedirects | None = None
    high_priority: bool = False
    """Whether the cluster's ``high_thresholds`` count."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answers with ``code`` and a Location made of the request's URL with the parts that are set replaced."""

    code: int = 301
    scheme: str = ""
    https: bool = False
    host: str = ""
    port: int | None = None
    path: str = ""
    prefix_rewrite: str = ""
    regex_rewrite: RegexRewrite | None = None
    strip_query: bool = False


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answers with ``status`` and ``body``."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class FaultPolicy:
    """Injected faults; percentages are parts per million. ``abort_grpc_status`` or ``abort_http_status`` aborts."""

    delay: float | None = None
    delay_fraction: int = 0
    abort_http_status: int | None = None
    abort_grpc_status: int | None = None
    abort_fraction: int = 0


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Cross-origin rules (Envoy ``cors.v3.CorsPolicy``); empty strings mean "unset"."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: str = ""
    allow_headers: str = ""
    expose_headers: str = ""
    max_age: str = ""
    allow_credentials: bool | None = None
    forward_unmatched_preflights: bool = True


@dataclass(frozen=True, slots=True)
class LocalRateLimit:
    """How many requests pass: a bucket of ``most`` tokens, to which ``fill`` are added every ``interval`` seconds.

    ``enabled`` parts per million of the requests are looked at; ``enforced`` parts of those that find no token are answered
    with ``status`` (of gRPC: ``RESOURCE_EXHAUSTED`` with ``resource_exhausted``, else ``UNAVAILABLE``). ``answer_headers``
    are added to that answer, ``request_headers`` to a request that goes on all the same. ``tells``: answers say what is left
    (``x-ratelimit-limit`` and the like). Without a bucket (``most`` 0) every request passes.
    """

    name: str
    most: int = 0
    fill: int = 1
    interval: float = 1.0
    status: int = 429
    enabled: int = 0
    enforced: int = 0
    answer_headers: tuple[HeaderValue, ...] = ()
    request_headers: tuple[HeaderValue, ...] = ()
    per_connection: bool = False
    tells: bool = False
    resource_exhausted: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One rule: the first whose ``match`` holds decides. ``metadata`` is the ``istio`` filter metadata as pairs.

    ``operation`` is what its requests are called in traces; ``tells_operation``: the proxy at the other end is told
    (Envoy's ``decorator``).
    """

    match: RouteMatch
    action: RouteAction | Redirect | DirectResponse
    name: str = ""
    edits: HeaderEdits = NO_EDITS
    fault: FaultPolicy | None = None
    cors: CorsPolicy | None = None
    rate_limit: LocalRateLimit | None = None
    operation: str = ""
    tells_operation: bool = True
    metadata: tuple[tuple[str, str], ...] = ()
    stat_prefix: str = ""
    """Under which name the requests of the route are counted; empty: they are not counted apart."""
    compressor: CompressorOverride | None = None
    buffer: BufferOverride | None = None


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Rules for the hosts in ``domains``: exact, ``*.suffix``, ``prefix.*`` or ``*``, best match first (as in Envoy)."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    include_request_attempt_count: bool = False
    require_tls: bool = False
    edits: HeaderEdits = NO_EDITS
    cors: CorsPolicy | None = None
    rate_limit: LocalRateLimit | None = None
    compressor: CompressorOverride | None = None
    buffer: BufferOverride | None = None


@dataclass(frozen=True, slots=True)
class RouteConfiguration:
    """A named table of virtual hosts."""

    name: str
    virtual_hosts: tuple[VirtualHost, ...] = ()
    validate_clusters: bool = False
    ignore_port_in_host_matching: bool = False
    max_direct_response_body_size: int = 1024 * 1024
    edits: HeaderEdits = field(default=NO_EDITS)
