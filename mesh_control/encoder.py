"""Compiled configuration to serialized resources, each made once for all proxies and kept from one world to the next."""

from collections.abc import Mapping
from typing import Any

from mesh_api.config import RouteConfiguration, VirtualHost
from mesh_api.config.api_listener import ApiListener
from mesh_api.xds.api_listener import encode_api_listener
from mesh_api.xds.encode import encode_host_of_table, encode_resource, encode_table
from mesh_api.xds.resources import KINDS, resource_name
from mesh_api.xds.session.ledger import version_of
from mesh_control.compiler import Compiled
from mesh_control.compiler.proxyless import ProxylessConfig
from mesh_control.parts import Parts

Resources = Mapping[str, Mapping[str, bytes]]
"""Type URL to name to serialized message."""


class Encoder:
    """Serializes what is compiled.

    A resource that proxies or worlds have together is serialized once. Equal messages are one object, and so are mappings of
    the same messages, whichever proxy or world they are of: what comes after compares identities, and holds each once.
    """

    def __init__(self) -> None:
        self._parts = Parts()
        self._versions: dict[bytes, str] = {}
        self._old_versions: dict[bytes, str] = {}

    def sweep(self) -> None:
        """Forgets what was not asked for since the last time; see :meth:`Parts.sweep`."""
        self._parts.sweep()
        self._versions, self._old_versions = {}, self._versions

    def version_of(self, data: bytes) -> str:
        """The version of a resource in the delta protocol, made once for all who have it."""
        found = self._versions.get(data)
        if found is None:
            found = self._versions[data] = self._old_versions.get(data) or version_of(data)
        return found

    def __call__(self, config: Compiled | ProxylessConfig) -> Resources:
        """By type URL and name."""
        if isinstance(config, ProxylessConfig):
            return {kind.type_url: self._section(getattr(config, kind.section)) for kind in KINDS}
        return {kind.type_url: self._section(*getattr(config, kind.section)) for kind in KINDS}

    def _section(self, shared: tuple[Any, ...], own: tuple[Any, ...] = ()) -> Mapping[str, bytes]:
        together = self._parts.get("mapping", (shared,), lambda: self._mapping(shared))
        if not own:
            return together
        added = self._mapping(own)
        return self._parts.get("both", (together, added), lambda: {**together, **added})

    def renewed(self, mapping: Mapping[str, bytes], resources: Mapping[str, Any]) -> Mapping[str, bytes]:
        """The mapping with these resources in place of those of their names; other names do not count."""
        made = {name: self._encoded(resource) for name, resource in resources.items() if name in mapping}
        return self._same({**mapping, **made})

    def _mapping(self, resources: tuple[Any, ...]) -> Mapping[str, bytes]:
        return self._same({resource_name(resource): self._encoded(resource) for resource in resources})

    def _same(self, made: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Of mappings of the same messages always the same."""
        return self._parts.get("same", tuple(made.values()), lambda: made)

    def _encoded(self, resource: Any) -> bytes:
        return self._parts.get("encoded", (resource,), lambda: self._one(self._encode(resource)))

    def _one(self, data: bytes) -> bytes:
        """Of equal messages always the same."""
        return self._parts.get(data, (), lambda: data)

    def _encode(self, resource: Any) -> bytes:
        if isinstance(resource, ApiListener):
            return encode_api_listener(resource)
        if isinstance(resource, RouteConfiguration):
            return encode_table(resource, map(self._host, resource.virtual_hosts))
        return encode_resource(resource)

    def _host(self, host: VirtualHost) -> bytes:
        """A table may have thousands, of which few change."""
        return self._parts.get("host", (host,), lambda: encode_host_of_table(host))
