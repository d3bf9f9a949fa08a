"""QEMU's command line. Pure."""

from pathlib import Path

from stacks.machines import addresses
from stacks.machines.driver import MachineSpec
from stacks.machines.qemu import disk, guest, network

PROGRAM = "qemu-system-x86_64"
CONSOLE = "console.log"
_TRANSLATED_MIB = 512
"""Memory for translated code; QEMU's own default is a GiB for each machine."""


def accelerator(kvm: bool) -> list[str]:
    """KVM with the host's processor, or emulation of one that can do all that QEMU can."""
    if kvm:
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread=multi,tb-size={_TRANSLATED_MIB}", "-cpu", "max"]


def machine(spec: MachineSpec, directory: Path, *, ssh_port: int, kvm: bool) -> list[str]:
    """For a machine whose files are in ``directory``; it must be started in the environment's, one above."""
    kernel = "console=ttyS0 root=/dev/vda rootfstype=ext4 rootflags=noatime rw loglevel=4 systemd.show_status=yes"
    if not kvm:
        kernel += " mitigations=off"  # against a processor that is not there
    command = [PROGRAM, "-name", f"{spec.environment}/{spec.name}", "-nodefaults", "-no-user-config"]
    command += [*accelerator(kvm), "-smp", str(spec.cores), "-m", str(spec.memory_mib)]
    command += ["-display", "none", "-serial", f"file:{directory / CONSOLE}", "-device", "virtio-rng-pci"]
    command += ["-kernel", str(directory / disk.KERNEL), "-initrd", str(directory / disk.INITRD), "-append", kernel]
    command += ["-drive", f"file={_value(directory / disk.DISK)},format=raw,if=virtio,discard=unmap"]
    command += ["-netdev", _outside(spec, ssh_port), "-device", _interface("outside", guest.OUTSIDE_HARDWARE_ADDRESS)]
    command += ["-netdev", _machines(spec)]
    return [*command, "-device", _interface("machines", addresses.hardware_address(spec.address))]


def probe(kernel: Path, initrd: Path) -> list[str]:
    """Boots a kernel by KVM up to its first program, with the console on standard output."""
    command = [PROGRAM, "-nodefaults", "-no-user-config", *accelerator(kvm=True), "-m", "512", "-display", "none"]
    command += ["-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initrd)]
    return [*command, "-append", "console=ttyS0 panic=-1"]


def _outside(spec: MachineSpec, ssh_port: int) -> str:
    outside, own = guest.outside_network(spec.cidr), guest.outside_address(spec.cidr)
    forward = f"hostfwd=tcp:127.0.0.1:{ssh_port}-{own}:22"
    return f"user,id=outside,ipv6=off,net={outside},host={outside[2]},dns={outside[3]},{forward}"


def _machines(spec: MachineSpec) -> str:
    own = f"local.type=unix,local.path={network.port(spec.name)}"
    return f"dgram,id=machines,{own},remote.type=unix,remote.path={network.SWITCH}"


def _interface(netdev: str, hardware_address: str) -> str:
    return f"virtio-net-pci,netdev={netdev},mac={hardware_address},romfile="


def _value(path: Path) -> str:
    """A comma within a value is doubled."""
    return str(path).replace(",", ",,")
