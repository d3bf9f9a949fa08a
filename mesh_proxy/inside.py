"""Whose requests count as the mesh's own (Envoy ``internal_address_config``): they may say what strangers may not.

An address is not internal unless it is said to be (Envoy 1.40); and of a request that others have passed on, nobody knows.
"""

from ipaddress import ip_address, ip_network
from typing import Final

from mesh_proxy.protocol.http1 import Head, field_of

INTERNAL: Final = b"x-envoy-internal"
_INSIDE: Final = field_of(INTERNAL, b"true")
_MOST: Final = 4096
"""Addresses of which is remembered what they are."""


class Inside:
    """The networks of a connection manager, as CIDR."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = tuple([ip_network(network, strict=False) for network in networks])
        self._known: dict[str, bool] = {}

    def judge(self, head: Head, remote: bytes, trusted: bool) -> bool:
        """Whether the request comes from inside, which its head says then. ``remote`` is who is connected, as
        ``ADDRESS:PORT``; ``trusted``: who that is counts, and otherwise what it says of whom it speaks for."""
        forwarded = head.get(b"x-forwarded-for")
        if trusted:
            address = "" if forwarded is not None else remote.rpartition(b":")[0].strip(b"[]").decode("latin-1")
        else:
            address = "" if forwarded is None else forwarded.strip().decode("latin-1")
        if head.get(INTERNAL) is not None:
            head.drop(INTERNAL)
        if not address or not self._holds(address):
            return False
        head.add(_INSIDE)
        return True

    def _holds(self, address: str) -> bool:
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[address] = self._look(address)
        return found

    def _look(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address.version == network.version and address in network for network in self._networks)
