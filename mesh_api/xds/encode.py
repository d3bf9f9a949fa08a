"""Dataclasses to serialized xDS resources; equal values give equal bytes."""

from typing import Any

from mesh_api.config.proxy_config import ProxyConfig
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.resources import BY_CONFIG, KINDS, Resource, resource_name

__all__ = ["EncodeError", "encode_message", "encode_resource", "encode_resources"]


def encode_message(resource: Resource) -> Any:
    """The protobuf message of ``resource``. Raises :class:`EncodeError`, which names the resource."""
    kind = BY_CONFIG[type(resource)]
    try:
        return kind.encode(resource)
    except (EncodeError, ValueError, TypeError) as error:
        raise EncodeError(f"{kind.noun} {resource_name(resource)}: {error}") from error


def encode_resource(resource: Resource) -> bytes:
    """The serialized message of ``resource``."""
    return bytes(encode_message(resource).SerializeToString(deterministic=True))


def encode_resources(config: ProxyConfig) -> dict[str, dict[str, bytes]]:
    """Every resource of ``config``: type URL (in ADS order) to name to serialized message."""
    return {
        kind.type_url: {
            resource_name(resource): encode_resource(resource) for resource in getattr(config, kind.section)
        }
        for kind in KINDS
    }
