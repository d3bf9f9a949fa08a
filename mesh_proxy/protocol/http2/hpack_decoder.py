"""Header blocks to fields (RFC 7541), with the one table of a connection that they share."""

from typing import Final

from mesh_proxy.protocol.http1 import Field
from mesh_proxy.protocol.http2.fields import FIRST_DYNAMIC, STATIC, Names
from mesh_proxy.protocol.http2.huffman import Huffman

DEFAULT_TABLE: Final = 4096
ENTRY_OVERHEAD: Final = 32
"""RFC 7541 4.1."""
_MAX_SHIFT: Final = 28
"""No index and no length needs more bits."""


class Decoder:
    """Decodes the blocks of one connection in the order in which they come.

    ``changes`` counts the blocks that changed the table: while it stays, equal blocks are equal fields. Of a list that is
    longer than allowed the first fields are given, the rest is read for the table alone; ``oversized`` or ``crowded`` tell.
    """

    __slots__ = (
        "_at", "_capacity", "_huffman", "_limit", "_max_fields", "_max_size", "_names", "_shrink", "_size", "_sizes",
        "_spelt", "_table", "changes", "crowded", "oversized",
    )  # fmt: skip

    def __init__(self, names: Names, huffman: Huffman, max_size: int, max_fields: int) -> None:
        self._names = names
        self._huffman = huffman
        self._max_size = max_size
        self._max_fields = max_fields
        self._table: list[Field] = []  # the newest is the last
        self._sizes: list[int] = []
        self._size: int = 0
        self._spelt: int = 0
        self._capacity: int = DEFAULT_TABLE
        self._limit: int = DEFAULT_TABLE
        self._shrink: bool = False
        self._at: int = 0
        self.changes: int = 0
        self.oversized: bool = False
        """The names and values of the last block are longer than allowed."""
        self.crowded: bool = False
        """The last block had more fields than allowed."""

    def allow(self, limit: int) -> None:
        """How large the peer may make its table, from the moment that it knows (RFC 7541 4.2)."""
        self._shrink = limit < self._capacity
        self._limit = limit

    def decode(self, block: bytes) -> list[Field] | None:
        """The fields of a block; ``None`` when it cannot be read, and with it no later one."""
        fields: list[Field] = []
        self.oversized = self.crowded = False
        table, static = self._table, STATIC
        at = size = 0
        end = len(block)
        changed = False
        if self._shrink or (end and block[0] & 0xE0 == 0x20):
            at = self._resize(block)
            if at < 0:
                return None
            changed = True
        while at < end:
            first = block[at]
            if first >= 128:
                index = first & 127
                at += 1
                if index == 127:
                    index = self._integer(block, at, 127)
                    at = self._at
                if 0 < index < FIRST_DYNAMIC:
                    field = static[index]
                else:
                    place = len(table) - index + FIRST_DYNAMIC - 1
                    if index <= 0 or place < 0:
                        return None
                    field = table[place]
            else:
                literal = self._literal(block, at, first)
                if literal is None:
                    return None
                field = literal
                at = self._at
                if first & 64:
                    self._insert(field, self._spelt)
                    changed = True
            size += len(field.name) + len(field.value)
            if size > self._max_size:
                self.oversized = True
            elif len(fields) < self._max_fields:
                fields.append(field)
            else:
                self.crowded = True
        if changed:
            self.changes += 1
        return fields

    def _literal(self, block: bytes, at: int, first: int) -> Field | None:
        """A field that is spelt out, at least its value; ``None``: it cannot be read."""
        if first & 0x60 == 0x20:
            return None  # a new size of the table stands at the beginning of a block only (RFC 7541 4.2)
        mask = 63 if first & 64 else 15
        index = first & mask
        at += 1
        if index == mask:
            index = self._integer(block, at, mask)
            at = self._at
        if index == 0:
            spelt = self._string(block, at)
            if spelt is None:
                return None
            name = spelt
            at = self._at
        elif 0 < index < FIRST_DYNAMIC:
            name = STATIC[index].name
        else:
            place = len(self._table) - index + FIRST_DYNAMIC - 1
            if index < 0 or place < 0:
                return None
            name = self._table[place].name
        value = self._string(block, at)
        if value is None:
            return None
        # Both ends count these bytes, also such as the field does not keep.
        self._spelt = len(name) + len(value) + ENTRY_OVERHEAD
        return self._names.field(name, value)

    def _string(self, block: bytes, at: int) -> bytes | None:
        """The string that begins at ``at``; ``_at`` is behind it then."""
        if at >= len(block):
            return None
        first = block[at]
        length = first & 127
        at += 1
        if length == 127:
            length = self._integer(block, at, 127)
            at = self._at
        end = at + length
        if length < 0 or end > len(block):
            return None
        self._at = end
        text = block[at:end]
        return self._huffman.decode(text) if first & 128 else text

    def _integer(self, block: bytes, at: int, value: int) -> int:
        """The rest of an integer whose prefix is full; -1: there is no end, or it is larger than any we know."""
        shift = 0
        while at < len(block) and shift <= _MAX_SHIFT:
            byte = block[at]
            at += 1
            value += (byte & 127) << shift
            if byte < 128:
                self._at = at
                return value
            shift += 7
        self._at = at
        return -1

    def _resize(self, block: bytes) -> int:
        """New sizes of the table, at the beginning of a block; returns where it goes on, -1: not as allowed."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size = block[at] & 31
            at += 1
            if size == 31:
                size = self._integer(block, at, 31)
                at = self._at
            if size < 0 or size > self._limit:
                return -1
            self._capacity = size
            self._evict(size)
        if self._shrink and at == 0:
            return -1
        self._shrink = False
        return at

    def _insert(self, field: Field, size: int) -> None:
        if size > self._capacity:
            self._evict(0)
            return
        self._evict(self._capacity - size)
        self._table.append(field)
        self._sizes.append(size)
        self._size += size

    def _evict(self, room: int) -> None:
        """Drop the oldest until what is left takes ``room`` at most."""
        gone = 0
        while self._size > room:
            self._size -= self._sizes[gone]
            gone += 1
        if gone:
            del self._table[:gone]
            del self._sizes[:gone]
