"""Waits until a machine that was started answers, and says what it does meanwhile."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from stacks.machines.driver import DriverError
from stacks.machines.qemu import command
from stacks.machines.system import end, read_pid

LOG = "qemu.log"
SECONDS = 180.0
EMULATED_SECONDS = 900.0
"""Several at once on a busy host take minutes."""
NEWS_SECONDS = 15.0
PANIC = "Kernel panic"
TAIL = 2000
_COLOURS = re.compile("\x1b\\[[0-9;?]*[a-zA-Z]|[\r\x07]|\x1b[()][A-Z0-9]")


def await_ssh(
    name: str, directory: Path, address: tuple[str, int], *, seconds: float, say: Callable[[str], None]
) -> None:
    """Return when the SSH server of the machine in ``directory`` has said its name at ``address``.

    Raises :class:`DriverError` with the ends of QEMU's and the console's logs when QEMU ends, the kernel panics, or the time
    is up.
    """
    begun = said = time.monotonic()
    while not speaks_ssh(address):
        if read_pid(directory / "qemu.pid") is None:
            raise DriverError(f"machine {name} did not start; {logs(directory)}")
        if PANIC in tail(directory / command.CONSOLE):
            end(directory / "qemu.pid")
            raise DriverError(f"the kernel of machine {name} panicked; {logs(directory)}")
        now = time.monotonic()
        if now - begun > seconds:
            raise DriverError(f"machine {name} runs and does not answer SSH within {seconds:.0f} s; {logs(directory)}")
        if now - said > NEWS_SECONDS:
            said = now
            say(f"still boots: {last_line(directory / command.CONSOLE)}")
        time.sleep(0.2)


def speaks_ssh(address: tuple[str, int]) -> bool:
    """Whether an SSH server speaks there. That the connection is taken means nothing: QEMU takes it for the machine."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=2) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b"SSH-"
    return False


def logs(directory: Path) -> str:
    """The ends of what QEMU and the console said, with their files."""
    files = [directory / name for name in (LOG, command.CONSOLE)]
    return "\n".join(f"the end of {file}:\n{tail(file).strip()}" for file in files)


def last_line(console: Path) -> str:
    """The last line of a console that is not empty."""
    lines = [line.strip() for line in tail(console).splitlines()]
    return next((line for line in reversed(lines) if line), "nothing on its console yet")


def tail(file: Path) -> str:
    """The end of a file, without the colours; empty when there is none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - TAIL))
            return _COLOURS.sub("", log.read().decode(errors="replace"))
    except FileNotFoundError:
        return ""
