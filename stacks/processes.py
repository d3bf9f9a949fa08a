"""Plain processes that outlive the command that started them: the machine driver ``processes``.

Each is kept by a keeper (``python -m stacks.processes SPEC``), a process of its own session that starts it again when it
dies and ends it on SIGTERM. A keeper is known by its id and its start time, so a reused id is never mistaken for ours.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BACK_OFF = (0.2, 5.0)
"""First and longest pause before a dead process is started again, in seconds."""
LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1


class ProcessError(RuntimeError):
    """A process could not be started; the message names it and its log."""


def start(state: Path, spec: Mapping[str, Any], seconds: float = 60.0) -> None:
    """Write the files of a process, start its keeper and wait until it is ready.

    ``spec``: ``name``, ``command`` (list), ``environment``, ``files`` (path to text), ``ready`` (URL or empty), ``ports`` (of
    loopback, that it takes). One that runs already with the same spec is left alone; one with another spec is ended first.
    Raises :class:`ProcessError`, before anything is written when somebody else holds a port.
    """
    name = str(spec["name"])
    if (
        running(state, name)
        and _spec_file(state, name).exists()
        and json.loads(_spec_file(state, name).read_text()) == spec
    ):
        return _await_ready(state, spec, seconds)
    stop(state, name)
    _check_ports(name, [int(port) for port in spec["ports"]])
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, text in spec["files"].items():
        _write_private(Path(path), str(text))
    _write_private(_spec_file(state, name), json.dumps(spec))
    with _log_file(state, name).open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "stacks.processes", str(_spec_file(state, name))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path(__file__).resolve().parent.parent,
        )
    _write_private(_pid_file(state, name), f"{keeper.pid} {_start_time(keeper.pid)}\n")
    try:
        return _await_ready(state, spec, seconds)
    except ProcessError:
        stop(state, name)  # nothing half-made stays behind
        raise


def _check_ports(name: str, ports: Sequence[int]) -> None:
    taken = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                taken.append(str(port))
    if taken:
        raise ProcessError(
            f"{name} needs port {', '.join(taken)} of {LOOPBACK}, which another program holds (`ss -lntp` tells which); stop "
            f"that, or choose other ports in the stack's configuration (docs/reference/environment.md)"
        )


def stop(state: Path, name: str, seconds: float = 15.0) -> None:
    """End a process and its keeper, first kindly; nothing happens when it does not run."""
    pid = _pid(state, name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while _pid(state, name) is not None and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.05)
        if _pid(state, name) is not None:
            os.killpg(pid, signal.SIGKILL)
            _reap(pid)
    for file in (_pid_file(state, name), _spec_file(state, name)):
        file.unlink(missing_ok=True)


def running(state: Path, name: str) -> bool:
    """Whether the keeper of the process runs."""
    return _pid(state, name) is not None


def remove(state: Path) -> None:
    """Remove the directory with all files, logs and state; every process must have ended."""
    shutil.rmtree(state, ignore_errors=True)


def _await_ready(state: Path, spec: Mapping[str, Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        if not running(state, str(spec["name"])):
            raise ProcessError(f"{spec['name']} does not run; its log is {_log_file(state, str(spec['name']))}")
        if not spec["ready"] or _answers(str(spec["ready"])):
            return
        if time.monotonic() > deadline:
            log = _log_file(state, str(spec["name"]))
            raise ProcessError(f"{spec['name']} was not ready within {seconds:.0f} s; its log is {log}:\n{_last(log)}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own loopback URL)
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _last(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""


def _pid_file(state: Path, name: str) -> Path:
    return state / f"{name}.pid"


def _spec_file(state: Path, name: str) -> Path:
    return state / f"{name}.spec"


def _log_file(state: Path, name: str) -> Path:
    return state / f"{name}.log"


def _pid(state: Path, name: str) -> int | None:
    try:
        pid, began = _pid_file(state, name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == began else None


def _start_time(pid: int) -> str:
    """When the process began, in the system's own words; empty when there is none (or only its remains)."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, began = found.partition(" ")
    return "" if not found or state.startswith("Z") else began.strip().replace(" ", "_")


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


class Keeper:
    """Keeps one process running until it is told to end."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False

    def run(self) -> int:
        """Start the process, again whenever it dies, until SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        pause = BACK_OFF[0]
        while not self._ending:
            began = time.monotonic()
            environment = os.environ | dict(self._spec["environment"])
            self._process = subprocess.Popen(
                self._spec["command"], env=environment, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
            )
            code = self._process.wait()
            if not self._ending:
                sys.stderr.write(f"{self._spec['name']} ended with {code}; it is started again\n")
                pause = BACK_OFF[0] if time.monotonic() - began > 10 else min(pause * 2, BACK_OFF[1])
                time.sleep(pause)
        return 0

    def _end(self, _signal: int, _frame: object) -> None:
        self._ending = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


def _die_with_parent() -> None:
    """Where the kernel can: the process ends when its keeper is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(Keeper(json.loads(Path(sys.argv[1]).read_text())).run())
