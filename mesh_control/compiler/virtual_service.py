"""VirtualService: its HTTP rules as routes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh_api.config import (
    CorsPolicy,
    DirectResponse,
    FaultPolicy,
    HashPolicy,
    HeaderEdits,
    HeaderMatch,
    HeaderValue,
    Mirror,
    PathMatch,
    PathMatchKind,
    QueryParameterMatch,
    Redirect,
    RegexRewrite,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    StringMatch,
    StringMatchKind,
    WeightedCluster,
)
from mesh_api.config.routes import MILLION, NO_EDITS
from mesh_control.compiler import defaults, names, traffic_policies
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.world import Service
from mesh_policy import VirtualService
from mesh_policy import matchers as policy_matchers
from mesh_policy.hosts import gateway_name, qualify
from mesh_policy.networking import answers
from mesh_policy.networking import virtual_service as policy
from mesh_policy.networking.headers import HeaderOperations, Headers, is_authority
from mesh_policy.releases.split import STICKY_HEADER

EVERYTHING = RouteMatch(PathMatch(PathMatchKind.PREFIX, "/"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the routes will stand: the gateway (``mesh`` for sidecars) and the port of the listener."""

    gateway: str
    port: int


def routes(scope: Scope, service: VirtualService, place: Place) -> tuple[Route, ...]:
    """The rules that hold at a place, in their order."""
    holding = tuple(_holding(scope, service, place))
    where = tuple((rule, match) for rule, _, match, _ in holding)
    hashed = (part for known in _destinations(scope, service) for part in (known, *scope.destination_rules(known)))
    return scope.shared(
        ("routes", place.gateway, place.port, where),
        (service, *hashed),
        lambda: tuple(_route(scope, service, rule, match, place) for _, rule, _, match in holding),
    )


def _destinations(scope: Scope, service: VirtualService) -> tuple[Service, ...]:
    """The services to which the rules of a VirtualService lead: their DestinationRules say how routes hash."""

    def found() -> tuple[Service, ...]:
        asked = (item.destination.host for rule in service.spec.http or () for item in rule.route or ())
        hosts = dict.fromkeys(qualify(host, service.metadata.namespace) for host in asked)
        known = scope.world.service_by_host
        return tuple(known[host] for host in hosts if host in known)

    return scope.shared("destinations", (service,), found)


def origins(scope: Scope, service: VirtualService, place: Place) -> tuple[tuple[int, int | None], ...]:
    """Where each of :func:`routes` was written: index of its rule, and of the match block (``None``: it has none)."""
    return tuple((rule, match) for rule, _, match, _ in _holding(scope, service, place))


def _holding(
    scope: Scope, service: VirtualService, place: Place
) -> Iterator[tuple[int, policy.HttpRoute, int | None, policy.HttpMatch | None]]:
    for index, rule in enumerate(service.spec.http or ()):
        if not rule.match:
            yield index, rule, None, None
        for number, match in enumerate(rule.match or ()):
            if _holds_at(scope, service, match, place):
                yield index, rule, number, match


def _holds_at(scope: Scope, service: VirtualService, match: policy.HttpMatch, place: Place) -> bool:
    """Conditions that choose proxies and listeners rather than requests."""
    names_at = match.gateways or service.spec.gateways or (MESH,)
    at = {gateway_name(name, service.metadata.namespace) for name in names_at}
    if place.gateway not in at or (match.port is not None and match.port != place.port):
        return False
    if match.source_namespace is not None and match.source_namespace != scope.proxy.namespace:
        return False
    return (match.source_labels or {}).items() <= scope.labels.items()


def _route(
    scope: Scope, service: VirtualService, rule: policy.HttpRoute, match: policy.HttpMatch | None, place: Place
) -> Route:
    name = ".".join(part for part in (rule.name, match.name if match else None) if part)
    action: RouteAction | Redirect | DirectResponse
    if rule.redirect is not None:
        action = _redirect(rule.redirect, place)
    elif rule.direct_response is not None:
        action = _direct_response(rule.direct_response)
    else:
        action = _action(scope, service, rule, place)
    return Route(
        match=_match(match),
        action=action,
        name=name,
        edits=_edits(rule.headers),
        fault=_fault(rule.fault),
        cors=_cors(rule.cors_policy),
        operation=_operation(service, rule, match, place),
        metadata=(("config", names.config_path("virtual-service", service.metadata)),),
    )


def _operation(service: VirtualService, rule: policy.HttpRoute, match: policy.HttpMatch | None, place: Place) -> str:
    """Istio's name for traces: the only destination or else the VirtualService, the port, the path that matches."""
    host, port = service.metadata.name, place.port
    if rule.route and len(rule.route) == 1:
        destination = rule.route[0].destination
        host = destination.host
        port = destination.port.number if destination.port else port
    uri = match.uri if match is not None else None
    if uri is None or uri.is_presence:
        return names.operation(host, port)
    return names.operation(host, port, f"{uri.prefix}*" if uri.prefix is not None else uri.exact or uri.regex or "")


def _match(match: policy.HttpMatch | None) -> RouteMatch:
    if match is None:
        return EVERYTHING
    headers = [HeaderMatch(f":{name}", _string(value)) for name, value in _pseudo(match)]
    headers += [_header(name, value) for name, value in sorted((match.headers or {}).items())]
    headers += [_without(name, value) for name, value in sorted((match.without_headers or {}).items())]
    return RouteMatch(
        _path(match),
        tuple(headers),
        tuple(_parameter(name, value) for name, value in sorted((match.query_params or {}).items())),
    )


def _pseudo(match: policy.HttpMatch) -> Iterable[tuple[str, policy_matchers.StringMatch]]:
    for name, value in (("method", match.method), ("authority", match.authority), ("scheme", match.scheme)):
        if value is not None and not value.is_presence:
            yield name, value


def _path(match: policy.HttpMatch) -> PathMatch:
    sensitive = not match.ignore_uri_case
    uri = match.uri
    if uri is None or uri.is_presence:
        return EVERYTHING.path
    if uri.exact is not None:
        return PathMatch(PathMatchKind.EXACT, uri.exact, sensitive)
    if uri.prefix is not None:
        return PathMatch(PathMatchKind.PREFIX, uri.prefix, sensitive)
    return PathMatch(PathMatchKind.REGEX, uri.regex or "", sensitive)


def _string(match: policy_matchers.StringMatch) -> StringMatch:
    if match.exact is not None:
        return StringMatch(StringMatchKind.EXACT, match.exact)
    if match.prefix is not None:
        return StringMatch(StringMatchKind.PREFIX, match.prefix)
    return StringMatch(StringMatchKind.REGEX, match.regex or "")


def _header(name: str, match: policy_matchers.StringMatch) -> HeaderMatch:
    if match.is_presence or match.regex == "*":
        return HeaderMatch(name.lower())
    return HeaderMatch(name.lower(), _string(match))


def _without(name: str, match: policy_matchers.StringMatch) -> HeaderMatch:
    """A header that is missing counts as empty, so it does not carry the value (Istio, ``withoutHeaders``)."""
    if match.is_presence or match.regex == "*":
        return HeaderMatch(name.lower(), invert=True)
    return HeaderMatch(name.lower(), _string(match), invert=True, treat_missing_as_empty=True)


def _parameter(name: str, match: policy_matchers.StringMatch) -> QueryParameterMatch:
    return QueryParameterMatch(name, None if match.is_presence else _string(match))


def _action(scope: Scope, service: VirtualService, rule: policy.HttpRoute, place: Place) -> RouteAction:
    weighted = [(item, item.weight) for item in rule.route or ()]
    used = [item for item, weight in weighted if len(weighted) == 1 or weight]
    timeout = rule.timeout.total_seconds() if rule.timeout is not None else 0.0
    single = used[0] if len(used) == 1 and used[0].headers is None else None
    clusters = () if single else tuple(_weighted(scope, service, item, place) for item in used)
    hashed = _hash_policies(scope, service, used[0].destination, place) if used else ()
    header = (service.metadata.annotations or {}).get(STICKY_HEADER, "")
    # Terminal: the hash of anything else beside it would move users.
    sticky = (HashPolicy(header=header.lower(), terminal=True),) if header and len(clusters) > 1 else ()
    rewrite = rule.rewrite
    return RouteAction(
        cluster=cluster_of(scope, service, single.destination, place) if single else "",
        weighted_clusters=clusters,
        timeout=timeout,
        max_grpc_timeout=timeout,
        retry=_retries(rule.retries, hashed=bool(hashed)),
        prefix_rewrite=(rewrite.uri or "") if rewrite else "",
        regex_rewrite=_regex_rewrite(rewrite),
        host_rewrite=_host_rewrite(rule),
        hash_policies=(*sticky, *hashed),
        use_hash_policy=bool(sticky),
        mirrors=_mirrors(scope, service, rule, place),
    )


def _weighted(
    scope: Scope, service: VirtualService, item: policy.HttpRouteDestination, place: Place
) -> WeightedCluster:
    """A destination that stands alone has all of the traffic, whatever its weight."""
    cluster = cluster_of(scope, service, item.destination, place)
    return WeightedCluster(cluster, item.weight or 100, _edits(item.headers), _written_host(item.headers))


def cluster_of(scope: Scope, service: VirtualService, destination: policy.Destination, place: Place) -> str:
    """Name of the destination's cluster; its port is the one named, else the service's only one, else the listener's."""
    host = qualify(destination.host, service.metadata.namespace)
    return names.outbound(_port(scope, host, destination, place), destination.subset or "", host)


def _port(scope: Scope, host: str, destination: policy.Destination, place: Place) -> int:
    if destination.port is not None:
        return destination.port.number
    known = scope.world.service_by_host.get(host)
    return known.ports[0].number if known is not None and len(known.ports) == 1 else place.port


def hash_policies(scope: Scope, service: Service, port: int, subset_name: str = "") -> tuple[HashPolicy, ...]:
    """What the DestinationRule of a service's port and subset hashes by; nothing without a consistent hash."""
    rules = scope.destination_rules(service)
    subset = next((s for s in traffic_policies.subsets(rules) if s.name == subset_name), None)
    balancer = traffic_policies.settings(rules, port, subset).load_balancer
    hashed = balancer.consistent_hash if balancer is not None else None
    if hashed is None:
        return ()
    if hashed.http_cookie is not None:
        cookie = hashed.http_cookie
        ttl = None if cookie.ttl is None else cookie.ttl.total_seconds()
        return (HashPolicy(cookie=cookie.name, cookie_ttl=ttl, cookie_path=cookie.path or ""),)
    if hashed.http_header_name is not None:
        return (HashPolicy(header=hashed.http_header_name.lower()),)
    if hashed.http_query_parameter_name is not None:
        return (HashPolicy(query_parameter=hashed.http_query_parameter_name),)
    return (HashPolicy(source_ip=True),)


def _hash_policies(
    scope: Scope, service: VirtualService, destination: policy.Destination, place: Place
) -> tuple[HashPolicy, ...]:
    host = qualify(destination.host, service.metadata.namespace)
    known = scope.world.service_by_host.get(host)
    if known is None:
        return ()
    return hash_policies(scope, known, _port(scope, host, destination, place), destination.subset or "")


def _retries(asked: policy.Retries | None, *, hashed: bool) -> RetryPolicy | None:
    base = defaults.OUTBOUND_RETRIES
    if asked is None:
        return outbound_retries(hashed)
    if not asked.attempts:
        return None
    words = [word.strip() for word in (asked.retry_on or "").split(",") if word.strip()]
    codes = tuple(int(word) for word in words if word.isdigit())
    conditions = [word for word in words if not word.isdigit()] or ([] if codes else list(base.retry_on))
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    ignore = asked.retry_ignore_previous_hosts
    return RetryPolicy(
        retry_on=tuple(conditions),
        num_retries=asked.attempts,
        per_try_timeout=asked.per_try_timeout.total_seconds() if asked.per_try_timeout else None,
        retriable_status_codes=codes,
        host_selection_retry_max_attempts=base.host_selection_retry_max_attempts,
        avoid_previous_hosts=not hashed if ignore is None else ignore,
        back_off_base=asked.backoff.total_seconds() if asked.backoff else base.back_off_base,
    )


def outbound_retries(hashed: bool) -> RetryPolicy:
    """Istio's default policy; a consistent hash would be pointless when other hosts were sought."""
    base = defaults.OUTBOUND_RETRIES
    if not hashed:
        return base
    return RetryPolicy(retry_on=base.retry_on, num_retries=base.num_retries)


def _regex_rewrite(rewrite: policy.Rewrite | None) -> RegexRewrite | None:
    if rewrite is None or rewrite.uri_regex_rewrite is None:
        return None
    return RegexRewrite(rewrite.uri_regex_rewrite.match, rewrite.uri_regex_rewrite.rewrite)


def _host_rewrite(rule: policy.HttpRoute) -> str:
    """The authority of a rewrite, or a ``Host`` that is set as a header: Envoy wants it as a rewrite of the host."""
    if rule.rewrite is not None and rule.rewrite.authority:
        return rule.rewrite.authority
    return _written_host(rule.headers)


def _written_host(headers: Headers | None) -> str:
    """``set`` counts before ``add``."""
    request = headers.request if headers is not None else None
    if request is None:
        return ""
    written = [*(request.set or {}).items(), *(request.add or {}).items()]
    return next((value for name, value in written if is_authority(name)), "")


def _mirrors(scope: Scope, service: VirtualService, rule: policy.HttpRoute, place: Place) -> tuple[Mirror, ...]:
    asked = [(m.destination, m.percentage) for m in rule.mirrors or ()]
    if rule.mirror is not None:
        share = rule.mirror_percentage
        if share is None and rule.mirror_percent is not None:
            share = answers.PercentValue(value=rule.mirror_percent)
        asked.append((rule.mirror, share))
    made = [Mirror(cluster_of(scope, service, to, place), _fraction(share, MILLION)) for to, share in asked]
    return tuple(mirror for mirror in made if mirror.fraction)


def _fraction(percentage: answers.PercentValue | None, default: int) -> int:
    """Parts per million."""
    return default if percentage is None else round((percentage.value or 0.0) * MILLION / 100)


def _redirect(asked: answers.Redirect, place: Place) -> Redirect:
    port = asked.port
    if asked.derive_port == "FROM_REQUEST_PORT":
        port = place.port
    if port == {"http": 80, "https": 443}.get(asked.scheme or "http"):  # nothing is served by TLS yet
        port = None
    return Redirect(
        code=asked.redirect_code or 301,
        scheme=asked.scheme or "",
        host=asked.authority or "",
        port=port,
        path=asked.uri or "",
        prefix_rewrite=asked.prefix_rewrite or "",
    )


def _direct_response(asked: answers.DirectResponse) -> DirectResponse:
    return DirectResponse(asked.status, asked.body.content if asked.body is not None else b"")


def _fault(asked: answers.Fault | None) -> FaultPolicy | None:
    if asked is None:
        return None
    delay, abort = asked.delay, asked.abort
    share = None if delay is None else delay.percentage
    if share is None and delay is not None and delay.percent is not None:
        share = answers.PercentValue(value=delay.percent)
    return FaultPolicy(
        delay=delay.fixed_delay.total_seconds() if delay and delay.fixed_delay else None,
        delay_fraction=_fraction(share, 0),
        abort_http_status=abort.http_status if abort else None,
        abort_grpc_status=abort.grpc_code if abort else None,
        abort_fraction=_fraction(abort.percentage, 0) if abort else 0,
    )


def _cors(asked: policy.CorsPolicy | None) -> CorsPolicy | None:
    if asked is None:
        return None
    origins = [StringMatch(StringMatchKind.EXACT, origin) for origin in asked.allow_origin or ()]
    origins += [_string(origin) for origin in asked.allow_origins or ()]
    return CorsPolicy(
        allow_origins=tuple(origins),
        allow_methods=",".join(asked.allow_methods or ()),
        allow_headers=",".join(asked.allow_headers or ()),
        expose_headers=",".join(asked.expose_headers or ()),
        max_age=str(int(asked.max_age.total_seconds())) if asked.max_age is not None else "",
        allow_credentials=asked.allow_credentials,
        forward_unmatched_preflights=asked.unmatched_preflights != "IGNORE",
    )


def _edits(headers: Headers | None) -> HeaderEdits:
    if headers is None:
        return NO_EDITS
    request, response = headers.request or HeaderOperations(), headers.response or HeaderOperations()
    return HeaderEdits(_values(request), request.remove or (), _values(response), response.remove or ())


def _values(operations: HeaderOperations) -> tuple[HeaderValue, ...]:
    added = [HeaderValue(name, value, append=True) for name, value in sorted((operations.add or {}).items())]
    written = [HeaderValue(name, value) for name, value in sorted((operations.set or {}).items())]
    return tuple(value for value in (*added, *written) if not is_authority(value.name))
