"""Processes that outlive whoever starts them, at most one for each pid file.

``python -m stacks.machines.daemon PID_FILE DIRECTORY COMMAND...`` takes the pid file's lock, notes itself in it and becomes
the command, which holds the lock to its end. So two starters at once start one process, and a starter that is killed at
any moment leaves none behind that nobody knows of.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stacks.machines.system import read_pid, write_pid

ROOT = Path(__file__).resolve().parents[2]
"""Where ``python -m stacks...`` works."""
NOTED_SECONDS = 10.0
"""How long a starter that came second waits for the first one's note."""


def start(pid_file: Path, command: Sequence[str], *, log: Path, directory: Path = ROOT) -> None:
    """Have the command running in ``directory``, its output in ``log``; nothing happens when it runs already.

    Whether it lives on is for the caller to see: by :func:`~stacks.machines.system.read_pid`.
    """
    if read_pid(pid_file) is not None:
        return
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stacks.machines.daemon", str(pid_file), str(directory), *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while process.poll() is None and read_pid(pid_file) != process.pid:
        time.sleep(0.02)


def main() -> None:
    """Become the command; returns only when another process is it already."""
    pid_file, directory, *command = sys.argv[1:]
    lock = _lock(Path(pid_file))
    if lock is None:
        deadline = time.monotonic() + NOTED_SECONDS
        while read_pid(Path(pid_file)) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return
    write_pid(Path(pid_file), os.getpid())
    os.set_inheritable(lock, True)
    os.chdir(directory)
    os.execvp(command[0], command)  # noqa: S606 (no shell is what is wanted)


def _lock(pid_file: Path) -> int | None:
    """A descriptor that holds the lock; ``None`` when another process has it."""
    while True:
        descriptor = os.open(pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # the file was taken away in between: its lock binds nobody


if __name__ == "__main__":
    main()
