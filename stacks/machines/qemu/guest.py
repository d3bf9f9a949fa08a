"""What a virtual machine's file system says of its networks. Pure."""

import ipaddress
from ipaddress import IPv4Address, IPv4Network

from stacks.machines import addresses, identity
from stacks.machines.driver import MachineSpec

OUTSIDE_HARDWARE_ADDRESS = "02:76:00:00:00:01"
"""Of the interface to the outside; each machine is alone in that network, so all may have the same."""
OUTSIDE_NETWORKS = (IPv4Network("10.0.2.0/24"), IPv4Network("192.168.202.0/24"))


def outside_network(cidr: str) -> IPv4Network:
    """A range for the network to the outside that the machines' own does not touch."""
    own = ipaddress.ip_network(cidr)
    return next(network for network in OUTSIDE_NETWORKS if not network.overlaps(own))


def outside_address(cidr: str) -> IPv4Address:
    """The machine's own address there; the host's end and the name server are QEMU's second and third."""
    return outside_network(cidr)[15]


def files(spec: MachineSpec) -> dict[str, str]:
    """Text by path."""
    network = outside_network(spec.cidr)
    # Written down rather than asked for by DHCP: an emulated machine boots seconds earlier.
    outside = {
        "Match": {"MACAddress": OUTSIDE_HARDWARE_ADDRESS},
        "Network": {
            "Address": f"{outside_address(spec.cidr)}/{network.prefixlen}",
            "Gateway": str(network[2]),
            "LinkLocalAddressing": "no",
        },
    }
    machines = {
        "Match": {"MACAddress": addresses.hardware_address(spec.address)},
        "Network": {"Address": f"{spec.address}/{addresses.prefix(spec.cidr)}", "LinkLocalAddressing": "no"},
    }
    return {
        "etc/hosts": identity.hosts(spec),
        "etc/resolv.conf": f"nameserver {network[3]}\n",
        "etc/systemd/network/10-outside.network": _unit(outside),
        "etc/systemd/network/20-machines.network": _unit(machines),
    }


def _unit(sections: dict[str, dict[str, str]]) -> str:
    return "\n".join(
        "".join([f"[{title}]\n", *(f"{key}={value}\n" for key, value in section.items())])
        for title, section in sections.items()
    )
