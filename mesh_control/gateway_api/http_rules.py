"""Rules of HTTPRoutes and GRPCRoutes as Istio's rules, one for each match, in the order in which they are looked at."""

from collections.abc import Iterator, Sequence
from typing import Any

from mesh_control.gateway_api.backends import Referrer, destination, shares, total
from mesh_control.gateway_api.filters import headers, parts
from mesh_policy.gateway_api.grpc_route import GrpcBackend, GRPCRoute, GrpcRule
from mesh_policy.gateway_api.http_route import HttpBackend, HTTPRoute, HttpRule, Retry
from mesh_policy.gateway_api.matches import (
    GrpcHeaderMatch,
    GrpcMatch,
    GrpcMethodMatch,
    HttpHeaderMatch,
    HttpMatch,
    PathMatch,
    QueryParamMatch,
)
from mesh_policy.matchers import StringMatch
from mesh_policy.networking import http_route as istio
from mesh_policy.networking.answers import DirectResponse

RETRIED = ("connect-failure", "refused-stream", "unavailable", "cancelled")
"""What is tried again besides the codes that a rule names."""
ATTEMPTS = 2
NOTHING_THERE = 500
"""The answer of a rule without backends that have a weight."""


def rules(referrer: Referrer) -> tuple[istio.HttpRoute, ...]:
    """The rules of a route. Raises :class:`~mesh_control.gateway_api.backends.RuleError`."""
    return tuple(in_order(list(_rules(referrer))))


def _rules(referrer: Referrer) -> Iterator[istio.HttpRoute]:
    route = referrer.route
    if not isinstance(route, HTTPRoute | GRPCRoute):
        return
    written: Sequence[HttpRule | GrpcRule] = route.spec.rules or ()
    for place, rule in enumerate(written):
        name = rule.name or f"{route.metadata.namespace}.{route.metadata.name}.{place}"
        made = _http(referrer, rule) if isinstance(rule, HttpRule) else _grpc(referrer, rule)
        for match in rule.matches or (None,):
            yield istio.HttpRoute.model_construct(name=name, match=None if match is None else (_match(match),), **made)


def in_order(found: Sequence[istio.HttpRoute]) -> list[istio.HttpRoute]:
    """By precedence: exact paths, prefixes, expressions; the longer path; with a method; more headers, more parameters."""
    return sorted(found, key=_precedence)


def _precedence(rule: istio.HttpRoute) -> tuple[bool, int, int, bool, int, int]:
    if not rule.match:
        return True, 0, 0, False, 0, 0
    match = rule.match[0]
    rank, path = _rank(match.uri)
    headers, parameters = len(match.headers or {}), len(match.query_params or {})
    return False, -rank, -len(path.encode()), match.method is None, -headers, -parameters


def _rank(uri: StringMatch | None) -> tuple[int, str]:
    found = (uri.regex, uri.prefix, uri.exact) if uri is not None else ()
    return next(((rank, path) for rank, path in enumerate(found, 1) if path is not None), (-1, ""))


def _http(referrer: Referrer, rule: HttpRule) -> dict[str, Any]:
    made = parts(referrer, rule.filters or ())
    if rule.retry is not None:
        made["retries"] = _retries(rule)
    timeouts = rule.timeouts
    if timeouts is not None and timeouts.request:
        made["timeout"] = timeouts.request
    if timeouts is not None and timeouts.backend_request and rule.retry is None:
        made["timeout"] = timeouts.backend_request  # with retries it is that of each try
    return made | _answer(referrer, rule, made)


def _grpc(referrer: Referrer, rule: GrpcRule) -> dict[str, Any]:
    made = parts(referrer, rule.filters or ())
    return made | _answer(referrer, rule, made)


def _answer(referrer: Referrer, rule: HttpRule | GrpcRule, made: dict[str, Any]) -> dict[str, Any]:
    if not total(rule.backend_refs) and "redirect" not in made:
        return {"direct_response": DirectResponse.model_construct(status=NOTHING_THERE)}
    backends: Sequence[HttpBackend | GrpcBackend] = rule.backend_refs or ()
    return {
        "route": tuple(
            istio.HttpRouteDestination.model_construct(
                destination=destination(referrer, backend), weight=share, headers=headers(backend.filters or ())
            )
            for backend, share in shares(backends)
        )
    }


def _retries(rule: HttpRule) -> istio.Retries:
    asked = rule.retry or Retry()
    attempts = ATTEMPTS if asked.attempts is None else asked.attempts
    tries = rule.timeouts.backend_request if rule.timeouts is not None else None
    return istio.Retries.model_construct(
        attempts=attempts,
        retry_on=",".join((*RETRIED, *map(str, asked.codes or ()))) if attempts else "",
        backoff=asked.backoff,
        per_try_timeout=tries or None,
    )


def _match(match: HttpMatch | GrpcMatch) -> istio.HttpMatch:
    if isinstance(match, GrpcMatch):
        uri = None if match.method is None else _call(match.method)
        return istio.HttpMatch.model_construct(uri=uri, headers=_compared(match.headers))
    return istio.HttpMatch.model_construct(
        uri=_path(match.path or PathMatch()),
        headers=_compared(match.headers),
        query_params=_compared(match.query_params),
        method=None if match.method is None else StringMatch.model_construct(exact=match.method),
    )


def _path(path: PathMatch) -> StringMatch:
    value = "/" if path.value is None else path.value
    if path.type == "Exact":
        return StringMatch.model_construct(exact=value)
    if path.type == "RegularExpression":
        return StringMatch.model_construct(regex=value)
    return StringMatch.model_construct(prefix=value if value == "/" else value.removesuffix("/"))


def _call(method: GrpcMethodMatch) -> StringMatch:
    """A call's path is ``/SERVICE/METHOD``."""
    exact = method.type != "RegularExpression"
    if method.service is None:
        return StringMatch.model_construct(regex=f"/[^/]+/{method.method}")
    if method.method is None:
        whole = f"/{method.service}/"
        return StringMatch.model_construct(prefix=whole) if exact else StringMatch.model_construct(regex=f"{whole}.+")
    call = f"/{method.service}/{method.method}"
    return StringMatch.model_construct(exact=call) if exact else StringMatch.model_construct(regex=call)


def _compared(
    items: Sequence[HttpHeaderMatch] | Sequence[GrpcHeaderMatch] | Sequence[QueryParamMatch] | None,
) -> dict[str, StringMatch] | None:
    found = {
        item.name: StringMatch.model_construct(regex=item.value)
        if item.type == "RegularExpression"
        else StringMatch.model_construct(exact=item.value)
        for item in items or ()
    }
    return found or None
