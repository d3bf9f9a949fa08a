"""Reading a protobuf message so that nothing in it can be overlooked.

A converter asks :class:`Fields` for every field that it honours. When the ``with`` block ends, a field that is set and was
not asked for is an error, unless :data:`mesh_api.xds.ignored.IGNORED_FIELDS` lists it with a reason. So the table of the
handled fields of a message is the converter itself, and the two cannot drift apart.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from google.protobuf.unknown_fields import UnknownFieldSet

from mesh_api.xds.errors import DecodeError
from mesh_api.xds.ignored import IGNORED_FIELDS

NANOSECONDS = 10**9


class Fields:
    """The fields of one message at ``path`` of ``resource``; keeps account of what was read.

    ``resource`` is how errors name the whole (``listener virtualInbound``), ``path`` is in protobuf's names
    (``filter_chains[2].filters[0]``), empty for the resource itself.
    """

    __slots__ = ("_unread", "message", "path", "resource")

    def __init__(self, message: Any, resource: str, path: str = "") -> None:
        self.message = message
        self.resource = resource
        self.path = path
        self._unread = {descriptor.name for descriptor, _ in message.ListFields()}

    def __enter__(self) -> Self:
        unknown = UnknownFieldSet(self.message)
        if len(unknown):
            raise self.error("", f"field number {unknown[0].field_number} is newer than the known API")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._unread:
            name = self.message.DESCRIPTOR.full_name
            for field in sorted(self._unread):
                if (name, field) not in IGNORED_FIELDS:
                    raise self.error(field, "not supported")

    def error(self, field: str, text: str) -> DecodeError:
        """An error at ``field`` of this message (empty: at the message itself), to be raised by the caller."""
        return DecodeError(": ".join(part for part in (self.resource, self._at(field), text) if part))

    def nested(self, message: Any, field: str) -> "Fields":
        """``message`` found at ``field`` of this one."""
        return Fields(message, self.resource, self._at(field))

    def _at(self, field: str) -> str:
        return f"{self.path}.{field}" if self.path and field else self.path or field

    def has(self, field: str) -> bool:
        """Whether ``field`` is set; a set field counts as unread until it is taken."""
        return any(field == descriptor.name for descriptor, _ in self.message.ListFields())

    def take(self, field: str) -> Any:
        """The value of ``field``, the protobuf default when unset."""
        self._unread.discard(field)
        return getattr(self.message, field)

    def text(self, field: str) -> str:
        """A string field, empty when unset."""
        return str(self.take(field))

    def texts(self, field: str) -> tuple[str, ...]:
        """A repeated string field."""
        return tuple(self.take(field))

    def flag(self, field: str) -> bool:
        """A bool field."""
        return bool(self.take(field))

    def number(self, field: str) -> int:
        """An integer field, 0 when unset."""
        return int(self.take(field))

    def wrapped(self, field: str) -> Any:
        """The value inside a wrapper message (``UInt32Value`` ...), ``None`` when unset."""
        return self.take(field).value if self.message.HasField(field) else None

    def wrapped_number(self, field: str, default: int) -> int:
        """The integer inside a wrapper message, ``default`` when unset."""
        return int(self.take(field).value) if self.message.HasField(field) else default

    def wrapped_flag(self, field: str, default: bool) -> bool:
        """The bool inside a wrapper message, ``default`` when unset."""
        return bool(self.take(field).value) if self.message.HasField(field) else default

    def duration(self, field: str) -> float | None:
        """A ``Duration`` in seconds, ``None`` when unset."""
        if not self.message.HasField(field):
            return None
        value = self.take(field)
        return (int(value.seconds) * NANOSECONDS + int(value.nanos)) / NANOSECONDS

    def enum(self, field: str, *allowed: str) -> str:
        """The name of an enum field's value; one that is not ``allowed`` is an error (none given: all are)."""
        number = self.take(field)
        value = self.message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
        if value is None or (allowed and value.name not in allowed):
            raise self.error(field, f"{value.name if value else number} is not supported")
        return str(value.name)

    def enums(self, field: str) -> tuple[str, ...]:
        """The names of the values of a repeated enum field."""
        numbers, known = self.take(field), self.message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
        if unknown := [number for number in numbers if number not in known]:
            raise self.error(field, f"{unknown[0]} is not supported")
        return tuple(str(known[number].name) for number in numbers)

    def oneof(self, group: str) -> str | None:
        """The name of the member of ``group`` that is set; it stays to be taken."""
        name = self.message.WhichOneof(group)
        return None if name is None else str(name)

    def child(self, field: str) -> "Fields":
        """The message in ``field``, empty when unset."""
        return self.nested(self.take(field), field)

    def optional(self, field: str) -> "Fields | None":
        """The message in ``field``, ``None`` when unset."""
        return self.child(field) if self.message.HasField(field) else None

    def children(self, field: str) -> Iterator["Fields"]:
        """The messages of a repeated field, each with its index in its path."""
        for index, message in enumerate(self.take(field)):
            yield self.nested(message, f"{field}[{index}]")

    def nothing_in(self, field: str) -> None:
        """Takes the message ``field`` of which only its presence is honoured: every field inside is an error."""
        with self.child(field):
            pass
