"""What stands on every connection and request of a proxy, whatever it is for: logs, traces, headers, limits.

Listeners are made with stand-ins, which many proxies have alike; here each gets what the settings of the mesh, those of its
proxy and the Telemetries say. A listener that is shared stays so among proxies of which all of this is the same.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from mesh_api.config import (
    FilterChain,
    HttpConnectionManager,
    Listener,
    NetworkFilter,
    Route,
    RouteAction,
    RouteConfiguration,
    RouterFilter,
    ServiceMetrics,
    TcpProxy,
    VirtualHost,
)
from mesh_control.compiler import connection_settings, telemetry, tracing
from mesh_control.compiler.access_logs import AccessLogs, access_logs
from mesh_control.compiler.proxy_headers import ProxyHeaders, proxy_config, proxy_headers
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.service_metrics import service_metrics
from mesh_control.compiler.telemetry import Side, side_of
from mesh_control.compiler.tracing import Traces
from mesh_control.compiler.virtual_hosts import LOOKED_UP

UNDECLARED: Final = "allow_any", LOOKED_UP
"""The routes of hosts that nobody declares."""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that is put on the listeners of one side. ``manager`` are fields of every connection manager."""

    logs: AccessLogs
    traces: Traces
    headers: ProxyHeaders
    manager: tuple[tuple[str, Any], ...] = ()
    buffer_limit: int | None = None
    idle_timeout: float | None = None
    """Of bytes, where no rule says."""
    metrics: tuple[ServiceMetrics, ...] = ()
    """What is different of Istio's metrics: one at most."""


def dressed(scope: Scope, listeners: Iterable[Listener]) -> list[Listener]:
    """The listeners with all of it."""
    key = _key(scope)
    return [_dressed(scope, key, listener) for listener in listeners]


def dressed_together(scope: Scope, listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    """The same for listeners that many proxies have together, which they keep together."""
    key = _key(scope)
    return scope.shared(
        ("dressed together", key), (listeners,), lambda: tuple(_dressed(scope, key, one) for one in listeners)
    )


def _dressed(scope: Scope, key: Hashable, listener: Listener) -> Listener:
    side = side_of(scope, listener)
    setup = scope.shared(("setup", side, key), (), partial(_setup, scope, side))
    return scope.shared("dressed", (setup, listener), partial(_listener, setup, listener))


def _key(scope: Scope) -> Hashable:
    """All that a setup depends on besides the world."""
    proxy = scope.proxy
    settings = "" if proxy.settings is None else proxy.settings.model_dump_json(exclude_unset=True)
    kind = proxy.own, proxy.is_gateway, proxy.takes_http_10, proxy.idle_timeout, settings
    policies = tuple(policy.key for policy in telemetry.policies_of(scope))
    if not _may_trace(scope, bool(policies)):
        return kind, policies
    return kind, policies, tracing.said(scope)


def _may_trace(scope: Scope, telemetries: bool) -> bool:
    mesh = scope.world.mesh
    return telemetries or mesh.enable_tracing or bool(mesh.default_providers.tracing)


def _setup(scope: Scope, side: Side) -> Setup:
    settings = proxy_config(scope)
    headers = proxy_headers(settings, side)
    found = tracing.traces(scope, side, settings)
    manager = connection_settings.manager(scope, side, settings)
    fields = tuple((manager | _told(scope, headers, found)).items())
    limit = connection_settings.buffer_limit(scope, side, settings)
    idle = scope.proxy.idle_timeout if side is Side.INBOUND else None
    metrics = service_metrics(scope, side)
    counted = () if metrics is None else (metrics,)
    return Setup(access_logs(scope, side), found, headers, fields, limit, idle, counted)


def _told(scope: Scope, headers: ProxyHeaders, found: Traces) -> dict[str, Any]:
    """Fields of a connection manager that come from headers and traces."""
    fields: dict[str, Any] = {
        "tracing": found.tracing,
        "request_id_samples": found.by_request_id,
        "server_name": headers.server_name,
        "generate_request_id": headers.request_id,
    }
    if headers.forward_client_cert is not None:
        fields["forward_client_cert"] = headers.forward_client_cert
        fields["client_cert_details"] = headers.client_cert_details
    fields["server_header_transformation"] = "PASS_THROUGH" if headers.keeps_server else "OVERWRITE"
    fields["append_x_forwarded_port"] = headers.forwarded_port
    fields["preserve_header_case"] = headers.preserve_case
    return fields


def _listener(setup: Setup, listener: Listener) -> Listener:
    default = listener.default_filter_chain
    return replace(
        listener,
        filter_chains=tuple(_chain(setup, chain) for chain in listener.filter_chains),
        default_filter_chain=None if default is None else _chain(setup, default),
        access_logs=setup.logs.listener if listener.access_logs else (),
        per_connection_buffer_limit=setup.buffer_limit,
    )


def _chain(setup: Setup, chain: FilterChain) -> FilterChain:
    counted = setup.metrics if isinstance(chain.filter, TcpProxy) and chain.filter.access_logs else ()
    return replace(chain, filter=_filter(setup, chain.filter), guards=(*chain.guards, *counted))


def _filter(setup: Setup, terminal: NetworkFilter) -> NetworkFilter:
    if not isinstance(terminal, HttpConnectionManager):
        if not terminal.access_logs:  # a way that leads nowhere
            return terminal
        idle = setup.idle_timeout if terminal.idle_timeout is None else terminal.idle_timeout
        return replace(terminal, access_logs=setup.logs.tcp, idle_timeout=idle)
    fields = dict(setup.manager)
    suppress = fields.pop("suppress_envoy_headers", False)
    *before, router = terminal.http_filters
    if isinstance(router, RouterFilter):
        router = replace(router, suppress_envoy_headers=suppress)
    filters = (*before, *setup.metrics, router)
    table = terminal.route_config
    if table is not None:
        hosts = tuple(_host(setup.headers, host) for host in table.virtual_hosts)
        fields["route_config"] = replace(table, virtual_hosts=hosts)
    return replace(terminal, http_filters=filters, access_logs=setup.logs.http, **fields)


# Tables of routes.


def announced(scope: Scope, tables: Iterable[RouteConfiguration]) -> list[RouteConfiguration]:
    """Tables with the headers that the proxy adds to what it sends on, or does not."""
    headers = proxy_headers(proxy_config(scope), Side.GATEWAY if scope.proxy.is_gateway else Side.OUTBOUND)
    if headers.attempt_count and not headers.forwarded_host:
        return list(tables)
    key = ("announced", headers.attempt_count, headers.forwarded_host)

    def announce(host: VirtualHost) -> VirtualHost:
        return scope.shared(key, (host,), partial(_host, headers, host))

    return [replace(table, virtual_hosts=tuple(map(announce, table.virtual_hosts))) for table in tables]


def announced_together(scope: Scope, tables: tuple[RouteConfiguration, ...]) -> tuple[RouteConfiguration, ...]:
    """The same for tables that many proxies have together, which they keep together."""
    headers = proxy_headers(proxy_config(scope), Side.GATEWAY if scope.proxy.is_gateway else Side.OUTBOUND)
    key = ("announced together", headers.attempt_count, headers.forwarded_host)
    return scope.shared(key, (tables,), lambda: tuple(announced(scope, tables)))


def _host(headers: ProxyHeaders, host: VirtualHost) -> VirtualHost:
    counts = host.include_request_attempt_count and headers.attempt_count
    routes = tuple(map(_route, host.routes)) if headers.forwarded_host else host.routes
    return replace(host, include_request_attempt_count=counts, routes=routes)


def _rewrites(route: Route, action: RouteAction) -> bool:
    """Requests that come with another path or host, and those to hosts that nobody declares (Istio)."""
    return bool(action.prefix_rewrite or action.regex_rewrite or action.host_rewrite or route.name in UNDECLARED)


def _route(route: Route) -> Route:
    if not isinstance(route.action, RouteAction) or not _rewrites(route, route.action):
        return route
    return replace(route, action=replace(route.action, append_x_forwarded_host=True))
