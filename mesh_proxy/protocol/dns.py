"""Questions and answers of DNS, as far as addresses of hosts need them (RFC 1035, RFC 3596). Bytes in, values out.

The C libraries that do the same own sockets, threads or an event loop; here the worker's own loop has them. Any doubt about
an answer makes it no answer.
"""

import ipaddress
import struct
from typing import Final

A: Final = 1
AAAA: Final = 28
_CNAME: Final = 5
_INTERNET: Final = 1
_HEADER: Final = struct.Struct(">HHHHHH")
_RECORD: Final = struct.Struct(">HHIH")
_RESPONSE: Final = 0x8000
_TRUNCATED: Final = 0x0200
_RECURSE: Final = 0x0100
_OPCODE: Final = 0x7800
_LONGEST_NAME: Final = 253
_MOST_POINTERS: Final = 64

NO_ERROR: Final = 0
NO_SUCH_NAME: Final = 3
"""Codes of answers that say something about the name; all others say something about the server."""


class Answer:
    """``ttl`` in seconds, the least of all records that led to the addresses; ``code`` is DNS's own (0: no error)."""

    __slots__ = ("addresses", "code", "truncated", "ttl")

    def __init__(self, code: int, truncated: bool, addresses: tuple[str, ...], ttl: int) -> None:
        self.code: int = code
        self.truncated: bool = truncated
        self.addresses = addresses
        self.ttl: int = ttl


def question(number: int, name: str, kind: int) -> bytes | None:
    """The bytes that ask for records of a kind; ``None``: that is no name."""
    written = _written(name)
    if written is None:
        return None
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + written + struct.pack(">HH", kind, _INTERNET)


def _written(name: str) -> bytes | None:
    name = name.removesuffix(".")
    if not name or len(name) > _LONGEST_NAME:
        return None
    made = bytearray()
    for label in name.split("."):
        try:
            text = label.encode("ascii")
        except UnicodeEncodeError:
            return None
        if not 0 < len(text) < 64:
            return None
        made += bytes((len(text),)) + text
    return bytes(made) + b"\0"


def parse(data: bytes, number: int, name: str, kind: int) -> Answer | None:
    """What a server says to :func:`question`; ``None``: this is no answer to it."""
    if len(data) < _HEADER.size:
        return None
    got, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if got != number or not flags & _RESPONSE or flags & _OPCODE or questions != 1:
        return None
    asked, at = _name(data, _HEADER.size)
    wanted = name.removesuffix(".").lower()
    if asked != wanted or data[at : at + 4] != struct.pack(">HH", kind, _INTERNET):
        return None
    code = flags & 0xF
    if flags & _TRUNCATED:
        return Answer(code, True, (), 0)
    found = _records(data, at + 4, answers)
    if found is None:
        return None
    addresses, ttl = _follow(found, wanted, kind)
    return Answer(code, False, addresses, ttl)


Record = tuple[str, int, int, bytes, str]
"""Owner, type, seconds to live, data, and for an alias the name that it is for."""


def _records(data: bytes, at: int, count: int) -> list[Record] | None:
    found: list[Record] = []
    for _ in range(count):
        owner, at = _name(data, at)
        if owner is None or at + _RECORD.size > len(data):
            return None
        kind, group, ttl, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if at + length > len(data):
            return None
        if group == _INTERNET:
            alias = _name(data, at)[0] if kind == _CNAME else ""
            if alias is None:
                return None
            # The sign bit counts as 0 (RFC 2181, 8).
            found.append((owner, kind, 0 if ttl & 0x80000000 else ttl, data[at : at + length], alias))
        at += length
    return found


def _follow(records: list[Record], name: str, kind: int) -> tuple[tuple[str, ...], int]:
    """The addresses of a name, through aliases, and how long they hold."""
    size, times = (4 if kind == A else 16), []
    for _ in range(len(records) + 1):
        own = [record for record in records if record[0] == name]
        addresses = [record for record in own if record[1] == kind and len(record[3]) == size]
        if addresses:
            times += [record[2] for record in addresses]
            made = tuple(dict.fromkeys(str(ipaddress.ip_address(record[3])) for record in addresses))
            return made, min(times)
        alias = next((record for record in own if record[1] == _CNAME), None)
        if alias is None:
            break
        times.append(alias[2])
        name = alias[4]
    return (), 0


def _name(data: bytes, at: int) -> tuple[str | None, int]:
    """A name in lower case, and the place behind it; ``None``: there is none."""
    labels: list[str] = []
    behind, pointers, length = -1, 0, 0
    while at < len(data):
        size = data[at]
        if size == 0:
            return ".".join(labels), at + 1 if behind < 0 else behind
        if size >= 0xC0:
            pointers += 1
            if at + 1 >= len(data) or pointers > _MOST_POINTERS:
                return None, at
            behind = at + 2 if behind < 0 else behind
            at = (size & 0x3F) << 8 | data[at + 1]
            continue
        length += size + 1
        if size >= 0x40 or length > _LONGEST_NAME + 1 or at + 1 + size > len(data):
            return None, at
        labels.append(data[at + 1 : at + 1 + size].decode("latin-1").lower())
        at += 1 + size
    return None, at
