"""Finds the Python that the environment is made of."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from meshwright_tools.progress import StepError

OLDEST = (3, 11)
PREFERRED = ("3.11", "3.12", "3.13", "3.14")
"""Names tried after ``python3``, oldest first: hosts of the stacks run Debian 12's 3.11."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs."""

    path: str
    version: str
    """Such as ``3.11.7``."""
    has_venv: bool
    """Whether ``python -m venv`` can make an environment with pip (Debian keeps that in a package of its own)."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version's first two numbers."""
        return tuple(int(part) for part in self.version.split(".")[:2])


PROBE = """
import importlib.util, sys
print(sys.executable)
print("%d.%d.%d" % sys.version_info[:3])
print(all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")))
"""


def probe(command: str) -> Interpreter | None:
    """Run a candidate; None when it does not run (pyenv leaves such on PATH for versions that are not chosen)."""
    try:
        done = subprocess.run([command, "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split("\n")
    if done.returncode or len(lines) < 3:
        return None
    return Interpreter(path=lines[0], version=lines[1], has_venv=lines[2] == "True")


def candidates(environment: Mapping[str, str]) -> Iterator[str]:
    """Where a suitable Python may be, the best first."""
    yield "python3"
    for version in PREFERRED:
        yield f"python{version}"
    yield "/usr/bin/python3"
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in PREFERRED:
        for home in sorted(pyenv.glob(f"{version}.*")):
            yield str(home / "bin" / "python3")


def find(environment: Mapping[str, str] = os.environ, exactly: str | None = None) -> Interpreter:
    """The Python to use: ``$PYTHON`` if set (an unsuitable one is an error), else the first that is new enough.

    ``exactly`` asks for one minor version, such as ``3.13``.
    """
    asked = environment.get("PYTHON")
    if asked and exactly is None:
        found = probe(asked)
        if found is None or found.numbers < OLDEST:
            what = f"is Python {found.version}" if found else "does not run"
            raise StepError(f"PYTHON={asked} {what}; a Python >= 3.11 is needed. Set PYTHON to one, or unset it.")
        return found
    for name in candidates(environment):
        path = shutil.which(name, path=environment.get("PATH"))
        found = probe(path) if path else None
        if found is None or found.numbers < OLDEST:
            continue
        if exactly is None or found.version.startswith(exactly + "."):
            return found
    raise StepError(
        f"No Python {exactly or '>= 3.11'} was found. On Debian 12 or newer: apt-get install python3 python3-venv;"
        " elsewhere install one (pyenv does) and set PYTHON=/path/to/python3."
    )
