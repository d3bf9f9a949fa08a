"""Gateways: listeners of proxies at the edge, and the tables of hosts behind them.

:mod:`servers` says who listens where, :mod:`tls` how connections are taken, :mod:`routes` and :mod:`streams` what becomes of
requests and of bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mesh_api.config import (
    DownstreamTls,
    FilterChain,
    GrpcWebFilter,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    PipeAddress,
    RouteConfiguration,
    SocketAddress,
    TrafficDirection,
)
from mesh_control.compiler import admission, defaults, filter_chains
from mesh_control.compiler.gateways import streams, tls
from mesh_control.compiler.gateways.routes import table
from mesh_control.compiler.gateways.servers import Bound, Door, merged
from mesh_control.compiler.outbound_policy import wildcards
from mesh_control.compiler.proxy_headers import proxy_config
from mesh_control.compiler.scope import Scope
from mesh_policy.networking.workload_entry import UNIX

UNPRIVILEGED = 1024
"""Ports from here on anybody may bind."""


@dataclass(slots=True)
class _Opening:
    """A listener that is being made; ``looks``: some of its chains are chosen by what TLS says first."""

    chains: list[FilterChain] = field(default_factory=list)
    looks: bool = False


def listeners(scope: Scope) -> tuple[list[Listener], list[RouteConfiguration]]:
    """One listener for each port and address that gateways on this proxy open, and their tables."""
    found: dict[Door, _Opening] = {}
    taken: dict[int, dict[str, str]] = {}
    servers = merged(scope)
    for door, together in servers.doors.items():
        if scope.proxy.unprivileged and door.port < UNPRIVILEGED:
            continue
        # Servers of two protocols for one port and address have one listener after all.
        opening = found.setdefault(replace(door, protocol=""), _Opening())
        # All that speak HTTP without TLS share one chain, and one table.
        for bound in together[:1] if together[0].is_http else together:
            chains = tuple(_chains(scope, bound, door, taken.setdefault(door.port, {})))
            opening.chains += chains
            opening.looks = opening.looks or (bound.looks_into_tls and bool(chains))
    made = [_listener(scope, door, opening) for door, opening in found.items() if opening.chains]
    asked = {name for opening in found.values() for chain in opening.chains if (name := _table(chain))}
    return made, [table(scope, name, bound) for name, bound in servers.tables.items() if name in asked]


def _table(chain: FilterChain) -> str:
    return chain.filter.rds_name if isinstance(chain.filter, HttpConnectionManager) else ""


def _address(scope: Scope, door: Door) -> str:
    return door.bind or wildcards(scope.proxy)[0]


def _chains(scope: Scope, bound: Bound, door: Door, taken: dict[str, str]) -> Iterator[FilterChain]:
    prefix = f"outbound_{_address(scope, door)}_{door.port}"
    if bound.is_http:
        yield _http(scope, bound, prefix)
    elif bound.is_https:
        yield _http(scope, bound, prefix, tls.socket(scope, bound))
    else:
        yield from streams.chains(scope, bound, taken)


def _http(scope: Scope, bound: Bound, prefix: str, socket: DownstreamTls | None = None) -> FilterChain:
    before = admission.http_filters(scope)
    if bound.protocol == "grpc-web" and not scope.proxy.own:
        before = (*before, GrpcWebFilter())
    manager = filter_chains.gateway_http(prefix, bound.table, before)
    if socket is None:
        return FilterChain(manager)
    if bound.server.name:
        manager = replace(manager, stat_prefix=bound.server.name)
    return FilterChain(manager, match=streams.named(bound.sni_hosts), tls=socket)


def _listener(scope: Scope, door: Door, opening: _Opening) -> Listener:
    address = _address(scope, door)
    if address.startswith(UNIX):
        bound: SocketAddress | PipeAddress = PipeAddress(address.removeprefix(UNIX))
    else:
        bound = SocketAddress(address, door.port)
    return Listener(
        f"{address}_{door.port}",
        bound,
        tuple(replace(chain, connect_timeout=defaults.TLS_CONNECT_TIMEOUT) for chain in opening.chains),
        listener_filters=tuple(_listener_filters(scope, opening)),
        traffic_direction=TrafficDirection.OUTBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
        exact_balance=scope.proxy.exact_balance_outbound,
    )


def _listener_filters(scope: Scope, opening: _Opening) -> Iterator[ListenerFilter]:
    """What stands before the gateway may tell the client's address before all else."""
    topology = proxy_config(scope).gateway_topology
    if topology is not None and topology.proxy_protocol is not None:
        yield ListenerFilter.PROXY_PROTOCOL
    if opening.looks:
        yield ListenerFilter.TLS_INSPECTOR
