"""Small values on the wire: durations, wrappers, fractions, metadata, typed extensions."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from envoy.config.core.v3 import base_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError as ProtobufDecodeError
from udpa.type.v1 import typed_struct_pb2 as udpa_typed_struct_pb2
from xds.type.v3 import typed_struct_pb2 as xds_typed_struct_pb2

from mesh_api.config.routes import MILLION
from mesh_api.xds.fields import NANOSECONDS, Fields
from mesh_api.xds.type_urls import PREFIX

T = TypeVar("T")

ISTIO, SOCKET_MATCH = "istio", "envoy.transport_socket_match"
"""Namespaces of filter metadata; every other one is an error."""
TLS_MODE = "tlsMode"
_PER_UNIT = {"HUNDRED": MILLION // 100, "TEN_THOUSAND": MILLION // 10_000, "MILLION": 1}
_TYPED_STRUCTS = {
    "udpa.type.v1.TypedStruct": udpa_typed_struct_pb2.TypedStruct,
    "xds.type.v3.TypedStruct": xds_typed_struct_pb2.TypedStruct,
}


def duration(seconds: float | None) -> Any:
    """``Duration`` of ``seconds`` to the nanosecond; ``None`` stays ``None``."""
    if seconds is None:
        return None
    whole = int(seconds)
    nanos = round((seconds - whole) * NANOSECONDS)
    if nanos == NANOSECONDS:
        whole, nanos = whole + 1, 0
    return duration_pb2.Duration(seconds=whole, nanos=nanos)


def uint32(value: int | None, *, unless: int | None = None) -> Any:
    """``UInt32Value``; ``None`` when the value is ``None`` or the default ``unless``."""
    return None if value is None or value == unless else wrappers_pb2.UInt32Value(value=value)


def seconds(fields: Fields, field: str, default: float) -> float:
    """A ``Duration`` in seconds, ``default`` when unset."""
    value = fields.duration(field)
    return default if value is None else value


def percent_of(fields: Fields | None, default: T) -> float | T:
    """A ``Percent``."""
    if fields is None:
        return default
    with fields as percent:
        return float(percent.take("value"))


def boolean(value: bool | None, *, unless: bool | None = None) -> Any:
    """``BoolValue``; ``None`` when the value is ``None`` or the default ``unless``."""
    return None if value is None or value is unless else wrappers_pb2.BoolValue(value=value)


def fraction(parts: int) -> Any:
    """``FractionalPercent`` of parts per million."""
    return percent_pb2.FractionalPercent(numerator=parts, denominator=percent_pb2.FractionalPercent.MILLION)


def runtime_fraction(parts: int) -> Any:
    """``RuntimeFractionalPercent`` of parts per million."""
    return base_pb2.RuntimeFractionalPercent(default_value=fraction(parts))


def read_fraction(fields: Fields | None, default: int = 0) -> int:
    """Parts per million of a ``FractionalPercent``."""
    if fields is None:
        return default
    with fields as f:
        return f.number("numerator") * _PER_UNIT[f.enum("denominator")]


def read_runtime_fraction(fields: Fields | None, default: int) -> int:
    """Parts per million of a ``RuntimeFractionalPercent``."""
    if fields is None:
        return default
    with fields as f:
        return read_fraction(f.optional("default_value"))


def metadata(pairs: tuple[tuple[str, str], ...] | Mapping[str, Any], tls_mode: str = "") -> Any:
    """``Metadata``: JSON values of the ``istio`` namespace, and what chooses a transport socket; ``None`` for neither."""
    message = base_pb2.Metadata()
    if tls_mode:
        message.filter_metadata[SOCKET_MATCH].fields[TLS_MODE].string_value = tls_mode
    if pairs:
        message.filter_metadata[ISTIO].update(dict(pairs))
    return message if pairs or tls_mode else None


def read_metadata(fields: Fields | None, *others: str) -> tuple[tuple[str, str], ...]:
    """The pairs of the ``istio`` namespace, sorted; see :class:`mesh_api.config.Cluster` for values that are no strings.

    ``others`` are namespaces that somebody else reads.
    """
    return as_texts(read_values(fields, *others))


def read_values(fields: Fields | None, *others: str) -> dict[str, Any]:
    """The ``istio`` namespace as JSON values; any other one but that of sockets, and ``others``, is an error."""
    if fields is None:
        return {}
    with fields as f:
        namespaces = f.take("filter_metadata")
        for namespace in sorted(namespaces):
            if namespace not in (ISTIO, SOCKET_MATCH, *others):
                raise f.error(f'filter_metadata["{namespace}"]', "not supported")
        return dict(MessageToDict(namespaces[ISTIO])) if ISTIO in namespaces else {}


def read_tls_mode(fields: Fields | None) -> str:
    """What chooses a transport socket: one name is supported."""
    if fields is None or SOCKET_MATCH not in fields.message.filter_metadata:
        return ""
    values = fields.message.filter_metadata[SOCKET_MATCH].fields
    for key in values:
        if key != TLS_MODE or values[key].WhichOneof("kind") != "string_value":
            raise fields.error(f'filter_metadata["{SOCKET_MATCH}"]["{key}"]', "not supported")
    return str(values[TLS_MODE].string_value) if TLS_MODE in values else ""


def as_texts(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """JSON values as pairs sorted by key; see :class:`mesh_api.config.Cluster` for those that are no strings."""
    return tuple((key, _as_text(values[key])) for key in sorted(values))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)


def pack(message: Any) -> Any:
    """``Any`` of a message, serialized deterministically."""
    return any_pb2.Any(
        type_url=PREFIX + message.DESCRIPTOR.full_name, value=message.SerializeToString(deterministic=True)
    )


def type_name(packed: Any) -> str:
    """The full name of the message in an ``Any``, of the wrapped one for a ``TypedStruct``; empty for an empty ``Any``."""
    name = str(packed.type_url).rpartition("/")[2]
    if name in _TYPED_STRUCTS:
        return str(_TYPED_STRUCTS[name].FromString(packed.value).type_url).rpartition("/")[2]
    return name


def unpack(packed: Fields, types: Iterable[Any]) -> tuple[Any, Fields]:
    """The message in an ``Any``, when its type is one of the classes in ``types``.

    Returns the class and the fields. Raises :class:`DecodeError` naming the type otherwise.
    """
    name = type_name(packed.message)
    for message in types:
        if name == message.DESCRIPTOR.full_name:
            try:
                return message, packed.nested(message.FromString(packed.message.value), "")
            except ProtobufDecodeError as error:
                raise packed.error("", f"malformed {name}: {error}") from None
    raise packed.error("", f"{name or 'a missing type'} is not supported")
