"""Access logs (``accesslog.v3.AccessLog``) and where they go."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import config_source_pb2, extension_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.extensions.access_loggers.open_telemetry.v3 import logs_service_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.extensions.formatter.metadata.v3 import metadata_pb2
from envoy.extensions.formatter.req_without_query.v3 import req_without_query_pb2
from google.protobuf.json_format import MessageToDict

from mesh_api.config.access_log import AccessLog, AnyAccessLog, GrpcAccessLog, OpenTelemetryAccessLog
from mesh_api.config.remote_services import GrpcService
from mesh_api.xds.access_log_filters import decode_filter, encode_filter
from mesh_api.xds.data_sources import decode_source
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.remote_services import decode_grpc_service, encode_grpc_service
from mesh_api.xds.values import pack, unpack

FILE: Final = "envoy.access_loggers.file"
HTTP_GRPC: Final = "envoy.access_loggers.http_grpc"
TCP_GRPC: Final = "envoy.tcp_grpc_access_log"
OPEN_TELEMETRY: Final = "envoy.access_loggers.open_telemetry"
_FORMATTERS: Final = {
    "envoy.formatter.req_without_query": req_without_query_pb2.ReqWithoutQuery,
    "envoy.formatter.metadata": metadata_pb2.Metadata,
}
"""Extensions with command operators of their own, by name."""
Conditions = dict[str, Any]
"""The fields of a log that say what it tells of."""


def encode_access_log(log: AnyAccessLog) -> Any:
    """``AccessLog``. JSON pairs travel as a map: their order is lost."""
    name, sink = _encode_sink(log)
    return accesslog_pb2.AccessLog(
        name=name, typed_config=pack(sink), filter=encode_filter(log.response_flags, log.expression, log.filter)
    )


def decode_access_log(fields: Fields) -> AnyAccessLog:
    """From ``AccessLog``; a file without a format has Envoy's own."""
    with fields as f:
        f.text("name")
        flags, expression, other = decode_filter(f.optional("filter"))
        message, sink = unpack(f.child("typed_config"), _DECODERS)
        return _DECODERS[message](sink, {"response_flags": flags, "expression": expression, "filter": other})


def _encode_sink(log: AnyAccessLog) -> tuple[str, Any]:
    if isinstance(log, AccessLog):
        return FILE, _encode_file(log)
    if isinstance(log, OpenTelemetryAccessLog):
        return OPEN_TELEMETRY, _encode_open_telemetry(log)
    common = _encode_common(log)
    if log.tcp:
        if log.request_headers or log.response_headers or log.response_trailers:
            raise EncodeError("an access log of connections has no headers")
        return TCP_GRPC, als_pb2.TcpGrpcAccessLogConfig(common_config=common)
    return HTTP_GRPC, als_pb2.HttpGrpcAccessLogConfig(
        common_config=common,
        additional_request_headers_to_log=log.request_headers,
        additional_response_headers_to_log=log.response_headers,
        additional_response_trailers_to_log=log.response_trailers,
    )


# Files.


def _encode_file(log: AccessLog) -> Any:
    given = [name for name in ("text_format", "json_format", "json_object") if getattr(log, name)]
    if len(given) > 1:
        raise EncodeError(f"an access log sets {' and '.join(given)}")
    sink = file_pb2.FileAccessLog(path=log.path)
    if log.text_format:
        sink.log_format.text_format_source.inline_string = log.text_format
    elif log.json_object:
        sink.log_format.json_format.update(json.loads(log.json_object))
    for key, value in log.json_format:
        sink.log_format.json_format[key] = value
    if log.json_object or log.json_format:
        sink.log_format.json_format_options.SetInParent()  # as istiod does: the order is that of the map
    if log.omit_empty_values:
        sink.log_format.omit_empty_values = True
    if log.formatters:
        sink.log_format.formatters.extend(encode_formatters(log.formatters))
    return sink


def _decode_file(fields: Fields, conditions: Conditions) -> AccessLog:
    with fields as f:
        path, form = f.text("path"), f.optional("log_format")
        old = {"text_format": f.text("format")} if f.has("format") else {}
        for name in ("json_format", "typed_json_format"):
            old |= _json_format(f.take(name)) if f.has(name) else {}
        found = old if form is None else _decode_format(form)
        return AccessLog(path, **conditions, **found)


def _decode_format(fields: Fields) -> dict[str, Any]:
    with fields as f:
        kind = f.oneof("format")
        rest = {"omit_empty_values": f.flag("omit_empty_values"), "formatters": decode_formatters(f)}
        if kind == "text_format":
            return {"text_format": f.text(kind)} | rest
        if kind == "text_format_source":
            return {"text_format": decode_source(f.child(kind)).decode()} | rest
        if kind != "json_format":
            raise f.error("", f"{kind or 'a missing format'} is not supported")
        with f.child("json_format_options") as options:
            options.flag("sort_properties")  # they are in any case
        return _json_format(f.take("json_format")) | rest


def _stream(path: str) -> Callable[[Fields, Conditions], AccessLog]:
    """What reads a log on a standard stream."""

    def decode(fields: Fields, conditions: Conditions) -> AccessLog:
        with fields as f:
            form = f.optional("log_format")
            return AccessLog(path, **conditions, **({} if form is None else _decode_format(form)))

    return decode


def _json_format(struct: Any) -> dict[str, Any]:
    """The object as pairs, or, where not all of its values are strings, as its text."""
    value: Mapping[str, Any] = MessageToDict(struct)
    if all(isinstance(item, str) for item in value.values()):
        return {"json_format": tuple((key, value[key]) for key in sorted(value))}
    return {"json_object": json.dumps(value, separators=(",", ":"), sort_keys=True)}


def encode_formatters(names: tuple[str, ...]) -> list[Any]:
    """``TypedExtensionConfig`` of each extension."""
    for name in names:
        if name not in _FORMATTERS:
            raise EncodeError(f"formatter {name!r} is none of {', '.join(_FORMATTERS)}")
    return [extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(_FORMATTERS[name]())) for name in names]


def decode_formatters(fields: Fields) -> tuple[str, ...]:
    """The extensions with operators of their own, from the field of that name."""
    return tuple(_decode_formatter(formatter) for formatter in fields.children("formatters"))


def _decode_formatter(fields: Fields) -> str:
    with fields as f:
        f.text("name")
        message, config = unpack(f.child("typed_config"), _FORMATTERS.values())
        with config:
            return next(name for name, known in _FORMATTERS.items() if known is message)


# Services.


def _encode_common(log: GrpcAccessLog | OpenTelemetryAccessLog) -> Any:
    return als_pb2.CommonGrpcAccessLogConfig(
        log_name=log.log_name,
        grpc_service=encode_grpc_service(GrpcService(log.cluster, log.authority)),
        transport_api_version=config_source_pb2.ApiVersion.V3,
        filter_state_objects_to_log=log.filter_state_objects,
    )


def _decode_common(fields: Fields) -> dict[str, Any]:
    with fields as f:
        service = decode_grpc_service(f.child("grpc_service"))
        if service != GrpcService(service.cluster, service.authority):
            raise f.error("grpc_service", "a timeout and metadata are not supported")
        f.enum("transport_api_version", "AUTO", "V3")
        return {
            "log_name": f.text("log_name"),
            "cluster": service.cluster,
            "authority": service.authority,
            "filter_state_objects": f.texts("filter_state_objects_to_log"),
        }


def _decode_tcp(fields: Fields, conditions: Conditions) -> GrpcAccessLog:
    with fields as f:
        common = _decode_common(f.child("common_config"))
        return GrpcAccessLog(**common, tcp=True, **conditions)


def _decode_http(fields: Fields, conditions: Conditions) -> GrpcAccessLog:
    with fields as f:
        return GrpcAccessLog(
            **_decode_common(f.child("common_config")),
            request_headers=f.texts("additional_request_headers_to_log"),
            response_headers=f.texts("additional_response_headers_to_log"),
            response_trailers=f.texts("additional_response_trailers_to_log"),
            **conditions,
        )


def _encode_open_telemetry(log: OpenTelemetryAccessLog) -> Any:
    sink = logs_service_pb2.OpenTelemetryAccessLogConfig(
        common_config=_encode_common(log),
        disable_builtin_labels=not log.builtin_labels,
        formatters=encode_formatters(log.formatters),
    )
    if log.body:
        sink.body.string_value = log.body
    for key, value in log.attributes:
        sink.attributes.values.add(key=key).value.string_value = value
    return sink


def _decode_open_telemetry(fields: Fields, conditions: Conditions) -> OpenTelemetryAccessLog:
    with fields as f:
        with f.child("attributes") as attributes:
            pairs = tuple(_decode_attribute(pair) for pair in attributes.children("values"))
        return OpenTelemetryAccessLog(
            **_decode_common(f.child("common_config")),
            body=_decode_string(f.child("body")),
            attributes=pairs,
            builtin_labels=not f.flag("disable_builtin_labels"),
            formatters=decode_formatters(f),
            **conditions,
        )


def _decode_attribute(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("key"), _decode_string(f.child("value"))


def _decode_string(fields: Fields) -> str:
    with fields as f:
        if f.oneof("value") not in ("string_value", None):
            raise f.error("", "only strings are supported")
        return f.text("string_value")


_DECODERS: Final[Mapping[Any, Callable[[Fields, Conditions], AnyAccessLog]]] = {
    file_pb2.FileAccessLog: _decode_file,
    stream_pb2.StdoutAccessLog: _stream("/dev/stdout"),
    stream_pb2.StderrAccessLog: _stream("/dev/stderr"),
    als_pb2.HttpGrpcAccessLogConfig: _decode_http,
    als_pb2.TcpGrpcAccessLogConfig: _decode_tcp,
    logs_service_pb2.OpenTelemetryAccessLogConfig: _decode_open_telemetry,
}
"""Message of a sink to what reads it, with the conditions."""
