"""Dataclasses to serialized xDS resources; equal values give equal bytes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from envoy.config.route.v3 import route_pb2

from mesh_api.config.proxy_config import ProxyConfig
from mesh_api.config.routes import RouteConfiguration, VirtualHost
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.resources import BY_CONFIG, KINDS, Resource, resource_name
from mesh_api.xds.routes import encode_virtual_host

__all__ = [
    "EncodeError",
    "encode_host_of_table",
    "encode_message",
    "encode_resource",
    "encode_resources",
    "encode_table",
]


def encode_message(resource: Resource) -> Any:
    """The protobuf message of ``resource``. Raises :class:`EncodeError`, which names the resource."""
    kind = BY_CONFIG[type(resource)]
    return _named(f"{kind.noun} {resource_name(resource)}", lambda: kind.encode(resource))


def _named(name: str, encode: Callable[[], Any]) -> Any:
    try:
        return encode()
    except (EncodeError, ValueError, TypeError) as error:
        raise EncodeError(f"{name}: {error}") from error


def encode_resource(resource: Resource) -> bytes:
    """The serialized message of ``resource``."""
    return bytes(encode_message(resource).SerializeToString(deterministic=True))


def encode_host_of_table(host: VirtualHost) -> bytes:
    """A virtual host as it stands in its table's message. Raises :class:`EncodeError`."""
    made = _named(f"virtual host {host.name}", lambda: encode_virtual_host(host))
    return bytes(route_pb2.RouteConfiguration(virtual_hosts=[made]).SerializeToString(deterministic=True))


def encode_table(table: RouteConfiguration, hosts: Iterable[bytes]) -> bytes:
    """The same bytes as :func:`encode_resource`, of virtual hosts that are encoded already: serialized messages that stand
    one after another are one message (https://protobuf.dev/programming-guides/encoding/#last-one-wins)."""
    others = encode_message(replace(table, virtual_hosts=()))
    others.ClearField("name")
    name = route_pb2.RouteConfiguration(name=table.name)
    return b"".join((name.SerializeToString(), *hosts, others.SerializeToString(deterministic=True)))


def encode_resources(config: ProxyConfig) -> dict[str, dict[str, bytes]]:
    """Every resource of ``config``: type URL (in ADS order) to name to serialized message."""
    return {
        kind.type_url: {
            resource_name(resource): encode_resource(resource) for resource in getattr(config, kind.section)
        }
        for kind in KINDS
    }
