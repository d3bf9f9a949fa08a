"""Traces of a connection manager (``HttpConnectionManager.Tracing``, ``type.tracing.v3``)."""

from typing import Any, Final

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2

from mesh_api.config.tracing import (
    EnvironmentTag,
    FormatTag,
    LiteralTag,
    MetadataTag,
    RequestHeaderTag,
    SpanTag,
    Tracing,
)
from mesh_api.xds.fields import Fields
from mesh_api.xds.tracers import decode_tracer, encode_tracer
from mesh_api.xds.values import boolean, uint32

ALL: Final = 100.0


def encode_tracing(tracing: Tracing) -> Any:
    """``HttpConnectionManager.Tracing``."""
    return hcm_pb2.HttpConnectionManager.Tracing(
        client_sampling=percent_pb2.Percent(value=tracing.client_sampling),
        random_sampling=percent_pb2.Percent(value=tracing.random_sampling),
        overall_sampling=percent_pb2.Percent(value=tracing.overall_sampling),
        custom_tags=map(_encode_tag, tracing.tags),
        provider=None if tracing.tracer is None else encode_tracer(tracing.tracer),
        max_path_tag_length=uint32(tracing.max_path_tag_length),
        spawn_upstream_span=boolean(tracing.spawn_upstream_span),
        no_context_propagation=not tracing.propagation,
    )


def _encode_tag(tag: SpanTag) -> Any:
    message, value = custom_tag_pb2.CustomTag(tag=tag.name), tag.value
    if isinstance(value, LiteralTag):
        message.literal.SetInParent()
        message.literal.value = value.value
    elif isinstance(value, EnvironmentTag):
        message.environment.name, message.environment.default_value = value.name, value.default
    elif isinstance(value, RequestHeaderTag):
        message.request_header.name, message.request_header.default_value = value.name, value.default
    elif isinstance(value, FormatTag):
        message.value = value.format
    elif isinstance(value, MetadataTag):
        message.metadata.kind.request.SetInParent()
        segment = metadata_pb2.MetadataKey.PathSegment
        key = metadata_pb2.MetadataKey(key=value.filter, path=[segment(key=name) for name in value.path])
        message.metadata.metadata_key.CopyFrom(key)
    return message


def decode_tracing(fields: Fields | None) -> Tracing | None:
    """From ``HttpConnectionManager.Tracing``."""
    if fields is None:
        return None
    with fields as f:
        provider = f.optional("provider")
        return Tracing(
            client_sampling=_decode_percent(f.optional("client_sampling")),
            random_sampling=_decode_percent(f.optional("random_sampling")),
            overall_sampling=_decode_percent(f.optional("overall_sampling")),
            tags=tuple(_decode_tag(tag) for tag in f.children("custom_tags")),
            tracer=None if provider is None else decode_tracer(provider),
            max_path_tag_length=f.wrapped("max_path_tag_length"),
            spawn_upstream_span=f.wrapped("spawn_upstream_span"),
            propagation=not f.flag("no_context_propagation"),
        )


def _decode_percent(fields: Fields | None) -> float:
    if fields is None:
        return ALL
    with fields as f:
        return float(f.take("value"))


def _decode_tag(fields: Fields) -> SpanTag:
    with fields as f:
        name, kind = f.text("tag"), f.oneof("type")
        if kind is None:
            return SpanTag(name, None)
        if kind == "value":
            return SpanTag(name, FormatTag(f.text(kind)))
        with f.child(kind) as value:
            if kind == "literal":
                return SpanTag(name, LiteralTag(value.text("value")))
            if kind == "metadata":
                return SpanTag(name, _decode_metadata(value))
            found = EnvironmentTag if kind == "environment" else RequestHeaderTag
            return SpanTag(name, found(value.text("name"), value.text("default_value")))


def _decode_metadata(fields: Fields) -> MetadataTag:
    with fields.child("kind") as kind:
        if kind.oneof("kind") != "request":
            raise kind.error("", "only metadata of the request are supported")
        kind.nothing_in("request")
    with fields.child("metadata_key") as key:
        return MetadataTag(key.text("key"), tuple(_decode_segment(segment) for segment in key.children("path")))


def _decode_segment(fields: Fields) -> str:
    with fields as f:
        return f.text("key")
