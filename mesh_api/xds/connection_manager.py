"""The HTTP connection manager (``http_connection_manager.v3.HttpConnectionManager``)."""

from typing import Any, Final

from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2

from mesh_api.config.listeners import HttpConnectionManager
from mesh_api.xds.access_logs import decode_access_log, encode_access_log
from mesh_api.xds.addresses import decode_cidr, encode_cidr
from mesh_api.xds.clusters import ads_source, read_ads_source
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.filters import decode_http_filters, encode_http_filter
from mesh_api.xds.header_case import decode_case, encode_case
from mesh_api.xds.local_replies import decode_local_replies, encode_local_replies
from mesh_api.xds.route_actions import decode_upgrades
from mesh_api.xds.routes import decode_route_configuration, encode_route_configuration
from mesh_api.xds.tracing import decode_tracing, encode_tracing
from mesh_api.xds.values import boolean, duration, pack, uint32, unpack

MESSAGE: Final = hcm_pb2.HttpConnectionManager

SERVER_NAME, MAX_HEADERS_KB = "envoy", 60
"""Envoy's defaults."""

_CERT_DETAILS: Final = ("subject", "cert", "chain", "dns", "uri")
_WRAPPED_CERT_DETAILS: Final = frozenset({"subject"})
_PLAIN_FLAGS: Final = (
    "preserve_external_request_id",
    "always_set_request_id_in_response",
    "merge_slashes",
    "proxy_100_continue",
    "append_x_forwarded_port",
    "skip_xff_append",
    "strip_trailing_host_dot",
)
_TIMEOUTS: Final = ("stream_idle_timeout", "request_timeout", "request_headers_timeout", "drain_timeout")
_COMMON_TIMEOUTS: Final = ("idle_timeout", "max_connection_duration", "max_stream_duration")
_HTTP2: Final = ("max_concurrent_streams", "initial_stream_window_size", "initial_connection_window_size")


def encode_connection_manager(manager: HttpConnectionManager) -> Any:
    """``HttpConnectionManager``."""
    if bool(manager.rds_name) == (manager.route_config is not None):
        raise EncodeError("a connection manager needs either rds_name or route_config")
    if manager.suppress_route_server_header:
        raise EncodeError("suppress_route_server_header has no form in Envoy's API")
    slashes = hcm_pb2.HttpConnectionManager.PathWithEscapedSlashesAction
    transformations = hcm_pb2.HttpConnectionManager.ServerHeaderTransformation
    message = hcm_pb2.HttpConnectionManager(
        stat_prefix=manager.stat_prefix,
        http_filters=[encode_http_filter(http_filter) for http_filter in manager.http_filters],
        codec_type=hcm_pb2.HttpConnectionManager.CodecType.Value(manager.codec),
        access_log=[encode_access_log(log) for log in manager.access_logs],
        server_name="" if manager.server_name == SERVER_NAME else manager.server_name,
        server_header_transformation=transformations.Value(manager.server_header_transformation),
        use_remote_address=boolean(manager.use_remote_address),
        xff_num_trusted_hops=manager.xff_num_trusted_hops,
        via=manager.via,
        generate_request_id=boolean(manager.generate_request_id, unless=True),
        normalize_path=boolean(manager.normalize_path),
        path_with_escaped_slashes_action=slashes.Value(manager.path_with_escaped_slashes_action),
        max_request_headers_kb=uint32(manager.max_request_headers_kb, unless=MAX_HEADERS_KB),
        upgrade_configs=[
            hcm_pb2.HttpConnectionManager.UpgradeConfig(upgrade_type=upgrade) for upgrade in manager.upgrades
        ],
        forward_client_cert_details=hcm_pb2.HttpConnectionManager.ForwardClientCertDetails.Value(
            manager.forward_client_cert
        ),
        **{name: getattr(manager, name) for name in _PLAIN_FLAGS},
        **{name: duration(getattr(manager, name)) for name in _TIMEOUTS},
    )
    _encode_nested(manager, message)
    return message


def _encode_nested(manager: HttpConnectionManager, message: Any) -> None:
    if manager.route_config is not None:
        message.route_config.CopyFrom(encode_route_configuration(manager.route_config))
    else:
        message.rds.route_config_name = manager.rds_name
        message.rds.config_source.CopyFrom(ads_source())
    if manager.strip_port == "ANY":
        message.strip_any_host_port = True
    elif manager.strip_port:
        message.strip_matching_host_port = True
    if manager.tracing is not None:
        message.tracing.CopyFrom(encode_tracing(manager.tracing))
    if manager.request_id_samples is not None:
        extension = uuid_pb2.UuidRequestIdConfig(use_request_id_for_trace_sampling=boolean(manager.request_id_samples))
        message.request_id_extension.typed_config.CopyFrom(pack(extension))
    for network in manager.internal_networks:
        message.internal_address_config.cidr_ranges.append(encode_cidr(network))
    if manager.local_replies is not None:
        message.local_reply_config.CopyFrom(encode_local_replies(manager.local_replies))
    _encode_protocols(manager, message)
    for detail in manager.client_cert_details:
        if detail not in _CERT_DETAILS:
            raise EncodeError(f"client_cert_details: {detail!r} is none of {', '.join(_CERT_DETAILS)}")
        if detail not in _WRAPPED_CERT_DETAILS:
            setattr(message.set_current_client_cert_details, detail, True)
    if manager.client_cert_details:
        message.set_current_client_cert_details.subject.value = "subject" in manager.client_cert_details


def _encode_protocols(manager: HttpConnectionManager, message: Any) -> None:
    common = message.common_http_protocol_options
    for name in _COMMON_TIMEOUTS:
        if getattr(manager, name) is not None:
            getattr(common, name).CopyFrom(duration(getattr(manager, name)))
    if manager.headers_with_underscores_action != "ALLOW":
        actions = protocol_pb2.HttpProtocolOptions.HeadersWithUnderscoresAction
        common.headers_with_underscores_action = actions.Value(manager.headers_with_underscores_action)
    if manager.max_requests_per_connection:
        common.max_requests_per_connection.value = manager.max_requests_per_connection
    if manager.max_headers_count is not None:
        common.max_headers_count.value = manager.max_headers_count
    for name in _HTTP2:
        if getattr(manager, name) is not None:
            getattr(message.http2_protocol_options, name).value = getattr(manager, name)
    if manager.allow_connect:
        message.http2_protocol_options.allow_connect = True
    if manager.accept_http_10:
        message.http_protocol_options.accept_http_10 = True
    if manager.allow_absolute_url is not None:
        message.http_protocol_options.allow_absolute_url.value = manager.allow_absolute_url
    if manager.preserve_header_case:
        message.http_protocol_options.header_key_format.CopyFrom(encode_case())


def _decode_internal(fields: Fields) -> tuple[str, ...]:
    with fields as f:
        return tuple(decode_cidr(network) for network in f.children("cidr_ranges"))


def decode_connection_manager(fields: Fields) -> HttpConnectionManager:
    """From ``HttpConnectionManager``."""
    with fields as f:
        slashes = f.enum("path_with_escaped_slashes_action")
        return HttpConnectionManager(
            stat_prefix=f.text("stat_prefix"),
            http_filters=decode_http_filters(f, "http_filters"),
            codec=f.enum("codec_type", "AUTO", "HTTP1", "HTTP2"),
            access_logs=tuple(decode_access_log(log) for log in f.children("access_log")),
            server_name=f.text("server_name") or SERVER_NAME,
            server_header_transformation=f.enum("server_header_transformation"),
            use_remote_address=f.wrapped_flag("use_remote_address", default=False),
            xff_num_trusted_hops=f.number("xff_num_trusted_hops"),
            via=f.text("via"),
            strip_port=_decode_strip(f),
            internal_networks=_decode_internal(f.child("internal_address_config")),
            generate_request_id=f.wrapped_flag("generate_request_id", default=True),
            request_id_samples=_decode_request_id(f.optional("request_id_extension")),
            normalize_path=f.wrapped_flag("normalize_path", default=False),
            # Without runtime layers, Envoy's implementation specific default is to keep them.
            path_with_escaped_slashes_action="KEEP_UNCHANGED" if slashes.startswith("IMPLEMENTATION") else slashes,
            tracing=decode_tracing(f.optional("tracing")),
            local_replies=decode_local_replies(f.optional("local_reply_config")),
            max_request_headers_kb=f.wrapped_number("max_request_headers_kb", MAX_HEADERS_KB),
            upgrades=decode_upgrades(f),
            forward_client_cert=f.enum("forward_client_cert_details"),
            client_cert_details=_decode_cert_details(f),
            **_decode_routes(f),
            **_decode_plain(f),
            **_decode_protocols(f),
        )


def _decode_strip(fields: Fields) -> str:
    kind = fields.oneof("strip_port_mode")
    every = kind is not None and fields.flag(kind)
    matching = fields.flag("strip_matching_host_port")
    return "ANY" if every else "MATCHING" if matching else ""


def _decode_routes(fields: Fields) -> dict[str, Any]:
    kind = fields.oneof("route_specifier")
    if kind == "route_config":
        return {"route_config": decode_route_configuration(fields.child(kind), inline=True)}
    if kind != "rds":
        raise fields.error("", f"{kind or 'a missing route_config'} is not supported")
    with fields.child(kind) as rds:
        read_ads_source(rds.child("config_source"))
        return {"rds_name": rds.text("route_config_name")}


def _decode_request_id(fields: Fields | None) -> bool | None:
    if fields is None:
        return None
    with fields as f:
        _, extension = unpack(f.child("typed_config"), (uuid_pb2.UuidRequestIdConfig,))
        with extension as e:
            e.wrapped("pack_trace_reason")  # which requests are traced is written into their ids, or not
            samples: bool | None = e.wrapped("use_request_id_for_trace_sampling")
            return samples


def _decode_plain(fields: Fields) -> dict[str, Any]:
    """The fields that have the same name and form on both sides."""
    flags = {name: fields.flag(name) for name in _PLAIN_FLAGS}
    return flags | {name: fields.duration(name) for name in _TIMEOUTS}


def _decode_protocols(fields: Fields) -> dict[str, Any]:
    with fields.child("common_http_protocol_options") as common:
        found: dict[str, Any] = {name: common.duration(name) for name in _COMMON_TIMEOUTS}
        found["headers_with_underscores_action"] = common.enum("headers_with_underscores_action")
        found["max_requests_per_connection"] = common.wrapped_number("max_requests_per_connection", 0)
        found["max_headers_count"] = common.wrapped("max_headers_count")
    with fields.child("http2_protocol_options") as http2:
        found |= {name: http2.wrapped(name) for name in _HTTP2}
        found["allow_connect"] = http2.flag("allow_connect")
    with fields.child("http_protocol_options") as http1:
        found["accept_http_10"] = http1.flag("accept_http_10")
        found["allow_absolute_url"] = http1.wrapped("allow_absolute_url")
        found["preserve_header_case"] = decode_case(http1.optional("header_key_format"))
    return found


def _decode_cert_details(fields: Fields) -> tuple[str, ...]:
    with fields.child("set_current_client_cert_details") as details:
        wanted = {
            name: details.wrapped_flag(name, default=False) if name in _WRAPPED_CERT_DETAILS else details.flag(name)
            for name in _CERT_DETAILS
        }
        return tuple(name for name, value in wanted.items() if value)
