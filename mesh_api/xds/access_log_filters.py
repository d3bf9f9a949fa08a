"""Conditions of access logs (``accesslog.v3.AccessLogFilter``): response flags, and an expression of CEL."""

from typing import Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2

from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, unpack

CEL: Final = "envoy.access_loggers.extension_filters.cel"
Conditions = tuple[tuple[str, ...], str]
"""Response flags, and an expression; each may be empty."""


def encode_filter(flags: tuple[str, ...], expression: str) -> Any:
    """``AccessLogFilter`` that asks for both; ``None`` for neither."""
    found = []
    if flags:
        found.append(accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=flags)))
    if expression:
        config = pack(cel_pb2.ExpressionFilter(expression=expression))
        extension = accesslog_pb2.ExtensionFilter(name=CEL, typed_config=config)
        found.append(accesslog_pb2.AccessLogFilter(extension_filter=extension))
    if len(found) < 2:
        return found[0] if found else None
    return accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=found))


def decode_filter(fields: Fields | None) -> Conditions:
    """From ``AccessLogFilter``; at most one of each kind."""
    if fields is None:
        return (), ""
    with fields as f:
        kind = f.oneof("filter_specifier")
        if kind == "and_filter":
            with f.child(kind) as both:
                found = [decode_filter(part) for part in both.children("filters")]
            flags, expressions = [one for one, _ in found if one], [other for _, other in found if other]
            if len(flags) > 1 or len(expressions) > 1:
                raise f.error(kind, "several of a kind are not supported")
            return flags[0] if flags else (), expressions[0] if expressions else ""
        if kind == "extension_filter":
            return (), _decode_expression(f.child(kind))
        if kind != "response_flag_filter":
            raise f.error("", f"{kind or 'a missing filter'} is not supported")
        with f.child(kind) as flag_filter:
            names = flag_filter.texts("flags")
            if not names:
                raise flag_filter.error("flags", "an empty list (any flag) is not supported")
            return names, ""


def _decode_expression(fields: Fields) -> str:
    with fields as f:
        f.text("name")
        _, config = unpack(f.child("typed_config"), (cel_pb2.ExpressionFilter,))
        with config as c:
            return c.text("expression")
