"""The network between an environment's machines: a switch (:mod:`~stacks.machines.qemu.switch`) that runs beside them."""

import sys
from pathlib import Path

from stacks.machines import daemon
from stacks.machines.system import end

SWITCH = "switch.sock"
"""The switch's end. Sockets are named relative to the environment's directory: their names have at most 107 bytes."""
PORT_SUFFIX = ".port"
_PID = "switch.pid"


def port(name: str) -> str:
    """A machine's end."""
    return f"{name}{PORT_SUFFIX}"


def ensure(directory: Path) -> None:
    """Have the switch running in the environment's directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)  # keys are in the disks, and whoever reaches the sockets is in the network
    command = [sys.executable, "-m", "stacks.machines.qemu.switch", str(directory)]
    daemon.start(directory / _PID, command, log=directory / "switch.log")


def delete(directory: Path) -> None:
    """End the switch."""
    end(directory / _PID)
