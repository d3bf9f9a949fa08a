"""The filter chains that every listener is made of."""

from mesh_api.config import FilterChain, FilterChainMatch, HttpConnectionManager, RouteConfiguration, TcpProxy
from mesh_control.compiler import defaults


def outbound_http(stat_prefix: str, rds_name: str) -> HttpConnectionManager:
    """HTTP from the application, routes by discovery."""
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=defaults.HTTP_FILTERS,
        rds_name=rds_name,
        access_logs=defaults.ACCESS_LOGS,
        server_name=defaults.SERVER_NAME,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
    )


def inbound_http(stat_prefix: str, routes: RouteConfiguration) -> HttpConnectionManager:
    """HTTP to the application, routes inline."""
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=defaults.HTTP_FILTERS,
        route_config=routes,
        access_logs=defaults.ACCESS_LOGS,
        server_name=defaults.SERVER_NAME,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
        forward_client_cert="APPEND_FORWARD",
    )


def gateway_http(stat_prefix: str, rds_name: str) -> HttpConnectionManager:
    """HTTP from outside: the peer's address is the client's, and nothing it says about others is believed."""
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=defaults.HTTP_FILTERS,
        rds_name=rds_name,
        access_logs=defaults.ACCESS_LOGS,
        server_name=defaults.SERVER_NAME,
        use_remote_address=True,
        normalize_path=True,
        stream_idle_timeout=0.0,
        upgrades=defaults.UPGRADES,
        forward_client_cert="SANITIZE_SET",
    )


def tcp(cluster: str) -> TcpProxy:
    """Bytes to one cluster."""
    return TcpProxy(stat_prefix=cluster, cluster=cluster, access_logs=defaults.ACCESS_LOGS)


def black_hole(name: str, port: int) -> FilterChain:
    """Connections dialled to the capture port itself lead nowhere, or they would come back for ever."""
    return FilterChain(tcp(defaults.BLACK_HOLE), name, FilterChainMatch(destination_port=port))
