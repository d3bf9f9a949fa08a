"""Who is given which address (Istio, ``pilot/pkg/controllers/ipallocate``). Pure.

An address that was given stays: of two that have the same one the older ServiceEntry keeps it, and what somebody wrote into
a ServiceEntry counts before all. What is new takes the next ones that are free, so that an address which was freed is not
somebody else's at once.
"""

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh_policy import ServiceEntry

Owner = tuple[str, str]
"""Namespace and name of a ServiceEntry."""
Hosts = Mapping[str, tuple[str, ...]]
"""Host to its addresses: one of IPv4 and one of IPv6, as far as there are any left."""
Allocated = Mapping[Owner, Hosts]

LABEL: Final = "networking.istio.io/enable-autoallocate-ip"
"""Label of a ServiceEntry: with ``false`` its hosts are given none."""
NETWORKS: Final = (ipaddress.ip_network("240.240.0.0/16"), ipaddress.ip_network("2001:2::/48"))
"""Where they are from (Istio's defaults): reserved addresses, and such as are for benchmarks."""


@dataclass(slots=True)
class Cursor:
    """The last address that was given, by version of IP, as a number; what is next comes after it."""

    last: dict[int, int] = field(default_factory=dict)

    def copy(self) -> "Cursor":
        """For a plan that nobody carries out."""
        return Cursor(dict(self.last))


def are_given(entry: ServiceEntry) -> bool:
    """Whether hosts of a ServiceEntry are given addresses: it has none of its own, does not refuse them, and does not send to
    the address that was dialled, which would be this one."""
    refused = (entry.metadata.labels or {}).get(LABEL, "").lower() == "false"
    return (entry.spec.resolution or "NONE") != "NONE" and not refused and not entry.spec.addresses


def hosts_of(entry: ServiceEntry) -> tuple[str, ...]:
    """Its hosts that are given some. A wildcard is one host only where names are looked up as they are asked for."""
    if not are_given(entry):
        return ()
    dynamic = entry.spec.resolution == "DYNAMIC_DNS"
    return tuple(dict.fromkeys(host for host in entry.spec.hosts if dynamic or not host.startswith("*")))


def in_status(status: object) -> Hosts:
    """What the status of a ServiceEntry says."""
    found: dict[str, list[str]] = {}
    listed = status.get("addresses") if isinstance(status, Mapping) else None
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping) and (address := _address(str(item.get("value")))) is not None:
            found.setdefault(str(item.get("host") or ""), []).append(address)
    return {host: tuple(addresses) for host, addresses in found.items()}


def to_status(hosts: Hosts) -> list[dict[str, Any]]:
    """The same as the status has it."""
    return [{"value": address, "host": host} for host, addresses in hosts.items() for address in addresses]


def planned(
    entries: Sequence[ServiceEntry], known: Allocated, taken: Iterable[str], cursor: Cursor
) -> dict[Owner, Hosts]:
    """What each ServiceEntry is to have that is given addresses, or had some (``known``) and is to have none any more.
    ``taken`` are addresses that somebody else has. ``cursor`` moves on."""
    used: dict[str, Owner | None] = dict.fromkeys(taken)
    used |= {address: None for entry in entries for address in written(entry)}
    kept: dict[Owner, Hosts] = {}
    ranked = [(_owner(entry), hosts_of(entry)) for entry in sorted(entries, key=_age)]
    for owner, hosts in ranked:
        had = {host: found for host, found in known.get(owner, {}).items() if host in hosts and found}
        own = [address for found in had.values() for address in found]
        if any(used.get(address, owner) != owner for address in own):
            had, own = {}, []  # all of its addresses are others then (Istio)
        used |= dict.fromkeys(own, owner)
        kept[owner] = had
    made: dict[Owner, Hosts] = {}
    for owner, hosts in ranked:
        made[owner] = {host: kept[owner].get(host) or tuple(_next(used, owner, cursor)) for host in hosts}
    return {owner: hosts for owner, hosts in made.items() if hosts or known.get(owner)}


def written(entry: ServiceEntry) -> Iterator[str]:
    """The addresses that somebody wrote into it, without networks."""
    for text in entry.spec.addresses or ():
        if (address := _address(text)) is not None:
            yield address


def _next(used: dict[str, Owner | None], owner: Owner, cursor: Cursor) -> Iterator[str]:
    for network in NETWORKS:
        size = network.num_addresses
        last = cursor.last.get(network.version, 0)
        for step in range(1, min(size, len(used) + 3)):
            place = (last + step) % size
            address = str(network[place])
            if place and address not in used:
                used[address] = owner
                cursor.last[network.version] = place
                yield address
                break


@functools.lru_cache(maxsize=65_536)  # all are asked for at every change of the mesh
def _address(text: str) -> str | None:
    """The one way to write an address; ``None``: it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _owner(entry: ServiceEntry) -> Owner:
    return entry.metadata.namespace, entry.metadata.name


def _age(entry: ServiceEntry) -> tuple[float, str, str]:
    created = entry.metadata.creation_timestamp
    return (created.timestamp() if created is not None else float("inf")), *_owner(entry)
