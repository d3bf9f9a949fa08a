"""Services that a proxy asks or tells by itself (``core.v3.HttpService``, ``core.v3.GrpcService``)."""

from typing import Any

from envoy.config.core.v3 import base_pb2, grpc_service_pb2, http_service_pb2, http_uri_pb2

from mesh_api.config.remote_services import GrpcService, HttpService
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration

_OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"


def encode_uri(uri: str, cluster: str, timeout: float | None) -> Any:
    """``HttpUri``."""
    return http_uri_pb2.HttpUri(uri=uri, cluster=cluster, timeout=duration(timeout))


def decode_uri(fields: Fields) -> tuple[str, str, float | None]:
    """URI, cluster and timeout of an ``HttpUri``."""
    with fields as f:
        return f.text("uri"), f.text("cluster"), f.duration("timeout")


def encode_http_service(service: HttpService) -> Any:
    """``HttpService``."""
    action = base_pb2.HeaderValueOption.HeaderAppendAction.Value(_OVERWRITE)
    headers = encode_pairs(service.headers)
    return http_service_pb2.HttpService(
        http_uri=encode_uri(service.uri, service.cluster, service.timeout),
        request_headers_to_add=[base_pb2.HeaderValueOption(header=one, append_action=action) for one in headers],
    )


def decode_http_service(fields: Fields) -> HttpService:
    """From ``HttpService``."""
    with fields as f:
        uri, cluster, timeout = decode_uri(f.child("http_uri"))
        headers = tuple(_decode_header(header) for header in f.children("request_headers_to_add"))
        return HttpService(uri, cluster, timeout, headers)


def _decode_header(fields: Fields) -> tuple[str, str]:
    with fields as f:
        f.enum("append_action", _OVERWRITE)
        return _decode_pair(f.child("header"))


def encode_grpc_service(service: GrpcService) -> Any:
    """``GrpcService`` over a cluster of Envoy."""
    way = grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=service.cluster, authority=service.authority)
    return grpc_service_pb2.GrpcService(
        envoy_grpc=way, timeout=duration(service.timeout), initial_metadata=encode_pairs(service.initial_metadata)
    )


def decode_grpc_service(fields: Fields) -> GrpcService:
    """From ``GrpcService``."""
    with fields as f:
        kind = f.oneof("target_specifier")
        if kind != "envoy_grpc":
            raise f.error("", f"{kind or 'a missing target'} is not supported")
        with f.child(kind) as way:
            cluster, authority = way.text("cluster_name"), way.text("authority")
        return GrpcService(cluster, authority, f.duration("timeout"), decode_pairs(f, "initial_metadata"))


def encode_pairs(pairs: tuple[tuple[str, str], ...]) -> list[Any]:
    """``HeaderValue`` of each."""
    return [base_pb2.HeaderValue(key=key, value=value) for key, value in pairs]


def decode_pairs(fields: Fields, field: str) -> tuple[tuple[str, str], ...]:
    """Keys and values of the ``HeaderValue`` in ``field``."""
    return tuple(_decode_pair(header) for header in fields.children(field))


def _decode_pair(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("key"), f.text("value")
