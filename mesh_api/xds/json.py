"""Resources as protobuf JSON with the field names of Envoy's API, as bootstrap files and ``/config_dump`` have them."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from mesh_api.config.proxy_config import ProxyConfig
from mesh_api.xds.decode import decode_message
from mesh_api.xds.descriptors import with_descriptors
from mesh_api.xds.encode import encode_message
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.resources import BY_TYPE_URL, KINDS, Resource, resource_name

_SECTION_URLS = {kind.section: kind.type_url for kind in KINDS}


def message_to_json(message: Any) -> dict[str, Any]:
    """Any protobuf message as JSON values with the original field names."""
    value = with_descriptors(lambda: json_format.MessageToDict(message, preserving_proto_field_name=True), opaque=True)
    return dict(value)


def resource_to_json(resource: Resource) -> dict[str, Any]:
    """One resource as Envoy's JSON."""
    return message_to_json(encode_message(resource))


def serialized_to_json(type_url: str, data: bytes) -> dict[str, Any]:
    """A serialized resource as Envoy's JSON, with ``@type``, whether this mesh can decode it or not."""
    return {"@type": type_url, **message_to_json(BY_TYPE_URL[type_url].message.FromString(data))}


def resources_to_json(config: ProxyConfig) -> dict[str, list[dict[str, Any]]]:
    """Every resource of ``config`` by section (``clusters``, ``endpoints``, ``listeners``, ``routes``)."""
    return {kind.section: [resource_to_json(resource) for resource in getattr(config, kind.section)] for kind in KINDS}


def resource_from_json(kind: str, value: Mapping[str, Any]) -> Resource:
    """One resource from Envoy's JSON. ``kind`` is a type URL or a section (``clusters`` ...).

    Raises :class:`DecodeError` for an unknown kind, a field that Envoy's API does not have, or one that is not supported.
    """
    type_url = _SECTION_URLS.get(kind, kind)
    if type_url not in BY_TYPE_URL:
        raise DecodeError(f"resource kind {kind!r} is none of {', '.join(_SECTION_URLS)}")
    fields = {key: field for key, field in value.items() if key != "@type"}
    row = BY_TYPE_URL[type_url]
    try:
        message = with_descriptors(lambda: json_format.ParseDict(fields, row.message()), opaque=False)
    except json_format.ParseError as error:
        raise DecodeError(f"{row.noun} {value.get(row.name_field, '(without a name)')}: {error}") from None
    return decode_message(type_url, message)


def config_from_json(value: Mapping[str, Iterable[Mapping[str, Any]]]) -> ProxyConfig:
    """A configuration from sections of resources: a bootstrap's ``static_resources``, or :func:`resources_to_json`."""
    sections: dict[str, Any] = {}
    for section, resources in value.items():
        if section not in _SECTION_URLS:
            raise DecodeError(f"static resources: {section} is not supported")
        decoded = (resource_from_json(section, resource) for resource in resources)
        sections[section] = tuple(sorted(decoded, key=resource_name))
    return ProxyConfig(**sections)
