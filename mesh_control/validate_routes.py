"""What of a VirtualService's rules is valid to Istio's webhook and cannot be honoured here."""

import re
from collections.abc import Iterator, Sequence

from mesh_policy.hosts import is_partial_wildcard
from mesh_policy.matchers import count_groups
from mesh_policy.networking.answers import Fault, Redirect
from mesh_policy.networking.destinations import Destination, WeightedDestination
from mesh_policy.networking.headers import Headers, is_authority, is_token
from mesh_policy.networking.http_route import HttpMatch, HttpRoute, HttpRouteDestination, RegexRewrite
from mesh_policy.networking.virtual_service import TcpMatch, VirtualServiceSpec

Refusal = tuple[str, str]
"""Field and why."""
REMOVE = "is not supported yet; remove it"
REDIRECTS = (None, 0, 301, 302, 303, 307, 308)
"""Envoy's statuses; unset and 0 are 301."""
MOST_WEIGHT = 2**32
LAST_STATUS = 599


def unenforceable(spec: VirtualServiceSpec) -> Iterator[Refusal]:
    """The fields of a VirtualService that this mesh does not honour."""
    for place, rule in enumerate(spec.http or ()):
        yield from _rule(f"spec.http[{place}]", rule)
    for place, tcp in enumerate(spec.tcp or ()):
        for index, connection in enumerate(tcp.match or ()):
            yield from _connection(f"spec.tcp[{place}].match[{index}]", connection)
        yield from _destinations(f"spec.tcp[{place}]", tcp.route)


def _rule(path: str, rule: HttpRoute) -> Iterator[Refusal]:
    if rule.retries is not None and rule.retries.retry_remote_localities:
        yield f"{path}.retries.retryRemoteLocalities", REMOVE
    for index, match in enumerate(rule.match or ()):
        yield from _match(f"{path}.match[{index}]", match)
    yield from _destinations(path, rule.route or ())
    for place, item in enumerate(rule.route or ()):
        yield from _headers(f"{path}.route[{place}].headers", item.headers)
    if rule.rewrite is not None and rule.rewrite.uri_regex_rewrite is not None:
        yield from _rewrite(f"{path}.rewrite.uriRegexRewrite.rewrite", rule.rewrite.uri_regex_rewrite)
    yield from _headers(f"{path}.headers", rule.headers)
    if rule.redirect is not None:
        yield from _redirect(f"{path}.redirect", rule.redirect)
    if rule.direct_response is not None and rule.direct_response.status > LAST_STATUS:
        yield (
            f"{path}.directResponse.status",
            f"{rule.direct_response.status} is no status; write at most {LAST_STATUS}",
        )
    if rule.fault is not None:
        yield from _fault(f"{path}.fault", rule.fault)
    mirrors = [("mirror", rule.mirror)]
    mirrors += [
        (f"mirrors[{place}].destination", mirror.destination) for place, mirror in enumerate(rule.mirrors or ())
    ]
    for name, destination in mirrors:
        if destination is not None:
            yield from _destination(f"{path}.{name}", destination)


def _match(path: str, match: HttpMatch) -> Iterator[Refusal]:
    if "" in (match.query_params or {}):
        yield f"{path}.queryParams", "a parameter has a name; write it"
    if match.port == 0:
        yield f"{path}.port", "0 is no port; remove it"


def _connection(path: str, match: TcpMatch) -> Iterator[Refusal]:
    if match.source_subnet:
        yield f"{path}.sourceSubnet", REMOVE
    if match.port == 0:
        yield f"{path}.port", "0 is no port; remove it"


def _destinations(path: str, items: Sequence[HttpRouteDestination | WeightedDestination]) -> Iterator[Refusal]:
    if sum(item.weight or 0 for item in items) >= MOST_WEIGHT:
        yield f"{path}.route", "the weights sum to more than Envoy can hold; write shares of 100"
    for place, item in enumerate(items):
        yield from _destination(f"{path}.route[{place}].destination", item.destination)


def _destination(path: str, destination: Destination) -> Iterator[Refusal]:
    host = destination.host
    if host.startswith("*") or is_partial_wildcard(host):
        yield f"{path}.host", f"{host}: traffic goes to one service; write its name"
    elif host.endswith("."):
        yield f"{path}.host", f"{host}: write it without the last dot"


def _rewrite(path: str, rewrite: RegexRewrite) -> Iterator[Refusal]:
    for reference in re.findall(r"\\(.?)", rewrite.rewrite):
        if reference != "\\" and not (reference.isdecimal() and int(reference) <= count_groups(rewrite.match)):
            yield path, f"\\{reference} is no group of {rewrite.match!r}; a backslash itself is written twice"


def _headers(path: str, headers: Headers | None) -> Iterator[Refusal]:
    for side in ("request", "response"):
        edits = getattr(headers, side, None)
        for name in (*edits.written, *(edits.remove or ())) if edits is not None else ():
            if (not is_token(name) or "," in name) and not is_authority(name):
                yield f"{path}.{side}", f"{name!r} is no name of a header"


def _redirect(path: str, redirect: Redirect) -> Iterator[Refusal]:
    if redirect.redirect_code not in REDIRECTS:
        allowed = ", ".join(str(code) for code in REDIRECTS if code)
        yield f"{path}.redirectCode", f"{redirect.redirect_code} is not supported; use one of {allowed}"
    if redirect.port == 0:
        yield f"{path}.port", "0 is no port; remove it"


def _fault(path: str, fault: Fault) -> Iterator[Refusal]:
    if fault.delay is not None:
        if fault.delay.fixed_delay is None:
            yield f"{path}.delay.fixedDelay", "nothing is delayed without; give one, or remove the delay"
        if not 0 <= (fault.delay.percent or 0) <= 100:
            yield f"{path}.delay.percent", f"{fault.delay.percent} is no percentage; write 0 to 100"
    if fault.abort is not None:
        if fault.abort.http_status is None and fault.abort.grpc_code is None:
            yield f"{path}.abort", "nothing is aborted without a status; give httpStatus or grpcStatus"
        if (fault.abort.http_status or 0) > LAST_STATUS:
            yield f"{path}.abort.httpStatus", f"{fault.abort.http_status} is no status; write at most {LAST_STATUS}"
