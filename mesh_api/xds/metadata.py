"""Conditions on metadata that filters leave behind (``type.matcher.v3.MetadataMatcher``)."""

from typing import Any

from envoy.type.matcher.v3 import metadata_pb2, number_pb2, value_pb2
from envoy.type.v3 import range_pb2

from mesh_api.config.authorization import (
    AnyValueOf,
    BoolValue,
    ListValue,
    MetadataMatch,
    NullValue,
    NumberValue,
    PresentValue,
    ValueMatch,
)
from mesh_api.config.matchers import StringMatch
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_string, encode_string


def encode_metadata(match: MetadataMatch) -> Any:
    """``MetadataMatcher``."""
    return metadata_pb2.MetadataMatcher(
        filter=match.filter,
        path=[metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in match.path],
        value=_encode_value(match.value),
        invert=match.invert,
    )


def _encode_value(match: ValueMatch) -> Any:
    message = value_pb2.ValueMatcher
    if isinstance(match, StringMatch):
        return message(string_match=encode_string(match))
    if isinstance(match, ListValue):
        return message(list_match=value_pb2.ListMatcher(one_of=_encode_value(match.one_of)))
    if isinstance(match, AnyValueOf):
        return message(or_match=value_pb2.OrMatcher(value_matchers=map(_encode_value, match.matches)))
    if isinstance(match, BoolValue):
        return message(bool_match=match.value)
    if isinstance(match, PresentValue):
        return message(present_match=match.present)
    if isinstance(match, NullValue):
        return message(null_match=message.NullMatch())
    if match.end is None:
        return message(double_match=number_pb2.DoubleMatcher(exact=match.value))
    return message(double_match=number_pb2.DoubleMatcher(range=range_pb2.DoubleRange(start=match.value, end=match.end)))


def decode_metadata(fields: Fields) -> MetadataMatch:
    """From ``MetadataMatcher``."""
    with fields as f:
        return MetadataMatch(
            filter=f.text("filter"),
            path=tuple(_decode_segment(segment) for segment in f.children("path")),
            value=_decode_value(f.child("value")),
            invert=f.flag("invert"),
        )


def _decode_segment(fields: Fields) -> str:
    with fields as f:
        return f.text("key")


def _decode_value(fields: Fields) -> ValueMatch:
    with fields as f:
        kind = f.oneof("match_pattern")
        if kind == "string_match":
            return decode_string(f.child(kind))
        if kind == "list_match":
            with f.child(kind) as items:
                return ListValue(_decode_value(items.child("one_of")))
        if kind == "or_match":
            with f.child(kind) as values:
                return AnyValueOf(tuple(_decode_value(value) for value in values.children("value_matchers")))
        if kind == "bool_match":
            return BoolValue(f.flag(kind))
        if kind == "present_match":
            return PresentValue(f.flag(kind))
        if kind == "null_match":
            f.nothing_in(kind)
            return NullValue()
        if kind == "double_match":
            return _decode_number(f.child(kind))
        raise f.error("", f"{kind or 'a missing match_pattern'} is not supported")


def _decode_number(fields: Fields) -> NumberValue:
    with fields as f:
        if f.oneof("match_pattern") == "range":
            with f.child("range") as bounds:
                return NumberValue(float(bounds.take("start")), float(bounds.take("end")))
        return NumberValue(float(f.take("exact")))
