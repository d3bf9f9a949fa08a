"""Small configurations of a proxy. Listeners take any port: the worker says which."""

from typing import Any

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    FilterChain,
    HttpConnectionManager,
    Listener,
    LocalityEndpoints,
    PathMatch,
    PathMatchKind,
    ProxyConfig,
    Redirect,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    RouterFilter,
    SocketAddress,
    TcpProxy,
    VirtualHost,
)
from mesh_api.config.routes import DirectResponse

ANY_PORT = SocketAddress("127.0.0.1", 0)
ISTIO_RETRY = RetryPolicy(
    ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"),
    num_retries=2,
    host_selection_retry_max_attempts=5,
    avoid_previous_hosts=True,
)
"""What Istio writes in every outbound route."""


def cluster(name: str, *ports: int, **fields: Any) -> Cluster:
    """A static cluster on loopback ports; no panic threshold, as Istio sends it."""
    endpoints = tuple(Endpoint(SocketAddress("127.0.0.1", port)) for port in ports)
    assignment = ClusterLoadAssignment(name, (LocalityEndpoints(endpoints),) if endpoints else ())
    settings: dict[str, Any] = {"healthy_panic_threshold": 0.0} | fields
    return Cluster(name, ClusterType.STATIC, load_assignment=assignment, **settings)


def match(path: str, kind: PathMatchKind = PathMatchKind.PREFIX, **conditions: Any) -> RouteMatch:
    """A condition on the path, with others."""
    return RouteMatch(PathMatch(kind, path), **conditions)


def route(
    where: str | RouteMatch = "/", to: str | RouteAction | Redirect | DirectResponse = "backend", **fields: Any
) -> Route:
    """``route("/a", "name")`` sends what is below ``/a`` to a cluster, without a timeout (as Istio does)."""
    condition = match(where) if isinstance(where, str) else where
    return Route(condition, RouteAction(to, timeout=0.0) if isinstance(to, str) else to, **fields)


def host(*routes: Route, **fields: Any) -> VirtualHost:
    """A virtual host for everything, unless ``domains`` says otherwise."""
    settings: dict[str, Any] = {"name": "v", "domains": ("*",), "include_request_attempt_count": True} | fields
    return VirtualHost(routes=routes, **settings)


def manager(hosts: tuple[VirtualHost, ...], **fields: Any) -> HttpConnectionManager:
    """A connection manager as Istio writes it."""
    settings: dict[str, Any] = {"http_filters": (RouterFilter(),), "server_name": "istio-envoy"} | fields
    return HttpConnectionManager("test", route_config=RouteConfiguration("r", hosts), **settings)


def http_listener(*hosts: VirtualHost, name: str = "http", **fields: Any) -> Listener:
    """A listener that speaks HTTP; ``fields`` are the manager's."""
    return Listener(name, ANY_PORT, (FilterChain(manager(hosts, **fields)),))


def http_config(routes: tuple[Route, ...], clusters: tuple[Cluster, ...], **fields: Any) -> ProxyConfig:
    """One HTTP listener (``http``) with one virtual host for everything."""
    return ProxyConfig((http_listener(host(*routes), **fields),), clusters=clusters)


def tcp_config(*clusters: Cluster, **fields: Any) -> ProxyConfig:
    """One TCP listener (``tcp``) to the first cluster."""
    settings: dict[str, Any] = {"cluster": clusters[0].name} | fields
    chain = FilterChain(TcpProxy("test", **settings))
    return ProxyConfig((Listener("tcp", ANY_PORT, (chain,)),), clusters=clusters)
