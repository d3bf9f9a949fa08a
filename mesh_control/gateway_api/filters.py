"""Filters of HTTPRoutes and GRPCRoutes as parts of Istio's rules."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mesh_control.gateway_api.backends import Referrer, RuleError, destination, is_there
from mesh_policy.gateway_api.filters import (
    Header,
    HeaderModifier,
    RequestHeaderModifierFilter,
    RequestMirror,
    RequestMirrorFilter,
    ResponseHeaderModifierFilter,
)
from mesh_policy.gateway_api.http_filters import (
    Cors,
    CorsFilter,
    ReplaceFullPath,
    ReplacePrefixMatch,
    RequestRedirect,
    RequestRedirectFilter,
    UrlRewrite,
    UrlRewriteFilter,
)
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.answers import PercentValue, Redirect
from mesh_policy.networking.headers import HeaderOperations, Headers
from mesh_policy.networking.http_route import CorsPolicy, Mirror, RegexRewrite, Rewrite

ANY_ORIGIN = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$"
"""What looks like an origin (RFC 6454), for the wildcard of all of them."""


def parts(referrer: Referrer, filters: Sequence[object]) -> dict[str, Any]:
    """The fields of an ``HttpRoute`` that filters set. Raises :class:`RuleError` for a filter that Istio does not have."""
    found: dict[str, Any] = {}
    mirrors: list[Mirror] = []
    sides: dict[str, HeaderOperations] = {}
    for item in filters:
        match item:
            case RequestHeaderModifierFilter() | ResponseHeaderModifierFilter():
                sides |= side(item)
            case RequestRedirectFilter():
                found["redirect"] = _redirect(item.request_redirect)
            case RequestMirrorFilter():
                mirrors += _mirror(referrer, item.request_mirror)
            case UrlRewriteFilter():
                found["rewrite"] = _rewrite(item.url_rewrite)
            case CorsFilter():
                found["cors_policy"] = _cors(item.cors)
            case _:
                raise RuleError(f"filter {getattr(item, 'type', item)} is not supported by Istio", "InvalidFilter")
    if mirrors:
        found["mirrors"] = tuple(mirrors)
    if sides:
        found["headers"] = Headers.model_construct(None, **sides)
    return found


def headers(filters: Sequence[object]) -> Headers | None:
    """Changes of headers for one backend. Raises :class:`RuleError` for any other filter."""
    sides: dict[str, HeaderOperations] = {}
    for item in filters:
        if not isinstance(item, RequestHeaderModifierFilter | ResponseHeaderModifierFilter):
            raise RuleError(f"filter {getattr(item, 'type', item)} is not supported for a backend", "InvalidFilter")
        sides |= side(item)
    return Headers.model_construct(None, **sides) if sides else None


def side(item: RequestHeaderModifierFilter | ResponseHeaderModifierFilter) -> dict[str, HeaderOperations]:
    """The changes of one filter by the side that they are for. Raises :class:`RuleError`."""
    if isinstance(item, RequestHeaderModifierFilter):
        return {"request": _operations(item.request_header_modifier)}
    return {"response": _operations(item.response_header_modifier)}


def _operations(asked: HeaderModifier) -> HeaderOperations:
    for header in (*(asked.set or ()), *(asked.add or ())):
        if any((ord(letter) < 0x20 and letter != "\t") or ord(letter) == 0x7F for letter in header.value):
            raise RuleError(f"header {header.name}: the value has characters that no header has", "InvalidFilter")
    return HeaderOperations.model_construct(set=_values(asked.set), add=_values(asked.add), remove=asked.remove)


def _values(items: Sequence[Header] | None) -> dict[str, str] | None:
    """By name in small letters; of several for one the first counts."""
    found: dict[str, str] = {}
    for item in items or ():
        found.setdefault(item.name.lower(), item.value)
    return found or None


def _mirror(referrer: Referrer, asked: RequestMirror) -> list[Mirror]:
    """A backend that is not there gets no copies; of a GRPCRoute nothing comes into force then (Istio)."""
    target = destination(referrer, asked.backend_ref)
    if not is_there(referrer, asked.backend_ref):
        if referrer.route.KIND == "GRPCRoute":
            raise RuleError(f"backend {asked.backend_ref.name} is not there", "BackendNotFound")
        return []
    share = None
    if asked.fraction is not None:
        value = 100 * asked.fraction.numerator / (asked.fraction.denominator or 100)
        share = PercentValue.model_construct(value=value)
    elif asked.percent is not None:
        share = PercentValue.model_construct(value=float(asked.percent))
    return [Mirror.model_construct(destination=target, percentage=share)]


def _redirect(asked: RequestRedirect) -> Redirect:
    """Without a port that of the scheme counts, without a scheme that of the request."""
    derived = None
    if asked.port is None:
        derived = "FROM_PROTOCOL_DEFAULT" if asked.scheme is not None else "FROM_REQUEST_PORT"
    path = asked.path
    return Redirect.model_construct(
        redirect_code=asked.status_code,
        authority=asked.hostname,
        scheme=asked.scheme,
        port=asked.port,
        derive_port=derived,
        uri=path.replace_full_path if isinstance(path, ReplaceFullPath) else None,
        prefix_rewrite=path.replace_prefix_match if isinstance(path, ReplacePrefixMatch) else None,
    )


def _rewrite(asked: UrlRewrite) -> Rewrite | None:
    uri, pattern = None, None
    if isinstance(asked.path, ReplacePrefixMatch):
        uri = asked.path.replace_prefix_match.removesuffix("/") or "/"  # which takes the prefix away
    elif isinstance(asked.path, ReplaceFullPath):
        pattern = RegexRewrite.model_construct(match="/.*", rewrite=asked.path.replace_full_path)
    if not (uri or pattern or asked.hostname):
        return None
    return Rewrite.model_construct(uri=uri, authority=asked.hostname, uri_regex_rewrite=pattern)


def _cors(asked: Cors) -> CorsPolicy:
    return CorsPolicy.model_construct(
        allow_origins=tuple(map(_origin, asked.allow_origins or ())),
        allow_credentials=True if asked.allow_credentials else None,
        allow_methods=asked.allow_methods,
        allow_headers=asked.allow_headers,
        expose_headers=asked.expose_headers,
        max_age=timedelta(seconds=asked.max_age) if asked.max_age else None,
        unmatched_preflights="IGNORE",
    )


def _origin(written: str) -> StringMatch:
    if written == "*":
        return StringMatch.model_construct(regex=ANY_ORIGIN)
    if "*" not in written:
        return StringMatch.model_construct(exact=written)
    if written.index("*") == len(written) - 1:
        return StringMatch.model_construct(prefix=written[:-1])
    pattern = ".*".join(map(quoted, written.split("*")))
    return StringMatch.model_construct(regex=f"^{pattern}$")


def quoted(text: str) -> str:
    """The text as an expression of RE2 that stands for itself (Go's ``QuoteMeta``: nothing else is escaped)."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
