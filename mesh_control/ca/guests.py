"""How many connections may be there that have proven nothing yet: all, and from one place. Pure.

Whoever joins has no certificate, so the port is open to everybody. One address must not take the places of all others, nor
keep those that it has. Who has proven who they are is counted no more: many proxies may stand behind one address.
"""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

ALL: Final = 10_000
"""Connections at once, proven or not."""
PER_PLACE: Final = 256
"""Connections from one place that have proven nothing; each is there for :data:`PROOF_SECONDS` at most."""
PROOF_SECONDS: Final = 20.0
"""After its handshake, until a connection has to have proven who it is: by its certificate, or by a call with a token."""
TOLD_SECONDS: Final = 60.0
"""Between two lines of the log about what was refused."""


def place_of(address: str) -> str:
    """What is counted as one: an address of IPv4, and 64 bits of IPv6, which one customer, or one machine, has to itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


@dataclass(slots=True)
class Guests:
    """Counts them. Times are seconds of any clock."""

    most: int = ALL
    per_place: int = PER_PLACE
    _all: int = 0
    _unproven: "Counter[str]" = field(default_factory=Counter)
    _refused: "Counter[str]" = field(default_factory=Counter)
    _told: float | None = None

    def enter(self, place: str) -> str:
        """Lets one in; or says, in a word for the metrics, why not."""
        if self._all >= self.most:
            return "all"
        if self._unproven[place] >= self.per_place:
            return "address"
        self._all += 1
        self._unproven[place] += 1
        return ""

    def proven(self, place: str) -> None:
        """One of the place has proven who it is."""
        self._unproven[place] -= 1
        if self._unproven[place] <= 0:
            del self._unproven[place]

    def leave(self, place: str, *, proven: bool) -> None:
        """One has gone."""
        self._all -= 1
        if not proven:
            self.proven(place)

    def refused(self, place: str, reason: str, now: float) -> str:
        """What is to be told of one more that was refused, or ended; mostly nothing, for there may be thousands a second."""
        self._refused[f"{place} ({reason})"] += 1
        if self._told is not None and now - self._told < TOLD_SECONDS:
            return ""
        worst = ", ".join(f"{count} of {who}" for who, count in self._refused.most_common(3))
        total, self._told = self._refused.total(), now
        self._refused.clear()
        return f"{total} connections were refused or ended that proved nothing: {worst}"
