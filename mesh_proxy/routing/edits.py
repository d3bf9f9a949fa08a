"""Header edits, compiled: values with Envoy's command operators become functions of the request's record."""

from collections.abc import Callable

from mesh_api.config import HeaderEdits, HeaderValue
from mesh_proxy.protocol.http1 import Field, field_of
from mesh_proxy.telemetry.access_log import compile_text
from mesh_proxy.telemetry.record import Record

Value = Callable[[Record], bytes]


class Edits:
    """Removes, then writes, the fields of one head. A field without a value is not written unless that is
    asked for (Envoy)."""

    __slots__ = ("_remove", "_set")

    def __init__(self, values: tuple[HeaderValue, ...], remove: tuple[str, ...]) -> None:
        self._set: list[tuple[bytes, Value, bool, str, bool]] = [
            (item.name.lower().encode(), _value(item.value), item.append, item.only, item.keep_empty) for item in values
        ]
        self._remove = frozenset(name.lower().encode() for name in remove)

    def apply(self, fields: list[Field], record: Record) -> list[Field]:
        """The fields after the edits."""
        if self._remove:
            fields = [field for field in fields if field.name not in self._remove]
        for name, make, append, only, keeps in self._set:
            value = make(record)
            if (not value and not keeps) or (
                only and (only == "PRESENT") is not any(field.name == name for field in fields)
            ):
                continue
            if not append:
                fields = [field for field in fields if field.name != name]
            fields.append(field_of(name, value))
        return fields


def _value(text: str) -> Value:
    if "%" in text:
        return compile_text(text, True)
    constant = text.encode()
    return lambda record: constant


def request_edits(*edits: HeaderEdits) -> tuple[Edits, ...]:
    """The edits of requests, most specific first as Envoy applies them; empty ones left out."""
    return tuple(Edits(e.request_set, e.request_remove) for e in edits if e.request_set or e.request_remove)


def response_edits(*edits: HeaderEdits) -> tuple[Edits, ...]:
    """As :func:`request_edits`, of responses."""
    return tuple(Edits(e.response_set, e.response_remove) for e in edits if e.response_set or e.response_remove)
