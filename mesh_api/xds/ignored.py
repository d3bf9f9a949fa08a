"""What is left out of a decoded resource on purpose, and why. Everything else that is not handled is an error."""

from typing import Final

IGNORED_TYPES: Final[dict[str, str]] = {
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig": "chooses the ALPN of upstream TLS; the cluster says that",
    "envoy.tcp.metadataexchange.config.MetadataExchange": "telemetry only: names the peer's workload",
    "io.istio.http.peer_metadata.Config": "telemetry only: names the peer's workload",
}
"""Filters that change no traffic, by the full name of their configuration's message."""

IGNORED_FIELDS: Final[dict[tuple[str, str], str]] = {
    ("envoy.config.cluster.v3.CircuitBreakers.Thresholds", "track_remaining"): "statistics only",
    (
        "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks",
        "retry_policy",
    ): "keys are asked for again after pauses of the proxy's own, for ever",
    (
        "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
        "jwt_cache_config",
    ): "every token that was verified is remembered",
    ("envoy.config.core.v3.ConfigSource", "initial_fetch_timeout"): "a snapshot is applied when it is complete",
    ("envoy.config.core.v3.ConfigSource", "resource_api_version"): "there is v3 only",
    ("envoy.config.core.v3.RuntimeDouble", "runtime_key"): "no runtime layers: the default value holds",
    ("envoy.config.core.v3.RuntimeFractionalPercent", "runtime_key"): "no runtime layers: the default value holds",
    ("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", "trace_sampled"): "copies carry the original's trace",
    ("envoy.config.route.v3.WeightedCluster", "runtime_key_prefix"): "no runtime layers: the weights hold",
    ("envoy.config.endpoint.v3.LocalityLbEndpoints", "metadata"): "telemetry only",
    (
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        "initial_read_buffer_size",
    ): "tuning of Envoy's reads",
    ("envoy.extensions.filters.http.router.v3.Router", "start_child_span"): "tracing only",
    ("envoy.extensions.filters.http.router.v3.Router", "dynamic_stats"): "statistics only",
    ("stats.PluginConfig", "reporter"): "is for waypoints, which report for both ends",
    ("envoy.type.matcher.v3.RegexMatcher", "google_re2"): "RE2 is the only engine",
}
"""Fields that change no traffic, by message and field."""
