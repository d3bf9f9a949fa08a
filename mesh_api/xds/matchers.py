"""Matchers of strings, headers and query parameters (``type.matcher.v3``, ``route.v3.HeaderMatcher``)."""

from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import range_pb2

from mesh_api.config.matchers import HeaderMatch, QueryParameterMatch, StringMatch, StringMatchKind
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields

_SHORTHANDS: Final = {
    "exact_match": StringMatchKind.EXACT,
    "prefix_match": StringMatchKind.PREFIX,
    "suffix_match": StringMatchKind.SUFFIX,
    "contains_match": StringMatchKind.CONTAINS,
}
"""Deprecated members of ``HeaderMatcher`` that Envoy still reads."""


def encode_regex(pattern: str) -> Any:
    """``RegexMatcher``."""
    return regex_pb2.RegexMatcher(regex=pattern)


def decode_regex(fields: Fields) -> str:
    """The RE2 pattern."""
    with fields as f:
        return f.text("regex")


def encode_string(match: StringMatch) -> Any:
    """``StringMatcher``."""
    if match.kind is StringMatchKind.REGEX:
        return string_pb2.StringMatcher(safe_regex=encode_regex(match.value), ignore_case=match.ignore_case)
    return string_pb2.StringMatcher(**{match.kind.value: match.value}, ignore_case=match.ignore_case)


def decode_string(fields: Fields) -> StringMatch:
    """From ``StringMatcher``."""
    with fields as f:
        kind = f.oneof("match_pattern")
        ignore_case = f.flag("ignore_case")
        if kind == "safe_regex":
            return StringMatch(StringMatchKind.REGEX, decode_regex(f.child("safe_regex")), ignore_case)
        if kind is None or kind == "custom":
            raise f.error("", f"{kind or 'a missing match_pattern'} is not supported")
        return StringMatch(StringMatchKind(kind), f.text(kind), ignore_case)


def encode_header_match(match: HeaderMatch) -> Any:
    """``HeaderMatcher``."""
    message = route_pb2.HeaderMatcher(
        name=match.name, invert_match=match.invert, treat_missing_header_as_empty=match.treat_missing_as_empty
    )
    if match.match is not None:
        if match.range_start is not None or match.range_end is not None:
            raise EncodeError(f"header {match.name}: a string match and a range are both set")
        message.string_match.CopyFrom(encode_string(match.match))
    elif match.range_start is not None and match.range_end is not None:
        message.range_match.CopyFrom(range_pb2.Int64Range(start=match.range_start, end=match.range_end))
    else:
        message.present_match = match.present
    return message


def decode_header_match(fields: Fields) -> HeaderMatch:
    """From ``HeaderMatcher``; the name becomes lower case, as Envoy compares it."""
    with fields as f:
        name = f.text("name").lower()
        invert, missing = f.flag("invert_match"), f.flag("treat_missing_header_as_empty")
        kind = f.oneof("header_match_specifier")
        if kind is None:
            return HeaderMatch(name, None, True, invert, missing)
        if kind == "present_match":
            return HeaderMatch(name, None, f.flag(kind), invert, missing)
        if kind == "range_match":
            with f.child(kind) as bounds:
                return HeaderMatch(name, None, True, invert, missing, bounds.number("start"), bounds.number("end"))
        return HeaderMatch(name, _header_string(f, kind), True, invert, missing)


def _header_string(fields: Fields, kind: str) -> StringMatch:
    if kind == "string_match":
        return decode_string(fields.child(kind))
    if kind == "safe_regex_match":
        return StringMatch(StringMatchKind.REGEX, decode_regex(fields.child(kind)))
    return StringMatch(_SHORTHANDS[kind], fields.text(kind))


def encode_query_match(match: QueryParameterMatch) -> Any:
    """``QueryParameterMatcher``."""
    if match.match is None:
        return route_pb2.QueryParameterMatcher(name=match.name, present_match=match.present)
    return route_pb2.QueryParameterMatcher(name=match.name, string_match=encode_string(match.match))


def decode_query_match(fields: Fields) -> QueryParameterMatch:
    """From ``QueryParameterMatcher``."""
    with fields as f:
        kind = f.oneof("query_parameter_match_specifier")
        name = f.text("name")
        if kind == "string_match":
            return QueryParameterMatch(name, decode_string(f.child(kind)))
        return QueryParameterMatch(name, None, f.flag(kind) if kind else True)
