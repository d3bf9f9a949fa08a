"""Who is at an end of a request, for metrics: a proxy's own node, a host's metadata, or what the other proxy says of itself.

Istio's proxies tell each other in the header ``x-envoy-peer-metadata``: a ``google.protobuf.Struct`` in base64. It is read
and written here without protobuf, which workers do not have.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

METADATA: Final = b"x-envoy-peer-metadata"
METADATA_ID: Final = b"x-envoy-peer-metadata-id"
UNKNOWN: Final = "unknown"
_LIMIT: Final = 16384
"""Bytes of a header that is read."""
_CANONICAL: Final = "service.istio.io/canonical-name"
_REVISION: Final = "service.istio.io/canonical-revision"
_TELLING: Final = (_CANONICAL, _REVISION, "app", "version")


class Workload:
    """One workload; of what is not known, the name is empty."""

    __slots__ = ("app", "cluster", "name", "namespace", "revision", "service", "version")

    def __init__(
        self,
        name: str = "",
        namespace: str = "",
        service: str = "",
        revision: str = "",
        cluster: str = "",
        app: str = "",
        version: str = "",
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.service = service
        """The canonical one, as the revision."""
        self.revision = revision
        self.cluster = cluster
        self.app = app
        self.version = version

    def labels(self, side: str) -> tuple[tuple[str, str], ...]:
        """The labels of ``source`` or ``destination``."""
        parts = (
            ("workload", self.name), ("workload_namespace", self.namespace), ("app", self.app), ("version", self.version),
            ("cluster", self.cluster), ("canonical_service", self.service), ("canonical_revision", self.revision),
        )  # fmt: skip
        return tuple((f"{side}_{name}", value or UNKNOWN) for name, value in parts)


NOBODY: Final = Workload()


def of_metadata(metadata: Mapping[str, Any]) -> Workload:
    """From a node's metadata, or a part of them with the same names."""
    labels = metadata.get("LABELS") or {}
    if isinstance(labels, str):
        try:
            labels = json.loads(labels)
        except (ValueError, RecursionError):  # others may have written it
            labels = {}
    known = labels if isinstance(labels, Mapping) else {}
    name = str(metadata.get("WORKLOAD_NAME") or "")
    app, version = str(known.get("app", "")), str(known.get("version", ""))
    service = known.get(_CANONICAL) or known.get("app.kubernetes.io/name") or app or name
    revision = known.get(_REVISION) or known.get("app.kubernetes.io/version") or version or "latest"
    return Workload(
        name,
        str(metadata.get("NAMESPACE") or ""),
        str(service),
        str(revision),
        str(metadata.get("CLUSTER_ID") or ""),
        app,
        version,
    )


def of_endpoint(pairs: tuple[tuple[str, str], ...]) -> Workload:
    """From the metadata of a host: ``workload`` is ``NAME;NAMESPACE;SERVICE;REVISION;CLUSTER`` (Istio)."""
    text = dict(pairs).get("workload", "")
    if not text:
        return NOBODY
    name, namespace, service, revision, cluster, *_ = (*text.split(";"), "", "", "", "", "")
    return Workload(name, namespace, service, revision, cluster, service, revision)


def of_header(value: bytes) -> Workload:
    """From the header; :data:`NOBODY` where nothing can be made of it, for anybody may send it."""
    if not value or len(value) > _LIMIT:
        return NOBODY
    try:
        return of_metadata(_struct(base64.b64decode(value, validate=True), 0))
    except (binascii.Error, ValueError, IndexError):
        return NOBODY


def header_of(metadata: Mapping[str, Any]) -> bytes:
    """What a node tells of itself."""
    found = of_metadata(metadata)
    labels = {_CANONICAL: found.service, _REVISION: found.revision, "app": found.app, "version": found.version}
    told: dict[str, Any] = {
        "CLUSTER_ID": found.cluster,
        "LABELS": {name: labels[name] for name in sorted(_TELLING) if labels[name]},
        "NAME": str(metadata.get("NAME") or ""),
        "NAMESPACE": found.namespace,
        "OWNER": str(metadata.get("OWNER") or ""),
        "WORKLOAD_NAME": found.name,
    }
    return base64.b64encode(_encode({name: value for name, value in told.items() if value}))


# google.protobuf.Struct: field 1 is a map of strings (1) to Value (2), of which 3 is a string and 5 a Struct.


def _encode(value: Mapping[str, Any]) -> bytes:
    made = b""
    for name, item in value.items():
        inner = _field(5, _encode(item)) if isinstance(item, Mapping) else _field(3, str(item).encode())
        made += _field(1, _field(1, name.encode()) + _field(2, inner))
    return made


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = b""
    while number >= 0x80:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


_DEPTH: Final = 4


def _struct(data: bytes, depth: int) -> dict[str, Any]:
    """Strings and objects of a Struct. Raises :class:`ValueError` and :class:`IndexError`."""
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    found: dict[str, Any] = {}
    for number, content in _fields(data):
        if number != 1:
            continue
        entry = dict(_fields(content))
        for kind, inner in _fields(entry.get(2, b"")):
            if kind == 3:
                found[entry.get(1, b"").decode()] = inner.decode()
            elif kind == 5:
                found[entry.get(1, b"").decode()] = _struct(inner, depth + 1)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields that have a length; others are passed over."""
    place = 0
    while place < len(data):
        tag, place = _read(data, place)
        if tag & 7 == 2:
            length, place = _read(data, place)
            if place + length > len(data):
                raise ValueError("cut off")
            yield tag >> 3, data[place : place + length]
            place += length
        elif tag & 7 == 0:
            _, place = _read(data, place)
        elif tag & 7 == 1:
            place += 8
        elif tag & 7 == 5:
            place += 4
        else:
            raise ValueError("no field of protobuf")


def _read(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, place
        if shift > 63:
            raise ValueError("no number of protobuf")
