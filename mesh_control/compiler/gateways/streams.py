"""Bytes through gateways: the rules for TCP and for TLS of the VirtualServices that are bound to a server."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mesh_api.config import DownstreamTls, FilterChain, FilterChainMatch
from mesh_control.compiler import admission, filter_chains, names, tls, traffic_policies
from mesh_control.compiler.destinations import Place
from mesh_control.compiler.gateways import tls as gateway_tls
from mesh_control.compiler.gateways.bindings import serves_any, virtual_services
from mesh_control.compiler.gateways.servers import Bound
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.stream_routes import counted_as, to_destinations, with_rules
from mesh_control.gateway_api import AttachedRules
from mesh_control.services import Protocol
from mesh_policy import VirtualService
from mesh_policy.hosts import gateway_name, within
from mesh_policy.networking.virtual_service import TcpMatch, TlsMatch, WeightedDestination

EVERYBODY = "*"


def chains(scope: Scope, bound: Bound, taken: dict[str, str]) -> Iterator[FilterChain]:
    """The filter chains of a server that speaks no HTTP; none where no rule says where its connections go.

    ``taken`` are the names of TLS that have a chain on the port, each with the address that it is bound to.
    """
    if not bound.passes_tls_on:
        yield from _terminated(scope, bound)
    elif bound.server.tls is not None and bound.server.tls.mode == "AUTO_PASSTHROUGH":
        yield from _automatic(scope, bound)
    else:
        yield from _passed_on(scope, bound, taken)


def named(hosts: Sequence[str]) -> FilterChainMatch:
    """Connections that ask for one of the names; the wildcard for all restricts nothing."""
    return FilterChainMatch() if EVERYBODY in hosts else FilterChainMatch(server_names=tuple(sorted(hosts)))


def _terminated(scope: Scope, bound: Bound) -> Iterator[FilterChain]:
    """Plain bytes, or TLS that ends here: the first rule that holds for the server decides."""
    socket = gateway_tls.socket(scope, bound)
    for service in virtual_services(scope, bound.gateway):
        if not serves_any(bound, service):
            continue
        for rule in service.spec.tcp or ():
            if not rule.match or any(_holds(match, service, bound) for match in rule.match):
                match = named(bound.sni_hosts) if socket is not None else FilterChainMatch()
                yield _chain(scope, service, rule.route, bound, match, socket=socket)
                return
        if socket is not None and isinstance(service, AttachedRules) and service.ends_tls:
            decided = next((r for r in service.spec.tls or () if any(_holds(m, service, bound) for m in r.match)), None)
            if decided is not None:
                yield _chain(scope, service, decided.route, bound, named(bound.sni_hosts), socket=socket)
                return


def _passed_on(scope: Scope, bound: Bound, taken: dict[str, str]) -> Iterator[FilterChain]:
    """A chain for each match of each rule; names that another one has already are left out with their rule (Istio)."""
    bind = bound.server.bind or ""
    for service in virtual_services(scope, bound.gateway):
        if not serves_any(bound, service):
            continue
        for rule in service.spec.tls or ():
            for match in rule.match:
                if not _holds(match, service, bound) or any(taken.get(host) == bind for host in match.sni_hosts):
                    continue
                taken.update(dict.fromkeys(match.sni_hosts, bind))
                yield _chain(scope, service, rule.route, bound, named(match.sni_hosts))


def _holds(match: TcpMatch | TlsMatch, service: VirtualService, bound: Bound) -> bool:
    """Gateways look at the port and at the Gateway alone."""
    names_at = {gateway_name(name, service.metadata.namespace) for name in match.gateways or ()}
    return (not match.port or match.port == bound.server.port.number) and (not names_at or bound.gateway in names_at)


def _automatic(scope: Scope, bound: Bound) -> Iterator[FilterChain]:
    """One chain for each cluster that a sidecar may ask for by its name (``names.sni``), of services that are served.

    TLS must be that of the mesh, which the protocols tell, and the destination, not the gateway, says who may come.
    """
    for service in scope.services:
        if service.external or not any(within(service.hostname, host) for host in bound.sni_hosts):
            continue
        rules = scope.destination_rules(service)
        subsets = ("", *(subset.name for subset in traffic_policies.subsets(rules)))
        for port in service.ports:
            for subset in subsets:
                name = names.sni(port.number, subset, service.hostname)
                match = FilterChainMatch(server_names=(name,), application_protocols=tls.MUTUAL_ANY)
                pattern = scope.world.mesh.outbound_cluster_stat_name
                proxy = counted_as(scope, filter_chains.tcp(name), pattern, service, port, subset)
                proxy = replace(with_rules(scope, proxy, rules, subset), tunnel=None)
                if port.protocol is Protocol.MONGO:
                    proxy = replace(proxy, mongo_statistics=proxy.stat_prefix)
                yield FilterChain(proxy, match=match)


def _chain(
    scope: Scope,
    service: VirtualService,
    items: Sequence[WeightedDestination],
    bound: Bound,
    match: FilterChainMatch,
    socket: DownstreamTls | None = None,
) -> FilterChain:
    port = bound.server.port
    place = Place(bound.gateway, port.number, stream=True, port_name=port.name)
    proxy = to_destinations(scope, service, items, place)
    if bound.protocol == "mongo":
        proxy = replace(proxy, mongo_statistics=proxy.stat_prefix)
    return FilterChain(proxy, match=match, guards=admission.network_filters(scope), tls=socket)
