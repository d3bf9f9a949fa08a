"""Listeners of a sidecar for what its application sends: one for each address and port on which services are reached.

Several services may come together on one. HTTP is told apart by its host later; where HTTP and bytes meet, or nothing is
declared, the proxy looks into each connection. Chains that ask the same of a connection exclude each other: the first counts.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mesh_api.config import (
    FilterChain,
    FilterChainMatch,
    GrpcWebFilter,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    PipeAddress,
    SocketAddress,
    TcpProxy,
    TrafficDirection,
)
from mesh_api.config.proxy_config import filter_chains as config_chains
from mesh_control.compiler import defaults, filter_chains, forward_proxies, names, outbound_policy, virtual_hosts
from mesh_control.compiler.egress import Egress
from mesh_control.compiler.outbound_chains import Chain, Sent, chains
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import OUTBOUND_PORT
from mesh_control.services import Protocol, Resolution, Service, ServicePort, declared_protocol
from mesh_policy.hosts import is_address
from mesh_policy.networking.workload_entry import UNIX

OUTBOUND = TrafficDirection.OUTBOUND
PRIVILEGED = 1024
Reached = dict[tuple[str, int], "_Entry"]


@dataclass(slots=True)
class _Entry:
    """A listener in the making. ``kind`` is HTTP, TCP or AUTO, ``declared`` the protocol of the first port that it is for;
    ``locked``: a Sidecar says what it has, nothing comes in."""

    binds: tuple[str, ...]
    port: int
    bound: bool
    kind: Protocol
    declared: Protocol
    chains: list[Chain] = field(default_factory=list)
    locked: bool = False

    def merge(self, chains: Sequence[Chain]) -> None:
        """Adds those that ask something else of a connection than the ones that are there."""
        for chain in chains:
            if all(chain.conditions != known.conditions for known in self.chains):
                self.chains.append(chain)


@dataclass(frozen=True, slots=True)
class _Listening:
    """Where an egress listener binds: the addresses (none: those of the services), and whether as sockets of their own."""

    binds: tuple[str, ...]
    bound: bool


def listeners(scope: Scope) -> list[Listener]:
    """All but the one that everything is redirected to."""
    found: Reached = {}
    for item in scope.egress:
        _reach(scope, item, found)
    made = [_listener(scope, entry) for entry in found.values()]
    proxied = _http_proxy(scope)
    return made if proxied is None else [*made, proxied]


def surroundings(scope: Scope) -> Hashable:
    """What besides the view of the mesh decides about these listeners. The proxy's own address counts where services are
    reached by the addresses of their workloads."""
    proxy = scope.proxy
    own = (proxy.addresses or (proxy.address,))[0]
    return (
        outbound_policy.addressing(proxy),
        proxy.exact_balance_outbound,
        proxy.intercepted,
        proxy.unprivileged,
        proxy.reserved,
        proxy.idle_timeout,
        proxy.http_proxy_port,
        _capture_port(scope),
        forward_proxies.surroundings(scope),
        own if own in scope.addressed else "",
    )


def deciding(scope: Scope) -> Iterator[object]:
    """What of services and rules decides about these listeners: what each egress listener reaches, rules for bytes, and hosts
    that are reached by their own addresses."""
    for item in scope.egress:
        yield item.policy
        yield from item.services
        yield from (rule for rule in item.virtual_services if rule.spec.tcp or rule.spec.tls)
        yield from (scope.world.members_of(s) for s in item.services if s.resolution is Resolution.NONE)


def tables(made: Iterable[Listener]) -> Iterator[str]:
    """Names of the route tables that listeners ask for."""
    for listener in made:
        for chain in config_chains(listener):
            if isinstance(chain.filter, HttpConnectionManager) and chain.filter.rds_name:
                yield chain.filter.rds_name


def _reach(scope: Scope, item: Egress, found: Reached) -> None:
    """Adds what an egress listener brings; the last one, which has no port, leaves alone what the others have made."""
    listening = _listening(scope, item)
    services = [service for service in item.services if service.resolution is not Resolution.ALIAS]
    if item.port is not None:
        port = ServicePort("", item.port, declared_protocol(item.protocol), item.port)
        if _may_bind(scope, listening, port):
            for service in services:
                _add(scope, item, service, port, listening, found)
        return
    for entry in found.values():
        entry.locked = True
    for service in services:
        for port in service.ports:
            if not _may_bind(scope, listening, port):
                continue
            for place in _pods(scope, service, port, listening):
                _add(scope, item, service, port, place, found)


def _listening(scope: Scope, item: Egress) -> _Listening:
    bind = (item.policy.bind or "") if item.policy is not None else ""
    bound = not scope.proxy.intercepted or bind.startswith(UNIX)
    bound = bound or (item.policy is not None and item.policy.capture_mode == "NONE")
    return _Listening((bind,) if bind else outbound_policy.loopbacks(scope.proxy) if bound else (), bound)


def _may_bind(scope: Scope, listening: _Listening, port: ServicePort) -> bool:
    """Whether the port is free: the proxy's own listeners stand on all addresses, as those for HTTP do."""
    if listening.bound and scope.proxy.unprivileged and port.number < PRIVILEGED:
        return False
    if listening.binds[:1] != outbound_policy.wildcards(scope.proxy)[:1] and (
        listening.binds or not port.protocol.is_http
    ):
        return True
    return port.number not in (_capture_port(scope), scope.world.mesh.proxy_inbound_listen_port, *scope.proxy.reserved)


def _pods(scope: Scope, service: Service, port: ServicePort, listening: _Listening) -> Iterator[_Listening]:
    """Bytes to a service without an address are sent to the addresses of its workloads, each of which is a listener then."""
    if listening.binds or service.resolution is not Resolution.NONE or service.addresses or port.protocol.is_http:
        yield listening
        return
    members = [w for w in scope.world.members_of(service) if w.port(port)]
    if not members and not service.name and not service.selector:
        yield listening
    own = (scope.proxy.addresses or (scope.proxy.address,))[0]
    for member in members:
        if is_address(member.address) and member.address != own:
            yield _Listening((member.address,), listening.bound)


def _add(
    scope: Scope, item: Egress, service: Service, port: ServicePort, listening: _Listening, found: Reached
) -> None:
    wildcards = outbound_policy.wildcards(scope.proxy)
    if port.protocol.is_http:
        binds = listening.binds or wildcards
        entry = _Entry(binds, port.number, listening.bound, Protocol.HTTP, port.protocol)
        proxied = port.protocol is Protocol.HTTP_PROXY
        looked_into = binds[0] == wildcards[0] and not proxied
        table = _table(port.number, binds[0])
        entry.chains = [_http(scope, binds[0], port, table, looked_into=looked_into, service=service)]
        entry.kind = Protocol.AUTO if looked_into else Protocol.HTTP
        _put_http(found, entry, overriding=proxied)
        return
    for binds, networks in _places(scope, service, listening):
        entry = _Entry(binds, port.number, listening.bound, port.protocol, port.protocol)
        if entry.kind is not Protocol.AUTO:
            entry.kind = Protocol.TCP
        current = found.get((binds[0], port.number))
        if current is not None and (current.locked or (current.kind is Protocol.AUTO and entry.kind is Protocol.AUTO)):
            continue
        network = bool(listening.binds) and "/" in (service.addresses or ("",))[0]
        dynamic = service.hostname.startswith("*") and service.resolution is Resolution.DYNAMIC_DNS
        by_name = network or dynamic or (binds[0] == wildcards[0] and not service.addresses)
        entry.chains = list(chains(scope, Sent(item, service, port, networks, by_name)))
        if entry.kind is Protocol.AUTO:
            alone = binds[0] != wildcards[0] and port.number
            table = names.authority(service.hostname, port.number) if alone else _table(port.number, binds[0])
            entry.chains.append(_http(scope, binds[0], port, table, looked_into=True, service=service))
        _put_stream(scope, found, entry)


def _table(port: int, bind: str) -> str:
    return str(port) if port else bind


def _places(scope: Scope, service: Service, listening: _Listening) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """On which addresses bytes to a service arrive; with the networks that theirs is in, where that is all that tells."""
    if listening.binds:
        yield listening.binds, ()
        return
    wildcards = outbound_policy.wildcards(scope.proxy)
    known = outbound_policy.addresses(scope.proxy, service) or outbound_policy.allocated(scope.proxy, service)
    for address in known:
        if "/" in address:
            yield wildcards, (address,)
        else:
            yield (address,), ()
    if not known:
        yield wildcards, ()


def _put_http(found: Reached, entry: _Entry, *, overriding: bool) -> None:
    key = entry.binds[0], entry.port
    current = found.get(key)
    if current is not None and current.locked:
        return
    if current is None or overriding:
        found[key] = entry
    elif current.kind is Protocol.TCP and _go_together(entry, current):
        current.merge(entry.chains)
        current.kind = Protocol.AUTO


def _put_stream(scope: Scope, found: Reached, entry: _Entry) -> None:
    key = entry.binds[0], entry.port
    current = found.get(key)
    if current is None or (entry.kind is Protocol.AUTO and current.kind is Protocol.HTTP):
        found[key] = entry
    elif _go_together(entry, current):
        current.merge(entry.chains)
        if entry.kind is not current.kind:
            current.kind = Protocol.AUTO


def _go_together(entry: _Entry, current: _Entry) -> bool:
    """Where the server speaks first nobody may look into connections, so that nothing else comes in beside it."""
    return entry.declared is current.declared or not (entry.declared.server_first or current.declared.server_first)


def _http(
    scope: Scope, bind: str, port: ServicePort, table: str, *, looked_into: bool, service: Service | None = None
) -> Chain:
    """A chain for HTTP; what the first service of a port declares is what it takes."""
    name, web = f"{bind}_{port.number}", port.protocol is Protocol.GRPC_WEB
    before = (GrpcWebFilter(),) if web else ()
    behind = forward_proxies.http_filters(scope, service)

    def made() -> HttpConnectionManager:
        return filter_chains.outbound_http(f"outbound_{name}", table, before, behind)

    what = ("outbound HTTP", name, table, before, behind, looked_into)
    return scope.shared(what, (), lambda: Chain(made(), http=looked_into))


def _listener(scope: Scope, entry: _Entry) -> Listener:
    unknown = outbound_policy.unknown_cluster(scope)
    what = ("outbound listener", entry.binds, entry.port, entry.bound, unknown, scope.proxy.idle_timeout)
    return scope.shared(
        (*what, scope.proxy.own, scope.proxy.exact_balance_outbound),
        tuple(entry.chains),
        lambda: _made(scope, entry, unknown),
    )


def _made(scope: Scope, entry: _Entry, unknown: str) -> Listener:
    made = [(chain, _filter_chain(chain)) for chain in entry.chains]
    chosen = tuple(chain for known, chain in made if not known.takes_all)
    default = next((chain for known, chain in reversed(made) if known.takes_all), None)
    if default is not None and not chosen:
        chosen, default = (default,), None
    elif default is None:
        default = filter_chains.pass_through(unknown, scope.proxy.idle_timeout)
    named = any(known.server_names or known.guards for known in entry.chains)
    inspectors = (ListenerFilter.TLS_INSPECTOR,) if named else ()
    spoken = any(known.http for known in entry.chains)
    if spoken:
        inspectors = (*inspectors, ListenerFilter.HTTP_INSPECTOR)
    return Listener(
        f"{entry.binds[0]}_{entry.port}",
        _address(entry.binds[0], entry.port),
        chosen,
        default_filter_chain=default,
        listener_filters=inspectors,
        bind_to_port=entry.bound,
        traffic_direction=OUTBOUND,
        continue_on_listener_filters_timeout=True,
        listener_filters_timeout=scope.world.mesh.protocol_detection_timeout.total_seconds() if spoken else 0.0,
        additional_addresses=tuple(SocketAddress(bind, entry.port) for bind in entry.binds[1:]),
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT if entry.bound else None,
        exact_balance=scope.proxy.exact_balance_outbound,
    )


def _filter_chain(chain: Chain) -> FilterChain:
    timeout = defaults.TLS_CONNECT_TIMEOUT
    return FilterChain(
        chain.filter, match=chain.match, guards=chain.guards, connect_timeout=timeout, metadata=chain.metadata
    )


def _address(bind: str, port: int) -> SocketAddress | PipeAddress:
    return SocketAddress(bind, port) if port else PipeAddress(bind.removeprefix(UNIX))


def _http_proxy(scope: Scope) -> Listener | None:
    """The listener for applications that use the sidecar as their HTTP proxy, which reaches every service."""
    own = scope.proxy.http_proxy_port
    port = scope.world.mesh.proxy_http_port if own is None else own
    if not port:
        return None
    binds = outbound_policy.loopbacks(scope.proxy)
    entry = _Entry(binds, port, True, Protocol.HTTP, Protocol.HTTP_PROXY)
    chain = _http(
        scope, binds[0], ServicePort("", port, Protocol.HTTP_PROXY, port), virtual_hosts.PROXY_TABLE, looked_into=False
    )
    if isinstance(chain.filter, HttpConnectionManager):
        chain = replace(chain, filter=replace(chain.filter, allow_absolute_url=True))
    entry.chains = [chain]
    return _listener(scope, entry)


def _capture_port(scope: Scope) -> int:
    """The proxy's own, else the mesh's."""
    own = scope.proxy.outbound_port
    return scope.world.mesh.proxy_listen_port if own == OUTBOUND_PORT else own


def virtual(scope: Scope) -> Listener:
    """The listener that everything is redirected to."""
    port, unknown = _capture_port(scope), outbound_policy.unknown_cluster(scope)
    what = ("virtual outbound", port, unknown, scope.proxy.families, scope.proxy.idle_timeout)
    transparent = scope.proxy.transparent
    looked_up = forward_proxies.http_filters(scope, None)
    return scope.shared(
        (*what, transparent, looked_up), (), lambda: _virtual(scope, port, unknown, transparent=transparent)
    )


def _virtual(scope: Scope, port: int, unknown: str, *, transparent: bool) -> Listener:
    rest = filter_chains.pass_through(unknown, scope.proxy.idle_timeout)
    looked_up = _looked_up(scope)
    return Listener(
        name="virtualOutbound",
        address=SocketAddress(outbound_policy.wildcards(scope.proxy)[0], port),
        filter_chains=(
            filter_chains.black_hole("virtualOutbound-blackhole", port),
            *looked_up,
            replace(rest, name="virtualOutbound-catchall-tcp"),
        ),
        listener_filters=(ListenerFilter.HTTP_INSPECTOR,) if looked_up else (),
        use_original_dst=True,
        transparent=transparent,
        traffic_direction=OUTBOUND,
        access_logs=defaults.LISTENER_ACCESS_LOGS,
        max_connections_per_event=defaults.CONNECTIONS_PER_EVENT,
    )


def _looked_up(scope: Scope) -> tuple[FilterChain, ...]:
    """Requests to hosts that nobody declares, where they go there by name."""
    behind = forward_proxies.http_filters(scope, None)
    if not behind:
        return ()
    name = virtual_hosts.LOOKED_UP
    table = virtual_hosts.configuration(name, (virtual_hosts.catch_all(scope),))
    manager = filter_chains.outbound_http(f"outbound_virtualOutbound_{name}", "", (), behind)
    manager = replace(manager, route_config=replace(table, validate_clusters=False))
    match = FilterChainMatch(application_protocols=defaults.HTTP_PROTOCOLS)
    return (FilterChain(manager, "virtualOutbound-catchall-tcp-http", match),)


def tcp_filter(scope: Scope, service: Service, port: ServicePort) -> TcpProxy:
    """Bytes to a service where it is the only one that is reached: by the first rule that is for all, else to its cluster."""
    (*_, last) = chains(scope, Sent(scope.egress[-1], service, replace(port, protocol=Protocol.TCP)))
    if not isinstance(last.filter, TcpProxy):
        raise TypeError(f"{last.filter!r} is not for bytes")
    return last.filter
