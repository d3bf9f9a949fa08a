"""Which requests a rule of a VirtualService is for, as conditions of a route."""

from collections.abc import Iterator

from mesh_api.config import (
    HeaderMatch,
    PathMatch,
    PathMatchKind,
    QueryParameterMatch,
    RouteMatch,
    StringMatch,
    StringMatchKind,
)
from mesh_api.config.authorization import JWT_AUTHN, JWT_PAYLOAD, AnyValueOf, ListValue, MetadataMatch
from mesh_policy.matchers import ANY_VALUE
from mesh_policy.matchers import StringMatch as Compared
from mesh_policy.networking.headers import CLAIMS, is_claim
from mesh_policy.networking.virtual_service import HttpMatch

EVERYTHING = RouteMatch(PathMatch(PathMatchKind.PREFIX, "/"))


def route_match(match: HttpMatch | None, *, segments: bool = False) -> RouteMatch:
    """The conditions of a match block (``None``: none). ``segments``: a prefix of paths is whole segments (Gateway API)."""
    if match is None:
        return EVERYTHING
    present, absent = sorted((match.headers or {}).items()), sorted((match.without_headers or {}).items())
    headers = [_header(name, value) for name, value in present if not is_claim(name)]
    headers += [_without(name, value) for name, value in absent if not is_claim(name)]
    headers.sort(key=lambda header: header.name)
    claims = [_claim(name, value) for name, value in present if is_claim(name)]
    claims += [_claim(name, value, invert=True) for name, value in absent if is_claim(name)]
    return RouteMatch(
        _path(match, segments=segments),
        (*headers, *_pseudo(match)),
        tuple(_parameter(name, value) for name, value in sorted((match.query_params or {}).items())),
        dynamic_metadata=tuple(claims),
    )


def catches_all(match: HttpMatch) -> bool:
    """Whether no request goes by such a route, so that what comes after it is never asked (Istio leaves it out)."""
    if match.headers or match.without_headers or match.query_params:
        return False
    if not (match.method is None and match.authority is None and match.scheme is None):
        return False
    uri = match.uri
    return uri is None or uri.is_presence or uri.prefix == "/" or uri.regex == ".*"


def _pseudo(match: HttpMatch) -> Iterator[HeaderMatch]:
    for name, value in (("method", match.method), ("authority", match.authority), ("scheme", match.scheme)):
        if value is not None:
            yield _header(f":{name}", value)


def _path(match: HttpMatch, *, segments: bool) -> PathMatch:
    sensitive = not match.ignore_uri_case
    uri = match.uri
    if uri is None or uri.is_presence:
        return PathMatch(PathMatchKind.PREFIX, "/", sensitive)
    if uri.exact is not None:
        return PathMatch(PathMatchKind.EXACT, uri.exact, sensitive)
    if uri.regex is not None:
        return PathMatch(PathMatchKind.REGEX, uri.regex, sensitive)
    prefix = uri.prefix or ""
    if segments and prefix != "/":
        return PathMatch(PathMatchKind.PATH_SEPARATED_PREFIX, prefix.removesuffix("/"), sensitive)
    return PathMatch(PathMatchKind.PREFIX, prefix, sensitive)


def compared(match: Compared) -> StringMatch:
    """A comparison of a text."""
    if match.exact is not None:
        return StringMatch(StringMatchKind.EXACT, match.exact)
    if match.prefix is not None:
        return StringMatch(StringMatchKind.PREFIX, match.prefix)
    return StringMatch(StringMatchKind.REGEX, match.regex or "")


def _only_there(match: Compared) -> bool:
    return match.is_presence or match.regex == ANY_VALUE


def _header(name: str, match: Compared) -> HeaderMatch:
    return HeaderMatch(name) if _only_there(match) else HeaderMatch(name, compared(match))


def _without(name: str, match: Compared) -> HeaderMatch:
    """A header that is missing counts as empty, so it does not carry the value (Istio, ``withoutHeaders``)."""
    if _only_there(match):
        return HeaderMatch(name, invert=True)
    return HeaderMatch(name, compared(match), invert=True, treat_missing_as_empty=True)


def _parameter(name: str, match: Compared) -> QueryParameterMatch:
    return QueryParameterMatch(name, None if _only_there(match) else compared(match))


def _claim(name: str, match: Compared, *, invert: bool = False) -> MetadataMatch:
    """A claim of the request's token, which may be a text or a list of them; nested ones by dots or in brackets."""
    inner = name[len(CLAIMS) :]
    path = inner[1:].split(".") if inner.startswith(".") else inner[1:-1].split("][")
    value = compared(match)
    return MetadataMatch(JWT_AUTHN, (JWT_PAYLOAD, *path), AnyValueOf((value, ListValue(value))), invert)
