"""Hypothesis strategies for every dataclass of ``mesh_api.config``, within what the wire can carry and Envoy accepts."""

import dataclasses
from ipaddress import ip_network

from hypothesis import strategies as st

from mesh_api import config as c
from mesh_api.config.authorization import MetadataMatch
from mesh_api.config.health_checks import GrpcCheck, HealthCheck, HostCheck, HttpCheck, TcpCheck
from mesh_api.config.load_balancing import Subsets, SubsetSelector
from mesh_api.config.routes import MILLION, InternalRedirects, LocalRateLimit, RateLimitedBackOff
from tests.support.authorization_strategies import HTTP_RBAC, NETWORK_RBAC

NAMES = st.from_regex(r"[a-z][a-z0-9|._-]{0,15}", fullmatch=True)
TOKENS = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%"), min_size=1, max_size=12)
REGEXES = st.sampled_from(["/api/.*", "v[0-9]+", "(a|b)+", r"/x/([^/]+)/y"])
PORTS = st.integers(1, 65535)
PARTS = st.integers(0, MILLION)
SECONDS = st.integers(0, 10**8).map(lambda milliseconds: milliseconds / 1000)
POSITIVE = st.integers(2, 10**7).map(lambda milliseconds: milliseconds / 1000)
UINT32 = st.integers(1, 2**32 - 1)
PERCENT = st.integers(0, 100)
IP = st.ip_addresses().map(str)
IP4 = st.ip_addresses(v=4).map(str)
CIDRS = st.builds(lambda address, length: f"{address}/{length}", IP4, st.integers(0, 32))


def optional(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def tuples(strategy: st.SearchStrategy, *, least: int = 0, most: int = 2, by=None) -> st.SearchStrategy:
    """Tuples of distinct values, by ``by`` where given."""
    return st.lists(strategy, min_size=least, max_size=most, unique_by=by).map(tuple)


def pairs(values: st.SearchStrategy = TEXTS) -> st.SearchStrategy:
    """Pairs sorted by key, as maps come back from the wire."""
    return st.dictionaries(NAMES, values, max_size=2).map(lambda found: tuple(sorted(found.items())))


SOCKETS = st.builds(c.SocketAddress, IP, PORTS)
PIPES = st.builds(c.PipeAddress, st.from_regex(r"/run/[a-z]{1,8}", fullmatch=True))
ADDRESSES = SOCKETS | PIPES

STRING_MATCHES = st.builds(
    c.StringMatch,
    st.sampled_from(["exact", "prefix", "suffix", "contains"]).map(c.StringMatchKind),
    TEXTS,
    st.booleans(),
) | st.builds(c.StringMatch, st.just(c.StringMatchKind.REGEX), REGEXES)

HEADER_MATCHES = st.one_of(
    st.builds(
        c.HeaderMatch,
        name=TOKENS | st.just(":method"),
        match=STRING_MATCHES,
        invert=st.booleans(),
        treat_missing_as_empty=st.booleans(),
    ),
    st.builds(c.HeaderMatch, name=TOKENS, present=st.booleans(), invert=st.booleans()),
    st.builds(c.HeaderMatch, name=TOKENS, range_start=st.integers(-9, 9), range_end=st.integers(10, 99)),
)
QUERY_MATCHES = st.builds(c.QueryParameterMatch, NAMES, STRING_MATCHES) | st.builds(
    c.QueryParameterMatch, NAMES, st.none(), st.booleans()
)

FLAGS = tuples(st.sampled_from(["NR", "UH"]), by=lambda flag: flag)
FORMATTERS = st.sampled_from([(), ("envoy.formatter.req_without_query",), ("envoy.formatter.metadata",)])
EXPRESSIONS = st.sampled_from(["", "response.code >= 400"])
LEAF_FILTERS: st.SearchStrategy[c.LogFilter] = st.one_of(
    st.builds(c.StatusCodeFilter, st.sampled_from(["EQ", "GE", "LE", "NE"]), st.integers(0, 999)),
    st.builds(c.DurationFilter, st.sampled_from(["EQ", "GE", "LE", "NE"]), st.integers(0, 9999)),
    st.builds(c.HeaderFilter, HEADER_MATCHES),
    st.builds(c.GrpcStatusFilter, tuples(st.integers(0, 16)), st.booleans()),
    st.builds(c.LogTypeFilter, tuples(st.sampled_from(["DownstreamEnd", "TcpConnectionEnd"])), st.booleans()),
    st.builds(c.SampleFilter, st.integers(0, 1_000_000), st.booleans()),
    st.just(c.ResponseFlagFilter()),
    st.just(c.NotHealthCheckFilter()),
    st.just(c.TraceableFilter()),
)
TWO_FILTERS = st.tuples(LEAF_FILTERS, LEAF_FILTERS)
LOG_FILTERS = st.none() | LEAF_FILTERS | st.builds(c.AnyOf, TWO_FILTERS) | st.builds(c.AllOf, TWO_FILTERS)
SENT_LOG = {
    "log_name": NAMES,
    "cluster": NAMES,
    "authority": st.just("") | NAMES,
    "filter_state_objects": tuples(NAMES),
    "response_flags": FLAGS,
    "expression": EXPRESSIONS,
}
SENT_LOGS = st.one_of(
    st.builds(
        c.GrpcAccessLog,
        **SENT_LOG,
        request_headers=tuples(TOKENS),
        response_headers=tuples(TOKENS),
        response_trailers=tuples(TOKENS),
    ),
    st.builds(c.GrpcAccessLog, **SENT_LOG, tcp=st.just(True)),
    st.builds(
        c.OpenTelemetryAccessLog,
        **SENT_LOG,
        body=st.just("") | TEXTS,
        attributes=pairs(),
        builtin_labels=st.booleans(),
        formatters=FORMATTERS,
    ),
)
"""To clusters that must be there."""
ACCESS_LOGS = st.one_of(
    st.builds(
        c.AccessLog,
        path=st.just("/dev/null"),
        text_format=st.just("%START_TIME% %RESPONSE_CODE%\n"),
        response_flags=FLAGS,
        omit_empty_values=st.booleans(),
        formatters=FORMATTERS,
        expression=EXPRESSIONS,
    ),
    st.builds(c.AccessLog, path=st.sampled_from(["/dev/null", "/dev/stderr"]), filter=LOG_FILTERS),
    st.builds(
        c.AccessLog, path=st.just("/dev/null"), json_object=st.sampled_from(['{"a":{"b":"%PROTOCOL%"}}', '{"a":1.5}'])
    ),
    st.builds(
        c.AccessLog,
        path=st.just("/dev/null"),
        json_format=st.dictionaries(NAMES, st.just("%RESPONSE_CODE%"), min_size=1, max_size=2).map(
            lambda found: tuple(sorted(found.items()))
        ),
    ),
)

# --- services --------------------------------------------------------------------------------------------------------
HEADER_PAIRS = tuples(st.tuples(TOKENS, TEXTS))
HTTP_SERVICES = st.builds(c.HttpService, st.just("http://a.example/b"), NAMES, POSITIVE, HEADER_PAIRS)
GRPC_SERVICES = st.builds(c.GrpcService, NAMES, st.just("") | NAMES, optional(POSITIVE), HEADER_PAIRS)

# --- TLS -------------------------------------------------------------------------------------------------------------
SECRETS = (
    st.builds(c.SecretSource, NAMES, st.just(""), st.just(""), st.booleans())
    | st.builds(c.SecretSource, NAMES, NAMES, st.just("") | NAMES, st.booleans())
    | st.builds(c.SecretSource, NAMES, static=st.just(True))
)
DATA = st.builds(c.DataSource, st.just("/etc/tls.pem")) | st.builds(c.DataSource, inline=st.just(b"content"))
TLS_PARAMETERS = st.builds(
    c.TlsParameters,
    minimum_version=st.sampled_from(["", "TLSv1_2", "TLSv1_3"]),
    maximum_version=st.sampled_from(["", "TLSv1_3"]),
    cipher_suites=st.sampled_from([(), ("ECDHE-RSA-AES128-GCM-SHA256",)]),
    ecdh_curves=st.sampled_from([(), ("P-256", "X25519")]),
)
VALIDATIONS = st.builds(
    c.CertificateValidation,
    roots=SECRETS,
    trusted_ca=st.none(),
    subject_alt_names=tuples(STRING_MATCHES),
    spki=st.just(()) | st.just(("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=",)),
    hashes=st.just(()) | st.just(("df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a",)),
    crl=optional(DATA),
    accept_untrusted=st.booleans(),
) | st.builds(c.CertificateValidation, trusted_ca=DATA, subject_alt_names=tuples(STRING_MATCHES))
COMMON_TLS = st.builds(
    c.CommonTls,
    certificates=tuples(SECRETS, by=lambda secret: secret.name, most=1),
    validation=optional(VALIDATIONS),
    alpn=st.sampled_from([(), ("h2", "http/1.1")]),
    parameters=TLS_PARAMETERS,
    tls_certificates=tuples(st.builds(c.CertificateSource, DATA, DATA), most=1),
)
DOWNSTREAM_TLS = st.builds(c.DownstreamTls, COMMON_TLS, require_client_certificate=optional(st.booleans()))
UPSTREAM_TLS = st.builds(
    c.UpstreamTls,
    COMMON_TLS,
    sni=st.just("") | NAMES,
    auto_host_sni=st.booleans(),
    auto_sni_san_validation=st.booleans(),
    max_session_keys=st.sampled_from([0, 1, 4]),
)
_PLAIN_SOCKETS = UPSTREAM_TLS | st.just(c.RawBuffer())
UPSTREAM_SOCKETS = _PLAIN_SOCKETS | st.builds(
    c.UpstreamProxyProtocol, st.sampled_from(["V1", "V2"]), optional(_PLAIN_SOCKETS)
)
SOCKET_MATCHES = st.builds(c.TransportSocketMatch, name=NAMES, match=pairs(), socket=UPSTREAM_SOCKETS)

LABELS = st.dictionaries(NAMES, st.sampled_from(['"v1"', "1", "true", '["a","b"]']), max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)

# --- endpoints -------------------------------------------------------------------------------------------------------
ENDPOINTS = st.builds(
    c.Endpoint,
    address=SOCKETS,
    weight=st.integers(1, 1000),
    health=st.sampled_from(c.HealthStatus),
    hostname=st.just("") | NAMES,
    tls_mode=st.sampled_from(["", "istio"]),
    metadata=pairs(),
    lb_metadata=LABELS,
    health_check=optional(
        st.builds(
            HostCheck, st.sampled_from([0, 8080]), st.sampled_from(["", "10.0.0.9"]), hostname=st.just("") | NAMES
        )
    ),
)
LOCALITIES = st.builds(
    c.LocalityEndpoints,
    endpoints=tuples(ENDPOINTS, by=lambda endpoint: str(endpoint.address)),
    region=st.just("") | NAMES,
    zone=st.just("") | NAMES,
    sub_zone=st.just("") | NAMES,
    weight=optional(st.integers(1, 1000)),
)


def assignments(names: st.SearchStrategy = NAMES) -> st.SearchStrategy:
    """Envoy refuses a gap in the priorities, so they count from 0."""
    return st.builds(
        c.ClusterLoadAssignment,
        cluster_name=names,
        localities=st.lists(LOCALITIES, max_size=2).map(
            lambda found: tuple(
                c.LocalityEndpoints(
                    one.endpoints, one.region, one.zone, one.sub_zone, priority=index, weight=one.weight
                )
                for index, one in enumerate(found)
            )
        ),
        overprovisioning_factor=st.integers(100, 200),
        drop_overloads=st.sampled_from([(), (("throttle", 250_000),)]),
        weighted_priority_health=st.booleans(),
    )


# --- clusters --------------------------------------------------------------------------------------------------------
HTTP_PROTOCOLS = (
    st.builds(
        c.HttpProtocolOptions,
        protocol=st.sampled_from(["http2", "downstream"]),
        idle_timeout=optional(SECONDS),
        max_connection_duration=optional(POSITIVE),
        max_requests_per_connection=st.integers(0, 9),
        max_concurrent_streams=optional(st.integers(1, 2**31 - 1)),
        auto_sni=st.booleans(),
        auto_san_validation=st.booleans(),
        max_stream_duration=optional(SECONDS),
    )
    | st.builds(
        c.HttpProtocolOptions,
        idle_timeout=optional(SECONDS),
        max_requests_per_connection=st.integers(0, 9),
        preserve_header_case=st.booleans(),
    )
    | st.builds(c.HttpProtocolOptions, protocol=st.just("http2"), keepalive=st.tuples(POSITIVE, POSITIVE))
)

OUTLIERS = st.builds(
    c.OutlierDetection,
    consecutive_5xx=UINT32,
    consecutive_gateway_failure=UINT32,
    consecutive_local_origin_failure=UINT32,
    interval=POSITIVE,
    base_ejection_time=st.just(30.0),
    max_ejection_time=st.just(300.0) | st.just(40.5),
    max_ejection_percent=PERCENT,
    enforcing_consecutive_5xx=PERCENT,
    enforcing_consecutive_gateway_failure=PERCENT,
    enforcing_consecutive_local_origin_failure=PERCENT,
    enforcing_success_rate=PERCENT,
    success_rate_minimum_hosts=UINT32,
    success_rate_request_volume=UINT32,
    success_rate_stdev_factor=UINT32,
    failure_percentage_threshold=PERCENT,
    enforcing_failure_percentage=PERCENT,
    enforcing_failure_percentage_local_origin=PERCENT,
    failure_percentage_minimum_hosts=UINT32,
    failure_percentage_request_volume=UINT32,
    max_ejection_time_jitter=st.sampled_from([0.0, 1.5]),
    successful_active_health_check_uneject_host=st.booleans(),
    always_eject_one_host=st.booleans(),
).flatmap(
    lambda made: (
        st.just(made)
        | st.builds(
            dataclasses.replace,
            st.just(made),
            split_external_local_origin_errors=st.just(True),
            enforcing_local_origin_success_rate=PERCENT,
        )
    )
)
SLOW_STARTS = st.builds(
    c.SlowStart,
    window=POSITIVE,
    aggression=st.sampled_from([0.5, 1.0, 2.0, None]),
    min_weight_percent=optional(PERCENT.map(float)),
)
BUDGETS = st.builds(c.RetryBudget, PERCENT.map(float), UINT32, st.sampled_from([0.0, 0.1, 10.0]))
ZONES = st.builds(c.ZoneAware, optional(PERCENT.map(float)), optional(st.integers(1, 9)), st.booleans())
THRESHOLDS = st.builds(
    c.CircuitBreakerThresholds,
    UINT32,
    UINT32,
    UINT32,
    UINT32,
    retry_budget=optional(BUDGETS),
    max_connection_pools=optional(UINT32),
)
SUBSETS = st.builds(
    Subsets,
    st.sampled_from([(SubsetSelector(("a", "b")), SubsetSelector(("c",), "NO_FALLBACK", single_host=True))])
    | st.just((SubsetSelector(("a", "b"), "KEYS_SUBSET", ("a",)),)),
    st.sampled_from(["NO_FALLBACK", "ANY_ENDPOINT"]),
    panic_mode_any=st.booleans(),
    list_as_any=st.booleans(),
) | st.just(Subsets((SubsetSelector(("a",)),), "DEFAULT_SUBSET", (("a", '"b"'),)))
STATUS_RANGES = st.sampled_from([((200, 201),), ((200, 300), (401, 402))])
HEALTH_CHECKS = st.builds(
    HealthCheck,
    st.builds(
        HttpCheck,
        st.just("/healthz"),
        st.just("") | NAMES,
        st.sampled_from(["GET", "HEAD", "POST"]),
        expected=STATUS_RANGES,
        retriable=st.sampled_from([(), ((503, 504),)]),
        http2=st.booleans(),
    )
    | st.builds(TcpCheck, st.sampled_from([b"", b"ping"]), st.sampled_from([(), (b"po", b"ng")]))
    | st.builds(GrpcCheck, st.just("") | NAMES, st.just("") | NAMES),
    timeout=POSITIVE,
    interval=POSITIVE,
    unhealthy_threshold=st.integers(1, 9),
    healthy_threshold=st.integers(1, 9),
    initial_jitter=st.sampled_from([0.0, 0.5]),
    interval_jitter=st.sampled_from([0.0, 0.5]),
    interval_jitter_percent=PERCENT,
    no_traffic_interval=optional(POSITIVE),
    no_traffic_healthy_interval=optional(POSITIVE),
    unhealthy_interval=optional(POSITIVE),
    unhealthy_edge_interval=optional(POSITIVE),
    healthy_edge_interval=optional(POSITIVE),
    alt_port=optional(PORTS),
    reuse_connection=st.booleans(),
    always_log_failures=st.booleans(),
)
BALANCING = st.one_of(
    st.fixed_dictionaries({"lb_policy": st.just(c.LbPolicy.RANDOM)}),
    st.fixed_dictionaries({"lb_policy": st.just(c.LbPolicy.ROUND_ROBIN), "slow_start": optional(SLOW_STARTS)}),
    st.fixed_dictionaries(
        {
            "lb_policy": st.just(c.LbPolicy.LEAST_REQUEST),
            "slow_start": optional(SLOW_STARTS),
            "least_request_choice_count": st.integers(2, 9),
            "active_request_bias": st.sampled_from([1.0, 0.0, 0.5, 2.0]),
        }
    ),
    st.fixed_dictionaries(
        {
            "lb_policy": st.just(c.LbPolicy.RING_HASH),
            "ring_hash": optional(
                st.builds(
                    c.RingHashConfig,
                    st.integers(1, 1024),
                    st.integers(1024, 2048),
                    hash_function=st.sampled_from(["XX_HASH", "MURMUR_HASH_2"]),
                )
            ),
            "use_hostname_for_hashing": st.booleans(),
            "hash_balance_factor": st.sampled_from([0, 150]),
        }
    ),
    st.fixed_dictionaries(
        {
            "lb_policy": st.just(c.LbPolicy.MAGLEV),
            "ring_hash": optional(st.builds(c.RingHashConfig, table_size=st.sampled_from([2053, 65537]))),
        }
    ),
)
COMMON = {
    "connect_timeout": POSITIVE,
    "thresholds": optional(THRESHOLDS),
    "high_thresholds": optional(THRESHOLDS),
    "max_connections_per_host": optional(UINT32),
    "health_checks": tuples(HEALTH_CHECKS, most=1),
    "subsets": optional(SUBSETS),
    "ignore_new_hosts_until_first_hc": st.booleans(),
    "ignore_health_on_host_removal": st.booleans(),
    "outlier_detection": optional(OUTLIERS),
    "healthy_panic_threshold": PERCENT.map(float),
    "http": HTTP_PROTOCOLS,
    "tcp_keepalive": optional(st.tuples(*[optional(st.integers(1, 99))] * 3)),
    "dns_jitter": optional(POSITIVE),
    "dns_max_queries": optional(st.integers(1, 1000)),
    "tls": optional(UPSTREAM_SOCKETS),
    "tls_matches": tuples(SOCKET_MATCHES, by=lambda match: match.name),
    "services": tuples(st.builds(c.ServiceName, NAMES, NAMES, NAMES)),
    "external": st.booleans(),
    "metadata": pairs(),
    "alt_stat_name": st.just("") | NAMES,
}

BINDS = st.sampled_from(
    [{}, {"bind_address": "127.0.0.6"}, {"bind_address": "127.0.0.6", "extra_bind_addresses": ("::6",)}]
)


def _taken(cluster: c.Cluster) -> c.Cluster:
    """Without what Envoy refuses beside the rest: checks of gRPC without HTTP/2, and names of hosts that have none."""
    checks = tuple(
        check
        for check in cluster.health_checks
        if cluster.http.protocol == "http2" or not isinstance(check.check, GrpcCheck)
    )
    named = cluster.use_hostname_for_hashing and cluster.type is c.ClusterType.STRICT_DNS
    return dataclasses.replace(cluster, health_checks=checks, use_hostname_for_hashing=named)


DNS_CACHES = st.sampled_from(
    [
        c.DnsCache("all"),
        c.DnsCache("few", "V4_ONLY", 5),
        c.DnsCache("own", "ALL", resolvers=(c.SocketAddress("127.0.0.1", 15053),)),
        c.DnsCache("timed", "AUTO", None, (), 20.0, (2.0, 30.0), 6.0, 7.5, 2.5),
    ]
)
"""All that are in use: of one name there is one cache."""


def clusters(name: st.SearchStrategy = NAMES, *, inline_only: bool = False) -> st.SearchStrategy:
    """Each type with the settings that belong to it. ``inline_only``: without secrets, which are discovered."""
    common = COMMON | ({"tls": st.none(), "tls_matches": st.just(())} if inline_only else {})
    kinds = st.one_of(
        st.fixed_dictionaries({"type": st.just(c.ClusterType.STATIC), "load_assignment": optional(assignments())}),
        st.fixed_dictionaries({"type": st.just(c.ClusterType.EDS), "eds_service_name": st.just("") | NAMES}),
        st.fixed_dictionaries(
            {
                "type": st.just(c.ClusterType.STRICT_DNS),
                "load_assignment": assignments(),
                "dns_refresh_rate": POSITIVE,
                "respect_dns_ttl": st.booleans(),
                "dns_lookup_family": st.sampled_from(["AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL"]),
                "dns_failure_refresh_rate": optional(st.just((1.0, 20.0))),
                "dns_resolvers": st.sampled_from([(), (c.SocketAddress("127.0.0.1", 5353),)]),
            }
        ),
    )
    balanced = st.builds(
        lambda name, kind, balancing, places, rest: c.Cluster(name=name, **kind, **balancing, **places, **rest),
        name,
        kinds,
        BALANCING,
        st.fixed_dictionaries({"locality_weighted": st.booleans()}) | st.fixed_dictionaries({"zone_aware": ZONES}),
        st.fixed_dictionaries(common),
    )
    passthrough = st.builds(
        c.Cluster,
        name=name,
        type=st.just(c.ClusterType.ORIGINAL_DST),
        lb_policy=st.just(c.LbPolicy.CLUSTER_PROVIDED),
        use_http_header=st.booleans(),
        original_dst_port=optional(PORTS),
        original_dst_header=st.just(""),
        cleanup_interval=POSITIVE,
        http=HTTP_PROTOCOLS,
    )
    by_name = st.builds(
        c.Cluster,
        name=name,
        type=st.just(c.ClusterType.FORWARD_PROXY),
        lb_policy=st.just(c.LbPolicy.CLUSTER_PROVIDED),
        dns_cache=DNS_CACHES,
        allow_insecure_options=st.just(True),
        http=HTTP_PROTOCOLS,
    )
    bound = st.tuples((balanced | passthrough | by_name).map(_taken), BINDS)
    return bound.map(lambda made: dataclasses.replace(made[0], **made[1]))


COMPRESSOR_OVERRIDES = st.sampled_from(
    [
        None,
        c.CompressorOverride(),
        c.CompressorOverride(enabled=False),
        c.CompressorOverride(True, False),
        c.CompressorOverride(True, True, "own", c.Gzip(1, 0, 9)),
        c.CompressorOverride(name="own", gzip=c.Gzip()),
    ]
)
BUFFER_OVERRIDES = st.sampled_from([None, c.BufferOverride(), c.BufferOverride(100)])


# --- routes ----------------------------------------------------------------------------------------------------------
HEADER_VALUES = st.builds(c.HeaderValue, TOKENS, TEXTS, st.booleans()) | st.builds(
    c.HeaderValue, TOKENS, TEXTS, only=st.sampled_from(["", "ABSENT", "PRESENT"]), keep_empty=st.booleans()
)
EDITS = st.builds(
    c.HeaderEdits, tuples(HEADER_VALUES), tuples(TOKENS), tuples(HEADER_VALUES), tuples(TOKENS)
) | st.just(c.HeaderEdits())
PATHS = st.one_of(
    st.builds(
        c.PathMatch,
        st.sampled_from([c.PathMatchKind.EXACT, c.PathMatchKind.PREFIX]),
        TEXTS.map(lambda text: "/" + text.replace("?", "q").replace("#", "h")),
        st.booleans(),
    ),
    st.builds(c.PathMatch, st.just(c.PathMatchKind.PATH_SEPARATED_PREFIX), st.just("/api"), st.booleans()),
    st.builds(c.PathMatch, st.just(c.PathMatchKind.REGEX), REGEXES),
    st.just(c.PathMatch(c.PathMatchKind.CONNECT, "")),
)
ROUTE_MATCHES = st.builds(
    c.RouteMatch,
    path=PATHS,
    headers=tuples(HEADER_MATCHES),
    query_parameters=tuples(QUERY_MATCHES),
    runtime_fraction=optional(PARTS),
    grpc_only=st.booleans(),
    dynamic_metadata=tuples(st.builds(MetadataMatch, NAMES, tuples(NAMES, least=1), STRING_MATCHES, st.booleans())),
)
RETRIES = st.builds(
    c.RetryPolicy,
    retry_on=tuples(st.sampled_from(["5xx", "connect-failure", "reset", "retriable-status-codes"]), by=lambda on: on),
    num_retries=st.integers(0, 9),
    per_try_timeout=optional(POSITIVE),
    retriable_status_codes=tuples(st.integers(400, 599)),
    host_selection_retry_max_attempts=st.integers(1, 9),
    avoid_previous_hosts=st.booleans(),
    back_off_base=st.sampled_from([0.025, 0.1]),
    back_off_max=optional(st.just(1.5)),
    retriable_request_headers=tuples(HEADER_MATCHES),
    omit_canary=st.booleans(),
    omit_host_metadata=LABELS,
    retriable_headers=tuples(HEADER_MATCHES),
    per_try_idle_timeout=optional(POSITIVE),
    rate_limited_back_off=optional(
        st.builds(RateLimitedBackOff, st.just((("retry-after", "SECONDS"), ("x-reset", "UNIX_TIMESTAMP"))), POSITIVE)
    ),
).flatmap(
    lambda made: (
        st.just(made)
        | st.builds(
            dataclasses.replace,
            st.just(made),
            other_priorities=st.just(True),
            priority_update_frequency=st.integers(1, 9),
        )
    )
)
HASHES = st.one_of(
    st.builds(c.HashPolicy, header=TOKENS, terminal=st.booleans()),
    st.builds(
        c.HashPolicy,
        cookie=NAMES,
        cookie_ttl=optional(SECONDS),
        cookie_path=st.sampled_from(["", "/"]),
        cookie_attributes=st.sampled_from([(), (("SameSite", "Strict"), ("Secure", ""))]),
    ),
    st.builds(c.HashPolicy, query_parameter=NAMES),
    st.builds(c.HashPolicy, source_ip=st.just(True)),
)
REGEX_REWRITES = st.builds(c.RegexRewrite, st.just("^/a/(.*)"), st.just(r"/b/\1"))
WEIGHTED = st.builds(c.WeightedCluster, NAMES, st.integers(1, 100), EDITS, st.just("") | NAMES, LABELS)
DESTINATIONS = st.one_of(
    st.fixed_dictionaries({"cluster": NAMES}),
    st.fixed_dictionaries({"weighted_clusters": tuples(WEIGHTED, least=1), "use_hash_policy": st.booleans()}),
)
PATH_REWRITES = st.sampled_from([{}, {"prefix_rewrite": "/new"}]) | REGEX_REWRITES.map(
    lambda rewrite: {"regex_rewrite": rewrite}
)
HOST_REWRITES = st.sampled_from([{}, {"host_rewrite": "other.example"}, {"auto_host_rewrite": True}])
ROUTE_ACTIONS = st.builds(
    lambda destination, path, host, tunnel, rest: c.RouteAction(**destination, **path, **host, **tunnel, **rest),
    DESTINATIONS,
    PATH_REWRITES,
    HOST_REWRITES,
    st.sampled_from([{}, {"ends_connect": True}, {"upgrades_off": ("chess", "CONNECT")}]),
    st.fixed_dictionaries(
        {
            "timeout": optional(SECONDS),
            "idle_timeout": optional(SECONDS),
            "max_stream_duration": optional(SECONDS),
            "max_grpc_timeout": optional(SECONDS),
            "grpc_timeout_header_max": optional(SECONDS),
            "grpc_timeout_header_offset": optional(SECONDS),
            "retry": optional(RETRIES),
            "append_x_forwarded_host": st.booleans(),
            "hash_policies": tuples(HASHES),
            "mirrors": tuples(st.builds(c.Mirror, NAMES, PARTS, st.booleans(), optional(st.booleans()))),
            "cluster_not_found_code": st.sampled_from([404, 500, 503]),
            "upgrades": st.sampled_from([(), ("websocket",)]),
            "internal_redirects": optional(
                st.builds(
                    InternalRedirects,
                    most=st.integers(0, 9),
                    codes=st.sampled_from([(302,), (301, 307)]),
                    previous_routes=st.booleans(),
                    allowed_routes=optional(tuples(NAMES)),
                    cross_scheme=st.booleans(),
                    safe_cross_scheme=st.booleans(),
                    copied_headers=st.sampled_from([(), ("x-a",)]),
                )
            ),
            "metadata_match": LABELS,
            "high_priority": st.booleans(),
        }
    ),
)
REDIRECTS = st.builds(
    lambda scheme, path, rest: c.Redirect(**scheme, **path, **rest),
    st.sampled_from([{}, {"scheme": "https"}, {"https": True}]),
    PATH_REWRITES | st.just({"path": "/v2"}),
    st.fixed_dictionaries(
        {
            "code": st.sampled_from([301, 302, 303, 307, 308]),
            "host": st.just("") | NAMES,
            "port": optional(PORTS),
        }
    ),
)
RESPONSES = st.builds(c.DirectResponse, st.integers(200, 599), st.binary(max_size=20))
FAULTS = st.builds(
    lambda delay, abort: c.FaultPolicy(**delay, **abort),
    st.just({}) | st.fixed_dictionaries({"delay": POSITIVE, "delay_fraction": PARTS}),
    st.fixed_dictionaries({"abort_http_status": st.integers(200, 599), "abort_fraction": PARTS})
    | st.fixed_dictionaries({"abort_grpc_status": st.integers(0, 16), "abort_fraction": PARTS}),
)
RATE_LIMITS = st.builds(
    LocalRateLimit,
    name=NAMES,
    most=st.integers(1, 9),
    fill=st.integers(1, 9),
    interval=st.sampled_from([0.05, 1.0, 60.0]),
    status=st.sampled_from([429, 503]),
    enabled=PARTS,
    enforced=PARTS,
    answer_headers=st.sampled_from([(), (c.HeaderValue("x-a", "b", append=True),)]),
    request_headers=st.sampled_from([(), (c.HeaderValue("x-a", "b", append=True),)]),
    per_connection=st.booleans(),
    tells=st.booleans(),
    resource_exhausted=st.booleans(),
)
CORS = st.builds(
    c.CorsPolicy,
    allow_origins=tuples(STRING_MATCHES),
    allow_methods=st.sampled_from(["", "GET,PUT"]),
    allow_headers=st.just("") | TOKENS,
    expose_headers=st.just("") | TOKENS,
    max_age=st.sampled_from(["", "86400"]),
    allow_credentials=optional(st.booleans()),
    forward_unmatched_preflights=st.booleans(),
)
ROUTES = st.builds(
    c.Route,
    match=ROUTE_MATCHES,
    action=ROUTE_ACTIONS | REDIRECTS | RESPONSES,
    name=st.just("") | NAMES,
    edits=EDITS,
    fault=optional(FAULTS),
    cors=optional(CORS),
    rate_limit=optional(RATE_LIMITS),
    compressor=COMPRESSOR_OVERRIDES,
    buffer=BUFFER_OVERRIDES,
    operation=st.just("") | NAMES,
    tells_operation=st.booleans(),
    metadata=pairs(),
    stat_prefix=st.just("") | NAMES,
).map(lambda made: made if made.operation else dataclasses.replace(made, tells_operation=True))


def route_configurations(name: st.SearchStrategy = NAMES, *, validate: bool | None = None) -> st.SearchStrategy:
    """``validate`` fixes ``validate_clusters``; virtual hosts have distinct names and domains."""
    hosts = st.lists(
        st.builds(
            c.VirtualHost,
            name=NAMES,
            domains=st.just(()),
            routes=tuples(ROUTES),
            include_request_attempt_count=st.booleans(),
            require_tls=st.booleans(),
            edits=EDITS,
            cors=optional(CORS),
            rate_limit=optional(RATE_LIMITS),
            compressor=COMPRESSOR_OVERRIDES,
            buffer=BUFFER_OVERRIDES,
        ),
        max_size=2,
        unique_by=lambda host: host.name,
    ).map(
        lambda found: tuple(
            c.VirtualHost(
                host.name,
                (f"h{index}.example", f"*.h{index}.example"),
                host.routes,
                host.include_request_attempt_count,
                host.require_tls,
                host.edits,
                host.cors,
                host.rate_limit,
                host.compressor,
                host.buffer,
            )
            for index, host in enumerate(found)
        )
    )
    return st.builds(
        c.RouteConfiguration,
        name=name,
        virtual_hosts=hosts,
        validate_clusters=st.booleans() if validate is None else st.just(validate),
        ignore_port_in_host_matching=st.booleans(),
        max_direct_response_body_size=st.integers(4096, 2**20),
        edits=EDITS,
    )


# --- traces ----------------------------------------------------------------------------------------------------------
TRACERS = st.one_of(
    st.builds(c.ZipkinTracer, HTTP_SERVICES, st.booleans(), st.booleans(), st.booleans()),
    st.builds(c.DatadogTracer, NAMES, NAMES, NAMES),
    st.builds(c.SkyWalkingTracer, GRPC_SERVICES),
    st.builds(
        c.OpenTelemetryTracer,
        http=HTTP_SERVICES,
        service_name=st.just("") | NAMES,
        resource_detectors=st.sampled_from([(), ("environment", "dynatrace")]),
        sampler=optional(st.builds(c.DynatraceSampler, NAMES, st.integers(1, 9), HTTP_SERVICES, st.integers(0, 99))),
    ),
    st.builds(c.OpenTelemetryTracer, grpc=GRPC_SERVICES),
)
TAGS = st.one_of(
    st.builds(c.LiteralTag, TEXTS),
    st.builds(c.EnvironmentTag, NAMES, st.just("") | TEXTS),
    st.builds(c.RequestHeaderTag, TOKENS, st.just("") | TEXTS),
    st.builds(c.MetadataTag, NAMES, tuples(NAMES, least=1)),
    st.builds(c.FormatTag, st.just("%PROTOCOL%")),
)
PARTS_OF_HUNDRED = st.sampled_from([0.0, 0.5, 100.0])


def tracings(tracers: st.SearchStrategy = TRACERS) -> st.SearchStrategy:
    return st.builds(
        c.Tracing,
        PARTS_OF_HUNDRED,
        PARTS_OF_HUNDRED,
        PARTS_OF_HUNDRED,
        tuples(st.builds(c.SpanTag, NAMES, TAGS), by=lambda tag: tag.name),
        optional(tracers),
        optional(st.integers(1, 999)),
        optional(st.booleans()),
        st.booleans(),
    )


# --- who may ask -----------------------------------------------------------------------------------------------------
JWKS = st.just('{"keys":[{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}]}')
REMOTE_KEYS = st.builds(
    c.RemoteJwks, st.just("http://a.example/keys"), NAMES, POSITIVE, optional(POSITIVE)
) | st.builds(
    c.RemoteJwks,
    st.just("http://a.example/keys"),
    NAMES,
    POSITIVE,
    async_fetch=st.just(True),
    fast_listener=st.booleans(),
    failed_refetch=optional(POSITIVE),
)
PROVIDERS = st.builds(
    c.JwtProvider,
    name=NAMES,
    issuer=st.just("") | NAMES,
    jwks=JWKS,
    audiences=tuples(NAMES),
    forward=st.booleans(),
    from_headers=tuples(st.builds(c.JwtHeader, TOKENS, st.just("") | st.just("Bearer "))),
    from_params=tuples(NAMES),
    from_cookies=tuples(NAMES),
    forward_payload_header=st.just("") | TOKENS,
    payload_in_metadata=st.just("") | NAMES,
    space_delimited_claims=tuples(NAMES),
    claim_to_headers=tuples(st.tuples(TOKENS, NAMES)),
    clear_route_cache=st.booleans(),
    pad_forward_payload_header=st.booleans(),
    header_in_metadata=st.just("") | NAMES,
    clock_skew=st.just(0) | st.integers(1, 600),
    require_expiration=st.booleans(),
    max_lifetime=optional(POSITIVE),
    subject=optional(STRING_MATCHES),
) | st.builds(c.JwtProvider, name=NAMES, remote=REMOTE_KEYS)


def _requirement(names: tuple[str, ...]) -> st.SearchStrategy:
    everywhere = [*map(c.JwtRequired, names), c.JwtRequired(names[0], ("a", "b")), c.JwtMayBeMissing(), c.JwtMayFail()]
    leaves = st.sampled_from(everywhere)
    groups = tuples(leaves, least=2, most=3)
    return (
        leaves
        | st.builds(c.JwtAnyOf, groups)
        | st.builds(lambda one, all_: c.JwtAnyOf((one, c.JwtAllOf(all_))), leaves, groups)
    )


JWT_FILTERS = st.lists(PROVIDERS, min_size=1, max_size=2, unique_by=lambda one: one.name).flatmap(
    lambda found: st.builds(
        c.JwtAuthnFilter,
        st.just(tuple(sorted(found, key=lambda one: one.name))),
        tuples(st.builds(c.JwtRule, optional(_requirement(tuple(one.name for one in found))), ROUTE_MATCHES), least=1),
        st.booleans(),
        st.booleans(),
    )
)
NAME_MATCHES = tuples(STRING_MATCHES)
SERVERS = st.builds(
    c.AuthorizationServer,
    st.just("http://a.example"),
    NAMES,
    POSITIVE,
    st.sampled_from(["", "/ask"]),
    HEADER_PAIRS,
    NAME_MATCHES,
    NAME_MATCHES,
    NAME_MATCHES,
)
MARKS = st.builds(MetadataMatch, NAMES, tuples(NAMES, least=1), STRING_MATCHES)
EXT_AUTHZ = st.builds(
    lambda way, rest: c.ExtAuthzFilter(**way, **rest),
    st.fixed_dictionaries({"http": SERVERS}) | st.fixed_dictionaries({"grpc": GRPC_SERVICES}),
    st.fixed_dictionaries(
        {
            "failure_mode_allow": st.booleans(),
            "status_on_error": optional(st.just(503)),
            "enabled": optional(MARKS),
            "allowed_headers": NAME_MATCHES,
            "body": optional(st.builds(c.AuthorizationBody, st.integers(1, 999), st.booleans(), st.booleans())),
        }
    ),
)
SNI_LOOKUPS = st.builds(c.SniForwardProxy, DNS_CACHES, optional(PORTS))
NETWORK_EXT_AUTHZ = st.builds(c.NetworkExtAuthz, NAMES, GRPC_SERVICES, st.booleans(), optional(MARKS))

SERVICE_METRICS = st.builds(
    c.ServiceMetrics,
    tuples(
        st.builds(
            c.MetricOverride,
            st.just("") | NAMES,
            st.dictionaries(NAMES, NAMES, max_size=2).map(lambda found: tuple(sorted(found.items()))),
            tuples(NAMES),
            st.booleans(),
        )
    ),
    st.booleans(),
    optional(st.sampled_from((0.5, 5.0))),
)

# --- listeners -------------------------------------------------------------------------------------------------------
HTTP_FILTERS = st.builds(
    lambda tokens, rules, before, suppress: (*tokens, *rules, *before, c.RouterFilter(suppress)),
    tuples(JWT_FILTERS, most=1),
    tuples(HTTP_RBAC, most=1),
    st.sampled_from(
        [
            (),
            (c.FaultFilter(),),
            (c.GrpcStatsFilter(False, True), c.GrpcWebFilter()),
            (c.GrpcStatsFilter(), c.FaultFilter(), c.CorsFilter()),
            (c.ForwardProxyFilter(c.DnsCache("few", "V4_ONLY", 5)),),
            (c.BufferFilter(1 << 20), c.CompressorFilter("gzip")),
            (c.DecompressorFilter("plain"),),
            (c.DecompressorFilter("few", 9, 2, c.Decompression(False, True), c.Decompression(True, True), False),),
            (
                c.CompressorFilter(
                    "small",
                    c.Gzip(9, 1, 15, 9),
                    c.Compression(False, 100, ("text/plain",)),
                    c.Compression(),
                    True,
                    True,
                    (203,),
                ),
            ),
        ]
    ),
    st.booleans(),
)


BODY_FORMATS = st.builds(
    c.BodyFormat,
    text=st.sampled_from(["", "%LOCAL_REPLY_BODY% of %REQ(:path)%"]),
    content_type=st.sampled_from(["", "text/html"]),
    omit_empty_values=st.booleans(),
    formatters=FORMATTERS,
) | st.builds(c.BodyFormat, json_object=st.just('{"a":"%LOCAL_REPLY_BODY%","b":{"c":1.0}}'))
LOCAL_REPLIES = st.builds(
    c.LocalReplies,
    mappers=tuples(
        st.builds(
            c.ReplyMapper,
            filter=LEAF_FILTERS | st.builds(c.AllOf, TWO_FILTERS),
            status=optional(st.integers(200, 599)),
            body=optional(st.sampled_from([b"", b"text", b"\xff"])),
            format=optional(BODY_FORMATS),
            headers=st.sampled_from([(), (c.HeaderValue("x-a", "b", append=True),)]),
        )
    ),
    format=optional(BODY_FORMATS),
)


def connection_managers(*, inline_only: bool = False) -> st.SearchStrategy:
    """``inline_only``: without discovered routes."""
    inline = st.fixed_dictionaries({"route_config": route_configurations(validate=False if inline_only else None)})
    filters = (
        HTTP_FILTERS
        if inline_only
        else st.builds(lambda asked, rest: (*asked, *rest), tuples(EXT_AUTHZ | SERVICE_METRICS, most=1), HTTP_FILTERS)
    )
    return st.builds(
        lambda routes, rest: c.HttpConnectionManager(**routes, **rest),
        inline if inline_only else inline | st.fixed_dictionaries({"rds_name": NAMES}),
        st.fixed_dictionaries(
            {
                "stat_prefix": NAMES,
                "http_filters": filters,
                "codec": st.sampled_from(["AUTO", "HTTP1", "HTTP2"]),
                "access_logs": tuples(ACCESS_LOGS if inline_only else ACCESS_LOGS | SENT_LOGS),
                "tracing": optional(tracings(st.nothing()) if inline_only else tracings()),
                "local_replies": optional(LOCAL_REPLIES),
                "append_x_forwarded_port": st.booleans(),
                "preserve_header_case": st.booleans(),
                "max_connection_duration": optional(POSITIVE),
                "max_stream_duration": optional(SECONDS),
                "drain_timeout": optional(SECONDS),
                "max_requests_per_connection": st.integers(0, 9),
                "max_headers_count": optional(st.integers(1, 200)),
                "allow_connect": st.booleans(),
                "skip_xff_append": st.booleans(),
                "via": st.sampled_from(["", "gate"]),
                "strip_port": st.sampled_from(["", "MATCHING", "ANY"]),
                "strip_trailing_host_dot": st.booleans(),
                "headers_with_underscores_action": st.sampled_from(["ALLOW", "REJECT_REQUEST", "DROP_HEADER"]),
                "max_concurrent_streams": optional(st.integers(1, 2**31 - 1)),
                "initial_stream_window_size": optional(st.integers(65535, 2**31 - 1)),
                "initial_connection_window_size": optional(st.integers(65535, 2**31 - 1)),
                "server_name": st.sampled_from(["envoy", "istio-envoy"]),
                "server_header_transformation": st.sampled_from(["OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"]),
                "use_remote_address": st.booleans(),
                "xff_num_trusted_hops": st.integers(0, 3),
                "internal_networks": tuples(CIDRS),
                "generate_request_id": st.booleans(),
                "request_id_samples": optional(st.booleans()),
                "preserve_external_request_id": st.booleans(),
                "always_set_request_id_in_response": st.booleans(),
                "normalize_path": st.booleans(),
                "merge_slashes": st.booleans(),
                "path_with_escaped_slashes_action": st.sampled_from(
                    ["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"]
                ),
                "stream_idle_timeout": optional(SECONDS),
                "idle_timeout": optional(SECONDS),
                "request_timeout": optional(SECONDS),
                "request_headers_timeout": optional(SECONDS),
                "max_request_headers_kb": st.integers(1, 96),
                "upgrades": st.sampled_from([(), ("websocket",)]),
                "forward_client_cert": st.sampled_from(
                    ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"]
                ),
                "client_cert_details": st.sampled_from([(), ("subject", "uri"), ("cert", "chain", "dns")]),
                "proxy_100_continue": st.booleans(),
                "accept_http_10": st.booleans(),
                "allow_absolute_url": optional(st.booleans()),
            }
        ),
    )


TCP_PROXIES = st.builds(
    lambda destination, rest: c.TcpProxy(**destination, **rest),
    st.fixed_dictionaries({"cluster": NAMES})
    | st.fixed_dictionaries(
        {"weighted_clusters": tuples(st.builds(c.WeightedCluster, NAMES, st.integers(1, 100)), least=1)}
    ),
    st.fixed_dictionaries(
        {
            "stat_prefix": NAMES,
            "access_logs": tuples(ACCESS_LOGS),
            "idle_timeout": optional(SECONDS),
            "max_connect_attempts": st.integers(1, 9),
            "max_connection_duration": optional(POSITIVE),
            "hash_source_ip": st.booleans(),
            "mongo_statistics": st.just("") | NAMES,
            "tunnel": optional(st.builds(c.Tunnel, NAMES, st.booleans())),
        }
    ),
)
CHAIN_MATCHES = st.builds(
    c.FilterChainMatch,
    destination_port=optional(PORTS),
    prefix_ranges=tuples(CIDRS, by=lambda prefix: ip_network(prefix, strict=False)),
    server_names=tuples(st.sampled_from(["a.example", "*.b.example"]), by=str),
    transport_protocol=st.sampled_from(["", "raw_buffer", "tls"]),
    application_protocols=st.sampled_from([(), ("http/1.1", "h2c")]),
    source_prefix_ranges=tuples(CIDRS, by=lambda prefix: ip_network(prefix, strict=False)),
)


CONNECTION_GATES = st.builds(
    c.ConnectionRateLimit, NAMES, st.integers(1, 99), st.integers(1, 9), st.integers(1, 99).map(float), st.booleans()
) | st.builds(c.ConnectionLimit, NAMES, st.integers(1, 99), optional(POSITIVE), st.booleans())
PROXY_PROTOCOLS = st.builds(c.ProxyProtocol, st.booleans(), st.sampled_from([(), ("V1",), ("V2",)]))


@st.composite
def listeners(draw, name: st.SearchStrategy = NAMES, *, inline_only: bool = False) -> c.Listener:
    """``inline_only``: nothing in it refers to discovery."""
    terminals = TCP_PROXIES | connection_managers(inline_only=inline_only)
    chains = st.builds(
        c.FilterChain,
        filter=terminals,
        name=st.just("") | NAMES,
        match=CHAIN_MATCHES,
        guards=tuples(
            (NETWORK_RBAC if inline_only else NETWORK_RBAC | NETWORK_EXT_AUTHZ | SERVICE_METRICS)
            | SNI_LOOKUPS
            | CONNECTION_GATES,
            most=2,
        ),
        tls=st.none() if inline_only else optional(DOWNSTREAM_TLS),
        connect_timeout=optional(POSITIVE),
        metadata=pairs(),
    )
    filters = draw(tuples(st.sampled_from(c.ListenerFilter), most=4, by=lambda one: one))
    ranges = st.tuples(st.integers(1, 999), st.integers(1000, 65535))
    exemptions = draw(
        tuples(
            st.builds(c.ListenerFilterExemption, st.sampled_from(filters), tuples(ranges, least=1), st.booleans()),
            by=lambda one: one.filter,
        )
        if filters
        else st.just(())
    )
    return c.Listener(
        name=draw(name),
        address=draw(SOCKETS),
        filter_chains=draw(tuples(chains, least=1, by=lambda chain: chain.match.destination_port)),
        default_filter_chain=draw(optional(chains)),
        listener_filters=filters,
        # The wire carries an exemption inside its filter, so their order is that of the filters.
        listener_filter_exemptions=tuple(sorted(exemptions, key=lambda one: filters.index(one.filter))),
        bind_to_port=draw(st.booleans()),
        use_original_dst=draw(st.booleans()),
        traffic_direction=draw(st.sampled_from(c.TrafficDirection)),
        access_logs=draw(tuples(ACCESS_LOGS if inline_only else ACCESS_LOGS | SENT_LOGS)),
        listener_filters_timeout=draw(optional(SECONDS)),
        continue_on_listener_filters_timeout=draw(st.booleans()),
        max_connections_per_event=draw(optional(st.integers(1, 9))),
        per_connection_buffer_limit=draw(optional(st.integers(1024, 2**20))),
        transparent=draw(st.booleans()),
        exact_balance=draw(st.booleans()),
        proxy_protocol=draw(PROXY_PROTOCOLS) if c.ListenerFilter.PROXY_PROTOCOL in filters else c.ProxyProtocol(),
        additional_addresses=draw(tuples(SOCKETS, most=1)),
    )


RESOURCES = st.one_of(clusters(), assignments(), listeners(), route_configurations())
"""Any resource."""
