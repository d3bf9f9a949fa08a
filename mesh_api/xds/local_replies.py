"""Answers of a proxy's own (``http_connection_manager.v3.LocalReplyConfig``)."""

import json
from typing import Any, Final

from envoy.config.core.v3 import substitution_format_string_pb2 as format_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf.json_format import MessageToDict

from mesh_api.config.local_replies import BodyFormat, LocalReplies, ReplyMapper
from mesh_api.xds.access_log_filters import decode_condition, encode_condition
from mesh_api.xds.access_logs import decode_formatters, encode_formatters
from mesh_api.xds.data_sources import decode_source, encode_source
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_edits import decode_headers, encode_headers
from mesh_api.xds.values import uint32

_MESSAGE: Final = hcm_pb2.LocalReplyConfig


def encode_local_replies(replies: LocalReplies) -> Any:
    """``LocalReplyConfig``."""
    message = _MESSAGE(mappers=[_encode_mapper(mapper) for mapper in replies.mappers])
    if replies.format is not None:
        message.body_format.CopyFrom(_encode_format(replies.format))
    return message


def _encode_mapper(mapper: ReplyMapper) -> Any:
    message = hcm_pb2.ResponseMapper(
        filter=encode_condition(mapper.filter),
        status_code=uint32(mapper.status),
        headers_to_add=encode_headers(mapper.headers),
    )
    if mapper.body is not None:
        message.body.CopyFrom(encode_source(mapper.body))
    if mapper.format is not None:
        message.body_format_override.CopyFrom(_encode_format(mapper.format))
    return message


def _encode_format(form: BodyFormat) -> Any:
    message = format_pb2.SubstitutionFormatString(
        content_type=form.content_type,
        omit_empty_values=form.omit_empty_values,
        formatters=encode_formatters(form.formatters),
    )
    if form.json_object:
        message.json_format.update(json.loads(form.json_object))
        message.json_format.SetInParent()
    else:
        message.text_format_source.inline_string = form.text
    return message


def decode_local_replies(fields: Fields | None) -> LocalReplies | None:
    """From ``LocalReplyConfig``; ``None``: answers stay as they are."""
    if fields is None:
        return None
    with fields as f:
        mappers = tuple(_decode_mapper(mapper) for mapper in f.children("mappers"))
        return LocalReplies(mappers, _decode_format(f.optional("body_format")))


def _decode_mapper(fields: Fields) -> ReplyMapper:
    with fields as f:
        body = f.optional("body")
        return ReplyMapper(
            filter=decode_condition(f.child("filter")),
            status=f.wrapped("status_code"),
            body=None if body is None else decode_source(body),
            format=_decode_format(f.optional("body_format_override")),
            headers=decode_headers(f.children("headers_to_add")),
        )


def _decode_format(fields: Fields | None) -> BodyFormat | None:
    if fields is None:
        return None
    with fields as f:
        kind = f.oneof("format")
        text, json_object = "", ""
        if kind == "text_format":
            text = f.text(kind)
        elif kind == "text_format_source":
            text = decode_source(f.child(kind)).decode()
        elif kind == "json_format":
            json_object = json.dumps(MessageToDict(f.take(kind)), separators=(",", ":"), sort_keys=True)
            with f.child("json_format_options") as options:
                options.flag("sort_properties")  # they are in any case
        else:
            raise f.error("", f"{kind or 'a missing format'} is not supported")
        return BodyFormat(text, json_object, f.text("content_type"), f.flag("omit_empty_values"), decode_formatters(f))
