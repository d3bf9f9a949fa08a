"""Istio's constants, as istiod 1.31 sends them."""

from mesh_api import pod
from mesh_api.config import (
    AccessLog,
    CircuitBreakerThresholds,
    CorsFilter,
    FaultFilter,
    GrpcStatsFilter,
    HttpFilter,
    RetryPolicy,
    RouterFilter,
)
from mesh_api.config.clusters import UNLIMITED

BLACK_HOLE, PASSTHROUGH, INBOUND_PASSTHROUGH = "BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"

LOOP_BREAKER, LOOP_BREAKER_V6 = pod.LOOP_BREAKER, "::6"
"""Source address of a sidecar's connection to its own application."""

CLUSTER = "Kubernetes"
"""The cluster of all workloads, as Istio calls it where nothing else is said, even without Kubernetes."""
WILDCARD, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104 (a listener's address, not a socket)

CONNECT_TIMEOUT = 10.0

SERVER_NAME = "istio-envoy"
"""Of gateways and of sidecars towards their callers; towards its own application a sidecar says ``envoy``, as Istio's."""

IDLE_ENDPOINT_TTL, IDLE_CONNECTION_TTL = 5.0, 300.0
"""Seconds that pass-through clusters keep a destination, and a connection, that nobody uses."""

DNS_JITTER, DNS_MAX_QUERIES = 0.1, 100
"""Seconds by which proxies ask apart from each other; queries on one socket of the resolver."""

TLS_CONNECT_TIMEOUT = 15.0
"""Seconds for a handshake at the listeners for what the application sends, and at gateways."""

CONNECTIONS_PER_EVENT = 1
"""Of bound listeners: connections are spread more evenly over Envoy's threads when each takes one at a time."""

NEVER = 9223372035.0
"""Seconds: Go's longest duration. The destinations of inbound clusters are few and stay."""

HTTP_PROTOCOLS = ("http/1.1", "h2c")
"""What the HTTP inspector calls HTTP without TLS."""

INLINE_BODY_LIMIT = 4096
"""Envoy's limit on direct responses where the table says nothing."""

THRESHOLDS = CircuitBreakerThresholds(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)

OUTBOUND_RETRIES = RetryPolicy(
    retry_on=("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"),
    num_retries=2,
    host_selection_retry_max_attempts=5,
    avoid_previous_hosts=True,
)

HASHED_RETRIES = RetryPolicy(
    retry_on=OUTBOUND_RETRIES.retry_on,
    num_retries=OUTBOUND_RETRIES.num_retries,
    host_selection_retry_max_attempts=OUTBOUND_RETRIES.host_selection_retry_max_attempts,
)
"""The same to hosts that are chosen by a hash: others would be the wrong ones."""

INBOUND_RETRIES = RetryPolicy(retry_on=("reset-before-request",), num_retries=2)

HTTP_FILTERS: tuple[HttpFilter, ...] = (GrpcStatsFilter(), FaultFilter(), CorsFilter(), RouterFilter())
"""The order: faults before anything is decided, CORS before routing, the router last."""

UPGRADES = ("websocket",)

ACCESS_LOG_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)

ACCESS_LOG_JSON = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
"""The same as a JSON object."""

STANDARD_OUTPUT = "/dev/stdout"

NO_CHAIN = ("NR",)
"""Response flags of connections for which there was no filter chain."""

ACCESS_LOGS = (AccessLog(STANDARD_OUTPUT, ACCESS_LOG_FORMAT),)
"""Where connections and requests are logged; the mesh's and the Telemetries' logs take its place
(:mod:`mesh_control.compiler.connections`)."""

LISTENER_ACCESS_LOGS = (AccessLog(STANDARD_OUTPUT, ACCESS_LOG_FORMAT, response_flags=NO_CHAIN),)
"""The listener's own log, as :data:`ACCESS_LOGS`: only connections for which there was no filter chain."""
