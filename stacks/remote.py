"""Commands on the machine of the control plane: over SSH, or here when there are no machines."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class RemoteError(RuntimeError):
    """The machine could not be reached; the message names it and the mend."""


def mesh_here() -> str:
    """Path of our own ``mesh`` command on this very machine: the one beside the Python that runs."""
    return str(Path(sys.executable).with_name("mesh"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


class Remote(Protocol):
    """Where commands run."""

    def run(self, command: Sequence[str], stdin: str = "", seconds: float = 60.0) -> Answer:
        """Run a command to its end; raises :class:`RemoteError` when the place cannot be reached."""
        ...


class Here:
    """This very machine."""

    def run(self, command: Sequence[str], stdin: str = "", seconds: float = 60.0) -> Answer:
        """See :class:`Remote`."""
        return _run(list(command), stdin, seconds, "this machine")


@dataclass(frozen=True, slots=True)
class Ssh:
    """A machine that answers SSH. ``arguments`` are those of the machine's driver, the key among them."""

    name: str
    address: str
    port: int
    user: str
    arguments: tuple[str, ...]

    def run(self, command: Sequence[str], stdin: str = "", seconds: float = 60.0) -> Answer:
        """Run as root, by sudo; see :class:`Remote`."""
        ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *self.arguments, "-p", str(self.port)]
        answer = _run(
            [*ssh, f"{self.user}@{self.address}", "sudo", "-n", shlex.join(command)], stdin, seconds, self.name
        )
        if answer.code == 255:  # ssh's own failure
            raise RemoteError(
                f"machine {self.name} ({self.address}:{self.port}) cannot be reached: {answer.err.strip()}"
            )
        return answer


def _run(command: list[str], stdin: str, seconds: float, where: str) -> Answer:
    try:
        done = subprocess.run(
            command, input=stdin.encode(), capture_output=True, timeout=seconds, check=False, env=dict(os.environ)
        )
    except subprocess.TimeoutExpired:
        raise RemoteError(f"{where}: no answer within {seconds:.0f} s to `{shlex.join(command[-6:])}`") from None
    return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def connect(place: Mapping[str, Any]) -> Remote:
    """The place that a stack's values describe: ``{"kind": "here"}`` or ``{"kind": "ssh", "name": ..., ...}``."""
    if place["kind"] == "here":
        return Here()
    return Ssh(place["name"], place["address"], int(place["port"]), place["user"], tuple(place["arguments"]))
