"""Serialized xDS resources to dataclasses; what this mesh cannot honour is an error that names it."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError as ProtobufDecodeError

from mesh_api.config.proxy_config import ProxyConfig
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.resources import BY_TYPE_URL, KINDS, Resource, resource_name

__all__ = ["DecodeError", "decode_config", "decode_message", "decode_resource"]


def decode_resource(type_url: str, data: bytes) -> Resource:
    """The resource in ``data``, the serialized message of ``type_url``.

    Raises :class:`DecodeError` for an unknown type, for malformed bytes, and for any field, filter or extension that is
    neither understood nor listed in :mod:`mesh_api.xds.ignored`.
    """
    kind = BY_TYPE_URL.get(type_url)
    if kind is None:
        raise DecodeError(f"resource type {type_url or 'missing'} is not supported")
    try:
        message = kind.message.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError(f"{kind.noun}: malformed {type_url}: {error}") from None
    return decode_message(type_url, message)


def decode_message(type_url: str, message: Any) -> Resource:
    """As :func:`decode_resource`, for a parsed message."""
    kind = BY_TYPE_URL[type_url]
    name = getattr(message, kind.name_field)
    return kind.decode(Fields(message, f"{kind.noun} {name or '(without a name)'}"))


def decode_config(resources: Mapping[str, Mapping[str, bytes]]) -> ProxyConfig:
    """The reverse of :func:`mesh_api.xds.encode.encode_resources`: type URL to name to message.

    Raises :class:`DecodeError` for the first resource that does not decode.
    """
    sections: dict[str, tuple[Resource, ...]] = {}
    for type_url, named in resources.items():
        if type_url not in BY_TYPE_URL:
            raise DecodeError(f"resource type {type_url} is not supported")
        decoded = (decode_resource(type_url, data) for data in named.values())
        sections[BY_TYPE_URL[type_url].section] = tuple(sorted(decoded, key=resource_name))
    return ProxyConfig(**{kind.section: sections.get(kind.section, ()) for kind in KINDS})  # type: ignore[arg-type]
