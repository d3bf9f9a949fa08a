"""Access logs (``accesslog.v3.AccessLog`` with a file sink)."""

from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from mesh_api.config.access_log import AccessLog
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, unpack

FILE: Final = "envoy.access_loggers.file"


def encode_access_log(log: AccessLog) -> Any:
    """``AccessLog``. JSON pairs travel as a map: their order is lost."""
    if log.text_format and log.json_format:
        raise EncodeError("an access log sets text_format and json_format")
    sink = file_pb2.FileAccessLog(path=log.path)
    if log.text_format:
        sink.log_format.CopyFrom(
            substitution_format_string_pb2.SubstitutionFormatString(
                text_format_source={"inline_string": log.text_format}
            )
        )
    for key, value in log.json_format:
        sink.log_format.json_format[key] = value
    message = accesslog_pb2.AccessLog(name=FILE, typed_config=pack(sink))
    if log.response_flags:
        message.filter.response_flag_filter.flags.extend(log.response_flags)
    return message


def decode_access_log(fields: Fields) -> AccessLog:
    """From ``AccessLog``; neither format set means Envoy's own format."""
    with fields as f:
        f.text("name")
        flags = _decode_filter(f.optional("filter"))
        _, sink = unpack(f.child("typed_config"), (file_pb2.FileAccessLog,))
        with sink as s:
            path = s.text("path")
            text, pairs = _decode_format(s.optional("log_format"))
        return AccessLog(path, text, pairs, flags)


def _decode_filter(fields: Fields | None) -> tuple[str, ...]:
    if fields is None:
        return ()
    with fields as f:
        if f.oneof("filter_specifier") != "response_flag_filter":
            raise f.error("", "only response_flag_filter is supported")
        with f.child("response_flag_filter") as flag_filter:
            flags = flag_filter.texts("flags")
            if not flags:
                raise flag_filter.error("flags", "an empty list (any flag) is not supported")
            return flags


def _decode_format(fields: Fields | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    if fields is None:
        return "", ()
    with fields as f:
        kind = f.oneof("format")
        if kind == "text_format_source":
            with f.child(kind) as source:
                if source.oneof("specifier") != "inline_string":
                    raise source.error("", "only inline_string is supported")
                return source.text("inline_string"), ()
        if kind != "json_format":
            raise f.error("", f"{kind or 'a missing format'} is not supported")
        values = f.take("json_format").fields
        for key in values:
            if values[key].WhichOneof("kind") != "string_value":
                raise f.error(f'json_format["{key}"]', "only strings are supported")
        return "", tuple((key, str(values[key].string_value)) for key in sorted(values))
