"""Commands of the host, a lock, and processes that are known by id and start time."""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from stacks.machines.driver import DriverError


def run(*command: str, check: bool = True, **kwargs: str) -> str:
    """Run a command; its failure is a :class:`DriverError` with its own words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=kwargs.get("stdin"))
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DriverError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Nobody else who asks for this directory's lock has it meanwhile; the kernel gives it back when its owner dies.

    The descriptor holds it: a child that inherits it holds the lock too, to its own end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


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
        with contextlib.suppress(ChildProcessError):  # where it was ours, its remains
            os.waitpid(pid, os.WNOHANG)
    path.unlink(missing_ok=True)
