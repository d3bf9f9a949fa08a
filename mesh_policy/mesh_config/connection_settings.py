"""How a proxy takes connections: buffers, time limits, HTTP/2, paths. The hop from the client to the proxy."""

from typing import Literal

from mesh_policy.base import Flag
from mesh_policy.mesh_config.values import Count, NotNegative, Positive, Settings, Window


class ConnectionSettings(Settings):
    """Limits of a proxy's listeners. What is not set is as ``profile`` says."""

    profile: Literal["SIDECAR", "EDGE"] = "SIDECAR"
    """SIDECAR leaves Envoy's defaults, EDGE sets those that Envoy recommends where anybody may connect."""
    listener_per_connection_buffer_limit_bytes: Count | None = None
    """Bytes that a connection of a client may buffer; EDGE: 32768."""
    cluster_per_connection_buffer_limit_bytes: Count | None = None
    """Bytes that a connection to a host may buffer; EDGE: 32768."""
    http_idle_timeout: NotNegative | None = None
    """How long a connection may be without a request; EDGE: 1 h."""
    http_max_connection_duration: NotNegative | None = None
    """How long a connection may last before it is drained; unset: for ever."""
    http_drain_timeout: NotNegative | None = None
    """Time between the announcement of the end (GOAWAY) and the end."""
    http_request_timeout: NotNegative | None = None
    """How long a whole request may take to come in; EDGE: 300 s."""
    http_request_headers_timeout: NotNegative | None = None
    """How long the headers of a request may take to come in."""
    http_stream_idle_timeout: NotNegative | None = None
    """How long a request may be without traffic; EDGE: 300 s."""
    http_max_stream_duration: NotNegative | None = None
    """How long a request and its response may take."""
    http_max_concurrent_streams: Positive | None = None
    """Most requests at a time on a connection of HTTP/2; EDGE: 100."""
    http2_initial_stream_window_size: Window | None = None
    """Bytes of the window of a stream of HTTP/2, 65535 at least; EDGE: 65536."""
    http2_initial_connection_window_size: Window | None = None
    """Bytes of the window of a connection of HTTP/2, 65535 at least; EDGE: 1048576."""
    http_headers_with_underscores_action: Literal[
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
        "HEADERS_WITH_UNDERSCORES_ALLOW",
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    ] = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    """What becomes of a header with ``_`` in its name: it is let through, the request is refused with 400 (EDGE), or the
    header is dropped."""
    http_merge_slashes: Flag | None = None
    """Whether slashes in a row become one; EDGE: true."""
    http_path_with_escaped_slashes_action: Literal[
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    ] = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    """What becomes of ``%2F`` and ``%5C`` in a path; EDGE: UNESCAPE_AND_REDIRECT, else KEEP_UNCHANGED."""
    listener_connection_limit: Positive | None = None
    """Most connections of one listener."""
    global_downstream_connection_limit: Positive | None = None
    """Most connections of clients to the proxy."""
