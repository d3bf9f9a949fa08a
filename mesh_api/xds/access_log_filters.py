"""Conditions of access logs (``accesslog.v3.AccessLogFilter``).

Response flags and an expression of CEL, alone or together, are what a control plane sends: they have fields of their own in
the configuration. Everything else is a tree.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2

from mesh_api.config import access_log_filters as c
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_header_match, encode_header_match
from mesh_api.xds.values import fraction, pack, read_fraction, unpack

CEL: Final = "envoy.access_loggers.extension_filters.cel"
Conditions = tuple[tuple[str, ...], str, c.LogFilter | None]
"""Response flags, an expression, and any other condition; each may be empty."""
_Message: Final = accesslog_pb2.AccessLogFilter


def encode_filter(flags: tuple[str, ...], expression: str, other: c.LogFilter | None = None) -> Any:
    """``AccessLogFilter`` that asks for all of it; ``None`` for nothing."""
    found: list[c.LogFilter] = []
    if flags:
        found.append(c.ResponseFlagFilter(flags))
    if expression:
        found.append(c.ExpressionFilter(expression))
    if other is not None:
        found.append(other)
    if len(found) < 2:
        return encode_condition(found[0]) if found else None
    return encode_condition(c.AllOf(tuple(found)))


def encode_condition(part: c.LogFilter) -> Any:
    """``AccessLogFilter`` of one condition."""
    return _ENCODERS[type(part)](part)


def _comparison(operation: str, value: int) -> Any:
    return accesslog_pb2.ComparisonFilter(
        op=accesslog_pb2.ComparisonFilter.Op.Value(operation),
        # Envoy refuses a value without a key, under which a runtime layer could give another one.
        value=base_pb2.RuntimeUInt32(default_value=value, runtime_key="access_log"),
    )


def _encode_sample(part: c.SampleFilter) -> Any:
    return accesslog_pb2.RuntimeFilter(
        runtime_key="access_log",
        percent_sampled=fraction(part.parts),
        use_independent_randomness=part.independent,
    )


def _encode_expression(part: c.ExpressionFilter) -> Any:
    config = pack(cel_pb2.ExpressionFilter(expression=part.expression))
    return _Message(extension_filter=accesslog_pb2.ExtensionFilter(name=CEL, typed_config=config))


def _encode_grpc(part: c.GrpcStatusFilter) -> Any:
    return _Message(grpc_status_filter=accesslog_pb2.GrpcStatusFilter(statuses=part.statuses, exclude=part.exclude))


def _encode_types(part: c.LogTypeFilter) -> Any:
    return _Message(log_type_filter=accesslog_pb2.LogTypeFilter(types=part.types, exclude=part.exclude))


_ENCODERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    c.StatusCodeFilter: lambda part: _Message(
        status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=_comparison(part.operation, part.value))
    ),
    c.DurationFilter: lambda part: _Message(
        duration_filter=accesslog_pb2.DurationFilter(comparison=_comparison(part.operation, part.value))
    ),
    c.ResponseFlagFilter: lambda part: _Message(
        response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=part.flags)
    ),
    c.HeaderFilter: lambda part: _Message(
        header_filter=accesslog_pb2.HeaderFilter(header=encode_header_match(part.header))
    ),
    c.GrpcStatusFilter: _encode_grpc,
    c.LogTypeFilter: _encode_types,
    c.SampleFilter: lambda part: _Message(runtime_filter=_encode_sample(part)),
    c.NotHealthCheckFilter: lambda part: _Message(not_health_check_filter=accesslog_pb2.NotHealthCheckFilter()),
    c.TraceableFilter: lambda part: _Message(traceable_filter=accesslog_pb2.TraceableFilter()),
    c.AllOf: lambda part: _Message(and_filter=accesslog_pb2.AndFilter(filters=map(encode_condition, part.filters))),
    c.AnyOf: lambda part: _Message(or_filter=accesslog_pb2.OrFilter(filters=map(encode_condition, part.filters))),
    c.ExpressionFilter: _encode_expression,
}


def decode_filter(fields: Fields | None) -> Conditions:
    """From ``AccessLogFilter``."""
    if fields is None:
        return (), "", None
    found = decode_condition(fields)
    parts = found.filters if isinstance(found, c.AllOf) else (found,)
    flags = [part.flags for part in parts if isinstance(part, c.ResponseFlagFilter) and part.flags]
    expressions = [part.expression for part in parts if isinstance(part, c.ExpressionFilter)]
    others = [part for part in parts if not isinstance(part, c.ExpressionFilter | c.ResponseFlagFilter)]
    simple = len(parts) - len(flags) - len(expressions) - len(others)
    if simple or len(flags) > 1 or len(expressions) > 1 or (others and len(parts) > 1):
        return (), "", found
    return flags[0] if flags else (), expressions[0] if expressions else "", others[0] if others else None


def decode_condition(fields: Fields) -> c.LogFilter:
    """From ``AccessLogFilter``."""
    with fields as f:
        kind = f.oneof("filter_specifier")
        decode = _DECODERS.get(kind or "")
        if kind is None or decode is None:
            raise f.error("", f"{kind or 'a missing filter'} is not supported")
        with f.child(kind) as part:
            return decode(part)


def _decode_comparison(fields: Fields) -> tuple[str, int]:
    with fields.child("comparison") as comparison:
        operation = comparison.enum("op")
        with comparison.child("value") as value:
            value.text("runtime_key")  # no runtime layers: the default value holds
            return operation, value.number("default_value")


def _decode_sample(fields: Fields) -> c.SampleFilter:
    fields.text("runtime_key")
    return c.SampleFilter(read_fraction(fields.optional("percent_sampled")), fields.flag("use_independent_randomness"))


def _decode_header(fields: Fields) -> c.HeaderFilter:
    return c.HeaderFilter(decode_header_match(fields.child("header")))


def _decode_expression(fields: Fields) -> c.ExpressionFilter:
    fields.text("name")
    _, config = unpack(fields.child("typed_config"), (cel_pb2.ExpressionFilter,))
    with config as found:
        return c.ExpressionFilter(found.text("expression"))


def _decode_types(fields: Fields) -> c.LogTypeFilter:
    names = fields.message.DESCRIPTOR.fields_by_name["types"].enum_type.values_by_number
    return c.LogTypeFilter(tuple(names[number].name for number in fields.take("types")), fields.flag("exclude"))


_DECODERS: Final[Mapping[str, Callable[[Fields], c.LogFilter]]] = {
    "status_code_filter": lambda fields: c.StatusCodeFilter(*_decode_comparison(fields)),
    "duration_filter": lambda fields: c.DurationFilter(*_decode_comparison(fields)),
    "not_health_check_filter": lambda fields: c.NotHealthCheckFilter(),
    "traceable_filter": lambda fields: c.TraceableFilter(),
    "runtime_filter": _decode_sample,
    "and_filter": lambda fields: c.AllOf(tuple(map(decode_condition, fields.children("filters")))),
    "or_filter": lambda fields: c.AnyOf(tuple(map(decode_condition, fields.children("filters")))),
    "header_filter": _decode_header,
    "response_flag_filter": lambda fields: c.ResponseFlagFilter(fields.texts("flags")),
    "grpc_status_filter": lambda fields: c.GrpcStatusFilter(
        tuple(map(int, fields.take("statuses"))), fields.flag("exclude")
    ),
    "log_type_filter": _decode_types,
    "extension_filter": _decode_expression,
}
