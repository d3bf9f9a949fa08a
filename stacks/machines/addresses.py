"""Addresses in the network of an environment's machines."""

import ipaddress


def hardware_address(address: str) -> str:
    """A fixed address for a machine's interface: a changed one would leave stale neighbours behind for half a minute."""
    return "02:77:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def gateway(cidr: str) -> str:
    """The host's end of a network: its first address."""
    return str(next(ipaddress.ip_network(cidr).hosts()))


def prefix(cidr: str) -> int:
    """Length of the network's prefix."""
    return ipaddress.ip_network(cidr).prefixlen
