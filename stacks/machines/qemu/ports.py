"""The ports of loopback by which the host reaches the machines' SSH servers."""

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

from stacks.machines.driver import DriverError
from stacks.machines.system import locked

FILE = "ssh-port"
FIRST, COUNT = 24000, 2000
"""Above those of the stack ``laptop``, which may run beside the machines; below those that the kernel gives to outgoing
connections."""


def free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ensure(state: Path, directory: Path, is_free: Callable[[int], bool] = free) -> int:
    """The port of the machine in ``directory``: the one that it had if that is still free, else another.

    ``state`` is above all environments: no two machines of them get the same. Raises :class:`DriverError`.
    """
    with locked(state):
        mine = known(directory)
        if mine is not None and is_free(mine):
            return mine
        taken = {known(file.parent) for file in state.glob(f"*/*/{FILE}")}
        start = int.from_bytes(hashlib.sha256(str(directory.relative_to(state)).encode()).digest()[:4])
        for step in range(COUNT):
            port = FIRST + (start + step) % COUNT
            if port not in taken and is_free(port):
                (directory / FILE).write_text(f"{port}\n")
                return port
    raise DriverError(f"no port of 127.0.0.1 from {FIRST} to {FIRST + COUNT - 1} is free")


def known(directory: Path) -> int | None:
    """The port that a machine has."""
    try:
        return int((directory / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
