"""Rules of nftables by which a pod's connections come to its proxy, as Istio's init container makes them. Pure but for
:func:`apply`.

The pod has its own network, so the rules name no addresses of it; they are gone with the pod.
"""

import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_api import pod

EVERY: Final = "*"
TABLE: Final = "meshwright"
OWN_PORTS: Final = (pod.MERGED, pod.READY, pod.STATS)
"""Ports on which the proxy itself answers others."""
PROGRAM: Final = "/usr/sbin/nft"
IPV6: Final = Path("/proc/net/if_inet6")


class RedirectError(Exception):
    """The rules could not be made; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """What comes to the proxy. ``inbound_ports`` and ``outbound_ranges`` are :data:`EVERY` or a list; what is excluded goes
    past the proxy, whatever is listed. ``user`` is whom the proxy runs as."""

    inbound_ports: str | tuple[int, ...] = EVERY
    excluded_inbound_ports: tuple[int, ...] = ()
    outbound_ranges: str | tuple[str, ...] = EVERY
    excluded_outbound_ranges: tuple[str, ...] = ()
    excluded_outbound_ports: tuple[int, ...] = ()
    outbound_ports: tuple[int, ...] = ()
    """Ports that come to the proxy wherever they lead, besides the ranges."""
    user: int = pod.PROXY_USER


def ports(text: str) -> str | tuple[int, ...]:
    """``*``, or ports with commas. Raises :class:`ValueError`, which quotes what is none."""
    if text.strip() == EVERY:
        return EVERY
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if not part.isdigit() or not 0 < int(part) < 65536:
            raise ValueError(f"{part!r} is no port")
        found.append(int(part))
    return tuple(sorted(set(found)))


def ranges(text: str) -> str | tuple[str, ...]:
    """``*``, or networks with commas. Raises :class:`ValueError`, which quotes what is none."""
    if text.strip() == EVERY:
        return EVERY
    parts = filter(None, (part.strip() for part in text.split(",")))
    return tuple(sorted({str(ipaddress.ip_network(part, strict=False)) for part in parts}))


def rules(redirect: Redirect, *, ipv6: bool) -> str:
    """The script for ``nft -f``: it makes the tables anew, whatever is there."""
    family = [*_fresh("ip"), *_inbound(redirect), *_outbound(redirect), "}"]
    if ipv6:
        family += [*_fresh("ip6"), *_refused(redirect), "}"]
    return "\n".join(family) + "\n"


def _fresh(family: str) -> list[str]:
    name = f"table {family} {TABLE}"
    return [name, f"delete {name}", f"{name} {{"]


def _inbound(redirect: Redirect) -> list[str]:
    skipped = sorted({*OWN_PORTS, *redirect.excluded_inbound_ports})
    chain = ["chain inbound {", "type nat hook prerouting priority dstnat; policy accept;"]
    chain += [f"tcp dport {_set(skipped)} return"]
    if redirect.inbound_ports == EVERY:
        chain += [f"meta l4proto tcp counter redirect to :{pod.INBOUND}"]
    elif redirect.inbound_ports:
        chain += [f"tcp dport {_set(redirect.inbound_ports)} counter redirect to :{pod.INBOUND}"]
    return [*chain, "}"]


def _outbound(redirect: Redirect) -> list[str]:
    user = redirect.user
    chain = [
        "chain outbound {",
        "type nat hook output priority -100; policy accept;",
        # The proxy's own connection to its application.
        f"ip saddr {pod.LOOP_BREAKER} return",
        # The application called its own service, and the proxy chose this very pod: in again, through the proxy.
        f'oifname "lo" ip daddr != 127.0.0.1 meta skuid {user} meta l4proto tcp counter redirect to :{pod.INBOUND}',
        # The application talks to itself without the mesh.
        f'oifname "lo" meta skuid != {user} return',
        f"meta skuid {user} return",
        f"meta skgid {user} return",
        "ip daddr 127.0.0.1 return",
    ]
    if redirect.excluded_outbound_ports:
        chain += [f"tcp dport {_set(redirect.excluded_outbound_ports)} return"]
    excluded = [network for network in redirect.excluded_outbound_ranges if ":" not in network]
    if excluded:
        chain += [f"ip daddr {_set(excluded)} return"]
    if redirect.outbound_ports:
        chain += [f"tcp dport {_set(redirect.outbound_ports)} counter redirect to :{pod.OUTBOUND}"]
    if redirect.outbound_ranges == EVERY:
        chain += [f"meta l4proto tcp counter redirect to :{pod.OUTBOUND}"]
    else:
        included = [network for network in redirect.outbound_ranges if ":" not in network]
        if included:
            chain += [f"ip daddr {_set(included)} meta l4proto tcp counter redirect to :{pod.OUTBOUND}"]
    return [*chain, "}"]


def _refused(redirect: Redirect) -> list[str]:
    """The proxy takes IPv4. By IPv6 nothing goes past it: that is refused at once, and clients take the other address."""
    skipped = sorted({*OWN_PORTS, *redirect.excluded_inbound_ports})
    listed = redirect.inbound_ports
    reject = "counter reject with tcp reset"
    inbound = ["chain inbound {", "type filter hook input priority filter; policy accept;", 'iifname "lo" return']
    inbound += [f"tcp dport {_set(skipped)} return", "ct state established,related return"]
    if listed == EVERY:
        inbound += [f"meta l4proto tcp {reject}"]
    elif listed:
        inbound += [f"tcp dport {_set(listed)} {reject}"]
    outbound = ["chain outbound {", "type filter hook output priority filter; policy accept;", 'oifname "lo" return']
    outbound += [f"meta skuid {redirect.user} return", "ct state established,related return"]
    if redirect.excluded_outbound_ports:
        outbound += [f"tcp dport {_set(redirect.excluded_outbound_ports)} return"]
    excluded = [network for network in redirect.excluded_outbound_ranges if ":" in network]
    if excluded:
        outbound += [f"ip6 daddr {_set(excluded)} return"]
    if redirect.outbound_ranges == EVERY:
        outbound += [f"meta l4proto tcp {reject}"]
    return [*inbound, "}", *outbound, "}"]


def _set(values: Sequence[object]) -> str:
    return "{ " + ", ".join(map(str, values)) + " }"


def apply(redirect: Redirect) -> None:
    """Put the rules in force in this network. Raises :class:`RedirectError`."""
    script = rules(redirect, ipv6=IPV6.exists())
    try:
        done = subprocess.run([PROGRAM, "-f", "-"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RedirectError(f"{PROGRAM}: {error.strerror}; it belongs into the image") from None
    if done.returncode:
        mend = "it needs the capability NET_ADMIN, and a kernel with nftables"
        raise RedirectError(f"the redirect cannot be made: {done.stderr.strip()}; {mend}")
