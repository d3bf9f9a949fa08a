"""Limits of connections and requests: towards a host (DestinationRule), or into a workload (Sidecar)."""

from typing import Literal, Self

from pydantic import model_validator

from mesh_policy.base import Count, Flag, Model, Unsigned
from mesh_policy.durations import OffOrPositive, PositiveDuration


class TcpKeepalive(Model):
    """Keep-alive probes of the kernel."""

    probes: Unsigned | None = None
    """Probes without an answer after which the connection is dead; default the system's, 9 on Linux."""
    time: PositiveDuration | None = None
    """Idle time before the first probe; default the system's, 2 h on Linux."""
    interval: PositiveDuration | None = None
    """Time between probes; default the system's, 75 s on Linux."""


class TcpSettings(Model):
    """Connections."""

    max_connections: Count | None = None
    """Most connections to a host; unset and 0 mean no limit."""
    connect_timeout: PositiveDuration | None = None
    """How long a connection may take to be made; default 10 s."""
    tcp_keepalive: TcpKeepalive | None = None
    """Keep-alive probes; unset means none."""
    max_connection_duration: PositiveDuration | None = None
    """How long a connection may last; unset means for ever."""
    idle_timeout: OffOrPositive | None = None
    """How long a connection may be idle; default 1 h, 0 means for ever."""


class Http2KeepAlive(Model):
    """HTTP/2 pings; both fields are required."""

    interval: PositiveDuration | None = None
    """Time between pings."""
    timeout: PositiveDuration | None = None
    """How long the answer to a ping may take before the connection is closed."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        missing = [name for name in ("interval", "timeout") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{' and '.join(missing)} is required")
        return self


class HttpSettings(Model):
    """Requests."""

    http1_max_pending_requests: Count | None = None
    """Most requests that wait for a connection; default 2**32 - 1."""
    http2_max_requests: Count | None = None
    """Most requests under way to a host; default 2**32 - 1."""
    max_requests_per_connection: Count | None = None
    """Requests after which a connection is closed; 1 switches keep-alive off, default 2**29."""
    max_retries: Count | None = None
    """Most retries under way to a host; default 2**32 - 1."""
    idle_timeout: PositiveDuration | None = None
    """How long a connection may be without a request; default 1 h."""
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    """Whether HTTP/1.1 is upgraded to HTTP/2 on the way; default as the mesh says."""
    use_client_protocol: Flag | None = None
    """Whether the host is spoken to as the client speaks; excludes UPGRADE."""
    max_concurrent_streams: Count | None = None
    """Most requests at a time on an HTTP/2 connection; default 2**31 - 1."""
    http2_keep_alive: Http2KeepAlive | None = None
    """HTTP/2 pings; unset means none."""

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        if self.h2_upgrade_policy == "UPGRADE" and self.use_client_protocol:
            raise ValueError("h2UpgradePolicy UPGRADE and useClientProtocol exclude each other; keep one")
        return self


class ConnectionPool(Model):
    """Limits of the pool."""

    tcp: TcpSettings | None = None
    """Limits of connections."""
    http: HttpSettings | None = None
    """Limits of requests."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.tcp is None and self.http is None:
            raise ValueError("a connection pool needs tcp or http")
        return self
