"""How long a command takes: wall and CPU time of a process and its children, and commands against each other in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of each run of one command."""

    wall: list[float]
    cpu: list[float]

    @property
    def best(self) -> float:
        """Wall time of the quickest run: what the others took beyond it is the machine's, not the command's."""
        return min(self.wall)

    @property
    def best_cpu(self) -> float:
        """CPU time of the run that used the least."""
        return min(self.cpu)

    @property
    def median(self) -> float:
        """Wall time of the run in the middle."""
        return statistics.median(self.wall)


class CommandError(RuntimeError):
    """A command that was to be measured failed."""


def in_turns(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str], allowed: Sequence[int] = (0,)
) -> dict[str, Times]:
    """Run every command once for warmth, then all of them by turns, so that a busy machine is busy for each alike."""
    for command in commands.values():
        _once(command, environment, allowed)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(_once(command, environment, allowed))
    return {name: Times([wall for wall, _ in found], [cpu for _, cpu in found]) for name, found in runs.items()}


def _once(command: Sequence[str], environment: Mapping[str, str], allowed: Sequence[int]) -> tuple[float, float]:
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        raise CommandError(f"{' '.join(command)} ended with {process.returncode}: {said[-500:]}")
    return wall, usage.ru_utime + usage.ru_stime
