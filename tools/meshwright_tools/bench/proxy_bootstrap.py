"""What both proxies run in ``make bench``: one bootstrap in Envoy's form, with what Istio sends a sidecar.

Twenty virtual hosts besides the one that is asked for, routes by path, expression, header and prefix, two clusters by weight,
retries, timeouts, outlier detection, least request, the filters of Istio that Envoy has itself, and Istio's access log in a
file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

HOST = "app.default.svc.cluster.local"
IDENTITY = "spiffe://cluster.local/ns/default/sa/app"
LOG = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
_TYPE = "type.googleapis.com/envoy.extensions."
_FILTERS = (
    "fault:fault.v3.HTTPFault",
    "cors:cors.v3.Cors",
    "grpc_stats:grpc_stats.v3.FilterConfig",
    "router:router.v3.Router",
)
_RETRIES = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "per_try_timeout": "5s",
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"{_TYPE}retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    "host_selection_retry_max_attempts": "5",
    "retriable_status_codes": [503],
}


def bootstrap(
    listener: dict[str, Any], clusters: list[dict[str, Any]], secrets: list[dict[str, Any]]
) -> dict[str, Any]:
    """For either proxy: what only one of them reads, the other passes over."""
    node = {"id": "sidecar~127.0.0.1~app.default~cluster.local", "cluster": "app"}
    static = {"listeners": [listener], "clusters": clusters, "secrets": secrets}
    own = {"MESHWRIGHT": {"concurrency": 1, "log_level": "warning"}}
    return {"node": {**node, "metadata": own}, "static_resources": static}


def http_listener(port: int, log: Path, *, http2: bool = False, mutual: bool = False) -> dict[str, Any]:
    """A connection manager with everything."""
    manager = {
        "@type": f"{_TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80",
        "codec_type": "HTTP2" if http2 else "AUTO",
        "server_name": "istio-envoy",
        "use_remote_address": True,
        "normalize_path": True,
        "generate_request_id": True,
        "stream_idle_timeout": "0s",
        "route_config": {"name": "80", "validate_clusters": False, "virtual_hosts": _virtual_hosts()},
        "http_filters": [_http_filter(*row.split(":")) for row in _FILTERS],
        "access_log": [_access_log(log)],
    }
    return _listener(port, "http_connection_manager", manager, mutual)


def tcp_listener(port: int, log: Path) -> dict[str, Any]:
    """Bytes to the first cluster."""
    proxy = {
        "@type": f"{_TYPE}filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "outbound|80||app",
        "cluster": "v1",
        "access_log": [_access_log(log)],
    }
    return _listener(port, "tcp_proxy", proxy, False)


def cluster(
    name: str, port: int, *, http2: bool = False, mutual: bool = False, one_request: bool = False
) -> dict[str, Any]:
    """One host, and Istio's settings. ``one_request``: a connection for each."""
    protocol: dict[str, Any] = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    common: dict[str, Any] = {"idle_timeout": "3600s"}
    if one_request:
        common["max_requests_per_connection"] = 1
    endpoint = {"endpoint": {"address": _address(port)}}
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 4294967295)
    made: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
        "outlier_detection": {"consecutive_5xx": 5, "interval": "10s", "max_ejection_percent": 50},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
                "common_http_protocol_options": common,
            }
        },
    }
    if mutual:
        context: dict[str, Any] = {
            "@type": f"{_TYPE}transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": _common_tls(),
            "sni": f"outbound_.80_._.{HOST}",
        }
        made["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return made


def without_sessions(cluster_: dict[str, Any]) -> dict[str, Any]:
    """Every TLS session with a host is a new one."""
    context = {**cluster_["transport_socket"]["typed_config"], "max_session_keys": 0}
    return {**cluster_, "transport_socket": {**cluster_["transport_socket"], "typed_config": context}}


def secrets(folder: Path) -> list[dict[str, Any]]:
    """Those of ``certificate.pem``, ``key.pem`` and ``roots.pem``."""
    pair = {
        "certificate_chain": {"filename": str(folder / "certificate.pem")},
        "private_key": {"filename": str(folder / "key.pem")},
    }
    roots = {"trusted_ca": {"filename": str(folder / "roots.pem")}}
    return [{"name": "default", "tls_certificate": pair}, {"name": "ROOTCA", "validation_context": roots}]


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(port: int, name: str, config: dict[str, Any], mutual: bool) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [{"name": f"envoy.filters.network.{name}", "typed_config": config}]}
    if mutual:
        context = {
            "@type": f"{_TYPE}transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": _common_tls(),
            "require_client_certificate": True,
        }
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return {"name": "outbound", "address": _address(port), "filter_chains": [chain]}


def _common_tls() -> dict[str, Any]:
    """TLS 1.3, and the other end is the application's identity. No session is resumed where the client keeps none."""
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["istio", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": "default"}],
        "combined_validation_context": {
            "default_validation_context": {"match_subject_alt_names": [{"exact": IDENTITY}]},
            "validation_context_sds_secret_config": {"name": "ROOTCA"},
        },
    }


def _access_log(path: Path) -> dict[str, Any]:
    config = {
        "@type": f"{_TYPE}access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"text_format_source": {"inline_string": LOG}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}


def _http_filter(name: str, kind: str) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{_TYPE}filters.http.{kind}"}}


def _action(**where: Any) -> dict[str, Any]:
    return {**where, "timeout": "15s", "retry_policy": _RETRIES}


def _route(name: str, match: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "match": match, "decorator": {"operation": f"{HOST}:80/*"}, "route": action}


def _virtual_hosts() -> list[dict[str, Any]]:
    others = [
        _virtual_host(f"svc{n}", f"10.0.0.{n}", [_route("default", {"prefix": "/"}, _action(cluster="v2"))])
        for n in range(20)
    ]
    split = _action(weighted_clusters={"clusters": [{"name": "v1", "weight": 90}, {"name": "v2", "weight": 10}]})
    jason = {"name": "end-user", "string_match": {"exact": "jason"}}
    routes = [
        _route("exact", {"path": "/healthz"}, _action(cluster="v1")),
        _route("regex", {"safe_regex": {"regex": "/v[0-9]+/users/[^/]+"}}, _action(cluster="v2")),
        _route("header", {"prefix": "/", "headers": [jason]}, _action(cluster="v2")),
        _route("prefix", {"prefix": "/admin"}, _action(cluster="v2")),
        _route("default", {"prefix": "/"}, split),
    ]
    return [*others, _virtual_host("app", "10.0.1.1", routes)]


def _virtual_host(name: str, address: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    long = f"{name}.default.svc.cluster.local"
    domains = [
        long,
        f"{long}:80",
        name,
        f"{name}:80",
        f"{name}.default.svc",
        f"{name}.default",
        address,
        f"{address}:80",
    ]
    return {
        "name": f"{long}:80",
        "domains": domains,
        "routes": routes,
        "include_request_attempt_count": True,
    }
