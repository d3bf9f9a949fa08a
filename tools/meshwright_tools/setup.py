"""``tools/setup``: from a fresh machine to everything that the make targets need. Running it again takes a moment."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from meshwright_tools import pulumi_cli, python_environment, pythons, system_packages
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.python_environment import EnvironmentSpec

PARTS = ("system", "python", "pulumi")


def project_environment(checkout: Checkout, path: Path) -> EnvironmentSpec:
    """The environment of everything, with the project and its demo installed as editable."""
    projects = [
        directory for directory in (checkout.root, checkout.root / "examples" / "demo") if _is_project(directory)
    ]
    return EnvironmentSpec(path, checkout.requirements / "all.txt", tuple(projects))


def _is_project(directory: Path) -> bool:
    return (directory / "pyproject.toml").exists()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tools/setup", description="Make the environment of the make targets.")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--tests", action="store_true", help="also the system packages that only tests use")
    parser.add_argument("--venv", type=Path, help="another directory than .venv")
    parser.add_argument("--python", metavar="X.Y", help="exactly this Python, such as 3.13")
    arguments = parser.parse_args()
    checkout, progress = here(), Progress()
    parts = arguments.only or PARTS
    purposes = ("up", "test") if arguments.tests else ("up",)
    try:
        checkout.private_state()
        if "system" in parts:
            system_packages.ensure(checkout, purposes, progress)
        if "python" in parts:
            python = pythons.find(exactly=arguments.python)
            spec = project_environment(checkout, arguments.venv or checkout.venv)
            python_environment.ensure(spec, python, progress, checkout.logs, checkout.requirements / "bootstrap.txt")
        if "pulumi" in parts:
            pulumi_cli.ensure(checkout, progress)
    except (StepError, OSError) as error:
        print(f"tools/setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
