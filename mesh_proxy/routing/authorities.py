"""Authorities of requests: their port, and the dot that may end their name (``strip_*`` of Envoy's connection manager)."""

from mesh_proxy.protocol.numbers import whole


def stripped(authority: bytes, mode: str, port: int, dot: bool) -> bytes:
    """The authority without its port, where ``mode`` is ``ANY``, or ``MATCHING`` and it is ``port``; and with ``dot`` without
    the dot that ends its name."""
    name, colon, tail = authority.rpartition(b":")
    if not colon or not tail.isdigit() or (b":" in name and not name.endswith(b"]")):
        name, colon, tail = authority, b"", b""
    if dot and name.endswith(b"."):
        name = name[:-1]
    if mode == "ANY" or (mode and tail == b"%d" % port):
        return name
    return name + colon + tail


def named(authority: bytes, port: int) -> tuple[str, int]:
    """Host and port of an authority, ``port`` where it has none; an address of IPv6 is without brackets. What is no port is
    part of the name (Envoy ``DnsHostInfo::normalizeHostForDfp``)."""
    host, _colon, tail = authority.rpartition(b":")
    number = whole(tail, 65535)
    if number >= 0 and host != authority and (b":" not in host or host.endswith(b"]")):
        authority, port = host, number
    return authority.decode("latin-1").removeprefix("[").removesuffix("]"), port
