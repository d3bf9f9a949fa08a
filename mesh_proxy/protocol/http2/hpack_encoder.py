"""Fields to header blocks (RFC 7541), so that equal fields are equal bytes and one look into a table each.

The dynamic table is filled until it is full and nothing is evicted from it, so its indexes stay. A name that brings ever new
values is sent as a literal with an indexed name, and takes no further place.
"""

from typing import Final

from mesh_proxy.protocol.http1 import Field
from mesh_proxy.protocol.http2.fields import FIRST_DYNAMIC, NEVER_INDEXED, NOT_SENT, STATIC, UNSTEADY
from mesh_proxy.protocol.http2.hpack_decoder import DEFAULT_TABLE, ENTRY_OVERHEAD

_VALUES_OF_A_NAME: Final = 4
_NAMES_LIMIT: Final = 256
_LEADS_LIMIT: Final = 256
_ONE_BYTE: Final = [bytes((i,)) for i in range(256)]
_STATIC_NAMES: Final = {STATIC[i].name: i for i in range(FIRST_DYNAMIC - 1, 0, -1)}
_STATIC_FIELDS: Final = {STATIC[i].name + b": " + STATIC[i].value: i for i in range(FIRST_DYNAMIC - 1, 0, -1)}


def integer(value: int, mask: int, first: int) -> bytes:
    """An integer whose first byte has ``first`` beside the prefix ``mask`` (RFC 7541 5.1)."""
    if value < mask:
        return _ONE_BYTE[first | value]
    parts = [first | mask]
    value -= mask
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


class Encoder:
    """Encodes the blocks of one connection in the order in which they are sent."""

    __slots__ = (
        "_capacity", "_known", "_leads", "_names", "_places", "_prefixes", "_resized", "_size", "_statuses", "_values",
        "_values_of",
    )  # fmt: skip

    def __init__(self) -> None:
        self._capacity: int = DEFAULT_TABLE
        self._size: int = 0
        self._resized: bytes = b""
        self._values: int = 0
        """Entries of the table."""
        self._places: dict[bytes, int] = {}
        """Lines to the number of the entry that they are."""
        self._names: dict[bytes, int] = {}
        self._values_of: dict[bytes, int] = {}
        """How many values of a name were met."""
        self._known: dict[bytes, bytes] = {}
        """Lines to what stands for them, as long as nothing is inserted."""
        self._prefixes: dict[bytes, bytes] = {}
        """Names to what literals of them begin with, likewise."""
        self._leads: dict[tuple[bytes, bytes, bytes], bytes] = {}
        self._statuses: dict[int, bytes] = {}

    def resize(self, capacity: int) -> None:
        """What the peer allows (``SETTINGS_HEADER_TABLE_SIZE``); more than Envoy's 4096 is not made use of."""
        capacity = min(capacity, DEFAULT_TABLE)
        if capacity == self._capacity:
            return
        # Emptied rather than evicted from: what is left has its first indexes again.
        self._capacity = capacity
        self._size = self._values = 0
        self._places.clear()
        self._names.clear()
        self._values_of.clear()
        self._forget()
        self._resized = integer(0, 31, 32) + (integer(capacity, 31, 32) if capacity else b"")

    def request(self, method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: list[Field]) -> bytes:
        """A request's block."""
        lead = self._leads.get((method, scheme, authority))
        parts = [self._lead(method, scheme, authority) if lead is None else lead]
        if path:
            parts.append(self._pseudo(b":path", path))
        return self._block(parts, fields)

    def connect(self, authority: bytes, protocol: bytes, scheme: bytes, path: bytes, fields: list[Field]) -> bytes:
        """The block of an extended CONNECT (RFC 8441)."""
        parts = [self._lead(b"CONNECT", scheme, authority), self._pseudo(b":path", path)]
        parts.append(self._pseudo(b":protocol", protocol))
        return self._block(parts, fields)

    def response(self, status: int, fields: list[Field]) -> bytes:
        """An answer's block."""
        code = self._statuses.get(status)
        if code is None:
            before = self._values
            code = self._pseudo(b":status", b"%d" % status)
            if self._values == before:
                self._statuses[status] = code
        return self._block([code], fields)

    def trailers(self, fields: list[Field]) -> bytes:
        """A block of trailers."""
        return self._block([], fields)

    def _block(self, parts: list[bytes], fields: list[Field]) -> bytes:
        known = self._known
        for field in fields:
            code = known.get(field.line)
            if code is None:
                code = self._field(field.name, field.value, field.line)
                known = self._known
            parts.append(code)
        if self._resized:
            parts.insert(0, self._resized)
            self._resized = b""
        return b"".join(parts)

    def _lead(self, method: bytes, scheme: bytes, authority: bytes) -> bytes:
        """The pseudo-header fields that do not change from one request to the next."""
        before = self._values
        lead = self._pseudo(b":method", method)
        if scheme:
            lead += self._pseudo(b":scheme", scheme)
        if authority:
            lead += self._pseudo(b":authority", authority)
        if self._values == before:
            if len(self._leads) >= _LEADS_LIMIT:
                self._leads.clear()
            self._leads[(method, scheme, authority)] = lead
        return lead

    def _pseudo(self, name: bytes, value: bytes) -> bytes:
        line = name + b": " + value
        code = self._known.get(line)
        return self._field(name, value, line) if code is None else code

    def _field(self, name: bytes, value: bytes, line: bytes) -> bytes:
        """What stands for a field that is not known as it is."""
        place = self._places.get(line)
        if place is not None:
            code = integer(FIRST_DYNAMIC + self._values - place, 127, 128)
        elif name in NOT_SENT:
            code = b""
        elif line in _STATIC_FIELDS:
            code = integer(_STATIC_FIELDS[line], 127, 128)
        else:
            size = len(name) + len(value) + ENTRY_OVERHEAD
            if self._size + size <= self._capacity and self._steady(name):
                return self._insert(name, value, line, size)
            return self._literal(name, value)
        self._known[line] = code
        return code

    def _steady(self, name: bytes) -> bool:
        """Whether a value of this name is worth a place; the first one of a name is, for the name."""
        if name in NEVER_INDEXED:
            return False
        met = self._values_of.get(name, 0)
        if met >= _VALUES_OF_A_NAME or (name in UNSTEADY and (met or name in _STATIC_NAMES)):
            return False
        if not met and len(self._values_of) >= _NAMES_LIMIT:
            return False
        self._values_of[name] = met + 1
        return True

    def _insert(self, name: bytes, value: bytes, line: bytes, size: int) -> bytes:
        code = self._name(name, 63, 64) + integer(len(value), 127, 0) + value
        self._values += 1
        self._size += size
        self._places[line] = self._names[name] = self._values
        self._forget()  # every index is one more now
        return code

    def _literal(self, name: bytes, value: bytes) -> bytes:
        prefix = self._prefixes.get(name)
        if prefix is None:
            prefix = self._name(name, 15, 16 if name in NEVER_INDEXED else 0)
            if len(self._prefixes) < _NAMES_LIMIT:
                self._prefixes[name] = prefix
        length = len(value)
        return prefix + (_ONE_BYTE[length] if length < 127 else integer(length, 127, 0)) + value

    def _name(self, name: bytes, mask: int, first: int) -> bytes:
        index = _STATIC_NAMES.get(name, 0)
        if not index:
            place = self._names.get(name, 0)
            if not place:
                return _ONE_BYTE[first] + integer(len(name), 127, 0) + name
            index = FIRST_DYNAMIC + self._values - place
        return integer(index, mask, first)

    def _forget(self) -> None:
        self._known.clear()
        self._prefixes.clear()
        self._leads.clear()
        self._statuses.clear()
