"""In how many ways a port of an application takes connections: with mutual TLS or without, HTTP or bytes (Istio)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh_api.config import FilterChain, ListenerFilter, ListenerFilterExemption
from mesh_control.compiler import defaults, tls
from mesh_control.compiler.peer_authentication import TlsMode
from mesh_control.services import Protocol

RAW, TLS = "raw_buffer", "tls"
"""What the inspector of TLS calls a connection."""


@dataclass(frozen=True, slots=True)
class ChainKind:
    """One way: connections of this transport and of these application protocols (none: whatever is left).

    ``terminates``: mutual TLS ends here; otherwise TLS is passed on as bytes.
    """

    http: bool
    transport: str
    application: tuple[str, ...] = ()
    terminates: bool = False


_HTTP = {
    TlsMode.STRICT: (ChainKind(True, TLS, terminates=True),),
    TlsMode.PERMISSIVE: (ChainKind(True, TLS, tls.MUTUAL_ANY, terminates=True), ChainKind(True, RAW)),
    TlsMode.DISABLE: (ChainKind(True, RAW),),
}
_TCP = {
    TlsMode.STRICT: (ChainKind(False, TLS, terminates=True),),
    TlsMode.PERMISSIVE: (
        ChainKind(False, TLS, tls.MUTUAL_ANY, terminates=True),
        ChainKind(False, TLS),
        ChainKind(False, RAW),
    ),
    TlsMode.DISABLE: (ChainKind(False, RAW),),
}
_AUTO = {
    TlsMode.STRICT: (
        ChainKind(True, TLS, tls.MUTUAL_HTTP, terminates=True),
        ChainKind(False, TLS, terminates=True),
    ),
    TlsMode.PERMISSIVE: (
        ChainKind(True, TLS, tls.MUTUAL_HTTP, terminates=True),
        ChainKind(True, RAW, defaults.HTTP_PROTOCOLS),
        ChainKind(False, TLS, tls.MUTUAL_TCP, terminates=True),
        ChainKind(False, RAW),
        ChainKind(False, TLS),
    ),
    TlsMode.DISABLE: (ChainKind(True, RAW, defaults.HTTP_PROTOCOLS), ChainKind(False, RAW)),
}


def kinds(mode: TlsMode, protocol: Protocol | None) -> tuple[ChainKind, ...]:
    """The ways for a port; without a protocol it is found out from the first bytes."""
    if protocol is None:
        return _AUTO[mode]
    return (_HTTP if protocol.is_http else _TCP)[mode]


def inspectors(
    chains: Sequence[FilterChain],
) -> tuple[tuple[ListenerFilter, ...], tuple[ListenerFilterExemption, ...]]:
    """What has to look into connections for these chains, and the ports on which it has not.

    Port 0 stands for all that have no chain of their own.
    """
    by_port: dict[int, tuple[bool, bool]] = {0: (False, False)}
    for chain in chains:
        port, match = chain.match.destination_port or 0, chain.match
        secured, spoken = by_port.get(port, (False, False))
        spoken = spoken or not set(defaults.HTTP_PROTOCOLS).isdisjoint(match.application_protocols)
        by_port[port] = secured or match.transport_protocol == TLS, spoken
    found: list[ListenerFilter] = []
    exempt: list[ListenerFilterExemption] = []
    for place, inspector in enumerate((ListenerFilter.TLS_INSPECTOR, ListenerFilter.HTTP_INSPECTOR)):
        wanted = {port: needs[place] for port, needs in by_port.items()}
        if not any(wanted.values()):
            continue
        found.append(inspector)
        exemption = _exemption(inspector, wanted)
        if exemption is not None:
            exempt.append(exemption)
    return tuple(found), tuple(exempt)


def _exemption(inspector: ListenerFilter, wanted: dict[int, bool]) -> ListenerFilterExemption | None:
    """Where ports without a chain of their own are not looked into, only the ports that are get named (for TLS)."""
    inverted = inspector is ListenerFilter.TLS_INSPECTOR and not wanted[0]
    ports = sorted(port for port, needs in wanted.items() if needs is inverted and (port or not inverted))
    if inspector is ListenerFilter.TLS_INSPECTOR:
        ports = [port for port in ports if port]
    ranges = tuple((port, port + 1) for port in ports)
    return ListenerFilterExemption(inspector, ranges, invert=inverted) if ranges else None
