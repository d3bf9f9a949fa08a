"""Routes as VirtualServices: one for each host at each listener, and for each service in the mesh."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mesh_control.gateway_api.backends import Referrer, RuleError, streams, total
from mesh_control.gateway_api.converted import SUFFIX, AttachedRules, metadata
from mesh_control.gateway_api.http_rules import in_order, rules
from mesh_control.gateway_api.parents import MESH, Parents, at_listeners, in_mesh
from mesh_policy import Metadata
from mesh_policy.gateway_api.grpc_route import GRPCRoute
from mesh_policy.gateway_api.http_route import HTTPRoute
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.gateway_api.tls_route import TLSRoute
from mesh_policy.hosts import common, within
from mesh_policy.networking import virtual_service as istio
from mesh_policy.networking.http_route import HttpMatch, HttpRoute

ALL = ("*",)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one route says about one host at one place; ``key`` is the place, ``name`` the piece's own for the order."""

    key: str
    source: Metadata
    name: str
    gateway: str
    host: str
    http: tuple[HttpRoute, ...]


def http(
    routes: Iterable[HTTPRoute | GRPCRoute], parents: Parents, grants: Sequence[ReferenceGrant]
) -> list[AttachedRules]:
    """The rules for requests. What several routes say about one host at one place is one VirtualService, the oldest first."""
    pieces: dict[str, list[_Piece]] = {}
    for route in routes:
        for piece in _pieces(route, parents, grants):
            pieces.setdefault(piece.key, []).append(piece)
    return [_merged(same) for same in pieces.values()]


def _merged(same: list[_Piece]) -> AttachedRules:
    ordered = sorted(same, key=lambda piece: (_age(piece.source), piece.source.namespace, piece.name))
    first = ordered[0]
    found = [rule for piece in ordered for rule in piece.http]
    http = tuple(in_order(found) if len(ordered) > 1 else found)
    spec = istio.VirtualServiceSpec.model_construct(hosts=(first.host,), gateways=(first.gateway,), http=http)
    return AttachedRules.model_construct(metadata=metadata(first.key.replace("/", "~"), first.source), spec=spec)


def _age(source: Metadata) -> float:
    return source.creation_timestamp.timestamp() if source.creation_timestamp is not None else float("-inf")


def _pieces(route: HTTPRoute | GRPCRoute, parents: Parents, grants: Sequence[ReferenceGrant]) -> Iterator[_Piece]:
    own, count = route.metadata, 0
    places: list[tuple[str, str, str, tuple[HttpRoute, ...]]] = []
    attached = at_listeners(route, parents)
    found = _converted(Referrer(route, grants, parents.around, checked=True)) if attached else ()
    for parent in attached:
        name = parent.listener.name
        places += [(name, name, host, found) for host in route.spec.hostnames or ALL if parent.takes(host)]
    ruled = in_mesh(route, parents)
    found = _converted(Referrer(route, grants, parents.around, checked=False)) if ruled else ()
    for parent_ in ruled:
        key = own.namespace if parent_.port is None else f"{own.namespace}/{parent_.port}"
        places += [(key, MESH, host, _on_port(found, parent_.port)) for host in parent_.hosts]
    # As they are sorted by the gateway's name, "mesh" stands among the others; only the count in the names shows it.
    for key, gateway, host, http in sorted(places, key=lambda place: place[1]):
        if http:
            yield _Piece(f"{key}/{host}", own, f"{own.name}~{count}~{SUFFIX}", gateway, host, http)
            count += 1


def _converted(referrer: Referrer) -> tuple[HttpRoute, ...]:
    try:
        return rules(referrer)
    except RuleError:
        return ()


def _on_port(found: tuple[HttpRoute, ...], port: int | None) -> tuple[HttpRoute, ...]:
    if port is None:
        return found
    return tuple(rule.model_copy(update={"match": _with_port(rule.match, port)}) for rule in found)


def _with_port(matches: tuple[HttpMatch, ...] | None, port: int) -> tuple[HttpMatch, ...]:
    if not matches:
        return (HttpMatch.model_construct(port=port),)
    return tuple(match.model_copy(update={"port": port}) for match in matches)


def tcp(routes: Iterable[TCPRoute], parents: Parents, grants: Sequence[ReferenceGrant]) -> list[AttachedRules]:
    """The rules for plain connections."""
    return [made for route in routes for made in _tcp(route, parents, grants)]


def _tcp(route: TCPRoute, parents: Parents, grants: Sequence[ReferenceGrant]) -> Iterator[AttachedRules]:
    checked = Referrer(route, grants, parents.around, checked=True)
    places = [(parent.listener.name, "*", _tcp_rules(checked, None)) for parent in at_listeners(route, parents)]
    for parent_ in in_mesh(route, parents):
        found = _tcp_rules(Referrer(route, grants, parents.around, checked=False), parent_.port)
        places += [(MESH, host, found) for host in parent_.hosts]
    for count, (gateway, host, found) in enumerate(sorted(places, key=lambda place: place[0])):
        spec = istio.VirtualServiceSpec.model_construct(hosts=(host,), gateways=(gateway,), tcp=found)
        name = f"{route.metadata.name}~tcp~{count}~{SUFFIX}"
        yield AttachedRules.model_construct(metadata=metadata(name, route.metadata), spec=spec)


def _tcp_rules(referrer: Referrer, port: int | None) -> tuple[istio.TcpRoute, ...]:
    match = None if port is None else (istio.TcpMatch.model_construct(port=port),)
    try:
        return tuple(
            istio.TcpRoute.model_construct(match=match, route=streams(referrer, rule.backend_refs or ()))
            for rule in referrer.route.spec.rules or ()
        )
    except RuleError:
        return ()


def tls(routes: Iterable[TLSRoute], parents: Parents, grants: Sequence[ReferenceGrant]) -> list[AttachedRules]:
    """The rules for connections by the name that TLS asks for."""
    return [made for route in routes for made in _tls(route, parents, grants)]


def _tls(route: TLSRoute, parents: Parents, grants: Sequence[ReferenceGrant]) -> Iterator[AttachedRules]:
    places: list[tuple[str, str, tuple[istio.TlsRoute, ...]]] = []
    names = route.spec.hostnames or ALL
    for parent in at_listeners(route, parents):
        own = parent.listener.hostname
        hosts = common(names, (own,)) if own else names
        found = _tls_rules(Referrer(route, grants, parents.around, checked=True), hosts, None)
        places += [(parent.listener.name, host, found) for host in hosts]
    for parent_ in in_mesh(route, parents):
        for host in parent_.hosts:
            # Names of a service's own are taken where the route has none.
            sni = parent_.hosts if names == ALL else names
            fitting = tuple(name for name in sni if len(sni) == 1 or within(name, host) or within(host, name))
            places.append(
                (MESH, host, _tls_rules(Referrer(route, grants, parents.around, checked=False), fitting, parent_.port))
            )
    for count, (gateway, host, found) in enumerate(sorted(places, key=lambda place: place[0])):
        spec = istio.VirtualServiceSpec.model_construct(hosts=(host,), gateways=(gateway,), tls=found)
        name = f"{route.metadata.name}~tls~{count}~{SUFFIX}"
        yield AttachedRules.model_construct(metadata=metadata(name, route.metadata), spec=spec, ends_tls=True)


def _tls_rules(referrer: Referrer, names: tuple[str, ...], port: int | None) -> tuple[istio.TlsRoute, ...]:
    match = istio.TlsMatch.model_construct(sni_hosts=names, port=port)
    try:
        return tuple(
            istio.TlsRoute.model_construct(match=(match,), route=streams(referrer, rule.backend_refs or ()))
            for rule in referrer.route.spec.rules or ()
            if total(rule.backend_refs)  # Istio has no match for a rule whose weights are all 0
        )
    except RuleError:
        return ()
