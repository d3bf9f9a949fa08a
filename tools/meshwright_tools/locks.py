"""The hash locks in ``requirements/``: what each is made of, how it is made, and whether it still matches its sources."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshwright_tools import pulumi_cli
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.python_environment import installer_settings

OLDEST_PYTHON = "3.11"
PROJECT = "pyproject.toml"
DEMO = "examples/demo/pyproject.toml"


@dataclass(frozen=True)
class Lock:
    """One file of ``requirements/``."""

    name: str
    why: str
    sources: tuple[str, ...]
    """Relative to the checkout; one that does not exist is left out."""
    extras: tuple[str, ...] = ()
    """Extras of the sources; ``*`` stands for all."""
    universal: bool = True
    """One lock for all platforms and Pythons >= 3.11, by markers; else for Linux and 3.11 alone."""


LOCKS = (
    Lock(
        "all",
        "everything: infrastructure, command, control plane, development",
        (PROJECT, "requirements/build.in", DEMO),
        ("*",),
    ),
    Lock("host", "what runs on a host: control plane, proxy, command, demo", (PROJECT, DEMO), ("control", "cli")),
    Lock("envoy", "a real Envoy, for tests; an environment of its own", ("requirements/envoy.in",)),
    Lock(
        "yandextank", "the load generator; an environment of its own", ("requirements/yandextank.in",), universal=False
    ),
    Lock("audit", "what lists and audits packages; an environment of its own", ("requirements/audit.in",)),
    Lock("bootstrap", "the installer of the other locks", ("requirements/bootstrap.in",)),
)

PULUMI = "pulumi"
"""As a name of a lock: the checksums of Pulumi's release, made where they are asked for by name."""

INPUTS = re.compile(r"^# inputs sha256 ([0-9a-f]{64})$", re.MULTILINE)
PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\\n]*?))?\s*\\?$"
)


@dataclass(frozen=True)
class Pin:
    """One requirement of a lock."""

    name: str
    """Normalised: lower case, hyphens."""
    version: str
    marker: str
    """Empty when it applies everywhere."""
    hashes: tuple[str, ...]
    """Such as ``sha256:...``."""


def normalised(name: str) -> str:
    """A distribution's name as PyPA compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> Iterator[Pin]:
    """The requirements of a lock's text."""
    current: re.Match[str] | None = None
    hashes: list[str] = []
    for line in [*text.splitlines(), "end==0"]:
        found = PINNED.match(line)
        if found:
            if current:
                marker = (current["marker"] or "").strip()
                yield Pin(normalised(current["name"]), current["version"], marker, tuple(hashes))
            current, hashes = found, []
        hashes += re.findall(r"--hash=(\S+:[0-9a-f]+)", line)


def sources(lock: Lock, checkout: Checkout) -> list[str]:
    """The sources that exist."""
    return [name for name in lock.sources if (checkout.root / name).exists()]


def inputs_digest(lock: Lock, checkout: Checkout) -> str:
    """Changes whenever the lock must be made anew: what the sources ask for, not their other text."""
    content = [[lock.name, list(lock.extras), lock.universal]]
    for name in sources(lock, checkout):
        text = (checkout.root / name).read_text()
        content.append([name, dependency_tables(text) if name.endswith(".toml") else text])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def dependency_tables(text: str) -> str:
    """The parts of a pyproject.toml that name dependencies. By lines, because Python 3.9 reads no TOML."""
    kept, table, inside = [], "", False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            table = line
        wanted = table == "[project.optional-dependencies]" or (
            table == "[project]" and (inside or line.startswith(("dependencies", "requires-python")))
        )
        inside = wanted and table == "[project]" and (inside or line.endswith("[")) and not line.endswith("]")
        if wanted and line and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept)


def is_current(lock: Lock, checkout: Checkout) -> bool:
    """Whether the lock was made from its sources as they are now."""
    path = checkout.requirements / f"{lock.name}.txt"
    found = INPUTS.search(path.read_text()) if path.exists() else None
    return found is not None and found[1] == inputs_digest(lock, checkout)


def make(
    lock: Lock, checkout: Checkout, progress: Progress, upgrade: bool, environment: Mapping[str, str] = os.environ
) -> None:
    """Make a lock anew; versions that still fit are kept unless ``upgrade``."""
    uv = shutil.which("uv", path=f"{checkout.venv / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}")
    if uv is None:
        raise StepError("uv makes the locks, and there is none; `make setup` brings it")
    target = checkout.requirements / f"{lock.name}.txt"
    command = [uv, "pip", "compile", "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-annotate"]
    command += ["--python-version", OLDEST_PYTHON, *sources(lock, checkout), "--output-file", str(target)]
    command += ["--universal"] if lock.universal else ["--python-platform", "x86_64-manylinux_2_28"]
    command += ["--all-extras"] if lock.extras == ("*",) else [f"--extra={extra}" for extra in lock.extras]
    command += ["--no-emit-package=meshwright", "--no-emit-package=meshwright-demo"]
    command += ["--upgrade"] if upgrade else []
    log = checkout.logs / f"lock-{lock.name}.log"
    progress.run(
        f"requirements/{lock.name}.txt: {lock.why}", command, log, installer_settings(environment), checkout.root
    )
    head = f"# Locked with hashes for {lock.why}; `make lock` makes it anew.\n"
    head += f"# inputs sha256 {inputs_digest(lock, checkout)}\n"
    target.write_text(head + target.read_text())


def main() -> int:
    """``tools/lock [--upgrade] [--check] [NAME...]``."""
    parser = argparse.ArgumentParser(prog="tools/lock", description="Make the hash locks in requirements/.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="of " + ", ".join((*(lock.name for lock in LOCKS), PULUMI))
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    parser.add_argument("--check", action="store_true", help="make nothing; say which locks are stale")
    arguments = parser.parse_args()
    checkout, progress = here(), Progress()
    chosen = [lock for lock in LOCKS if not arguments.names or lock.name in arguments.names]
    if arguments.check:
        stale = [lock.name for lock in chosen if not is_current(lock, checkout)]
        for name in stale:
            print(f"requirements/{name}.txt does not match its sources; mend: make lock", file=sys.stderr)
        return 1 if stale else 0
    try:
        if PULUMI in arguments.names:
            pulumi_cli.pin_checksums(checkout, progress)
        for lock in chosen:
            make(lock, checkout, progress, arguments.upgrade)
    except (StepError, subprocess.SubprocessError) as error:
        print(f"tools/lock: {error}", file=sys.stderr)
        return 1
    return 0
