"""What a cluster has beside services and workloads: Namespace, Node, Secret, ConfigMap, CustomResourceDefinition."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from mesh_policy.objects.metadata import Meta, read_meta
from mesh_policy.objects.reading import Fields, ObjectError


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace; its labels decide on injection."""

    meta: Meta


@dataclass(frozen=True, slots=True)
class Node:
    """A node; its labels say where it stands."""

    meta: Meta


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: its keys with their decoded content."""

    meta: Meta
    data: Mapping[str, bytes]
    type: str = "Opaque"


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A map of text."""

    meta: Meta
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CustomResourceDefinition:
    """The kind that a definition brings."""

    meta: Meta
    group: str
    kind: str


def read_namespace(fields: Fields) -> Namespace:
    """A Namespace."""
    return Namespace(read_meta(fields, namespaced=False))


def read_node(fields: Fields) -> Node:
    """A Node."""
    return Node(read_meta(fields, namespaced=False))


def read_secret(fields: Fields) -> Secret:
    """A Secret; ``data`` is base64, ``stringData`` is not and counts before it."""
    decoded = {name: _decoded(value, (*fields.path, "data", name)) for name, value in fields.texts("data").items()}
    plain = {name: value.encode() for name, value in fields.texts("stringData").items()}
    return Secret(read_meta(fields), decoded | plain, fields.text("type", "Opaque"))


def _decoded(value: str, path: tuple[str | int, ...]) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ObjectError(path, "is not base64; write plain text in stringData") from None


def read_config_map(fields: Fields) -> ConfigMap:
    """A ConfigMap."""
    return ConfigMap(read_meta(fields), fields.texts("data"))


def read_definition(fields: Fields) -> CustomResourceDefinition:
    """A CustomResourceDefinition."""
    spec = fields.inner("spec")
    return CustomResourceDefinition(
        read_meta(fields, namespaced=False), spec.text("group"), spec.inner("names").text("kind")
    )
