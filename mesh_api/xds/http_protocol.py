"""Upstream HTTP options of a cluster (``upstreams.http.v3.HttpProtocolOptions``)."""

from typing import Any

from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as options_pb2

from mesh_api.config.clusters import HttpProtocolOptions
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_case import decode_case, encode_case
from mesh_api.xds.values import duration, pack, uint32, unpack

_KINDS = ("explicit_http_config", "use_downstream_protocol_config", "auto_config")
KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def encode_http_protocol(options: HttpProtocolOptions) -> dict[str, Any]:
    """The entry of ``typed_extension_protocol_options``; none for the defaults, which are Envoy's."""
    if options == HttpProtocolOptions():
        return {}
    message = options_pb2.HttpProtocolOptions()
    common = message.common_http_protocol_options
    if options.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(options.idle_timeout))
    if options.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(options.max_connection_duration))
    if options.max_stream_duration is not None:
        common.max_stream_duration.CopyFrom(duration(options.max_stream_duration))
    if options.max_requests_per_connection:
        common.max_requests_per_connection.value = options.max_requests_per_connection
    if options.auto_sni or options.auto_san_validation:
        message.upstream_http_protocol_options.auto_sni = options.auto_sni
        message.upstream_http_protocol_options.auto_san_validation = options.auto_san_validation
    streams = uint32(options.max_concurrent_streams)
    _encode_protocol(options.protocol, message, streams)
    _encode_keepalive(options, message)
    if options.preserve_header_case:
        if options.protocol == "http2":
            raise EncodeError("http2 has no case of headers to keep")
        explicit = options.protocol == "http1"
        other = message.auto_config if options.protocol == "auto" else message.use_downstream_protocol_config
        config = message.explicit_http_config if explicit else other
        http1 = config.http_protocol_options
        http1.header_key_format.CopyFrom(encode_case())
    return {KEY: pack(message)}


def _encode_protocol(protocol: str, message: Any, streams: Any) -> None:
    if protocol == "http1":
        if streams is not None:
            raise EncodeError("max_concurrent_streams has no meaning for http1")
        message.explicit_http_config.http_protocol_options.SetInParent()
        return
    if protocol == "http2":
        http2 = message.explicit_http_config.http2_protocol_options
    elif protocol == "downstream":
        message.use_downstream_protocol_config.http_protocol_options.SetInParent()
        http2 = message.use_downstream_protocol_config.http2_protocol_options
    elif protocol == "auto":
        message.auto_config.http_protocol_options.SetInParent()
        http2 = message.auto_config.http2_protocol_options
    else:
        raise EncodeError(f"upstream protocol {protocol!r} is none of http1, http2, downstream, auto")
    http2.SetInParent()
    if streams is not None:
        http2.max_concurrent_streams.CopyFrom(streams)


def _encode_keepalive(options: HttpProtocolOptions, message: Any) -> None:
    if options.keepalive is None:
        return
    if options.protocol != "http2":
        raise EncodeError(f"keepalive has no meaning for {options.protocol}")
    probes = message.explicit_http_config.http2_protocol_options.connection_keepalive
    probes.SetInParent()
    interval, timeout = options.keepalive
    if interval is not None:
        probes.interval.CopyFrom(duration(interval))
    if timeout is not None:
        probes.timeout.CopyFrom(duration(timeout))


def _decode_keepalive(fields: Fields | None) -> tuple[float | None, float | None] | None:
    if fields is None:
        return None
    with fields as probes:
        return probes.duration("interval"), probes.duration("timeout")


def decode_http_protocol(cluster: Fields) -> HttpProtocolOptions:
    """From the ``typed_extension_protocol_options`` of a cluster."""
    extensions = cluster.take("typed_extension_protocol_options")
    found = HttpProtocolOptions()
    for key in sorted(extensions):
        packed = cluster.nested(extensions[key], f'typed_extension_protocol_options["{key}"]')
        _, fields = unpack(packed, (options_pb2.HttpProtocolOptions,))
        found = _decode(fields)
    return found


def _decode(fields: Fields) -> HttpProtocolOptions:
    with fields as f:
        with f.child("common_http_protocol_options") as common:
            idle, longest = common.duration("idle_timeout"), common.duration("max_connection_duration")
            requests = common.wrapped_number("max_requests_per_connection", 0)
            stream = common.duration("max_stream_duration")
        with f.child("upstream_http_protocol_options") as names:
            sni, san = names.flag("auto_sni"), names.flag("auto_san_validation")
        protocol, streams, case, keepalive = _decode_protocol(f)
        return HttpProtocolOptions(protocol, idle, longest, requests, streams, case, keepalive, sni, san, stream)


def _decode_protocol(fields: Fields) -> tuple[str, int | None, bool, tuple[float | None, float | None] | None]:
    kind = fields.oneof("upstream_protocol_options")
    if kind not in _KINDS:
        raise fields.error("", f"{kind or 'a missing protocol'} is not supported")
    explicit, other = kind == "explicit_http_config", "auto" if kind == "auto_config" else "downstream"
    with fields.child(kind) as config:
        http2 = config.optional("http2_protocol_options")
        with config.child("http_protocol_options") as http1:
            case = decode_case(http1.optional("header_key_format"))
        if http2 is None:
            return "http1" if explicit else other, None, case, None
        with http2 as h:
            probes = _decode_keepalive(h.optional("connection_keepalive")) if explicit else None
            return "http2" if explicit else other, h.wrapped("max_concurrent_streams"), case, probes
