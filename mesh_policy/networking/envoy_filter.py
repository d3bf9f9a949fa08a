"""EnvoyFilter: read to say which typed kind does what its patches do. It is never applied.

A patch is written in the names of one version of Envoy and is right or wrong there only, when it is merged; so nothing
about it can be checked, tested or explained before. What people mostly patch has a field of a typed kind.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_CONNECTION_POOL = "DestinationRule spec.trafficPolicy.connectionPool"
_OUTLIERS = "DestinationRule spec.trafficPolicy.outlierDetection"
_BALANCER = "DestinationRule spec.trafficPolicy.loadBalancer"
_ROUTE = "VirtualService spec.http[]"
_LOGS, _TRACING, _METRICS = "Telemetry spec.accessLogging", "Telemetry spec.tracing", "Telemetry spec.metrics"

EXTENSIONS: dict[str, str] = {
    "cors": f"{_ROUTE}.corsPolicy",
    "fault": f"{_ROUTE}.fault",
    "rbac": "AuthorizationPolicy spec.rules",
    "jwt_authn": "RequestAuthentication spec.jwtRules",
    "ext_authz": "AuthorizationPolicy spec.action CUSTOM with spec.provider",
    "header_mutation": f"{_ROUTE}.headers",
    "stats": _METRICS,
    "connection_limit": "Sidecar spec.inboundConnectionPool.tcp.maxConnections",
    "set_filter_state": "",
    "lua": "",
    "wasm": "",
    "local_ratelimit": "",
    "ratelimit": "",
    "rate_limit_quota": "",
    "compressor": "",
    "decompressor": "",
    "grpc_json_transcoder": "",
    "grpc_web": "",
    "ext_proc": "",
    "oauth2": "",
    "basic_auth": "",
    "api_key_auth": "",
    "csrf": "",
    "buffer": "",
    "cache": "",
    "health_check": "",
    "adaptive_concurrency": "",
    "admission_control": "",
    "bandwidth_limit": "",
    "geoip": "",
    "credential_injector": "",
    "golang": "",
    "on_demand": "",
    "proto_message_extraction": "",
    "tap": "",
    "original_src": "",
    "proxy_protocol": "",
    "mysql_proxy": "",
    "postgres_proxy": "",
    "mongo_proxy": "",
    "redis_proxy": "",
    "kafka_broker": "",
    "zookeeper_proxy": "",
    "thrift_proxy": "",
    "dubbo_proxy": "",
}
"""Last part of an extension's name in Envoy (``envoy.filters.http.cors``) to the typed field; empty: none has it."""
_MESSAGES = {
    "h_t_t_p_fault": "fault",
    "r_b_a_c": "rbac",
    "rbac_per_route": "rbac",
    "jwt_authentication": "jwt_authn",
    "cors_policy": "cors",
    "local_rate_limit": "local_ratelimit",
    "rate_limit": "ratelimit",
    "rate_limit_per_route": "ratelimit",
    "external_processor": "ext_proc",
}
"""Messages (snake case, without version) that are not named like their filter."""

_HEADERS = {
    f"{side}_headers_to_{verb}": f"{_ROUTE}.headers.{side}.{verb}"
    for side in ("request", "response")
    for verb in ("add", "remove")
}
_POOL = {
    "connect_timeout": f"{_CONNECTION_POOL}.tcp.connectTimeout",
    "max_connections": f"{_CONNECTION_POOL}.tcp.maxConnections",
    "max_pending_requests": f"{_CONNECTION_POOL}.http.http1MaxPendingRequests",
    "max_requests": f"{_CONNECTION_POOL}.http.http2MaxRequests",
    "max_retries": f"{_CONNECTION_POOL}.http.maxRetries",
    "max_requests_per_connection": f"{_CONNECTION_POOL}.http.maxRequestsPerConnection",
    "max_concurrent_streams": f"{_CONNECTION_POOL}.http.maxConcurrentStreams",
    "max_connection_duration": f"{_CONNECTION_POOL}.tcp.maxConnectionDuration",
    "tcp_keepalive": f"{_CONNECTION_POOL}.tcp.tcpKeepalive",
    "circuit_breakers": _CONNECTION_POOL,
    "idle_timeout": f"{_CONNECTION_POOL}.http.idleTimeout",
}
_EJECTION = {
    "consecutive_5xx": "consecutive5xxErrors",
    "consecutive_gateway_failure": "consecutiveGatewayErrors",
    "consecutive_local_origin_failure": "consecutiveLocalOriginFailures",
    "split_external_local_origin_errors": "splitExternalLocalOriginErrors",
    "interval": "interval",
    "base_ejection_time": "baseEjectionTime",
    "max_ejection_percent": "maxEjectionPercent",
}
_CLUSTER = {
    **_POOL,
    "outlier_detection": _OUTLIERS,
    **{f"outlier_detection.{name}": f"{_OUTLIERS}.{ours}" for name, ours in _EJECTION.items()},
    "healthy_panic_threshold": f"{_OUTLIERS}.minHealthPercent",
    "lb_policy": f"{_BALANCER}.simple",
    "least_request_lb_config": f"{_BALANCER}.simple LEAST_REQUEST",
    "ring_hash_lb_config": f"{_BALANCER}.consistentHash.ringHash",
    "maglev_lb_config": f"{_BALANCER}.consistentHash.maglev",
    "slow_start_config": f"{_BALANCER}.warmup",
    "locality_weighted_lb_config": f"{_BALANCER}.localityLbSetting",
    "lb_subset_config": "DestinationRule spec.subsets",
    "transport_socket": "DestinationRule spec.trafficPolicy.tls",
    "http2_protocol_options": f"{_CONNECTION_POOL}.http.h2UpgradePolicy",
    "load_assignment": "ServiceEntry spec.endpoints",
    "health_checks": "",
    "dns_refresh_rate": "",
    "dns_lookup_family": "",
    "per_connection_buffer_limit_bytes": "",
}
_ROUTES = {
    **_HEADERS,
    "timeout": f"{_ROUTE}.timeout",
    "max_stream_duration": f"{_ROUTE}.timeout",
    "retry_policy": f"{_ROUTE}.retries",
    "cors": f"{_ROUTE}.corsPolicy",
    "redirect": f"{_ROUTE}.redirect",
    "direct_response": f"{_ROUTE}.directResponse",
    "prefix_rewrite": f"{_ROUTE}.rewrite.uri",
    "regex_rewrite": f"{_ROUTE}.rewrite.uriRegexRewrite",
    "host_rewrite_literal": f"{_ROUTE}.rewrite.authority",
    "weighted_clusters": f"{_ROUTE}.route[].weight",
    "request_mirror_policies": f"{_ROUTE}.mirrors",
    "hash_policy": f"{_BALANCER}.consistentHash",
    "domains": "VirtualService spec.hosts",
    "require_tls": "Gateway spec.servers[].tls.httpsRedirect",
    "rate_limits": "",
    "idle_timeout": "",
}
_LISTENER = {
    "access_log": _LOGS,
    "transport_socket": "Gateway spec.servers[].tls, for traffic inside the mesh PeerAuthentication spec.mtls",
    "tcp_keepalive": f"{_CONNECTION_POOL}.tcp.tcpKeepalive",
    "listener_filters": "",
    "per_connection_buffer_limit_bytes": "",
    "socket_options": "",
    "connection_balance_config": "",
}
_CONNECTION_MANAGER = {
    **_LISTENER,
    "tracing": _TRACING,
    "custom_tags": f"{_TRACING}[].customTags",
    "random_sampling": f"{_TRACING}[].randomSamplingPercentage",
    "max_concurrent_streams": "Sidecar spec.inboundConnectionPool.http.maxConcurrentStreams",
    "max_requests_per_connection": "Sidecar spec.inboundConnectionPool.http.maxRequestsPerConnection",
    "idle_timeout": "Sidecar spec.inboundConnectionPool.http.idleTimeout",
    "route_config": _ROUTE,
    "upgrade_configs": "",
    "stream_idle_timeout": "",
    "request_timeout": "",
    "request_headers_timeout": "",
    "drain_timeout": "",
    "delayed_close_timeout": "",
    "max_request_headers_kb": "",
    "local_reply_config": "",
    "use_remote_address": "",
    "xff_num_trusted_hops": "",
    "server_name": "",
    "server_header_transformation": "",
    "preserve_external_request_id": "",
    "forward_client_cert_details": "",
    "normalize_path": "",
    "merge_slashes": "",
    "path_with_escaped_slashes_action": "",
    "preserve_case_words": "",
    "proper_case_words": "",
}
FIELDS: dict[str, dict[str, str]] = {
    "CLUSTER": _CLUSTER,
    "LISTENER": _LISTENER,
    "FILTER_CHAIN": _LISTENER,
    "LISTENER_FILTER": {},
    "NETWORK_FILTER": {
        **_CONNECTION_MANAGER,
        "max_connect_attempts": "VirtualService spec.tcp[].route",
    },
    "HTTP_FILTER": {},
    "ROUTE_CONFIGURATION": _ROUTES,
    "VIRTUAL_HOST": _ROUTES,
    "HTTP_ROUTE": _ROUTES,
    "EXTENSION_CONFIG": {},
    "BOOTSTRAP": {"tracing": _TRACING, "stats_config": _METRICS, "stats_sinks": _METRICS, "access_log": _LOGS},
}
"""``applyTo`` to fields of what is patched (the last names of their path), each with the typed field; empty: none has it."""
MADE_NEW = {
    "CLUSTER": "ServiceEntry",
    "LISTENER": "Sidecar spec.ingress, at a gateway Gateway spec.servers",
    "VIRTUAL_HOST": "VirtualService",
    "HTTP_ROUTE": _ROUTE,
}
"""``applyTo`` to the typed kind that makes such a thing, for patches that add one."""
_NO_KIND = "no typed kind has this"


def answer(document: Mapping[str, Any]) -> str:
    """What is said to an EnvoyFilter: patch by patch the typed kind and field, or that there is none."""
    spec = document.get("spec")
    patches = spec.get("configPatches") if isinstance(spec, Mapping) else None
    patches = patches if isinstance(patches, list) else []
    told = [f"configPatches[{place}] {_told(patch)}" for place, patch in enumerate(patches)]
    advice = "; ".join(told) or "it has no patches, so it can be removed"
    return f"EnvoyFilter is not applied, since nothing in it can be checked before Envoy merges it: {advice}"


def _told(patch: object) -> str:
    if not isinstance(patch, Mapping):
        return "is no map of fields"
    content = patch.get("patch")
    content = content if isinstance(content, Mapping) else {}
    where = str(patch.get("applyTo", "INVALID"))
    what = f"({where} {content.get('operation', 'MERGE')})"
    found = dict(_found(where, content, patch.get("match")))
    if not found:
        return f"{what}: {_NO_KIND}"
    return f"{what}: " + ", ".join(f"{name}: {typed or _NO_KIND}" for name, typed in found.items())


def _found(where: str, patch: Mapping[str, Any], match: object) -> Iterator[tuple[str, str]]:
    """Names that are known in a patch, each with the typed field."""
    value, operation = patch.get("value"), str(patch.get("operation", "MERGE"))
    known = list(_recognized(value, FIELDS.get(where, {}), ())) if isinstance(value, Mapping) else []
    if operation == "REMOVE":
        known = [named for name in _matched_filters(match) for named in _extension(name)]
    elif operation in ("ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER") and where in MADE_NEW:
        known.insert(0, (f"a new {where.lower()}", MADE_NEW[where]))
    # A name inside another that is known (max_connections in circuit_breakers) says it better.
    yield from ((name, typed) for name, typed in known if not any(other.startswith(f"{name}.") for other, _ in known))


def _recognized(value: object, fields: Mapping[str, str], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _recognized(item, fields, path)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        name = _snake(str(key))
        if name in ("@type", "name", "type_url") and isinstance(inner, str):
            yield from _extension(inner)
            continue
        here = (*path, name)
        typed = fields.get(".".join(here[-2:]), fields.get(name))
        if typed is not None:
            yield ".".join(here), typed
        if path and path[-1] == "typed_per_filter_config":
            yield from _extension(str(key))
        yield from _recognized(inner, fields, here)


def _matched_filters(match: object) -> Iterator[str]:
    """Names of filters that a match points at."""
    if isinstance(match, Mapping):
        for key, inner in match.items():
            if key == "name" and isinstance(inner, str):
                yield inner
            yield from _matched_filters(inner)


def _extension(name: str) -> Iterator[tuple[str, str]]:
    """The filter of that name (``envoy.filters.http.cors``) or message (``type.googleapis.com/...cors.v3.Cors``)."""
    last = _snake(name.rpartition(".")[2])
    known = _MESSAGES.get(last, last)
    if known in EXTENSIONS:
        yield known, EXTENSIONS[known]


def _snake(name: str) -> str:
    """``connectTimeout`` to ``connect_timeout``: Envoy reads either."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
