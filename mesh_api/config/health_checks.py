"""Active health checks of a cluster (Envoy ``core.v3.HealthCheck``)."""

from dataclasses import dataclass

from mesh_api.config.routes import HeaderValue


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A request whose answer must have one of the ``expected`` statuses, half-open ranges; one of the ``retriable`` is a
    failure that takes ``unhealthy_threshold`` of its kind, where others make a host unhealthy at once.

    ``host`` is the name asked for; empty: the host's own, or the cluster's. ``service_name`` is the beginning that the
    answer's ``x-envoy-upstream-healthchecked-cluster`` must have.
    """

    path: str
    host: str = ""
    method: str = "GET"
    headers_to_add: tuple[HeaderValue, ...] = ()
    headers_to_remove: tuple[str, ...] = ()
    expected: tuple[tuple[int, int], ...] = ((200, 201),)
    retriable: tuple[tuple[int, int], ...] = ()
    receive: tuple[bytes, ...] = ()
    """Parts that must stand in the answer's body in this order; nothing is looked for where there are none."""
    http2: bool = False


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A connection that stands; with ``send``, bytes that are sent, and with ``receive`` what must come back, in order."""

    send: bytes = b""
    receive: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """``grpc.health.v1.Health/Check`` of ``service_name`` must answer ``SERVING``."""

    service_name: str = ""
    authority: str = ""
    initial_metadata: tuple[HeaderValue, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How often a host is asked, and after how many answers it counts as healthy or not. Seconds for the times.

    ``None`` is Envoy's own: 60 s without traffic, ``interval`` for what is not said of unhealthy hosts and of the checks
    just after a change.
    """

    check: HttpCheck | TcpCheck | GrpcCheck
    timeout: float
    interval: float
    unhealthy_threshold: int = 1
    healthy_threshold: int = 1
    initial_jitter: float = 0.0
    interval_jitter: float = 0.0
    interval_jitter_percent: int = 0
    no_traffic_interval: float | None = None
    no_traffic_healthy_interval: float | None = None
    unhealthy_interval: float | None = None
    unhealthy_edge_interval: float | None = None
    healthy_edge_interval: float | None = None
    alt_port: int | None = None
    reuse_connection: bool = True
    event_log_path: str = ""
    always_log_failures: bool = False
    always_log_success: bool = False


@dataclass(frozen=True, slots=True)
class HostCheck:
    """What one host says of its checks (Envoy ``Endpoint.HealthCheckConfig``): another port or address, the name that is
    asked for, or none at all."""

    port: int = 0
    address: str = ""
    hostname: str = ""
    disabled: bool = False
