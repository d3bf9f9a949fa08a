"""Route configurations (``route.v3.RouteConfiguration``)."""

from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mesh_api.config.routes import (
    DirectResponse,
    Redirect,
    Route,
    RouteAction,
    RouteConfiguration,
    VirtualHost,
)
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_edits import decode_edits, encode_edits
from mesh_api.xds.overrides import Overrides, decode_overrides, encode_overrides
from mesh_api.xds.route_actions import (
    decode_direct_response,
    decode_redirect,
    decode_route_action,
    encode_direct_response,
    encode_redirect,
    encode_route_action,
)
from mesh_api.xds.route_matches import decode_route_match, encode_route_match
from mesh_api.xds.values import boolean, metadata, read_metadata, uint32

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
        typed_per_filter_config=encode_overrides(
            Overrides(None, host.cors, host.rate_limit, host.compressor, host.buffer)
        ),
        **encode_edits(host.edits),
    )


def _encode_route(route: Route) -> Any:
    said = Overrides(route.fault, route.cors, route.rate_limit, route.compressor, route.buffer)
    message = route_components_pb2.Route(
        name=route.name,
        match=encode_route_match(route.match),
        metadata=metadata(route.metadata),
        stat_prefix=route.stat_prefix,
        typed_per_filter_config=encode_overrides(said),
        **encode_edits(route.edits),
    )
    if route.operation:
        message.decorator.operation = route.operation
        if not route.tells_operation:
            message.decorator.propagate.value = False
    match route.action:
        case RouteAction():
            message.route.CopyFrom(encode_route_action(route.action))
        case Redirect():
            message.redirect.CopyFrom(encode_redirect(route.action))
        case DirectResponse():
            message.direct_response.CopyFrom(encode_direct_response(route.action))
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
        said = decode_overrides(f)
        if said.fault is not None:
            raise f.error("typed_per_filter_config", "a fault is supported on routes only")
        return VirtualHost(
            name=f.text("name"),
            domains=f.texts("domains"),
            routes=tuple(_decode_route(route) for route in f.children("routes")),
            include_request_attempt_count=f.flag("include_request_attempt_count"),
            require_tls=f.enum("require_tls", "NONE", "ALL") == "ALL",
            edits=decode_edits(f),
            cors=said.cors,
            rate_limit=said.rate_limit,
            compressor=said.compressor,
            buffer=said.buffer,
        )


def _decode_route(fields: Fields) -> Route:
    with fields as f:
        said = decode_overrides(f)
        with f.child("decorator") as decorator:
            operation = decorator.text("operation")
            tells_operation = decorator.wrapped_flag("propagate", default=True)
        return Route(
            match=decode_route_match(f.child("match")),
            action=_decode_action(f),
            name=f.text("name"),
            edits=decode_edits(f),
            fault=said.fault,
            cors=said.cors,
            rate_limit=said.rate_limit,
            compressor=said.compressor,
            buffer=said.buffer,
            operation=operation,
            tells_operation=tells_operation,
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
