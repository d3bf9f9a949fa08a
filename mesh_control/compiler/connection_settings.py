"""How connections of clients are taken: limits and paths, by the settings of the mesh and of a proxy (Istio)."""

from datetime import timedelta
from typing import Any, Final

from mesh_control.compiler.scope import Scope
from mesh_control.compiler.telemetry import Side
from mesh_policy.mesh_config import ProxyConfig
from mesh_policy.mesh_config.connection_settings import ConnectionSettings

EDGE: Final[dict[str, Any]] = {
    "http_idle_timeout": timedelta(hours=1),
    "http_stream_idle_timeout": timedelta(minutes=5),
    "http_request_timeout": timedelta(minutes=5),
    "http_request_headers_timeout": timedelta(minutes=1),
    "http_max_concurrent_streams": 100,
    "http2_initial_stream_window_size": 65536,
    "http2_initial_connection_window_size": 1048576,
    "http_headers_with_underscores_action": "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
    "http_merge_slashes": True,
    "http_path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
    "listener_per_connection_buffer_limit_bytes": 32768,
}
"""What the profile EDGE puts where nothing is said; gateways alone have it."""

FIELDS: Final = {
    "http_idle_timeout": "idle_timeout",
    "http_max_connection_duration": "max_connection_duration",
    "http_max_stream_duration": "max_stream_duration",
    "http_stream_idle_timeout": "stream_idle_timeout",
    "http_request_timeout": "request_timeout",
    "http_request_headers_timeout": "request_headers_timeout",
    "http_drain_timeout": "drain_timeout",
    "http_max_concurrent_streams": "max_concurrent_streams",
    "http2_initial_stream_window_size": "initial_stream_window_size",
    "http2_initial_connection_window_size": "initial_connection_window_size",
    "http_merge_slashes": "merge_slashes",
}
"""Setting to the field of a connection manager."""

_UNDERSCORES, _SLASHES = "HEADERS_WITH_UNDERSCORES_", "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"


def manager(scope: Scope, side: Side, settings: ProxyConfig) -> dict[str, Any]:
    """Fields of the connection managers of one side."""
    fields = _paths(scope) | {"accept_http_10": scope.proxy.takes_http_10}
    if scope.proxy.idle_timeout is not None:
        fields["idle_timeout"] = scope.proxy.idle_timeout
    topology = settings.gateway_topology
    if side is Side.GATEWAY:
        fields["xff_num_trusted_hops"] = topology.num_trusted_proxies if topology is not None else 0
        fields["internal_networks"] = scope.world.internal_networks
    found = connection_settings(scope, settings)
    if found is not None:
        fields |= _limits(found)
    if settings.proxy_headers and settings.proxy_headers.envoy_debug_headers:
        fields["suppress_envoy_headers"] = bool(settings.proxy_headers.envoy_debug_headers.disabled)
    return fields


def connection_settings(scope: Scope, settings: ProxyConfig) -> ConnectionSettings | None:
    """The limits of a proxy's listeners: its own, else the mesh's, with what its profile says."""
    found = settings.connection_settings or scope.world.mesh.default_config.connection_settings
    if found is None or found.profile != "EDGE" or not scope.proxy.is_gateway:
        return found
    unset = {name: value for name, value in EDGE.items() if _is_unset(getattr(found, name))}
    return found.model_copy(update=unset)


def buffer_limit(scope: Scope, side: Side, settings: ProxyConfig) -> int | None:
    """Bytes that a connection may buffer; gateways alone have such a limit."""
    found = connection_settings(scope, settings) if side is Side.GATEWAY else None
    return found.listener_per_connection_buffer_limit_bytes if found is not None else None


def _is_unset(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.endswith("_UNSPECIFIED"))


def _paths(scope: Scope) -> dict[str, Any]:
    found = scope.world.mesh.path_normalization
    kind = found.normalization if found is not None else "DEFAULT"
    decodes = kind == "DECODE_AND_MERGE_SLASHES"
    return {
        "normalize_path": kind != "NONE",
        "merge_slashes": decodes or kind == "MERGE_SLASHES",
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD" if decodes else "KEEP_UNCHANGED",
    }


def _limits(found: ConnectionSettings) -> dict[str, Any]:
    said = {field: getattr(found, name) for name, field in FIELDS.items()}
    fields = {field: _plain(value) for field, value in said.items() if value is not None}
    if not _is_unset(found.http_headers_with_underscores_action):
        action = found.http_headers_with_underscores_action.removeprefix(_UNDERSCORES)
        fields["headers_with_underscores_action"] = action
    if found.http_path_with_escaped_slashes_action != _SLASHES:
        fields["path_with_escaped_slashes_action"] = found.http_path_with_escaped_slashes_action
    return fields


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
