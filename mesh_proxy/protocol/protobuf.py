"""Protobuf's encoding, as far as workers speak it themselves: the library would cost each of them megabytes.

https://protobuf.dev/programming-guides/encoding/
"""

import contextlib
import struct as packing
from typing import Final

_VARINT: Final = 0
_EIGHT_BYTES: Final = 1
_LENGTH: Final = 2
_FOUR_BYTES: Final = 5
_LONGEST: Final = 10
"""Bytes of a number."""

Message = dict[int, list[int | bytes]]
"""Values by the number of their field: numbers for varints, bytes for all else."""


class BadProtobuf(ValueError):  # noqa: N818 (said of the peer's message)
    """It is no message."""


def varint(value: int) -> bytes:
    """A number."""
    if value < 0x80:
        return bytes((value,))
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def number(field: int, value: int) -> bytes:
    """A field with a number (not negative); 0 is what goes without saying."""
    return varint(field << 3) + varint(value) if value else b""


def text(field: int, value: bytes) -> bytes:
    """A field with bytes or text; empty is what goes without saying."""
    return message(field, value) if value else b""


def message(field: int, value: bytes) -> bytes:
    """A field with a message, which may be empty."""
    return varint(field << 3 | _LENGTH) + varint(len(value)) + value


def read(data: bytes) -> Message:
    """The fields of a message. Raises :class:`BadProtobuf`."""
    found: Message = {}
    _read_into(found, data)
    return found


def read_beginning(data: bytes) -> Message:
    """The fields of a message as far as they can be read."""
    found: Message = {}
    with contextlib.suppress(BadProtobuf):
        _read_into(found, data)
    return found


def _read_into(found: Message, data: bytes) -> None:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        field, kind = key >> 3, key & 7
        value: int | bytes
        if kind == _VARINT:
            value, place = _varint(data, place)
        elif kind in (_LENGTH, _EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
            if kind == _LENGTH:
                size, place = _varint(data, place)
            value = data[place : place + size]
            place += size
            if len(value) < size:
                raise BadProtobuf("a field is cut off")
        else:
            raise BadProtobuf(f"there is no wire type {kind}")
        if not field:
            raise BadProtobuf("there is no field 0")
        found.setdefault(field, []).append(value)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST):
        if place + index >= len(data):
            break
        byte = data[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise BadProtobuf("a number is cut off")


def bytes_of(found: Message, field: int) -> bytes:
    """The last value of a field of bytes, as protobuf has it; empty: there is none. Raises :class:`BadProtobuf`."""
    values = found.get(field)
    if values is None:
        return b""
    value = values[-1]
    if isinstance(value, int):
        raise BadProtobuf(f"field {field} is a number")
    return value


def number_of(found: Message, field: int) -> int:
    """The last value of a field of numbers; 0: there is none. Raises :class:`BadProtobuf`."""
    values = found.get(field)
    if values is None:
        return 0
    value = values[-1]
    if not isinstance(value, int):
        raise BadProtobuf(f"field {field} is no number")
    return value


def messages(found: Message, field: int) -> list[bytes]:
    """All values of a repeated field of messages. Raises :class:`BadProtobuf`."""
    made: list[bytes] = []
    for value in found.get(field, ()):
        if isinstance(value, int):
            raise BadProtobuf(f"field {field} is a number")
        made.append(value)
    return made


_DEEPEST: Final = 100
"""Messages within each other, as many as protobuf's own libraries take."""


def struct(data: bytes, depth: int = 0) -> dict[str, object]:
    """A ``google.protobuf.Struct``. Raises :class:`BadProtobuf`."""
    made: dict[str, object] = {}
    for entry in messages(read(data), 1):
        found = read(entry)
        made[_text(bytes_of(found, 1))] = _value(bytes_of(found, 2), depth + 1)
    return made


def _value(data: bytes, depth: int) -> object:
    if depth > _DEEPEST:
        raise BadProtobuf("there is no end to it")
    found = read(data)
    if 2 in found:
        packed = bytes_of(found, 2)
        if len(packed) != packing.calcsize("<d"):
            raise BadProtobuf("a number of another size")
        value: float = packing.unpack("<d", packed)[0]
        return int(value) if value.is_integer() else value  # which is how JSON writes it
    if 3 in found:
        return _text(bytes_of(found, 3))
    if 4 in found:
        return number_of(found, 4) != 0
    if 5 in found:
        return struct(bytes_of(found, 5), depth)
    if 6 in found:
        return [_value(item, depth + 1) for item in messages(read(bytes_of(found, 6)), 1)]
    return None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadProtobuf("text that is none") from None
