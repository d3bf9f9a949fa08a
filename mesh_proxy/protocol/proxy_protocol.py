"""The header of the PROXY protocol, by which a proxy tells the next one whose connection it is (HAProxy, version 2.3).

What is malformed or too long is refused as Envoy refuses it (``ProxyProtocol::Filter``). Pure.
"""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = tuple[str, int]
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_WORD: Final = b"PROXY"
_LONGEST_LINE: Final = 108
"""Bytes of a line of version 1, its end included, that Envoy looks through."""
_FIXED: Final = 16
"""Bytes of version 2 before the addresses."""
_VERSION: Final = 2
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_LAYOUTS: Final = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}
"""Family of addresses (the upper half of a byte) to the system's, and how long they are."""
_TRANSPORTS: Final = (1, 2)
"""Streams and datagrams."""
_PORT: Final = 65535


class Announcement:
    """What the first bytes of a connection say.

    ``wrong``: they are no header, or a broken one. ``needed``: so many bytes must be there before more can be said; 0: the
    header is complete, and has ``length`` bytes. Without ``source`` and ``destination`` it says nothing of whose connection
    this is. ``version`` is ``V1`` or ``V2``; empty: not known yet, or none.
    """

    __slots__ = ("destination", "length", "needed", "source", "version", "wrong")

    def __init__(self, version: str = "", *, wrong: bool = False, needed: int = 0, length: int = 0) -> None:
        self.version = version
        self.wrong = wrong
        self.needed = needed
        self.length = length
        self.source: Address | None = None
        self.destination: Address | None = None


def may_begin(data: bytes) -> bool:
    """Whether a header of either version may begin with these bytes; with none of them, it may."""
    return data[: len(SIGNATURE)] == SIGNATURE[: len(data)] or data[: len(_WORD)] == _WORD[: len(data)]


def read(data: bytes) -> Announcement:
    """The header that a connection begins with, of which ``data`` has come."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)] and len(data) < _FIXED:
        return Announcement(needed=_FIXED)
    if data.startswith(SIGNATURE):
        return _read_binary(data)
    if len(data) >= _FIXED and not data.startswith(_WORD):
        return Announcement(wrong=True)
    end = data.find(b"\r\n", 1)
    if end < 0:
        return Announcement(wrong=len(data) > _LONGEST_LINE, needed=len(data) + 1)
    if end + 2 > _LONGEST_LINE:
        return Announcement("V1", wrong=True)
    return _read_text(data[:end], end + 2)


def _read_text(line: bytes, length: int) -> Announcement:
    made, broken = Announcement("V1", length=length), Announcement("V1", wrong=True)
    parts = line.rstrip().decode("latin-1").split(" ")
    if len(parts) < 2 or parts[0] != "PROXY":
        return broken
    if parts[1] == "UNKNOWN":
        return made
    if len(parts) != 6 or parts[1] not in ("TCP4", "TCP6"):
        return broken
    family = socket.AF_INET if parts[1] == "TCP4" else socket.AF_INET6
    made.source, made.destination = _end(family, parts[2], parts[4]), _end(family, parts[3], parts[5])
    return broken if made.source is None or made.destination is None else made


def _end(family: int, address: str, port: str) -> Address | None:
    """One end as version 1 writes it; ``None``: it cannot be one of a connection."""
    if not port.isascii() or not port.isdigit() or len(port) > len(str(_PORT)) or int(port) > _PORT:
        return None
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    return _unicast(family, packed, int(port))


def _unicast(family: int, packed: bytes, port: int) -> Address | None:
    address = ip_address(packed)
    broadcast = packed == b"\xff\xff\xff\xff"
    if address.is_unspecified or address.is_multicast or broadcast:
        return None
    return socket.inet_ntop(family, packed), port


def _read_binary(data: bytes) -> Announcement:
    broken = Announcement("V2", wrong=True)
    kind, family, size = struct.unpack_from("!BBH", data, len(SIGNATURE))
    length, command = _FIXED + size, kind & 0x0F
    if kind >> 4 != _VERSION or command > 1:
        return broken
    if command == 0:  # the proxy's own connection; what else it says does not count
        return Announcement("V2", length=length, needed=length if len(data) < length else 0)
    layout = _LAYOUTS.get(family >> 4)
    if layout is None or family & 0x0F not in _TRANSPORTS or size < 2 * layout[1] + 4:
        return broken
    if len(data) < length:
        return Announcement("V2", length=length, needed=length)
    system, width = layout
    made, ends = Announcement("V2", length=length), data[_FIXED:]
    ports = struct.unpack_from("!HH", ends, 2 * width)
    made.source = _unicast(system, ends[:width], ports[0])
    made.destination = _unicast(system, ends[width : 2 * width], ports[1])
    if made.source is None or made.destination is None or not _well_formed(data[_FIXED + 2 * width + 4 : length]):
        return broken
    return made


def _well_formed(extensions: bytes) -> bool:
    """Whether the extensions (type, length, value) fill their place. They say nothing that is needed here."""
    place = 0
    while place < len(extensions):
        if place + 3 > len(extensions):
            return False
        place += 3 + int.from_bytes(extensions[place + 1 : place + 3], "big")
    return place == len(extensions)


def header(version: str, source: Address, destination: Address) -> bytes:
    """What says of a connection where it comes from and where it was going; ``version`` is ``V1`` or ``V2``. Ends that are no
    IP addresses are not told; one of each version of IP, as of IPv6 (RFC 4291 2.5.5.2)."""
    return _text(source, destination) if version == "V1" else _binary(source, destination)


def own_header(version: str, source: Address, destination: Address) -> bytes:
    """Of a connection that is nobody's but the proxy's, as for health checks. Version 2 has words for that."""
    return _text(source, destination) if version == "V1" else SIGNATURE + bytes((_LOCAL, 0, 0, 0))


def _text(source: Address, destination: Address) -> bytes:
    ends = _ends(source, destination)
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    first, second = ends
    return f"PROXY TCP{first.version} {first} {second} {source[1]} {destination[1]}\r\n".encode()


def _binary(source: Address, destination: Address) -> bytes:
    ends = _ends(source, destination)
    if ends is None:
        return SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    first, second = ends
    content = first.packed + second.packed + struct.pack("!HH", source[1], destination[1])
    return SIGNATURE + struct.pack("!BBH", _PROXY, _TCP4 if first.version == 4 else _TCP6, len(content)) + content


_Ends = tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]


def _ends(source: Address, destination: Address) -> _Ends | None:
    """Both addresses, of one version of IP."""
    try:
        first, second = ip_address(source[0]), ip_address(destination[0])
    except ValueError:
        return None
    if isinstance(first, IPv4Address) and isinstance(second, IPv4Address):
        return first, second
    return _wide(first), _wide(second)


def _wide(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
