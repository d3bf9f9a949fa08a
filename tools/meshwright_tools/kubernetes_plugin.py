"""``tools/kubernetes-plugin official|double``: which provider Pulumi runs for resources of pulumi-kubernetes.

The official one is Pulumi's own, downloaded by ``pulumi plugin install``. Where its server is not reached, a test double can
stand in for it (``tools/kubernetes-provider-double``): it goes into the checkout's own ``PULUMI_HOME`` under a version that
says what it is, and only where no official one is; one that comes later is run instead of it.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from meshwright_tools import pulumi_cli, pulumi_run
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError

CHOICES = ("official", "double")
PROGRAM = "pulumi-resource-kubernetes"
SUFFIX = "+double"
"""Of the double's version: to Pulumi it equals the version itself."""
DOWNLOADS = "https://get.pulumi.com"


def pinned_version(checkout: Checkout) -> str:
    """The version of the Python package ``pulumi-kubernetes`` that pyproject.toml pins: its provider's as well."""
    found = re.search(r'"pulumi-kubernetes==([^"]+)"', (checkout.root / "pyproject.toml").read_text())
    if not found:
        raise StepError("pyproject.toml pins no pulumi-kubernetes")
    return found.group(1)


def home(environment: Mapping[str, str]) -> Path:
    """``PULUMI_HOME`` of an environment of :func:`pulumi_run.environment`."""
    return Path(environment["PULUMI_HOME"])


def official(checkout: Checkout, pulumi_home: Path) -> Path:
    """Where Pulumi has the official provider of the pinned version, when it has it."""
    return pulumi_home / "plugins" / f"resource-kubernetes-v{pinned_version(checkout)}" / PROGRAM


def double(checkout: Checkout, pulumi_home: Path) -> Path:
    """Where the double is, when it is there."""
    return pulumi_home / "plugins" / f"resource-kubernetes-v{pinned_version(checkout)}{SUFFIX}"


def ensure(choice: str, checkout: Checkout, programs: Path, environment: Mapping[str, str], progress: Progress) -> Path:
    """Have the chosen provider for the Pulumi in ``programs``; returns the program that Pulumi will run.

    An official one that is there is always the one; a double beside it goes. Raises :class:`StepError`.
    """
    plugins = home(environment)
    (plugins / "plugins").mkdir(mode=0o700, parents=True, exist_ok=True)
    with (plugins / "plugins" / ".kubernetes.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        real, stand_in = official(checkout, plugins), double(checkout, plugins)
        if not real.exists() and choice == "double":
            _install_double(checkout, programs, environment, progress)
            return stand_in / PROGRAM
        if not real.exists():
            _download(checkout, programs, environment, progress)
        elif choice == "double":
            progress.say(f"==> pulumi-kubernetes: the official provider is there ({real}), and is used")
        if stand_in.exists():
            progress.say(f"==> Removing the test double of pulumi-kubernetes' provider ({stand_in})")
            shutil.rmtree(stand_in)
        return real


def content(checkout: Checkout) -> dict[str, bytes]:
    """Each file of the installed double by its path there."""
    source = checkout.root / "tools" / "kubernetes-provider-double"
    shared = checkout.root / "tools" / "pulumi-host" / "meshwright_pulumi_host"
    files = {PROGRAM: (source / "bin" / PROGRAM).read_bytes()}
    for file in sorted(source.rglob("*.py")):
        files[f"host/{file.relative_to(source)}"] = file.read_bytes()
    for name in ("__init__.py", "engine.py"):
        files[f"host/{shared.name}/{name}"] = (shared / name).read_bytes()
    files["host/version"] = f"{pinned_version(checkout)}{SUFFIX}\n".encode()
    return files


def _is_fresh(files: Mapping[str, bytes], place: Path) -> bool:
    there = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    return there == set(files) and all((place / name).read_bytes() == value for name, value in files.items())


def archive(files: Mapping[str, bytes]) -> bytes:
    """The plugin as Pulumi installs it from a file: its program at the root of a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, value in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(value), 0o755 if name == PROGRAM else 0o644
            tar.addfile(entry, io.BytesIO(value))
    return packed.getvalue()


def _install_double(checkout: Checkout, programs: Path, environment: Mapping[str, str], progress: Progress) -> None:
    own = checkout.state / "pulumi-home"
    if home(environment).resolve() != own.resolve():
        raise StepError(
            f"PULUMI_HOME is {home(environment)}: the test double of pulumi-kubernetes' provider is put into {own} alone."
            " Unset PULUMI_HOME, or choose the official provider (sources.pulumi_plugins: official)."
        )
    files, place = content(checkout), double(checkout, own)
    if _is_fresh(files, place):
        return
    version = f"{pinned_version(checkout)}{SUFFIX}"
    progress.say(f"==> pulumi-kubernetes: a test double of its provider, {version}")
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as file:
        file.write(archive(files))
        file.flush()
        _pulumi(programs, environment, "plugin", "install", "resource", "kubernetes", version, "--file", file.name,
                "--reinstall")  # fmt: skip
    # What Pulumi leaves of a former one, and byte code of it, is not the double.
    if not _is_fresh(files, place):
        raise StepError(f"{place}: Pulumi has not installed the test double as it was packed")


def _download(checkout: Checkout, programs: Path, environment: Mapping[str, str], progress: Progress) -> None:
    version = pinned_version(checkout)
    mend = (
        f"Install it by `tools/pulumi plugin install resource kubernetes {version} --file ARCHIVE`, or choose the test double"
        " (sources.pulumi_plugins: double)."
    )
    if not pulumi_cli.answers(DOWNLOADS):
        raise StepError(f"pulumi-kubernetes {version}: no way to {DOWNLOADS}, where its provider is. {mend}")
    with progress.step(f"pulumi-kubernetes {version}: the official provider"):
        try:
            _pulumi(programs, environment, "plugin", "install", "resource", "kubernetes", version, "--exact")
        except StepError as error:
            raise StepError(f"{error}\n{mend}") from None


def _pulumi(programs: Path, environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [str(programs / "pulumi"), *arguments, "--non-interactive"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise StepError(f"pulumi {' '.join(arguments[:4])}: {(done.stderr or done.stdout).strip()[-1500:]}")


def main() -> int:
    """Entry point; prints the program that Pulumi will run."""
    parser = argparse.ArgumentParser(
        prog="tools/kubernetes-plugin", description="Have the provider of pulumi-kubernetes, or its test double."
    )
    parser.add_argument("choice", choices=CHOICES)
    arguments = parser.parse_args()
    checkout, progress = here(), Progress()
    try:
        programs = pulumi_cli.find(checkout) or pulumi_cli.ensure(checkout, progress)
        environment = pulumi_run.environment(checkout, programs, os.environ)
        print(ensure(arguments.choice, checkout, programs, environment, progress))
    except (StepError, OSError) as error:
        print(f"tools/kubernetes-plugin: {error}", file=sys.stderr)
        return 1
    return 0
