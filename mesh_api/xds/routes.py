"""Route configurations (``route.v3.RouteConfiguration``)."""

from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mesh_api.config.routes import (
    DirectResponse,
    PathMatch,
    PathMatchKind,
    Redirect,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from mesh_api.xds.fields import Fields
from mesh_api.xds.filters import decode_overrides, encode_overrides
from mesh_api.xds.header_edits import decode_edits, encode_edits
from mesh_api.xds.matchers import (
    decode_header_match,
    decode_query_match,
    decode_regex,
    encode_header_match,
    encode_query_match,
    encode_regex,
)
from mesh_api.xds.metadata import decode_metadata, encode_metadata
from mesh_api.xds.route_actions import (
    decode_direct_response,
    decode_redirect,
    decode_route_action,
    encode_direct_response,
    encode_redirect,
    encode_route_action,
)
from mesh_api.xds.values import (
    boolean,
    metadata,
    read_metadata,
    read_runtime_fraction,
    runtime_fraction,
    uint32,
)

MAX_DIRECT_RESPONSE = 4096
"""Envoy's default limit of a direct response's body, in bytes."""


def encode_route_configuration(config: RouteConfiguration) -> Any:
    """``RouteConfiguration``."""
    return route_pb2.RouteConfiguration(
        name=config.name,
        virtual_hosts=[encode_virtual_host(host) for host in config.virtual_hosts],
        validate_clusters=boolean(config.validate_clusters),
        ignore_port_in_host_matching=config.ignore_port_in_host_matching,
        max_direct_response_body_size_bytes=uint32(config.max_direct_response_body_size),
        **encode_edits(config.edits),
    )


def encode_virtual_host(host: VirtualHost) -> Any:
    """``VirtualHost``."""
    requirement = "ALL" if host.require_tls else "NONE"
    return route_components_pb2.VirtualHost(
        name=host.name,
        domains=host.domains,
        routes=[_encode_route(route) for route in host.routes],
        include_request_attempt_count=host.include_request_attempt_count,
        require_tls=route_components_pb2.VirtualHost.TlsRequirementType.Value(requirement),
        typed_per_filter_config=encode_overrides(None, host.cors, host.rate_limit),
        **encode_edits(host.edits),
    )


def _encode_route(route: Route) -> Any:
    message = route_components_pb2.Route(
        name=route.name,
        match=_encode_match(route.match),
        metadata=metadata(route.metadata),
        stat_prefix=route.stat_prefix,
        typed_per_filter_config=encode_overrides(route.fault, route.cors, route.rate_limit),
        **encode_edits(route.edits),
    )
    if route.operation:
        message.decorator.operation = route.operation
    match route.action:
        case RouteAction():
            message.route.CopyFrom(encode_route_action(route.action))
        case Redirect():
            message.redirect.CopyFrom(encode_redirect(route.action))
        case DirectResponse():
            message.direct_response.CopyFrom(encode_direct_response(route.action))
    return message


def _encode_match(match: RouteMatch) -> Any:
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


def decode_route_configuration(fields: Fields, *, inline: bool = False) -> RouteConfiguration:
    """From ``RouteConfiguration``; ``inline``: part of a listener, where Envoy validates clusters by default."""
    with fields as f:
        return RouteConfiguration(
            name=f.text("name"),
            virtual_hosts=tuple(_decode_virtual_host(host) for host in f.children("virtual_hosts")),
            validate_clusters=f.wrapped_flag("validate_clusters", default=inline),
            ignore_port_in_host_matching=f.flag("ignore_port_in_host_matching"),
            max_direct_response_body_size=f.wrapped_number("max_direct_response_body_size_bytes", MAX_DIRECT_RESPONSE),
            edits=decode_edits(f),
        )


def _decode_virtual_host(fields: Fields) -> VirtualHost:
    with fields as f:
        fault, cors, limit = decode_overrides(f)
        if fault is not None:
            raise f.error("typed_per_filter_config", "a fault is supported on routes only")
        return VirtualHost(
            name=f.text("name"),
            domains=f.texts("domains"),
            routes=tuple(_decode_route(route) for route in f.children("routes")),
            include_request_attempt_count=f.flag("include_request_attempt_count"),
            require_tls=f.enum("require_tls", "NONE", "ALL") == "ALL",
            edits=decode_edits(f),
            cors=cors,
            rate_limit=limit,
        )


def _decode_route(fields: Fields) -> Route:
    with fields as f:
        fault, cors, limit = decode_overrides(f)
        with f.child("decorator") as decorator:
            operation = decorator.text("operation")
        return Route(
            match=_decode_match(f.child("match")),
            action=_decode_action(f),
            name=f.text("name"),
            edits=decode_edits(f),
            fault=fault,
            cors=cors,
            rate_limit=limit,
            operation=operation,
            metadata=read_metadata(f.optional("metadata")),
            stat_prefix=f.text("stat_prefix"),
        )


def _decode_action(fields: Fields) -> RouteAction | Redirect | DirectResponse:
    kind = fields.oneof("action")
    if kind == "route":
        return decode_route_action(fields.child(kind))
    if kind == "redirect":
        return decode_redirect(fields.child(kind))
    if kind == "direct_response":
        return decode_direct_response(fields.child(kind))
    raise fields.error("", f"{kind or 'a missing action'} is not supported")


def _decode_match(fields: Fields) -> RouteMatch:
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
