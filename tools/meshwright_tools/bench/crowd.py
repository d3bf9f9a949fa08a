"""Clients of a control plane, in some processes (:mod:`meshwright_tools.bench.clients`), and what they have seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from mesh_api.xds.type_urls import ADS_ORDER

from meshwright_tools.bench.measure import CommandError
from meshwright_tools.bench.planes import LIMIT

PROCESSES = 4
"""Of a crowd."""
Names = dict[str, list[str]]
"""What clients ask for by name, by type."""


class Crowd:
    """So many clients, which connect when they are told to."""

    def __init__(self, processes: list[subprocess.Popen[str]], count: int) -> None:
        self._processes = processes
        self._count = count
        self.lost = 0

    def loaded(self) -> None:
        """Returns when all processes have read their programs."""
        for process in self._processes:
            _pipe(process.stdout).readline()

    def connect(self, names: Names, since: float) -> float:
        """Seconds from a moment until each has been sent everything once."""
        for process in self._processes:
            _say(process, json.dumps(names))
        return max(self.until(kind, since) for kind in ADS_ORDER)

    def until(self, kind: str, since: float) -> float:
        """Seconds from a moment until the last client has been sent something of a type."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            answers = [self._ask(process, since) for process in self._processes]
            self.lost = sum(answer["lost"] for answer in answers)
            if sum(answer[kind]["count"] for answer in answers) == self._count:
                return float(max(answer[kind]["last"] for answer in answers)) - since
            time.sleep(0.2)  # asking costs the clients time
        raise CommandError(f"after {LIMIT:g} s not every client has been sent {kind}")

    def _ask(self, process: subprocess.Popen[str], since: float) -> dict[str, Any]:
        _say(process, str(since))
        return dict(json.loads(_pipe(process.stdout).readline()))


@contextmanager
def gathered(address: str, count: int, processes: int = PROCESSES) -> Iterator[Crowd]:
    """Clients for a control plane's address, loaded and not yet connected."""
    command = [sys.executable, "-m", "meshwright_tools.bench.clients", address]
    found: list[subprocess.Popen[str]] = []
    try:
        for number in range(processes):
            share = count // processes
            arguments = [*command, str(count * 10 + number * share), str(share)]
            found.append(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        crowd = Crowd(found, count)
        crowd.loaded()
        yield crowd
    finally:
        for process in found:
            process.kill()
            process.communicate()


def _say(process: subprocess.Popen[str], line: str) -> None:
    pipe = _pipe(process.stdin)
    pipe.write(f"{line}\n")
    pipe.flush()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:  # only without PIPE
        raise CommandError("a process without pipes")
    return pipe
