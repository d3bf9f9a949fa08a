"""Servers that decide (``filters.http.ext_authz.v3.ExtAuthz``, ``filters.network.ext_authz.v3.ExtAuthz``)."""

from typing import Any, Final

from envoy.config.core.v3 import config_source_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as http_pb2
from envoy.extensions.filters.network.ext_authz.v3 import ext_authz_pb2 as network_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import http_status_pb2

from mesh_api.config.authorization import MetadataMatch
from mesh_api.config.external_authorization import (
    AuthorizationBody,
    AuthorizationServer,
    ExtAuthzFilter,
    NetworkExtAuthz,
)
from mesh_api.config.matchers import StringMatch
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_string, encode_string
from mesh_api.xds.metadata import decode_metadata, encode_metadata
from mesh_api.xds.remote_services import (
    decode_grpc_service,
    decode_pairs,
    decode_uri,
    encode_grpc_service,
    encode_pairs,
    encode_uri,
)

HTTP_MESSAGE: Final = http_pb2.ExtAuthz
NETWORK_MESSAGE: Final = network_pb2.ExtAuthz
_V3: Final = config_source_pb2.ApiVersion.V3


def encode_http_ext_authz(config: ExtAuthzFilter) -> Any:
    """``filters.http.ext_authz.v3.ExtAuthz``."""
    if (config.http is None) == (config.grpc is None):
        raise EncodeError("external authorization needs either http or grpc")
    status = config.status_on_error
    return http_pb2.ExtAuthz(
        http_service=None if config.http is None else _encode_server(config.http),
        grpc_service=None if config.grpc is None else encode_grpc_service(config.grpc),
        transport_api_version=_V3,
        failure_mode_allow=config.failure_mode_allow,
        status_on_error=None if status is None else http_status_pb2.HttpStatus(code=status),
        filter_enabled_metadata=_encode_enabled(config.enabled),
        allowed_headers=_encode_names(config.allowed_headers),
        with_request_body=None if config.body is None else _encode_body(config.body),
    )


def encode_network_ext_authz(config: NetworkExtAuthz) -> Any:
    """``filters.network.ext_authz.v3.ExtAuthz``."""
    return network_pb2.ExtAuthz(
        stat_prefix=config.stat_prefix,
        grpc_service=encode_grpc_service(config.grpc),
        transport_api_version=_V3,
        failure_mode_allow=config.failure_mode_allow,
        filter_enabled_metadata=_encode_enabled(config.enabled),
    )


def _encode_enabled(match: MetadataMatch | None) -> Any:
    return None if match is None else encode_metadata(match)


def _encode_names(names: tuple[StringMatch, ...]) -> Any:
    return string_pb2.ListStringMatcher(patterns=map(encode_string, names)) if names else None


def _encode_body(body: AuthorizationBody) -> Any:
    return http_pb2.BufferSettings(
        max_request_bytes=body.max_bytes, allow_partial_message=body.allow_partial, pack_as_bytes=body.as_bytes
    )


def _encode_server(server: AuthorizationServer) -> Any:
    message = http_pb2.HttpService(
        server_uri=encode_uri(server.uri, server.cluster, server.timeout), path_prefix=server.path_prefix
    )
    if server.headers_to_add:
        message.authorization_request.headers_to_add.extend(encode_pairs(server.headers_to_add))
    names = (server.upstream_headers, server.client_headers, server.client_headers_on_success)
    if any(names):
        allowed = map(_encode_names, names)
        fields = ("allowed_upstream_headers", "allowed_client_headers", "allowed_client_headers_on_success")
        response = http_pb2.AuthorizationResponse(**dict(zip(fields, allowed, strict=True)))
        message.authorization_response.CopyFrom(response)
    return message


def decode_http_ext_authz(fields: Fields) -> ExtAuthzFilter:
    """From ``filters.http.ext_authz.v3.ExtAuthz``."""
    with fields as f:
        kind = f.oneof("services")
        if kind not in ("http_service", "grpc_service"):
            raise f.error("", f"{kind or 'a missing service'} is not supported")
        f.enum("transport_api_version", "AUTO", "V3")
        return ExtAuthzFilter(
            http=_decode_server(f.child(kind)) if kind == "http_service" else None,
            grpc=decode_grpc_service(f.child(kind)) if kind == "grpc_service" else None,
            failure_mode_allow=f.flag("failure_mode_allow"),
            status_on_error=_decode_status(f.optional("status_on_error")),
            enabled=_decode_enabled(f),
            allowed_headers=_decode_names(f, "allowed_headers"),
            body=_decode_body(f.optional("with_request_body")),
        )


def decode_network_ext_authz(fields: Fields) -> NetworkExtAuthz:
    """From ``filters.network.ext_authz.v3.ExtAuthz``."""
    with fields as f:
        f.enum("transport_api_version", "AUTO", "V3")
        return NetworkExtAuthz(
            f.text("stat_prefix"),
            decode_grpc_service(f.child("grpc_service")),
            f.flag("failure_mode_allow"),
            _decode_enabled(f),
        )


def _decode_enabled(fields: Fields) -> MetadataMatch | None:
    found = fields.optional("filter_enabled_metadata")
    return None if found is None else decode_metadata(found)


def _decode_status(fields: Fields | None) -> int | None:
    if fields is None:
        return None
    with fields as f:
        return f.number("code")


def _decode_names(fields: Fields, field: str) -> tuple[StringMatch, ...]:
    with fields.child(field) as names:
        return tuple(decode_string(pattern) for pattern in names.children("patterns"))


def _decode_body(fields: Fields | None) -> AuthorizationBody | None:
    if fields is None:
        return None
    with fields as f:
        return AuthorizationBody(
            f.number("max_request_bytes"), f.flag("allow_partial_message"), f.flag("pack_as_bytes")
        )


def _decode_server(fields: Fields) -> AuthorizationServer:
    with fields as f:
        uri, cluster, timeout = decode_uri(f.child("server_uri"))
        with f.child("authorization_request") as request:
            added = decode_pairs(request, "headers_to_add")
        with f.child("authorization_response") as response:
            upstream = _decode_names(response, "allowed_upstream_headers")
            client = _decode_names(response, "allowed_client_headers")
            success = _decode_names(response, "allowed_client_headers_on_success")
        return AuthorizationServer(
            uri, cluster, timeout or 0.0, f.text("path_prefix"), added, upstream, client, success
        )
