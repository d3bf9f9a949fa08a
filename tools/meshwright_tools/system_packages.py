"""Debian packages that the stacks and the tests use: which are missing, and their installation."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from meshwright_tools.checkout import Checkout
from meshwright_tools.progress import Progress, StepError


@dataclass(frozen=True)
class SystemPackage:
    """One line of ``tools/system-packages.txt``."""

    name: str
    purpose: str
    """``up`` (a stack needs it) or ``test`` (only tests do)."""
    reason: str


def parse(text: str) -> list[SystemPackage]:
    """Read the list: ``NAME PURPOSE REASON``, comments after ``#`` at the start of a line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(None, 2)
        if len(fields) < 3 or fields[1] not in ("up", "test"):
            raise StepError(f"system-packages.txt:{number}: wanted NAME up|test REASON, found {line!r}")
        found.append(SystemPackage(*fields))
    return found


def wanted(checkout: Checkout, purposes: Iterable[str]) -> list[SystemPackage]:
    """The packages for these purposes."""
    text = Path(checkout.root, "tools", "system-packages.txt").read_text()
    return [package for package in parse(text) if package.purpose in set(purposes)]


def missing(packages: Iterable[SystemPackage]) -> list[SystemPackage]:
    """Those that dpkg does not have installed (all of them where there is no dpkg)."""
    packages = list(packages)
    if not shutil.which("dpkg-query"):
        return packages
    names = [package.name for package in packages]
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package}\n", *names]
    output = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {line[3:].strip() for line in output.splitlines() if line.startswith("ii")}
    return [package for package in packages if package.name not in installed]


def can_install() -> bool:
    """Whether this process may use apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def mend(packages: Iterable[SystemPackage]) -> str:
    """The command that installs them."""
    return "apt-get install --no-install-recommends " + " ".join(package.name for package in packages)


def ensure(
    checkout: Checkout, purposes: Iterable[str], progress: Progress, environment: Mapping[str, str] = os.environ
) -> None:
    """Install what is missing when root on Debian, else say what is missing and go on: not every stack needs it."""
    lacking = missing(wanted(checkout, purposes))
    if not lacking:
        return
    names = ", ".join(package.name for package in lacking)
    if not can_install():
        progress.say(f"==> System packages missing: {names}. Parts that need them are left out. Mend: {mend(lacking)}")
        return
    # RUNLEVEL=1 keeps packages from starting their services: tests and stacks start their own, on ports of their own.
    quiet = dict(environment, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1", LC_ALL="C")
    lists = Path("/var/lib/apt/lists")
    if not any(lists.glob("*_Packages*")):
        progress.run("System packages: reading apt's lists", ["apt-get", "update"], checkout.logs / "apt.log", quiet)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *(package.name for package in lacking)]
    try:
        progress.run(f"System packages: {names}", command, checkout.logs / "apt.log", quiet)
    except StepError:
        progress.run("System packages: apt's lists are old", ["apt-get", "update"], checkout.logs / "apt.log", quiet)
        progress.run(f"System packages: {names}", command, checkout.logs / "apt.log", quiet)
