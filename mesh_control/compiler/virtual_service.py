"""VirtualService: its HTTP rules as routes."""

from collections.abc import Iterator
from dataclasses import replace

from mesh_api.config import (
    DirectResponse,
    HashPolicy,
    PathMatch,
    PathMatchKind,
    Redirect,
    RegexRewrite,
    Route,
    RouteAction,
    WeightedCluster,
)
from mesh_control.compiler import delegates, names, route_actions
from mesh_control.compiler.destinations import UNKNOWN, Place, cluster_of, hash_of_destination, led_to, service_of
from mesh_control.compiler.route_matches import catches_all, route_match
from mesh_control.compiler.scope import Scope
from mesh_control.gateway_api import AttachedRules
from mesh_control.gateway_api.filters import quoted
from mesh_control.services import Resolution, Service
from mesh_policy import VirtualService
from mesh_policy.hosts import gateway_name
from mesh_policy.networking.virtual_service import HttpMatch, HttpRoute, HttpRouteDestination
from mesh_policy.releases.split import STICKY_HEADER

BACKEND_MISSING = 500
"""The Gateway API's answer where a backend does not exist."""

Holding = tuple[int, HttpRoute, int | None, HttpMatch | None]
"""Index of a rule, the rule, index of one of its match blocks, the block; without any the last two are ``None``."""


def routes(scope: Scope, owner: VirtualService, place: Place) -> tuple[Route, ...]:
    """The rules that hold at a place, in their order, up to one that takes every request."""
    holding = tuple(_holding(scope, owner, place))
    where = tuple((rule, match) for rule, _, match, _ in holding)
    known = _destinations(scope, owner)
    aliases = tuple(led_to(scope, s.hostname, place) for s in known if s.resolution is Resolution.ALIAS)
    decided = (part for service in known for part in (service, *scope.destination_rules(service)))
    return scope.shared(
        ("routes", place, where, len(known), aliases),
        (owner, *decided),
        lambda: tuple(_route(scope, owner, rule, match, place) for _, rule, _, match in holding),
    )


def _destinations(scope: Scope, owner: VirtualService) -> tuple[Service, ...]:
    """The services to which the rules lead: their ports and DestinationRules decide about routes."""
    asked = (item.destination for rule in owner.spec.http or () for item in rule.route or ())
    copies = (mirror.destination for rule in owner.spec.http or () for mirror in rule.mirrors or ())
    old = (rule.mirror for rule in owner.spec.http or () if rule.mirror is not None)
    found = (service_of(scope, owner, destination) for destination in (*asked, *copies, *old))
    return tuple({service.hostname: service for service in found if service is not None}.values())


def origins(scope: Scope, owner: VirtualService, place: Place) -> tuple[tuple[int, int | None], ...]:
    """Where each of :func:`routes` was written: index of its rule, and of the match block (``None``: it has none, or it is a
    delegate's)."""
    merged = delegates.merged(scope.world)
    whole = merged.by_key.get((owner.metadata.namespace, owner.metadata.name), owner)
    places = merged.origins.get(id(whole))
    found = ((rule, match) for rule, _, match, _ in _holding(scope, whole, place))
    return tuple(found) if places is None else tuple((places[rule], None) for rule, _ in found)


def _holding(scope: Scope, owner: VirtualService, place: Place) -> Iterator[Holding]:
    for index, rule in enumerate(owner.spec.http or ()):
        if not rule.match:
            yield index, rule, None, None
            return
        for number, match in enumerate(rule.match):
            if _holds_at(scope, owner, match, place):
                yield index, rule, number, match
                if catches_all(match):
                    return


def _holds_at(scope: Scope, owner: VirtualService, match: HttpMatch, place: Place) -> bool:
    """Conditions that choose proxies and listeners, not requests; labels do not count where gateways are named (Istio)."""
    if match.port and match.port != place.port:
        return False
    if match.gateways:
        return place.gateway in {gateway_name(name, owner.metadata.namespace) for name in match.gateways}
    if match.source_namespace and match.source_namespace != scope.proxy.namespace:
        return False
    return (match.source_labels or {}).items() <= scope.labels.items()


def _route(scope: Scope, owner: VirtualService, rule: HttpRoute, match: HttpMatch | None, place: Place) -> Route:
    asked = route_match(match, segments=isinstance(owner, AttachedRules))
    edits = route_actions.edits(rule.headers)
    action: RouteAction | Redirect | DirectResponse
    if rule.redirect is not None:
        action = route_actions.redirect(rule.redirect, place)
    elif rule.direct_response is not None:
        action = route_actions.direct_response(rule.direct_response)
    else:
        action = _action(scope, owner, rule, place)
        if isinstance(owner, AttachedRules):
            action = _of_gateway_api(action, asked.path)
        if len(rule.route or ()) == 1:
            edits = route_actions.joined(edits, route_actions.edits((rule.route or ())[0].headers))
    return Route(
        match=asked,
        action=action,
        name=_name(rule, match),
        edits=edits,
        fault=route_actions.fault(rule.fault),
        cors=route_actions.cors(rule.cors_policy),
        operation=_operation(owner, action, asked.path, place),
        metadata=(("config", names.config_path("virtual-service", owner.metadata)),),
        stat_prefix=(match.stat_prefix or "") if match is not None else "",
    )


def _name(rule: HttpRoute, match: HttpMatch | None) -> str:
    return (rule.name or "") + (f".{match.name}" if match is not None and match.name else "")


def _operation(
    owner: VirtualService, action: RouteAction | Redirect | DirectResponse, path: PathMatch, place: Place
) -> str:
    """Istio's name for traces: the only destination or else the VirtualService, the port, the path that matches."""
    host, port = owner.metadata.name, place.port
    if isinstance(action, RouteAction) and action.cluster.count("|") == 3:
        _, number, _, host = action.cluster.split("|")
        port = int(number)
    written = {PathMatchKind.PREFIX: f"{path.value}*", PathMatchKind.PATH_SEPARATED_PREFIX: "/*"}
    return names.operation(host, port, written.get(path.kind, path.value))


def _action(scope: Scope, owner: VirtualService, rule: HttpRoute, place: Place) -> RouteAction:
    items = rule.route or ()
    used = items if len(items) == 1 else tuple(item for item in items if item.weight)
    timeout = rule.timeout.total_seconds() if rule.timeout is not None else 0.0
    single = items[0] if len(items) == 1 else None
    hashed = [hash_of_destination(scope, owner, item.destination) for item in used]
    header = (owner.metadata.annotations or {}).get(STICKY_HEADER, "")
    # Terminal: the hash of anything else beside it would move users.
    sticky = (HashPolicy(header=header.lower(), terminal=True),) if header and len(used) > 1 else ()
    rewrite = rule.rewrite
    return RouteAction(
        cluster=cluster_of(scope, owner, single.destination, place) if single else "" if used else UNKNOWN,
        weighted_clusters=() if single else tuple(_weighted(scope, owner, item, place) for item in used),
        timeout=timeout,
        max_grpc_timeout=timeout,
        # With several destinations Istio does not look whether they hash.
        retry=route_actions.retries(scope, rule.retries, hashed=single is not None and bool(hashed[0])),
        prefix_rewrite=(rewrite.uri or "") if rewrite else "",
        regex_rewrite=route_actions.regex_rewrite(rewrite),
        host_rewrite=_host_rewrite(rule, single),
        hash_policies=(*sticky, *(policy for policies in hashed for policy in policies)),
        use_hash_policy=bool(sticky),
        mirrors=route_actions.mirrors(scope, owner, rule, place),
    )


def _of_gateway_api(action: RouteAction, path: PathMatch) -> RouteAction:
    """A backend that is not there is an error of the server, and ``/`` in place of a prefix takes it away (Istio)."""
    action = replace(action, cluster_not_found_code=BACKEND_MISSING)
    if action.prefix_rewrite != "/":
        return action
    prefix = quoted(path.value) if path.kind is PathMatchKind.PATH_SEPARATED_PREFIX else ""
    return replace(action, prefix_rewrite="", regex_rewrite=RegexRewrite(f"^{prefix}(/?)(.*)", r"/\2"))


def _weighted(scope: Scope, owner: VirtualService, item: HttpRouteDestination, place: Place) -> WeightedCluster:
    cluster = cluster_of(scope, owner, item.destination, place)
    edits, host = route_actions.edits(item.headers), route_actions.written_host(item.headers)
    return WeightedCluster(cluster, item.weight or 0, edits, host)


def _host_rewrite(rule: HttpRoute, single: HttpRouteDestination | None) -> str:
    """The authority of a rewrite, else the host that the rule writes as a header, else that of its only destination."""
    if rule.rewrite is not None and rule.rewrite.authority:
        return rule.rewrite.authority
    own = route_actions.written_host(rule.headers)
    return own or (route_actions.written_host(single.headers) if single is not None else "")
