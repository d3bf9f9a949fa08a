"""What response flags and response code details mean: usual causes, where to look, how to mend."""

import re
from typing import NamedTuple


class Meaning(NamedTuple):
    """``name`` is Envoy's long name; ``means`` what happened; ``causes`` the usual ones; ``look`` where; ``mend`` how."""

    name: str
    means: str
    causes: tuple[str, ...]
    look: str
    mend: str


FLAGS: dict[str, Meaning] = {
    "LH": Meaning(
        "FailedLocalHealthCheck", "503: the proxy's own health check of the service failed.",
        ("a health check filter is configured and the application does not pass it",),
        "the health checks of the service, and the application's own log", "make the application answer its health check",
    ),
    "UH": Meaning(
        "NoHealthyUpstream", "503: the cluster has no host that may be chosen.",
        (
            "no workload carries the labels of the service's selector or of the subset",
            "every host is ejected by outlier detection (with maxEjectionPercent 100, also the only one)",
            "the workloads are not ready",
        ),
        "the endpoints of the cluster (`mesh status`, admin /clusters), outlier_detection counters, labels of the workloads",
        "start a workload with the subset's labels, or lower maxEjectionPercent; an ejected host comes back after"
        " baseEjectionTime",
    ),
    "UT": Meaning(
        "UpstreamRequestTimeout", "504: the host did not answer within the route's timeout (URX: the last try's).",
        ("the VirtualService's timeout or perTryTimeout is shorter than the application needs", "the application hangs"),
        "timeout and retries of the route, the duration in the log line, the application's own log",
        "raise the timeout of the route, or make the application faster; timeout includes all retries",
    ),
    "LR": Meaning(
        "LocalReset", "503: this proxy reset the connection to the host.",
        ("the proxy was draining or was reconfigured while the request was under way",),
        "the proxy's own log around that time", "retry on reset; lengthen the drain",
    ),
    "UR": Meaning(
        "UpstreamRemoteReset", "503: the host reset the stream.",
        ("the application, or its proxy, aborted the stream", "a limit of the server was met"),
        "the log of the server's proxy for the same x-request-id", "find there who reset; retry on reset where it is safe",
    ),
    "UF": Meaning(
        "UpstreamConnectionFailure", "503: no connection to the host could be made.",
        (
            "nothing listens on that port (connection refused): wrong targetPort, or another address",
            "TLS does not fit: one side talks mTLS and the other does not",
            "the host is gone and discovery does not know it yet", "a firewall or NetworkPolicy drops the connection",
        ),
        "the transport failure reason in the line, the service's targetPort, PeerAuthentication and DestinationRule tls",
        "make port and mTLS modes fit: remove tls from the DestinationRule, or set PeerAuthentication to PERMISSIVE",
    ),
    "UC": Meaning(
        "UpstreamConnectionTermination", "503: the host ended the connection before it answered.",
        (
            "plain text was sent to a workload whose mTLS mode is STRICT",
            "the application closes idle connections sooner than the proxy does", "the application crashed or was stopped",
        ),
        "PeerAuthentication of the destination, the application's keep-alive time, its restarts",
        "give the client a proxy or use PERMISSIVE; set connectionPool.http.idleTimeout below the application's own;"
        " retryOn: reset",
    ),
    "UO": Meaning(
        "UpstreamOverflow", "503: a limit of the connection pool was met (circuit breaking); x-envoy-overloaded says so.",
        ("http1MaxPendingRequests, http2MaxRequests, maxConnections or maxRetries of the DestinationRule is too low",),
        "connectionPool of the DestinationRule, the counters upstream_rq_pending_overflow and upstream_cx_overflow",
        "raise the limit, or add workloads; shed load earlier",
    ),
    "NR": Meaning(
        "NoRouteFound", "404: no virtual host for the Host field, or none of its routes matched.",
        (
            "the Host is none of the VirtualService's hosts, or the gateway's server does not have it",
            "no match block fits path, headers or method, and there is no rule without a match",
            "the VirtualService is not bound to this gateway, or not exported to the client's namespace",
        ),
        "hosts, gateways and match of the VirtualService; try it: mesh simulate FILES --from WORKLOAD URL",
        "add the host, the gateway, or a last rule without match",
    ),
    "DI": Meaning(
        "DelayInjected", "the request was delayed on purpose.", ("a VirtualService has fault.delay for this route",),
        "fault of the VirtualService", "remove the fault, or lower its percentage",
    ),
    "FI": Meaning(
        "FaultInjected", "the request was aborted on purpose.", ("a VirtualService has fault.abort for this route",),
        "fault of the VirtualService", "remove the fault, or lower its percentage",
    ),
    "RL": Meaning(
        "RateLimited", "429: a rate limit was met.", ("a local or global rate limit applies to this route",),
        "the rate limit's configuration and counters", "raise the limit, or have the client slow down",
    ),
    "UAEX": Meaning(
        "UnauthorizedExternalService", "403: the external authorizer refused, or could not be asked.",
        ("the provider of an AuthorizationPolicy with action CUSTOM said no", "the provider cannot be reached"),
        "AuthorizationPolicies with action CUSTOM, the log of the provider", "mend the provider, or the credentials",
    ),
    "RLSE": Meaning(
        "RateLimitServiceError", "500: the rate limit service failed, and is set to deny then.",
        ("the rate limit service cannot be reached",), "the rate limit service", "mend it, or fail open",
    ),
    "DC": Meaning(
        "DownstreamConnectionTermination", "the client went away before it had the answer.",
        ("the client's own timeout is shorter than the answer takes", "the user closed the page"),
        "the client's timeout, the duration in the line", "raise the client's timeout, or answer sooner",
    ),
    "URX": Meaning(
        "UpstreamRetryLimitExceeded", "every try failed: what is told is the last one's failure.",
        ("the failure lasts longer than the retries", "TCP: no connection within the allowed attempts"),
        "the other flag in the line (UF, UT), retries of the VirtualService (by default 2)",
        "mend the failure itself; more attempts only help against short ones",
    ),
    "SI": Meaning(
        "StreamIdleTimeout", "408 or 504: nothing moved on the stream for too long.",
        ("a stream rests longer than the idle timeout",), "stream idle timeout of the listener and route",
        "raise it, or send something now and then",
    ),
    "IH": Meaning(
        "InvalidEnvoyRequestHeaders", "400: an x-envoy-* field of the request has a value that cannot be.",
        ("a client sends x-envoy-* fields of its own",), "the request's fields", "do not send these fields",
    ),
    "DPE": Meaning(
        "DownstreamProtocolError", "400, 426 or 431: the client's bytes break HTTP.",
        (
            "the client speaks TLS or HTTP/2 to a port for HTTP/1.1", "a field is invalid, or the head is too large",
            "HTTP/1.0 where it is not accepted",
        ),
        "the details in the line (http1.codec_error, http1.headers_too_large ...), the name of the service's port",
        "name the port by its protocol (http-, grpc-, tcp-, https-); mend the client",
    ),
    "UMSDR": Meaning(
        "UpstreamMaxStreamDurationReached", "408 or 504: the stream lasted longer than it may.",
        ("the maximum stream duration, or a grpc-timeout, is over",), "the client's grpc-timeout", "give it more time",
    ),
    "RFCF": Meaning(
        "ResponseFromCacheFilter", "the answer came from a cache in the proxy.", ("a cache filter is configured",),
        "the cache filter", "nothing: it is as wanted",
    ),
    "NFCF": Meaning(
        "NoFilterConfigFound", "500: a filter whose configuration is discovered did not get it in time.",
        ("a WasmPlugin or another discovered filter could not be loaded",), "the extension's source, the proxy's log",
        "make the extension available, or let it fail open",
    ),
    "DT": Meaning(
        "DurationTimeout", "the connection or request lasted longer than it may.",
        ("maxConnectionDuration is over",), "connectionPool.tcp.maxConnectionDuration", "raise it",
    ),
    "UPE": Meaning(
        "UpstreamProtocolError", "502: the host's answer breaks HTTP.",
        ("the application speaks another protocol than its port's name says", "an answer with invalid fields"),
        "the name of the service's port, the application's raw answer", "name the port by its protocol, or mend the answer",
    ),
    "NC": Meaning(
        "NoClusterFound", "503: the route's cluster does not exist in this proxy.",
        (
            "the destination's host, port or subset is in no DestinationRule and no service",
            "the DestinationRule with the subset came later than the VirtualService, or was removed before it",
            "the service is not exported to, or not in the Sidecar's egress of, the client's namespace",
        ),
        "the cluster's name in the line: outbound|PORT|SUBSET|HOST; subsets of the DestinationRule; `mesh analyze`",
        "add the subset to the DestinationRule before the route that uses it, or mend the name",
    ),
    "OM": Meaning(
        "OverloadManager", "503: the proxy protects itself, it is short of memory or connections.",
        ("the proxy's limits are too low for its load",), "the proxy's memory and connections", "give the proxy more",
    ),
    "DF": Meaning(
        "DnsResolutionFailed", "503: the name of the host could not be resolved.",
        ("a ServiceEntry with resolution DNS names a host that DNS does not know", "DNS is out of order"),
        "hosts and endpoints of the ServiceEntry, DNS at the proxy's place", "mend the name, or give addresses",
    ),
    "DO": Meaning(
        "DropOverLoad", "503: the control plane asked to drop a share of the requests.",
        ("the load assignment has drop overload set",), "the cluster's load assignment", "remove the drop",
    ),
}  # fmt: skip
"""Every response flag by its short name."""

DETAILS: tuple[tuple[str, str], ...] = (
    (r"via_upstream", "the host answered: the status is the application's own"),
    (r"route_not_found", "no virtual host has this Host, or none of its routes matched"),
    (r"cluster_not_found", "the route leads to a cluster that this proxy does not have"),
    (r"no_healthy_upstream", "the cluster has no host that may be chosen"),
    (r"drop_overload", "the cluster's load assignment asks to drop a share of its requests"),
    (r"direct_response", "the route itself answers: a redirect, a directResponse, or REGISTRY_ONLY's 502"),
    (r"response_timeout", "the route's timeout was over before the host had answered"),
    (r"upstream_per_try_timeout", "the last try's perTryTimeout was over"),
    (r"upstream_per_try_idle_timeout", "nothing came from the host for as long as the try's idle timeout allows"),
    (r"fault_filter_abort", "fault.abort of a VirtualService answered"),
    (r"cors_response", "a CORS preflight was answered by corsPolicy"),
    (r"filter_chain_not_found", "no filter chain of the listener is for such a connection (port, TLS, server name)"),
    (
        r"rbac_access_denied_matched_policy\[none\](\{(?P<failed>.*)\})?",
        "ALLOW policies select the workload, and no rule of them held{failed}",
    ),
    (r"rbac_access_denied_matched_policy\[(?P<policy>.+)\]", "a DENY policy matched: {policy}"),
    (r"jwt_authn_access_denied\{(?P<why>.*)\}", "the token was refused: {why}"),
    (
        r"upstream_reset_before_response_started\{connection_termination\}",
        "the host ended the connection before it answered",
    ),
    (r"upstream_reset_before_response_started\{overflow\}", "a limit of the connection pool was met"),
    (r"upstream_reset_before_response_started\{protocol_error.*\}", "the host's answer breaks HTTP"),
    (r"upstream_reset_before_response_started\{connection_timeout.*\}", "no connection within connectTimeout"),
    (
        r"upstream_reset_before_response_started\{remote_connection_failure(?P<why>.*)\}",
        "no connection to the host{why}",
    ),
    (r"upstream_reset_before_response_started\{(?P<why>.*)\}", "the host's stream ended before the answer: {why}"),
    (
        r"upstream_reset_after_response_started\{(?P<why>.*)\}",
        "the host's stream broke in the middle of the answer: {why}",
    ),
    (r"downstream_remote_disconnect(\{.*\})?", "the client went away"),
    (r"downstream_local_disconnect(\{.*\})?", "this proxy closed the client's connection"),
    (r"request_headers_failed_strict_check|http1\.[a-z_]+|http2?\.[a-z_]+", "the client's bytes break HTTP"),
    (
        r"absolute_path_rejected",
        "the request line names a scheme and host, and the connection manager takes paths alone",
    ),
    (r"path_normalization_failed", "the path cannot be normalised: a broken escape"),
    (r"missing_host_header", "the request has no Host"),
    (r"low_version", "HTTP/1.0, which is not accepted"),
    (r"upgrade_failed", "the route does not allow this upgrade"),
    (r"max_duration_timeout", "the stream lasted longer than it may"),
    (r"stream_idle_timeout", "nothing moved on the stream for too long"),
    (r"request_overall_timeout", "the request was not complete in time"),
    (r"request_header_timeout", "the request's head was not complete in time"),
    (r"upstream_max_stream_duration_reached", "the try took longer than any may at its cluster (max_stream_duration)"),
    (r"local_rate_limited", "a local rate limit had no token left"),
    (r"websocket_handshake_unsuccessful", "the host answered as if nobody had asked for a WebSocket"),
    (r"dns_cache_overflow", "the table of hosts that requests name has no room for one more"),
    (r"ext_authz_(denied|error)", "the external authorizer refused, or could not be asked"),
    (r"rate_limited|request_rate_limited|local_rate_limited", "a rate limit was met"),
    (r"internal_redirect", "the proxy followed a redirect itself"),
)
"""Patterns of ``%RESPONSE_CODE_DETAILS%`` and what they mean; the first that fits counts."""


def details_meaning(text: str) -> str:
    """What response code details mean; empty for those that nobody knows."""
    for pattern, meaning in DETAILS:
        found = re.fullmatch(pattern, text)
        if found is not None:
            parts = {
                name: (value or "").replace("_", " ").replace("|", ", ") for name, value in found.groupdict().items()
            }
            if "policy" in parts:
                parts["policy"] = found["policy"]
            if parts.get("failed"):
                parts["failed"] = f"; what failed first: {found['failed'].replace(',', ', ')}"
            return meaning.format(**parts)
    return ""
