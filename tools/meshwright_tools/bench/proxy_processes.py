"""The processes of ``make bench``: Envoy, our proxy in both forms, the application behind them and who asks.

What a proxy costs is read of its own processes alone: user and system time in ``/proc/PID/stat``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwright_tools.bench.measure import CommandError

SOURCES = Path(__file__).parent / "programs"
_TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0


@dataclass(frozen=True)
class Programs:
    """Ours, made with the C compiler that the compiled wheel needs as well."""

    load: Path
    origin: Path


def build(folder: Path) -> Programs:
    """Compile both. Raises :class:`CommandError` without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CommandError("a C compiler is missing (Debian: apt-get install gcc libc6-dev)")
    for name in ("load", "origin"):
        command = [compiler, "-O2", "-o", str(folder / name), str(SOURCES / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandError(f"{name}.c: {done.stderr[-2000:]}")
    return Programs(folder / "load", folder / "origin")


def free_port() -> int:
    """One that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A program on some cores, until it is closed. Use as a context manager."""

    def __init__(
        self,
        command: Sequence[object],
        cores: set[int],
        log: Path,
        environment: Mapping[str, str] | None = None,
        **pipes: Any,
    ) -> None:
        def pin() -> None:
            os.sched_setaffinity(0, cores)

        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **(environment or {})},
                preexec_fn=pin,
                stdout=pipes.get("stdout", output),
                stdin=pipes.get("stdin", subprocess.DEVNULL),
                stderr=output,
                cwd=log.parent,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def until_open(self, port: int) -> None:
        """Wait until somebody listens there. Raises :class:`CommandError`."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise CommandError(f"{self.process.args!r} does not serve: {self._log.read_text(errors='replace')[-2000:]}")

    def family(self) -> list[int]:
        """It and its children."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]

    def cpu(self) -> float:
        """Microseconds that it and its children have used."""
        return sum(_cpu(pid) for pid in self.family())

    def resident(self) -> float:
        """MB of memory of the process that moves the traffic: the worker, or Envoy itself."""
        text = Path(f"/proc/{self.family()[-1]}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1000


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


@dataclass(frozen=True)
class Answered:
    """What the load saw: requests, and of those at a rate the latency in microseconds."""

    requests: int
    p50: int = 0
    p99: int = 0


@dataclass(frozen=True)
class Load:
    """What is asked: see ``programs/load.c``. ``last`` is its last word."""

    kind: str
    requests: Path
    connections: int
    last: int = 1

    def command(self, programs: Programs, port: int, seconds: float) -> list[object]:
        """The program's."""
        return [programs.load, self.kind, port, self.requests, self.connections, seconds, self.last]

    def run(self, programs: Programs, port: int, seconds: float, cores: set[int], log: Path) -> Answered:
        """For so long. Raises :class:`CommandError` when a request fails: what is not answered must not count as fast."""
        asking = Process(self.command(programs, port, seconds), cores, log, stdout=subprocess.PIPE)
        with asking:
            said, _ = asking.process.communicate(timeout=seconds + _PATIENCE)
        if asking.process.returncode:
            raise CommandError(f"the load ended with {asking.process.returncode}: {log.read_text()[-1000:]}")
        found = json.loads(said)
        if found["failed"] or found["lost"] or not found["requests"]:
            raise CommandError(f"requests failed: {found}")
        return Answered(found["requests"], found["p50"], found["p99"])


class Standing:
    """Connections that have made a request each, and stay. Use as a context manager."""

    def __init__(self, load: Load, programs: Programs, port: int, cores: set[int], log: Path) -> None:
        command = load.command(programs, port, 0)
        self._process = Process(command, cores, log, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        output = self._process.process.stdout
        found = json.loads(output.readline() or "null") if output is not None else None
        if not found or found["failed"] or found["lost"]:
            self._process.__exit__()
            raise CommandError(f"connections failed: {found}")

    def __enter__(self) -> Standing:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__()
