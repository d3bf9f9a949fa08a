"""Compiled configuration to serialized resources, each made once for all proxies and kept from one world to the next."""

from collections.abc import Iterable, Mapping
from typing import Any

from mesh_api.config import ProxyConfig
from mesh_api.config.api_listener import ApiListener
from mesh_api.xds.api_listener import encode_api_listener
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.resources import KINDS, resource_name
from mesh_api.xds.session.ledger import version_of
from mesh_control.compiler.proxyless import ProxylessConfig

Resources = Mapping[str, Mapping[str, bytes]]
"""Type URL to name to serialized message."""
RECENT = 64
"""How many tuples of resources are known by their identity."""


class Encoder:
    """Serializes what is compiled of one world.

    Resources that proxies share are serialized once, and so are those that are equal to the former world's. Equal mappings
    are one object, whichever proxy or world they are of: what comes after compares identities, and holds each once.
    """

    def __init__(self, former: "Encoder | None" = None) -> None:
        self._named: dict[int, tuple[str, bytes]] = {}
        """By the identity of a resource, its name and bytes."""
        self._kept: list[Any] = []
        """The resources of these, so that their identities stay taken."""
        self._contents: dict[bytes, bytes] = {}
        self._versions: dict[bytes, str] = {}
        self._mappings: dict[tuple[int, ...], Mapping[str, bytes]] = {}
        self._recent: dict[int, tuple[tuple[Any, ...], Mapping[str, bytes]]] = {}
        """By the identity of a tuple of resources, as the compiler shares some of them, too."""
        self._former: dict[tuple[str, str], list[tuple[Any, bytes]]] = {}
        if former is not None:
            self._mappings = dict(former._mappings)
            self._contents = dict(former._contents)
            self._versions = dict(former._versions)
            for resource in former._kept:
                name, data = former._named[id(resource)]
                self._former.setdefault((type(resource).__name__, name), []).append((resource, data))

    def in_force(self, used: Iterable[Resources]) -> None:
        """Forgets what only a former world had; ``used`` is what the proxies have now."""
        self._former, self._recent = {}, {}
        mappings = {id(mapping): mapping for resources in used for mapping in resources.values()}
        self._mappings = {_identity(mapping): mapping for mapping in mappings.values()}
        self._contents = {data: data for mapping in mappings.values() for data in mapping.values()}
        self._versions = {data: version for data, version in self._versions.items() if data in self._contents}

    def version_of(self, data: bytes) -> str:
        """The version of a resource in the delta protocol, made once for all who have it."""
        found = self._versions.get(data)
        if found is None:
            found = self._versions[data] = version_of(data)
        return found

    def __call__(self, config: ProxyConfig | ProxylessConfig) -> Resources:
        """By type URL and name."""
        return {kind.type_url: self._mapping(getattr(config, kind.section)) for kind in KINDS}

    def _mapping(self, resources: tuple[Any, ...]) -> Mapping[str, bytes]:
        recent = self._recent.get(id(resources))
        if recent is not None:
            return recent[1]
        for resource in resources:
            if id(resource) not in self._named:
                self._encode(resource)
        made = dict(map(self._named.__getitem__, map(id, resources)))
        found = self._mappings.setdefault(_identity(made), made)
        if len(self._recent) >= RECENT:
            self._recent.clear()
        self._recent[id(resources)] = (resources, found)
        return found

    def _encode(self, resource: Any) -> None:
        name = resource_name(resource)
        data = self._encoded(resource, name)
        self._named[id(resource)] = name, self._contents.setdefault(data, data)
        self._kept.append(resource)

    def _encoded(self, resource: Any, name: str) -> bytes:
        """Bytes of the former world where the resource is the same: comparing costs a small part of serializing."""
        for former, data in self._former.get((type(resource).__name__, name), ()):
            if former == resource:
                return data
        return encode_api_listener(resource) if isinstance(resource, ApiListener) else encode_resource(resource)


def _identity(mapping: Mapping[str, bytes]) -> tuple[int, ...]:
    """The same for mappings of the same names to the same bytes, in the same order; names are the bytes' own."""
    return tuple(map(id, mapping.values()))
