"""Edits of headers, which four messages of ``route.v3`` carry in the same four fields."""

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2

from mesh_api.config.routes import HeaderEdits, HeaderValue
from mesh_api.xds.fields import Fields

_APPEND = "APPEND_IF_EXISTS_OR_ADD"
_OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
_ONLY = {"ABSENT": "ADD_IF_ABSENT", "PRESENT": "OVERWRITE_IF_EXISTS"}


def encode_edits(edits: HeaderEdits) -> dict[str, Any]:
    """Keyword arguments for ``Route``, ``VirtualHost``, ``RouteConfiguration`` or ``ClusterWeight``."""
    return {
        "request_headers_to_add": encode_headers(edits.request_set),
        "request_headers_to_remove": edits.request_remove,
        "response_headers_to_add": encode_headers(edits.response_set),
        "response_headers_to_remove": edits.response_remove,
    }


def encode_headers(headers: Iterable[HeaderValue]) -> list[Any]:
    """``HeaderValueOption`` messages."""
    return [_encode(header) for header in headers]


def _encode(header: HeaderValue) -> Any:
    wanted = _ONLY[header.only] if header.only else _APPEND if header.append else _OVERWRITE
    action = base_pb2.HeaderValueOption.HeaderAppendAction.Value(wanted)
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=header.name, value=header.value),
        append_action=action,
        keep_empty_value=header.keep_empty,
    )


def decode_edits(fields: Fields) -> HeaderEdits:
    """From any of the messages named above."""
    return HeaderEdits(
        request_set=decode_headers(fields.children("request_headers_to_add")),
        request_remove=fields.texts("request_headers_to_remove"),
        response_set=decode_headers(fields.children("response_headers_to_add")),
        response_remove=fields.texts("response_headers_to_remove"),
    )


def decode_headers(options: Iterable[Fields]) -> tuple[HeaderValue, ...]:
    """From ``HeaderValueOption`` messages."""
    return tuple(_decode(header) for header in options)


def _decode(fields: Fields) -> HeaderValue:
    with fields as f:
        action = f.enum("append_action", _APPEND, _OVERWRITE, *_ONLY.values())
        only = next((name for name, wire in _ONLY.items() if wire == action), "")
        # The deprecated ``append`` is what control planes older than Envoy 1.20 send; unset it means "append".
        append = f.wrapped_flag("append", action == _APPEND)
        keep = f.flag("keep_empty_value")
        with f.child("header") as header:
            return HeaderValue(header.text("key"), header.text("value"), append and not only, only, keep)
