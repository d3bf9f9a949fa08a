"""Listeners: where connections arrive and what becomes of them (Envoy ``listener.v3``)."""

from dataclasses import dataclass
from enum import Enum

from mesh_api.config.access_log import AnyAccessLog
from mesh_api.config.authorization import NetworkRbac
from mesh_api.config.connection_filters import ConnectionLimit, ConnectionRateLimit
from mesh_api.config.external_authorization import NetworkExtAuthz
from mesh_api.config.filters import HttpFilter
from mesh_api.config.forward_proxy import SniForwardProxy
from mesh_api.config.local_replies import LocalReplies
from mesh_api.config.routes import RouteConfiguration, WeightedCluster
from mesh_api.config.service_metrics import ServiceMetrics
from mesh_api.config.sockets import PipeAddress, SocketAddress
from mesh_api.config.tls import DownstreamTls
from mesh_api.config.tracing import Tracing


class TrafficDirection(Enum):
    """Which way the traffic of a listener runs, seen from the workload."""

    UNSPECIFIED = "UNSPECIFIED"
    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class ListenerFilter(Enum):
    """What is learnt of a connection before its filter chain is chosen."""

    ORIGINAL_DST = "envoy.filters.listener.original_dst"
    ORIGINAL_SRC = "envoy.filters.listener.original_src"
    """Connections to the application come from the address of the client, with Istio's mark on their packets."""
    TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
    HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
    PROXY_PROTOCOL = "envoy.filters.listener.proxy_protocol"


@dataclass(frozen=True, slots=True)
class ListenerFilterExemption:
    """Destination ports on which a listener filter stays off, so that a server which speaks first is not waited for.

    ``ports`` are half-open ranges ``(start, end)``. ``invert``: the filter is off everywhere but on these ports.
    """

    filter: ListenerFilter
    ports: tuple[tuple[int, int], ...]
    invert: bool = False


@dataclass(frozen=True, slots=True)
class ProxyProtocol:
    """How a listener with the filter :attr:`ListenerFilter.PROXY_PROTOCOL` takes the header of the PROXY protocol.

    ``optional``: connections that do not begin with one are what they are; else they are closed. ``disallowed`` are versions
    (``V1``, ``V2``) that are not taken.
    """

    optional: bool = False
    disallowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    """Conditions on a connection; an empty field does not restrict. Prefixes are CIDR strings.

    Envoy's order of precedence: destination port, destination address, server name, transport protocol (``raw_buffer``,
    ``tls``), application protocols, source address.
    """

    destination_port: int | None = None
    prefix_ranges: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    source_prefix_ranges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpConnectionManager:
    """HTTP on a connection. The routes are inline (``route_config``) or discovered under ``rds_name``.

    ``codec`` is ``AUTO``, ``HTTP1`` or ``HTTP2``. Seconds for the timeouts, 0 switches one off, ``None`` is Envoy's default
    (stream idle 300 s, idle 1 h, request headers none). ``server_name`` goes into the ``server`` header.
    ``client_cert_details`` are the parts of the client's certificate (``subject``, ``cert``, ``chain``, ``dns``, ``uri``)
    that go into ``x-forwarded-client-cert``. ``proxy_100_continue``: leave ``expect: 100-continue`` to the upstream.
    """

    stat_prefix: str
    http_filters: tuple[HttpFilter, ...]
    rds_name: str = ""
    route_config: RouteConfiguration | None = None
    codec: str = "AUTO"
    access_logs: tuple[AnyAccessLog, ...] = ()
    server_name: str = "envoy"
    server_header_transformation: str = "OVERWRITE"
    use_remote_address: bool = False
    xff_num_trusted_hops: int = 0
    skip_xff_append: bool = False
    """Whether the client's address is not added to ``x-forwarded-for``."""
    via: str = ""
    """What is added to ``via`` of requests and of answers."""
    strip_port: str = ""
    """The port in a request's host is dropped: ``MATCHING`` where it is the listener's, ``ANY`` in any case."""
    strip_trailing_host_dot: bool = False
    generate_request_id: bool = True
    request_id_samples: bool | None = None
    """Whether the id of a request tells which ones are traced (``UuidRequestIdConfig``); ``None``: Envoy's default, yes."""
    preserve_external_request_id: bool = False
    always_set_request_id_in_response: bool = False
    normalize_path: bool = False
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = "KEEP_UNCHANGED"
    stream_idle_timeout: float | None = None
    idle_timeout: float | None = None
    request_timeout: float | None = None
    request_headers_timeout: float | None = None
    max_request_headers_kb: int = 60
    upgrades: tuple[str, ...] = ()
    allow_connect: bool = False
    """Whether clients of HTTP/2 are told that they may ask for other protocols (RFC 8441)."""
    forward_client_cert: str = "SANITIZE"
    client_cert_details: tuple[str, ...] = ()
    proxy_100_continue: bool = False
    accept_http_10: bool = False
    allow_absolute_url: bool | None = None
    """Whether HTTP/1.1 may name the whole URL, as clients of a proxy do; ``None``: Envoy's default, yes."""
    suppress_route_server_header: bool = False
    tracing: Tracing | None = None
    local_replies: LocalReplies | None = None
    """What becomes of the answers that the proxy gives by itself; ``None``: they stay as they are."""
    append_x_forwarded_port: bool = False
    preserve_header_case: bool = False
    """Whether names of headers keep their case over HTTP/1."""
    internal_networks: tuple[str, ...] = ()
    """Addresses (CIDR) whose requests count as the mesh's own; none: Envoy's choice."""
    max_connection_duration: float | None = None
    max_stream_duration: float | None = None
    max_requests_per_connection: int = 0
    """After so many requests a connection is ended; 0: never."""
    max_headers_count: int | None = None
    """Fields that a request may have; ``None`` is Envoy's default, 100."""
    drain_timeout: float | None = None
    """Between the announcement of a connection's end and the end."""
    headers_with_underscores_action: str = "ALLOW"
    """``ALLOW``, ``REJECT_REQUEST`` or ``DROP_HEADER``."""
    max_concurrent_streams: int | None = None
    initial_stream_window_size: int | None = None
    initial_connection_window_size: int | None = None
    """Of HTTP/2, the windows in bytes; ``None`` is Envoy's default."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Bytes travel within a request of HTTP: a proxy is asked (``CONNECT``, or ``POST``) for ``hostname``, ``HOST:PORT``."""

    hostname: str
    use_post: bool = False


@dataclass(frozen=True, slots=True)
class TcpProxy:
    """Bytes on a connection, sent to one cluster or to one of several by weight (then ``cluster`` is empty)."""

    stat_prefix: str
    cluster: str = ""
    weighted_clusters: tuple[WeightedCluster, ...] = ()
    access_logs: tuple[AnyAccessLog, ...] = ()
    idle_timeout: float | None = None
    max_connect_attempts: int = 1
    max_connection_duration: float | None = None
    """Seconds after which a connection is closed in any case."""
    mongo_statistics: str = ""
    """Name under which messages of MongoDB are counted (Envoy's filter before this one); empty: they are not read."""
    hash_source_ip: bool = False
    """Whether a consistent hash takes the client's address."""
    tunnel: Tunnel | None = None


NetworkFilter = HttpConnectionManager | TcpProxy
"""The terminal filter of a chain; others that istiod lists (statistics, metadata exchange) are ignored by name."""


Guard = NetworkRbac | NetworkExtAuthz | SniForwardProxy | ServiceMetrics | ConnectionRateLimit | ConnectionLimit
"""What decides whether a connection may go on, finds out where to, or counts it."""


@dataclass(frozen=True, slots=True)
class FilterChain:
    """One way to treat a connection. ``guards`` are asked before ``filter``, in their order, whether it may go on.

    ``connect_timeout``: seconds for the handshake of ``tls``. ``metadata`` is the ``istio`` filter metadata as pairs.
    """

    filter: NetworkFilter
    name: str = ""
    match: FilterChainMatch = FilterChainMatch()
    guards: tuple[Guard, ...] = ()
    tls: DownstreamTls | None = None
    connect_timeout: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and its filter chains.

    ``bind_to_port`` False: never bound, connections are handed over by the listener with ``use_original_dst``, by original
    destination (exact address and port first, then ``0.0.0.0`` and port), as Envoy does.
    """

    name: str
    address: SocketAddress | PipeAddress
    filter_chains: tuple[FilterChain, ...] = ()
    default_filter_chain: FilterChain | None = None
    listener_filters: tuple[ListenerFilter, ...] = ()
    listener_filter_exemptions: tuple[ListenerFilterExemption, ...] = ()
    bind_to_port: bool = True
    use_original_dst: bool = False
    traffic_direction: TrafficDirection = TrafficDirection.UNSPECIFIED
    access_logs: tuple[AnyAccessLog, ...] = ()
    listener_filters_timeout: float | None = None
    continue_on_listener_filters_timeout: bool = False
    transparent: bool = False
    """Whether connections keep the addresses that they were redirected from (``TPROXY``)."""
    additional_addresses: tuple[SocketAddress, ...] = ()
    """Where it listens besides, as for the other version of IP."""
    max_connections_per_event: int | None = None
    """How many connections are accepted before other work gets its turn; ``None``: as many as there are."""
    per_connection_buffer_limit: int | None = None
    """Bytes that a connection may buffer on either side; ``None`` is Envoy's default, 1 MiB."""
    exact_balance: bool = False
    """Whether each of Envoy's threads gets as many connections as any other."""
    proxy_protocol: ProxyProtocol = ProxyProtocol()
