"""Runs Pulumi on the checkout's own state: a file backend, a passphrase made once, no account."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from meshwright_tools import pulumi_cli
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError


def environment(checkout: Checkout, programs: Path, outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every Pulumi command; what the user has set of it is kept.

    ``programs`` is the directory of ``pulumi``. Makes the state's directory and the passphrase where they are missing.
    """
    state = checkout.private_state()
    inner = dict(outer)
    path = [str(checkout.venv / "bin"), str(programs), outer.get("PATH", os.defpath)]
    inner["PATH"] = os.pathsep.join(path)
    if "PULUMI_BACKEND_URL" not in outer:
        backend = state / "pulumi-state"
        backend.mkdir(mode=0o700, exist_ok=True)
        _mend(backend)
        inner["PULUMI_BACKEND_URL"] = f"file://{backend}"
    if "PULUMI_CONFIG_PASSPHRASE" not in outer and "PULUMI_CONFIG_PASSPHRASE_FILE" not in outer:
        inner["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_secret_file(state / "passphrase"))
    inner.setdefault("PULUMI_HOME", str(state / "pulumi-home"))
    inner.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    inner.setdefault("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    return inner


def _mend(backend: Path) -> None:
    """Pulumi writes what it knows of a file of its state (its type and digest) beside it, and not at once: a Pulumi that was
    killed then leaves it empty, and no command would read the state any more, but end with ``EOF``. It does without."""
    for told in backend.rglob("*.attrs"):
        with contextlib.suppress(OSError):
            if not told.stat().st_size:
                told.unlink()


def _secret_file(path: Path) -> Path:
    """A file with a random secret, readable by its owner alone; an existing one is kept."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return path


def main() -> None:
    """``tools/pulumi ARGUMENTS``: becomes ``pulumi ARGUMENTS``."""
    checkout = here()
    try:
        programs = pulumi_cli.find(checkout) or pulumi_cli.ensure(checkout, Progress())
    except StepError as error:
        sys.exit(f"tools/pulumi: {error}")
    os.execve(programs / "pulumi", ["pulumi", *sys.argv[1:]], environment(checkout, programs))
