"""The filter chains that every listener is made of."""

from mesh_api.config import (
    FilterChain,
    FilterChainMatch,
    HttpConnectionManager,
    HttpFilter,
    RouteConfiguration,
    TcpProxy,
)
from mesh_control.compiler import defaults, names


def outbound_http(
    stat_prefix: str, rds_name: str, before: tuple[HttpFilter, ...] = (), behind: tuple[HttpFilter, ...] = ()
) -> HttpConnectionManager:
    """HTTP from the application, routes by discovery; with filters ``before`` all else, and ``behind`` all but the router."""
    *usual, router = defaults.HTTP_FILTERS
    return HttpConnectionManager(
        stat_prefix=names.statistics(stat_prefix),
        http_filters=(*before, *usual, *behind, router),
        rds_name=rds_name,
        access_logs=defaults.ACCESS_LOGS,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
        request_id_samples=True,
        proxy_100_continue=True,
    )


def inbound_http(
    stat_prefix: str, routes: RouteConfiguration, authorization: tuple[HttpFilter, ...] = ()
) -> HttpConnectionManager:
    """HTTP to the application, routes inline; who may ask is decided before all else."""
    return HttpConnectionManager(
        stat_prefix=names.statistics(stat_prefix),
        http_filters=(*authorization, *defaults.HTTP_FILTERS),
        route_config=routes,
        access_logs=defaults.ACCESS_LOGS,
        server_name=defaults.SERVER_NAME,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
        request_id_samples=True,
        forward_client_cert="APPEND_FORWARD",
        client_cert_details=("subject", "dns", "uri"),
        proxy_100_continue=True,
    )


def gateway_http(stat_prefix: str, rds_name: str, authorization: tuple[HttpFilter, ...] = ()) -> HttpConnectionManager:
    """HTTP from outside: the peer's address is the client's, and nothing it says about others is believed."""
    return HttpConnectionManager(
        stat_prefix=names.statistics(stat_prefix),
        http_filters=(*authorization, *defaults.HTTP_FILTERS),
        rds_name=rds_name,
        access_logs=defaults.ACCESS_LOGS,
        server_name=defaults.SERVER_NAME,
        use_remote_address=True,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
        request_id_samples=True,
        forward_client_cert="SANITIZE_SET",
        client_cert_details=("subject", "cert", "dns", "uri"),
        proxy_100_continue=True,
    )


def tcp(cluster: str, idle_timeout: float | None = None) -> TcpProxy:
    """Bytes to one cluster; ``idle_timeout`` in seconds."""
    return TcpProxy(stat_prefix=cluster, cluster=cluster, access_logs=defaults.ACCESS_LOGS, idle_timeout=idle_timeout)


def black_hole(name: str, port: int) -> FilterChain:
    """Connections dialled to the capture port itself lead nowhere, or they would come back for ever."""
    sink = TcpProxy(stat_prefix=defaults.BLACK_HOLE, cluster=defaults.BLACK_HOLE)
    return FilterChain(sink, name, FilterChainMatch(destination_port=port))


def pass_through(cluster: str = defaults.PASSTHROUGH, idle_timeout: float | None = None) -> FilterChain:
    """What is not what the port is for goes where it was dialled, or to the cluster for what nobody declared."""
    return FilterChain(tcp(cluster, idle_timeout), "PassthroughFilterChain")
