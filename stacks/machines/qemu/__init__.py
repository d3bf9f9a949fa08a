"""Virtual machines by QEMU: by KVM where a boot probe passes (:mod:`~stacks.machines.qemu.kvm`), else emulated.

Each has a kernel of its own. It reaches the outside through QEMU's user-mode network, where the host reaches its SSH server
by a port of loopback, and the other machines of its environment through a switch (:mod:`~stacks.machines.qemu.switch`).
"""

from stacks.machines.qemu.machines import QemuDriver

__all__ = ["QemuDriver"]
