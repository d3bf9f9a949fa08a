"""Commands of the host, and processes that are known by id and start time."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from stacks.machines.driver import DriverError

CLONE_NEWNET = 0x40000000


def run(*command: str, check: bool = True, **kwargs: str) -> str:
    """Run a command; its failure is a :class:`DriverError` with its own words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=kwargs.get("stdin"))
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DriverError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout


def start_time(pid: int) -> str:
    """Clock ticks since boot at which the process began; empty when there is none (or only its remains)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def write_pid(path: Path, pid: int) -> None:
    """Note a process."""
    path.write_text(f"{pid} {start_time(pid)}\n")


def read_pid(path: Path) -> int | None:
    """The process that was noted, if it is still the same one."""
    try:
        pid, began = path.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if began and start_time(int(pid)) == began else None


def end(path: Path, seconds: float = 10.0) -> None:
    """End the process that was noted, kindly and then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = read_pid(path)
        if pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while read_pid(path) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
    path.unlink(missing_ok=True)


def enter_network(name: str) -> None:
    """Move the calling thread into a network namespace. Raises :class:`OSError`."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


def socket_in(name: str) -> socket.socket:
    """A TCP socket that lives in a network namespace, made in a thread of its own so that no other code moves there."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter_network(name)
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
