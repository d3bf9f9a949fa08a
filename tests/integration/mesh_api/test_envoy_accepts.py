"""A real Envoy takes what is encoded: every feature once, and samples of everything that can be said.

``envoy --mode validate`` builds the whole configuration as a starting Envoy does, without opening a port.
"""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mesh_api import config as c
from mesh_api.config import access_log_filters as f
from mesh_api.config import authorization as a
from mesh_api.config.health_checks import GrpcCheck, HealthCheck, HostCheck, HttpCheck, TcpCheck
from mesh_api.config.load_balancing import Subsets, SubsetSelector
from mesh_api.config.routes import MILLION, InternalRedirects, LocalRateLimit, RateLimitedBackOff
from tests.support import config_strategies as strategies
from tests.support.envoy_bootstrap import bootstrap
from tests.support.secret_server import Identity

pytestmark = pytest.mark.integration

IDENTITY = Identity("spiffe://cluster.local/ns/default/sa/order")
CACHE = c.DnsCache("names", "V4_ONLY", 10, (c.SocketAddress("127.0.0.1", 15053),), 50.0, (2.0, 20.0), 6.0, 200.0, 4.0)
ROUTER = (c.GrpcStatsFilter(False, True), c.FaultFilter(), c.CorsFilter(), c.RouterFilter())
LOG = c.AccessLog("/dev/null", text_format="%START_TIME% %RESPONSE_FLAGS%\n", response_flags=("NR",))
HOST = c.Endpoint(c.SocketAddress("127.0.0.1", 9), weight=2, tls_mode="istio", metadata=(("workload", "order-1"),))
ANY_PATH = c.PathMatch(c.PathMatchKind.PREFIX, "/")


def inline(content: bytes) -> dict[str, str]:
    return {"inline_string": content.decode()}


def validate(envoy: Path, folder: Path, value: dict[str, Any]) -> None:
    """Fails with Envoy's own words."""
    path = folder / "bootstrap.json"
    value["static_resources"]["secrets"] = [
        {
            "name": "own",
            "tls_certificate": {"certificate_chain": inline(IDENTITY.chain), "private_key": inline(IDENTITY.key)},
        }
    ]
    path.write_text(json.dumps(value))
    (folder / "roots.pem").write_bytes(IDENTITY.roots)
    (folder / "chain.pem").write_bytes(IDENTITY.chain)
    command = [str(envoy), "--mode", "validate", "-c", str(path), "--use-dynamic-base-id", "-l", "warn"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"


ACTION = c.RouteAction(
    use_hash_policy=True,
    weighted_clusters=(
        c.WeightedCluster("eds", 75, c.HeaderEdits(response_set=(c.HeaderValue("x-from", "v1", append=True),))),
        c.WeightedCluster("static", 25, host_rewrite="v2.example", metadata_match=(("version", '"v2"'),)),
    ),
    timeout=15.0,
    idle_timeout=60.0,
    max_stream_duration=0.0,
    max_grpc_timeout=0.0,
    grpc_timeout_header_max=0.0,
    grpc_timeout_header_offset=0.1,
    internal_redirects=InternalRedirects(3, (302, 307), True, ("all",), True, True, ("x-a",)),
    retry=c.RetryPolicy(
        ("connect-failure", "refused-stream", "retriable-status-codes"),
        num_retries=2,
        per_try_timeout=2.5,
        retriable_status_codes=(503,),
        host_selection_retry_max_attempts=5,
        avoid_previous_hosts=True,
        back_off_base=0.1,
        back_off_max=0.25,
        retriable_request_headers=(c.HeaderMatch("x-retry"),),
        other_priorities=True,
        priority_update_frequency=3,
        omit_canary=True,
        omit_host_metadata=(("old", "true"),),
        retriable_headers=(c.HeaderMatch("x-again"),),
        per_try_idle_timeout=1.0,
        rate_limited_back_off=RateLimitedBackOff((("retry-after", "SECONDS"), ("x-reset", "UNIX_TIMESTAMP")), 60.0),
    ),
    regex_rewrite=c.RegexRewrite("^/old/(.*)", r"/new/\1"),
    append_x_forwarded_host=True,
    auto_host_rewrite=True,
    hash_policies=(
        c.HashPolicy(header="x-user", terminal=True),
        c.HashPolicy(cookie="user", cookie_ttl=0.0, cookie_path="/", cookie_attributes=(("SameSite", "Strict"),)),
        c.HashPolicy(query_parameter="user"),
        c.HashPolicy(source_ip=True),
    ),
    mirrors=(c.Mirror("static", MILLION // 10, disable_shadow_host_suffix=False, trace_sampled=False),),
    cluster_not_found_code=404,
    upgrades=("websocket",),
    metadata_match=(("version", '"v1"'),),
    high_priority=True,
)
MATCH = c.RouteMatch(
    c.PathMatch(c.PathMatchKind.REGEX, "/api/v[0-9]+/.*"),
    headers=(
        c.HeaderMatch("x-version", c.StringMatch(c.StringMatchKind.REGEX, "v[12]")),
        c.HeaderMatch("x-beta", c.StringMatch(c.StringMatchKind.EXACT, "1"), invert=True, treat_missing_as_empty=True),
        c.HeaderMatch("x-debug", present=False),
        c.HeaderMatch("x-age", range_start=18, range_end=99),
    ),
    query_parameters=(
        c.QueryParameterMatch("q", c.StringMatch(c.StringMatchKind.CONTAINS, "z", ignore_case=True)),
        c.QueryParameterMatch("debug", present=False),
    ),
    runtime_fraction=MILLION // 2,
    grpc_only=True,
    dynamic_metadata=(a.MetadataMatch("f", ("payload", "k"), c.StringMatch(c.StringMatchKind.EXACT, "v")),),
)
FAULT = c.FaultPolicy(delay=0.7, delay_fraction=MILLION, abort_http_status=503, abort_fraction=125_000)
CORS = c.CorsPolicy(
    allow_origins=(c.StringMatch(c.StringMatchKind.SUFFIX, ".example"),),
    allow_methods="GET",
    allow_headers="x-a",
    expose_headers="x-b",
    max_age="86400",
    allow_credentials=True,
    forward_unmatched_preflights=False,
)
EDITS = c.HeaderEdits(
    (c.HeaderValue("x-mesh", "on", only="ABSENT", keep_empty=True),),
    ("x-bad",),
    (c.HeaderValue("x-a", "1", append=True),),
    ("x-b",),
)
LIMIT = LocalRateLimit(
    "limited", 100, 10, 2.0, 503, MILLION, MILLION // 2, (c.HeaderValue("x-late", "1"),), (), True, True, True
)
WARNED = dataclasses.replace(LIMIT, request_headers=(c.HeaderValue("x-over", "1"),))
BODIES = c.CompressorOverride(True, True, "own", c.Gzip(1, 0, 9)), c.BufferOverride(10)
ROUTES = (
    c.Route(
        MATCH,
        ACTION,
        "all",
        EDITS,
        FAULT,
        CORS,
        WARNED,
        operation="order:8380/*",
        tells_operation=False,
        metadata=(("config", "/apis/x"),),
        stat_prefix="all",
    ),
    c.Route(c.RouteMatch(c.PathMatch(c.PathMatchKind.CONNECT, "")), c.RouteAction("static", ends_connect=True)),
    c.Route(
        c.RouteMatch(c.PathMatch(c.PathMatchKind.PREFIX, "/no")), c.RouteAction("static", upgrades_off=("websocket",))
    ),
    c.Route(
        c.RouteMatch(c.PathMatch(c.PathMatchKind.EXACT, "/api", case_sensitive=False)),
        c.Redirect(301, scheme="https", host="new.example", port=8443, path="/v2", strip_query=True),
    ),
    c.Route(
        c.RouteMatch(c.PathMatch(c.PathMatchKind.PATH_SEPARATED_PREFIX, "/seg")),
        c.Redirect(308, https=True, prefix_rewrite="/other"),
    ),
    c.Route(
        c.RouteMatch(c.PathMatch(c.PathMatchKind.PREFIX, "/rewritten")),
        c.Redirect(302, regex_rewrite=c.RegexRewrite("^/(.*)", r"/moved/\1")),
        fault=c.FaultPolicy(abort_grpc_status=14, abort_fraction=MILLION),
        compressor=c.CompressorOverride(enabled=False),
        buffer=c.BufferOverride(),
    ),
    c.Route(c.RouteMatch(c.PathMatch(c.PathMatchKind.PREFIX, "/tea")), c.DirectResponse(418, b"teapot")),
    c.Route(c.RouteMatch(c.PathMatch(c.PathMatchKind.PREFIX, "/bin")), c.DirectResponse(200, b"\xff\xfe")),
    c.Route(c.RouteMatch(ANY_PATH), c.RouteAction("static", prefix_rewrite="/x", host_rewrite="h.example")),
)
ROUTE_CONFIG = c.RouteConfiguration(
    "80",
    (c.VirtualHost("v", ("order", "*.order.example", "*"), ROUTES, True, True, EDITS, CORS, LIMIT, *BODIES),),
    validate_clusters=True,
    max_direct_response_body_size=2 * 1024 * 1024,
    ignore_port_in_host_matching=True,
    edits=EDITS,
)
GRPC = c.GrpcService("eds", "asked.example", 2.0, (("x-key", "1"),))
SPANS = c.HttpService("http://eds.example/spans", "eds", 5.0, (("x-key", "1"),))
MARK = a.MetadataMatch("envoy.filters.http.rbac", ("k",), c.StringMatch(c.StringMatchKind.PREFIX, "istio"))
NAMES = (c.StringMatch(c.StringMatchKind.EXACT, "x-a", ignore_case=True),)
ASKED = c.ExtAuthzFilter(
    http=c.AuthorizationServer("http://eds", "eds", 600.0, "/ask", (("x-a", "1"),), NAMES, NAMES, NAMES),
    failure_mode_allow=True,
    status_on_error=503,
    enabled=MARK,
    allowed_headers=NAMES,
    body=c.AuthorizationBody(1024, True, True),
)
TOKENS = c.JwtAuthnFilter(
    (
        c.JwtProvider(
            "origins-0",
            "issuer.example",
            '{"keys":[{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}]}',
            ("a",),
            forward=True,
            from_headers=(c.JwtHeader("x-token", "Bearer "),),
            from_params=("token",),
            from_cookies=("token",),
            forward_payload_header="x-payload",
            payload_in_metadata="payload",
            space_delimited_claims=("scope",),
            claim_to_headers=(("x-sub", "sub"),),
            clear_route_cache=True,
            pad_forward_payload_header=True,
            header_in_metadata="header",
            clock_skew=10,
            require_expiration=True,
            max_lifetime=3600.0,
            subject=NAMES[0],
        ),
        c.JwtProvider(
            "origins-1",
            remote=c.RemoteJwks("http://issuer.example/keys", "eds", 1.0, 60.0, True, True, 2.0),
        ),
    ),
    (
        c.JwtRule(c.JwtAnyOf((c.JwtRequired("origins-0", ("a",)), c.JwtMayFail())), MATCH),
        c.JwtRule(
            c.JwtAnyOf((c.JwtRequired("origins-0"), c.JwtAllOf((c.JwtRequired("origins-0"), c.JwtMayBeMissing()))))
        ),
        c.JwtRule(),
    ),
    bypass_cors_preflight=True,
    strip_failure_response=True,
)
TAGS = (
    c.SpanTag("a", c.LiteralTag("1")),
    c.SpanTag("b", c.EnvironmentTag("HOME", "none")),
    c.SpanTag("c", c.RequestHeaderTag("x-a", "none")),
    c.SpanTag("d", c.MetadataTag("envoy.filters.http.rbac", ("k",))),
    c.SpanTag("e", c.FormatTag("%PROTOCOL%")),
)
TRACERS = (
    c.ZipkinTracer(SPANS, trace_id_128bit=True, shared_span_context=False, w3c=True),
    c.DatadogTracer("eds", "order", "eds.example"),
    c.SkyWalkingTracer(GRPC),
    c.OpenTelemetryTracer(grpc=GRPC),
    c.OpenTelemetryTracer(
        http=SPANS,
        service_name="order",
        resource_detectors=("environment", "dynatrace"),
        sampler=c.DynatraceSampler("tenant", 7, SPANS, 500),
    ),
)
SENT = {"filter_state_objects": ("downstream_peer",), "response_flags": ("NR",), "expression": "response.code >= 400"}
FORMATTERS = ("envoy.formatter.req_without_query",)
SENT_LOGS = (
    c.GrpcAccessLog("tcp", "eds", "logs.example", tcp=True, **SENT),
    c.OpenTelemetryAccessLog(
        "otel", "eds", "logs.example", "%PROTOCOL%", (("a", "b"),), True, formatters=FORMATTERS, **SENT
    ),
    c.GrpcAccessLog(
        "http", "eds", request_headers=("x-a",), response_headers=("x-b",), response_trailers=("x-c",), **SENT
    ),
)
FILE_LOG = c.AccessLog(
    "/dev/null",
    json_object='{"a":{"b":"%PROTOCOL%"}}',
    omit_empty_values=True,
    expression=SENT["expression"],
    formatters=FORMATTERS,
)
WANTED = f.AnyOf(
    (
        f.AllOf((f.StatusCodeFilter("GE", 400), f.DurationFilter("NE", 1))),
        f.ResponseFlagFilter(("UH",)),
        f.HeaderFilter(c.HeaderMatch("x-a")),
        f.GrpcStatusFilter((14,), exclude=True),
        f.LogTypeFilter(("DownstreamEnd",), exclude=True),
        f.SampleFilter(1000, independent=True),
        f.NotHealthCheckFilter(),
        f.TraceableFilter(),
        f.ExpressionFilter("response.code >= 400"),
    )
)
CHOSEN_LOGS = (
    c.AccessLog("/dev/null", filter=WANTED),
    c.GrpcAccessLog("http", "eds", filter=WANTED),
    c.OpenTelemetryAccessLog("otel", "eds", filter=WANTED),
)
PLAIN = c.DecompressorFilter("plain", 14, 50, c.Decompression(False, True), c.Decompression(True, True), False)
SMALL = c.CompressorFilter(
    "small",
    c.Gzip(9, 1, 15, 9),
    c.Compression(False, 100, ("text/plain",)),
    c.Compression(min_content_length=10),
    disable_on_etag=True,
    remove_accept_encoding=True,
    uncompressible_statuses=(203,),
)
MANAGER = c.HttpConnectionManager(
    "outbound_80",
    (ASKED, TOKENS, c.GrpcWebFilter(), c.ForwardProxyFilter(CACHE), *ROUTER),
    tracing=c.Tracing(98.0, 1.5, 99.0, TAGS, TRACERS[0], 100, True, propagation=False),
    append_x_forwarded_port=True,
    internal_networks=("10.0.0.0/8",),
    local_replies=c.LocalReplies(
        (
            c.ReplyMapper(
                c.StatusCodeFilter("GE", 500),
                status=503,
                body=b"\xff",
                format=c.BodyFormat("%LOCAL_REPLY_BODY%", "", "text/html", True, ("envoy.formatter.metadata",)),
                headers=(c.HeaderValue("x-a", "b"),),
            ),
        ),
        c.BodyFormat(json_object='{"a":"%RESPONSE_CODE%"}'),
    ),
    preserve_header_case=True,
    max_connection_duration=3600.0,
    max_stream_duration=60.0,
    drain_timeout=5.0,
    headers_with_underscores_action="REJECT_REQUEST",
    max_concurrent_streams=100,
    initial_stream_window_size=65536,
    initial_connection_window_size=1048576,
    route_config=ROUTE_CONFIG,
    access_logs=(
        LOG,
        c.AccessLog("/dev/null", json_format=(("code", "%RESPONSE_CODE%"),)),
        FILE_LOG,
        *SENT_LOGS[1:],
        *CHOSEN_LOGS,
    ),
    server_name="istio-envoy",
    server_header_transformation="APPEND_IF_ABSENT",
    use_remote_address=True,
    xff_num_trusted_hops=1,
    preserve_external_request_id=True,
    always_set_request_id_in_response=True,
    normalize_path=True,
    merge_slashes=True,
    path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
    stream_idle_timeout=0.0,
    idle_timeout=30.0,
    request_timeout=0.0,
    request_headers_timeout=10.0,
    max_request_headers_kb=96,
    upgrades=("websocket",),
    forward_client_cert="APPEND_FORWARD",
    client_cert_details=("subject", "dns", "uri"),
    proxy_100_continue=True,
    accept_http_10=True,
    allow_absolute_url=True,
    skip_xff_append=True,
    via="istio",
    strip_port="MATCHING",
    strip_trailing_host_dot=True,
    allow_connect=True,
    max_requests_per_connection=1000,
    max_headers_count=50,
)
ASKED_FOR_BYTES = c.NetworkExtAuthz("tcp.", GRPC, failure_mode_allow=True, enabled=MARK)
INSPECTORS = (c.ListenerFilter.ORIGINAL_DST, c.ListenerFilter.TLS_INSPECTOR, c.ListenerFilter.HTTP_INSPECTOR)
CLAIMS = (
    a.ListValue(a.AnyValueOf((a.BoolValue(True), a.NumberValue(1.0, 2.0)))),
    a.NullValue(),
    a.PresentValue(False),
)
WHAT = a.AllOf(
    (
        a.AnyOf((a.UrlPath(c.StringMatch(c.StringMatchKind.EXACT, "/a")), a.UriTemplate("/a/**"))),
        a.Not(a.DestinationIp("10.0.0.0/8")),
        a.DestinationPort(80),
        a.DestinationPortRange(1, 2),
        a.RequestedServerName(c.StringMatch(c.StringMatchKind.SUFFIX, ".example")),
        *(a.MetadataMatch("f", ("k",), value, True) for value in CLAIMS),
    )
)
WHO = a.AnyOf(
    (
        a.SourceIp("10.0.0.0/8"),
        a.DirectRemoteIp("10.0.0.0/8"),
        a.RemoteIp("10.0.0.0/8"),
        a.Authenticated(c.StringMatch(c.StringMatchKind.EXACT, "spiffe://a")),
        a.ANYTHING,
    )
)
RULES = c.Rbac(c.RbacAction.DENY, (c.RbacPolicy("p", (WHAT,), (WHO,)),))
HEADERS = c.Rbac(policies=(c.RbacPolicy("p", (c.HeaderMatch("x-a"),), (c.HeaderMatch(":method"),)),))

TLS = c.CommonTls(
    (c.SecretSource("default", "xds-grpc", "authority.example", wait=True),),
    c.CertificateValidation(
        c.SecretSource("ROOTCA", "xds-grpc", wait=True),
        subject_alt_names=(c.StringMatch(c.StringMatchKind.PREFIX, "spiffe://cluster.local/"),),
        spki=("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=",),
        hashes=("df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a",),
        crl=c.DataSource(inline=IDENTITY.revoked),
        accept_untrusted=True,
    ),
    ("h2",),
    c.TlsParameters("TLSv1_2", "TLSv1_3", ("ECDHE-RSA-AES128-GCM-SHA256",), ("P-256",)),
)
LISTENERS = (
    c.Listener(
        "virtualOutbound",
        c.SocketAddress("0.0.0.0", 15001),
        (c.FilterChain(c.TcpProxy("pass", "pass", access_logs=(LOG,), idle_timeout=3600.0)),),
        use_original_dst=True,
        transparent=True,
        additional_addresses=(c.SocketAddress("::", 15001),),
        traffic_direction=c.TrafficDirection.OUTBOUND,
        access_logs=(LOG, SENT_LOGS[0]),
        max_connections_per_event=1,
        exact_balance=True,
        listener_filters=(c.ListenerFilter.PROXY_PROTOCOL,),
        proxy_protocol=c.ProxyProtocol(True, ("V1",)),
        per_connection_buffer_limit=32768,
    ),
    c.Listener(
        "0.0.0.0_80",
        c.SocketAddress("0.0.0.0", 80),
        (
            c.FilterChain(
                MANAGER,
                "http",
                c.FilterChainMatch(
                    transport_protocol="raw_buffer", application_protocols=("http/1.1", "h2c"), destination_port=80
                ),
            ),
        ),
        default_filter_chain=c.FilterChain(
            c.TcpProxy(
                "split",
                weighted_clusters=(c.WeightedCluster("eds", 90), c.WeightedCluster("static", 10)),
                max_connect_attempts=10,
                max_connection_duration=60.0,
                hash_source_ip=True,
                mongo_statistics="documents",
                tunnel=c.Tunnel("db.example:5432", use_post=True),
            )
        ),
        listener_filters=INSPECTORS,
        listener_filter_exemptions=(
            c.ListenerFilterExemption(c.ListenerFilter.TLS_INSPECTOR, ((15006, 15007), (18081, 18082))),
            c.ListenerFilterExemption(c.ListenerFilter.HTTP_INSPECTOR, ((9080, 9081),), invert=True),
        ),
        bind_to_port=False,
        listener_filters_timeout=0.0,
        continue_on_listener_filters_timeout=True,
    ),
    c.Listener(
        "authorized",
        c.SocketAddress("127.0.0.1", 9443),
        (
            c.FilterChain(
                c.HttpConnectionManager(
                    "s", (c.RbacFilter(RULES, HEADERS, "rules_", "shadow_"), *ROUTER), route_config=ROUTE_CONFIG
                ),
                match=c.FilterChainMatch(destination_port=1),
            ),
            c.FilterChain(
                c.TcpProxy("s", "static"),
                guards=(
                    c.ConnectionRateLimit("begun", 10, 2, 5.0, False),
                    c.ConnectionLimit("there", 10, 1.0, False),
                    c.NetworkRbac("tcp.", RULES, RULES, "shadow_"),
                    ASKED_FOR_BYTES,
                ),
            ),
            *(
                c.FilterChain(
                    c.HttpConnectionManager("s", ROUTER, route_config=ROUTE_CONFIG, tracing=c.Tracing(tracer=tracer)),
                    match=c.FilterChainMatch(destination_port=2 + index),
                )
                for index, tracer in enumerate(TRACERS)
            ),
            c.FilterChain(
                c.HttpConnectionManager("s", (c.BufferFilter(100), SMALL, PLAIN, *ROUTER), route_config=ROUTE_CONFIG),
                match=c.FilterChainMatch(destination_port=98),
            ),
            c.FilterChain(
                c.HttpConnectionManager("s", (c.ExtAuthzFilter(grpc=GRPC), *ROUTER), route_config=ROUTE_CONFIG),
                match=c.FilterChainMatch(destination_port=99),
            ),
            c.FilterChain(
                c.TcpProxy("s", "named"),
                match=c.FilterChainMatch(destination_port=443),
                guards=(c.SniForwardProxy(CACHE, 8443),),
            ),
        ),
    ),
    c.Listener(
        "discovered",
        c.PipeAddress("@meshwright-test"),
        (
            c.FilterChain(
                c.HttpConnectionManager(
                    "rds", ROUTER, rds_name="80", codec="HTTP2", generate_request_id=False, request_id_samples=False
                ),
                match=c.FilterChainMatch(
                    prefix_ranges=("10.0.0.0/8",),
                    server_names=("*.example",),
                    source_prefix_ranges=("192.168.0.0/16",),
                ),
                tls=c.DownstreamTls(
                    dataclasses.replace(TLS, certificates=(*TLS.certificates, c.SecretSource("own", static=True))),
                    require_client_certificate=True,
                ),
                connect_timeout=15.0,
                metadata=(("config", "/apis/x"),),
            ),
        ),
    ),
)
LOCALITY = c.LocalityEndpoints((HOST,), "r", "z", "s", weight=3)
SECOND = c.LocalityEndpoints((HOST,), "r", "z2", priority=1)
OTHER = c.LocalityEndpoints(
    (c.Endpoint(c.SocketAddress("10.0.0.1", 80), health_check=HostCheck(0, "10.0.0.2", "", True)),)
)
DNS_HOST = c.Endpoint(
    c.SocketAddress("db.example", 5432),
    hostname="db.example",
    health=c.HealthStatus.DRAINING,
    lb_metadata=(("list", '["a",1]'), ("version", '"v1"')),
    health_check=HostCheck(8080, hostname="check.example"),
)
RATES = {
    "enforcing_local_origin_success_rate": 50,
    "success_rate_minimum_hosts": 3,
    "success_rate_request_volume": 10,
    "success_rate_stdev_factor": 1000,
    "failure_percentage_threshold": 50,
    "enforcing_failure_percentage": 40,
    "enforcing_failure_percentage_local_origin": 30,
    "failure_percentage_minimum_hosts": 2,
    "failure_percentage_request_volume": 20,
    "max_ejection_time_jitter": 2.0,
    "successful_active_health_check_uneject_host": False,
    "always_eject_one_host": True,
}
TIMES = {
    "unhealthy_threshold": 3,
    "healthy_threshold": 2,
    "initial_jitter": 0.5,
    "interval_jitter": 0.25,
    "interval_jitter_percent": 10,
    "no_traffic_interval": 30.0,
    "no_traffic_healthy_interval": 40.0,
    "unhealthy_interval": 5.0,
    "unhealthy_edge_interval": 1.0,
    "healthy_edge_interval": 2.0,
    "alt_port": 8081,
    "reuse_connection": False,
    "event_log_path": "/dev/stdout",
    "always_log_failures": True,
    "always_log_success": True,
}
HTTP_CHECK = HttpCheck(
    "/healthz", "check.example", "HEAD", (c.HeaderValue("x-check", "1"),), ("user-agent",),
    ((200, 300),), ((503, 504),), (b"ok",), True,
)  # fmt: skip
SUBSETS = Subsets(
    (SubsetSelector(("stage", "version"), "KEYS_SUBSET", ("version",)), SubsetSelector(("version",), single_host=True)),
    "DEFAULT_SUBSET",
    (("version", '"v1"'),),
    locality_weight_aware=True,
    scale_locality_weight=True,
    panic_mode_any=True,
    list_as_any=True,
)
CLUSTERS = (
    c.Cluster(
        "eds",
        c.ClusterType.EDS,
        connect_timeout=10.0,
        lb_policy=c.LbPolicy.LEAST_REQUEST,
        eds_service_name="order",
        thresholds=c.CircuitBreakerThresholds(1, 2, 3, 4, retry_budget=c.RetryBudget(10.0, 5, 2.5)),
        high_thresholds=c.CircuitBreakerThresholds(5, 6, 7, 8, max_connection_pools=9),
        max_connections_per_host=10,
        active_request_bias=0.5,
        subsets=SUBSETS,
        health_checks=(HealthCheck(HTTP_CHECK, 1.0, 10.0, **TIMES),),
        ignore_new_hosts_until_first_hc=True,
        ignore_health_on_host_removal=True,
        outlier_detection=c.OutlierDetection(10, 3, 4, 1.0, 40.0, 400.0, 100, 90, 80, 70, 60, True, **RATES),
        healthy_panic_threshold=0.0,
        http=c.HttpProtocolOptions("http2", 60.0, 600.0, 5, 100, keepalive=(30.0, 5.0)),
        locality_weighted=True,
        least_request_choice_count=3,
        slow_start=c.SlowStart(30.0, 1.5, 20.0),
        tcp_keepalive=(3, 60, 10),
        tls_matches=(
            c.TransportSocketMatch(
                "tlsMode-istio", (("tlsMode", "istio"),), c.UpstreamTls(TLS, "outbound_.80_._.order")
            ),
            c.TransportSocketMatch(
                "proxied", (("proxied", "1"),), c.UpstreamProxyProtocol("V1", c.UpstreamTls(TLS, "order"))
            ),
            c.TransportSocketMatch("tlsMode-disabled", (), c.UpstreamProxyProtocol("V2")),
        ),
        services=(c.ServiceName("order.default", "order", "default"),),
        external=True,
        metadata=(("config", "/apis/x"),),
        alt_stat_name="order;",
    ),
    c.Cluster(
        "static",
        c.ClusterType.STATIC,
        lb_policy=c.LbPolicy.RING_HASH,
        ring_hash=c.RingHashConfig(64, 128, hash_function="MURMUR_HASH_2"),
        hash_balance_factor=150,
        health_checks=(HealthCheck(TcpCheck(b"ping", (b"pong",)), 1.0, 10.0),),
        http=c.HttpProtocolOptions(
            preserve_header_case=True, auto_sni=True, auto_san_validation=True, max_stream_duration=60.0
        ),
        load_assignment=c.ClusterLoadAssignment(
            "static", (LOCALITY, SECOND, OTHER), 120, (("throttle", 1000),), weighted_priority_health=True
        ),
        bind_address="127.0.0.6",
        extra_bind_addresses=("::6",),
        tls=c.UpstreamTls(
            c.CommonTls(
                validation=c.CertificateValidation(trusted_ca=c.DataSource("roots.pem")),
                tls_certificates=(c.CertificateSource(c.DataSource("chain.pem"), c.DataSource(inline=IDENTITY.key)),),
            ),
            auto_host_sni=True,
            auto_sni_san_validation=True,
            max_session_keys=0,
        ),
    ),
    c.Cluster(
        "dns",
        c.ClusterType.STRICT_DNS,
        dns_jitter=0.1,
        dns_max_queries=100,
        lb_policy=c.LbPolicy.MAGLEV,
        ring_hash=c.RingHashConfig(table_size=2053),
        use_hostname_for_hashing=True,
        dns_refresh_rate=5.0,
        dns_failure_refresh_rate=(1.0, 10.0),
        dns_resolvers=(c.SocketAddress("127.0.0.1", 53),),
        http=c.HttpProtocolOptions("http2"),
        health_checks=(HealthCheck(GrpcCheck("s", "check.example", (c.HeaderValue("x-check", "1"),)), 1.0, 10.0),),
        respect_dns_ttl=False,
        dns_lookup_family="AUTO",
        load_assignment=c.ClusterLoadAssignment("dns", (c.LocalityEndpoints((DNS_HOST,)),)),
    ),
    c.Cluster(
        "logical",
        c.ClusterType.LOGICAL_DNS,
        zone_aware=c.ZoneAware(50.0, 2, True),
        lb_policy=c.LbPolicy.RANDOM,
        load_assignment=c.ClusterLoadAssignment("logical", (c.LocalityEndpoints((DNS_HOST,)),)),
    ),
    c.Cluster(
        "pass",
        c.ClusterType.ORIGINAL_DST,
        lb_policy=c.LbPolicy.CLUSTER_PROVIDED,
        http=c.HttpProtocolOptions("downstream", idle_timeout=300.0),
        bind_address="127.0.0.6",
        use_http_header=True,
        original_dst_header="x-where",
        original_dst_port=80,
        cleanup_interval=9223372035.0,
    ),
    c.Cluster(
        "named",
        c.ClusterType.FORWARD_PROXY,
        lb_policy=c.LbPolicy.CLUSTER_PROVIDED,
        dns_cache=CACHE,
        allow_insecure_options=True,
    ),
)


def test_every_feature(envoy: Path, tmp_path: Path) -> None:
    validate(envoy, tmp_path, bootstrap(LISTENERS, CLUSTERS))


def test_every_feature_is_every_field() -> None:
    """Each field of each class is set to something other than its default somewhere above."""
    used: dict[type, set[str]] = {}
    stack: list[object] = [*LISTENERS, *CLUSTERS]
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            for field in dataclasses.fields(value):
                found = getattr(value, field.name)
                if found != field.default:
                    used.setdefault(type(value), set()).add(field.name)
                stack.append(found)
    unused = {
        f"{config.__name__}.{field.name}"
        for config in used
        for field in dataclasses.fields(config)
        if field.name not in used[config]
    }
    # Envoy has no such setting: encoding it is refused.
    # An assignment that expires belongs into EDS: Envoy refuses it in a static one.
    assert unused == {
        "HttpConnectionManager.suppress_route_server_header",
        "ClusterLoadAssignment.endpoint_stale_after",
    }


def distinct(found: list[Any], name: str) -> tuple[Any, ...]:
    return tuple(dataclasses.replace(one, name=f"{name}{index}") for index, one in enumerate(found))


@pytest.mark.timeout(900)
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],
    derandomize=True,
    suppress_health_check=[Check.too_slow, Check.data_too_large, Check.function_scoped_fixture],
)
@given(
    st.lists(strategies.listeners(inline_only=True), min_size=4, max_size=8),
    st.lists(strategies.clusters(inline_only=True), min_size=8, max_size=12),
)
def test_samples(envoy: Path, tmp_path: Path, listeners: list[c.Listener], clusters: list[c.Cluster]) -> None:
    """Each sample holds many resources, because starting Envoy is what costs time."""
    # Envoy refuses two listeners at one address, and drawn values like to repeat: each has addresses of its own.
    bound = [
        dataclasses.replace(
            listener,
            address=c.SocketAddress("127.0.0.1", 10_000 + index),
            additional_addresses=tuple(
                dataclasses.replace(address, port=20_000 + index) for address in listener.additional_addresses
            ),
        )
        for index, listener in enumerate(listeners)
    ]
    validate(envoy, tmp_path, bootstrap(distinct(bound, "l"), distinct(clusters, "c")))
