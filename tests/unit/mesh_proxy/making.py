"""Small parts of a proxy, made in one line each."""

from collections.abc import Callable
from typing import Any

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LocalityEndpoints,
    PathMatch,
    PathMatchKind,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    SocketAddress,
    VirtualHost,
)
from mesh_proxy.authorization import Access
from mesh_proxy.balancing.host import Host
from mesh_proxy.protocol.http1 import Head, Parser
from mesh_proxy.routing.table import CompiledRoute, RouteTable


def head(target: str = "/", *lines: str, method: str = "GET", host: str = "h") -> Head:
    """A request's head; ``lines`` are further header lines."""
    return Parser().request("\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *lines)).encode("latin-1"))


def access(request: Head | None = None, port: int = 80, **fields: Any) -> Access:
    """A request (``None``: bytes) of ``10.0.0.1`` to ``10.0.0.2``."""
    return Access(request, b"10.0.0.1:1", ("10.0.0.2", port), **fields)


def answer(*lines: str, status: int = 200) -> Head:
    """A response's head."""
    return Parser().response("\r\n".join((f"HTTP/1.1 {status} OK", *lines)).encode("latin-1"))


def dice(*numbers: float) -> Callable[[], float]:
    """Gives the numbers in turn, and no more of them."""
    left = list(numbers)
    return lambda: left.pop(0)


def match(path: str = "/", kind: PathMatchKind = PathMatchKind.PREFIX, **conditions: Any) -> RouteMatch:
    """A condition on the path, and others."""
    return RouteMatch(PathMatch(kind, path), **conditions)


def route(condition: RouteMatch | str = "/", action: Any = None, **fields: Any) -> Route:
    """A route to the cluster ``c`` unless something else is given."""
    where = match(condition) if isinstance(condition, str) else condition
    return Route(where, RouteAction("c") if action is None else action, **fields)


def table(*routes: Route, **fields: Any) -> RouteTable:
    """One virtual host for everything."""
    return RouteTable(RouteConfiguration("r", (VirtualHost("v", ("*",), routes, **fields),)))


def compiled(made: Route, **fields: Any) -> CompiledRoute:
    """The route as a table of one virtual host has it."""
    host = table(made, **fields).host(b"h")
    assert host is not None
    return host.routes[0]


def name_of(routes: RouteTable, request: Head, random: Callable[[], float] | None = None) -> str | None:
    """The name of the route that a request takes; without ``random`` none may be left to chance."""
    path, _, query = request.target.partition(b"?")
    host = routes.host(request.host)
    found = None if host is None else host.find(request, path, query, random or dice())
    return None if found is None else found.config.name


def endpoint(place: int, **fields: Any) -> Endpoint:
    """``10.0.0.<place>:80``."""
    return Endpoint(SocketAddress(f"10.0.0.{place}", 80), **fields)


def hosts(number: int) -> tuple[Host, ...]:
    """Hosts named ``a``, ``b``, ``c`` ..."""
    return tuple(Host(chr(ord("a") + place), ("10.0.0.1", place)) for place in range(number))


def assignment(*endpoints: Endpoint, name: str = "c", priority: int = 0) -> ClusterLoadAssignment:
    """Endpoints of one locality."""
    return ClusterLoadAssignment(name, (LocalityEndpoints(endpoints, priority=priority),))


def cluster(*endpoints: Endpoint, name: str = "c", **fields: Any) -> Cluster:
    """A static cluster, without a panic threshold as Istio sends it."""
    settings: dict[str, Any] = {"healthy_panic_threshold": 0.0} | fields
    return Cluster(name, ClusterType.STATIC, load_assignment=assignment(*endpoints, name=name), **settings)
