"""The network: a bridge in a namespace of its own, a cable to each machine, nothing of the host's own network touched."""

from stacks.machines import addresses
from stacks.machines.driver import MachineSpec, NetworkSpec
from stacks.machines.namespaces import names
from stacks.machines.system import run

BRIDGE = "br0"


def ensure(network: NetworkSpec) -> None:
    """Have the bridge."""
    namespace = names.bridge_namespace(network.environment)
    if not names.namespace_path(namespace).exists():
        run("ip", "netns", "add", namespace)
    links = run("ip", "-n", namespace, "-o", "link", "show")
    if f": {BRIDGE}:" not in links:
        run("ip", "-n", namespace, "link", "add", BRIDGE, "type", "bridge")
    address = f"{addresses.gateway(network.cidr)}/{addresses.prefix(network.cidr)}"
    if f" {address} " not in run("ip", "-n", namespace, "-o", "addr", "show", "dev", BRIDGE):
        run("ip", "-n", namespace, "addr", "add", address, "dev", BRIDGE)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "link", "set", BRIDGE, "up")


def delete(environment: str) -> None:
    """Take the bridge away."""
    _delete_namespace(names.bridge_namespace(environment))


def plug_in(machine: MachineSpec) -> None:
    """A fresh namespace for a machine with a cable to the bridge; one left over would keep old packet filter tables."""
    unplug(machine.environment, machine.name)
    own = names.machine_namespace(machine.environment, machine.name)
    bridge = names.bridge_namespace(machine.environment)
    cable = names.link(machine.environment, machine.name)
    run("ip", "netns", "add", own)
    hardware = addresses.hardware_address(machine.address)
    peer = ("peer", "name", "eth0", "address", hardware, "netns", own)
    run("ip", "link", "add", cable, "netns", bridge, "type", "veth", *peer)
    run("ip", "-n", bridge, "link", "set", cable, "master", BRIDGE, "up")
    run("ip", "-n", own, "link", "set", "lo", "up")
    run("ip", "-n", own, "addr", "add", f"{machine.address}/{addresses.prefix(machine.cidr)}", "dev", "eth0")
    run("ip", "-n", own, "link", "set", "eth0", "up")
    run("ip", "-n", own, "route", "add", "default", "via", addresses.gateway(machine.cidr))


def unplug(environment: str, name: str) -> None:
    """Take a machine's namespace away; its cable goes with it."""
    _delete_namespace(names.machine_namespace(environment, name))
    # Where processes keep the namespace alive a moment longer, its cable must not stand in the way of the next one.
    run("ip", "-n", names.bridge_namespace(environment), "link", "del", names.link(environment, name), check=False)


def _delete_namespace(name: str) -> None:
    if names.namespace_path(name).exists():
        run("ip", "netns", "del", name)
