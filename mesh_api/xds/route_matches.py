"""Which requests a route, or a rule about tokens, is for (``route.v3.RouteMatch``)."""

from typing import Any

from envoy.config.route.v3 import route_components_pb2

from mesh_api.config import PathMatch, PathMatchKind, RouteMatch
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import (
    decode_header_match,
    decode_query_match,
    decode_regex,
    encode_header_match,
    encode_query_match,
    encode_regex,
)
from mesh_api.xds.metadata import decode_metadata, encode_metadata
from mesh_api.xds.values import boolean, read_runtime_fraction, runtime_fraction


def encode_route_match(match: RouteMatch) -> Any:
    """``RouteMatch``."""
    path = match.path
    value: Any = path.value
    if path.kind is PathMatchKind.REGEX:
        value = encode_regex(path.value)
    elif path.kind is PathMatchKind.CONNECT:
        value = route_components_pb2.RouteMatch.ConnectMatcher()
    message = route_components_pb2.RouteMatch(
        **{path.kind.value: value},
        case_sensitive=boolean(path.case_sensitive, unless=True),
        headers=[encode_header_match(header) for header in match.headers],
        query_parameters=[encode_query_match(parameter) for parameter in match.query_parameters],
        runtime_fraction=None if match.runtime_fraction is None else runtime_fraction(match.runtime_fraction),
        dynamic_metadata=[encode_metadata(condition) for condition in match.dynamic_metadata],
    )
    if match.grpc_only:
        message.grpc.SetInParent()
    return message


def decode_route_match(fields: Fields) -> RouteMatch:
    """From ``RouteMatch``."""
    with fields as f:
        fraction = f.optional("runtime_fraction")
        grpc = f.has("grpc")
        f.nothing_in("grpc")
        return RouteMatch(
            path=_decode_path(f),
            headers=tuple(decode_header_match(header) for header in f.children("headers")),
            query_parameters=tuple(decode_query_match(parameter) for parameter in f.children("query_parameters")),
            runtime_fraction=None if fraction is None else read_runtime_fraction(fraction, 0),
            grpc_only=grpc,
            dynamic_metadata=tuple(decode_metadata(condition) for condition in f.children("dynamic_metadata")),
        )


def _decode_path(fields: Fields) -> PathMatch:
    kind = fields.oneof("path_specifier")
    case_sensitive = fields.wrapped_flag("case_sensitive", default=True)
    if kind is None or kind == "path_match_policy":
        raise fields.error("", f"{kind or 'a missing path'} is not supported")
    if kind == "connect_matcher":
        fields.nothing_in(kind)
        return PathMatch(PathMatchKind.CONNECT, "", case_sensitive)
    value = decode_regex(fields.child(kind)) if kind == "safe_regex" else fields.text(kind)
    return PathMatch(PathMatchKind(kind), value, case_sensitive)
