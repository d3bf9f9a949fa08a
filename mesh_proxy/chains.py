"""Which filter chain of a listener takes a connection (Envoy's ``FilterChainMatch``)."""

import ipaddress
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Generic, NamedTuple, TypeVar

from mesh_api.config import FilterChainMatch

T = TypeVar("T")
Network = IPv4Network | IPv6Network
_NO_FIT: Final = -1
_EXACT: Final = 1 << 16
RAW_BUFFER: Final = "raw_buffer"
TLS: Final = "tls"


class ChainError(ValueError):
    """Conditions that cannot be looked at."""


class Arrival(NamedTuple):
    """What is known of a connection: where it was going (address and port), where it comes from, and what listener filters
    found: whether it begins with TLS (``transport``), the server name that it asks for, and the application protocols that it
    offers or was seen to speak, in their order."""

    destination: tuple[str, int]
    source: str
    transport: str = RAW_BUFFER
    server_name: bytes = b""
    protocols: tuple[bytes, ...] = ()


class Chains(Generic[T]):
    """Chains with their conditions. Raises :class:`ChainError`."""

    def __init__(self, chains: Sequence[tuple[FilterChainMatch, T]]) -> None:
        fits = [(Fit(match), chain) for match, chain in chains]
        self._ports = {
            port: tuple((fit, chain) for fit, chain in fits if fit.port == port)
            for port in {fit.port for fit, _ in fits}
        }

    def choose(self, arrival: Arrival) -> T | None:
        """The chain, by Envoy's order: destination port, destination address, server name, transport protocol, application
        protocols, source address. Of each step only what fits best goes on to the next, without a way back (measured on
        Envoy 1.40)."""
        left = self._ports.get(arrival.destination[1]) or self._ports.get(None, ())
        for step in _STEPS:
            ranks = [step(fit, arrival) for fit, _ in left]
            best = max(ranks, default=_NO_FIT)
            if best == _NO_FIT:
                return None
            if best > min(ranks):
                left = tuple(candidate for candidate, rank in zip(left, ranks, strict=True) if rank == best)
        return left[0][1]


class Fit:
    """The conditions of a filter chain. A rank says how closely one fits, -1: not."""

    __slots__ = ("_destinations", "_names", "_protocols", "_sources", "_suffixes", "_transport", "port")

    def __init__(self, match: FilterChainMatch) -> None:
        self.port = match.destination_port
        self._destinations = _networks(match.prefix_ranges)
        self._sources = _networks(match.source_prefix_ranges)
        self._transport = match.transport_protocol
        self._protocols = tuple(name.encode() for name in match.application_protocols)
        names = [name.lower().encode() for name in match.server_names]
        self._names = frozenset(name for name in names if not name.startswith(b"*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith(b"*."))

    def destination_rank(self, arrival: Arrival) -> int:
        """Of the address that was dialled."""
        return _longest(self._destinations, arrival.destination[0])

    def name_rank(self, arrival: Arrival) -> int:
        """Of the server's name: itself, else the longest ``*.suffix``."""
        if not self._names and not self._suffixes:
            return 0
        name = arrival.server_name
        if name in self._names:
            return _EXACT
        # One label at least stands for the star.
        found = (len(suffix) for suffix in self._suffixes if name.endswith(suffix) and len(name) > len(suffix))
        return max(found, default=_NO_FIT)

    def transport_rank(self, arrival: Arrival) -> int:
        """Of whether it is TLS."""
        return 0 if not self._transport else 1 if self._transport == arrival.transport else _NO_FIT

    def protocol_rank(self, arrival: Arrival) -> int:
        """Of the protocols inside: the client's first that some chain names counts."""
        if not self._protocols:
            return 0
        for place, protocol in enumerate(arrival.protocols):
            if protocol in self._protocols:
                return len(arrival.protocols) - place
        return _NO_FIT

    def source_rank(self, arrival: Arrival) -> int:
        """Of the client's address."""
        return _longest(self._sources, arrival.source)


_STEPS: Final[tuple[Callable[[Fit, Arrival], int], ...]] = (
    Fit.destination_rank,
    Fit.name_rank,
    Fit.transport_rank,
    Fit.protocol_rank,
    Fit.source_rank,
)


def _networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in ranges)
    except ValueError as error:
        raise ChainError(str(error)) from None


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None  # a Unix domain socket's


def _longest(networks: tuple[Network, ...], text: str) -> int:
    """Length of the longest prefix that fits, and one; 0 where none is asked for."""
    if not networks:
        return 0
    address = _parsed(text)
    return max((net.prefixlen + 1 for net in networks if address is not None and address in net), default=_NO_FIT)
