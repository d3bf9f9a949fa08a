"""Makes a Python environment from a hash lock, and leaves it alone when it is already that."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meshwright_tools.progress import Progress, StepError
from meshwright_tools.pythons import Interpreter
from meshwright_tools.system_packages import can_install

STAMP = "meshwright-stamp.json"


@dataclass(frozen=True)
class EnvironmentSpec:
    """What an environment is made of."""

    path: Path
    lock: Path
    projects: Sequence[Path] = field(default_factory=tuple)
    """Directories installed as editable, without their dependencies: the lock has them."""

    def digest(self, python: Interpreter) -> str:
        """Changes whenever the environment must be made anew."""
        content = hashlib.sha256(f"{python.path} {python.version}".encode())
        for file in (self.lock, *(project / "pyproject.toml" for project in self.projects)):
            content.update(file.read_bytes())
        return content.hexdigest()

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"


def is_current(spec: EnvironmentSpec, python: Interpreter) -> bool:
    """Whether the environment is the one asked for."""
    try:
        stamp = json.loads((spec.path / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return bool(stamp.get("digest") == spec.digest(python)) and os.access(spec.python, os.X_OK)


def ensure(
    spec: EnvironmentSpec,
    python: Interpreter,
    progress: Progress,
    logs: Path,
    bootstrap: Path,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Make the environment, or say that there is nothing to do.

    ``bootstrap`` is the lock of the fast installer, used where none is on PATH; pip does the work when that fails.
    """
    if is_current(spec, python):
        progress.say(f"==> {spec.path} is up to date (Python {python.version})")
        return
    if (spec.path / STAMP).exists():
        (spec.path / STAMP).unlink()  # half an environment must not pass for a whole one
    settings = installer_settings(environment)
    uv = shutil.which("uv", path=environment.get("PATH"))
    log = logs / f"python-{spec.path.name.lstrip('.')}.log"
    if not _same_version(spec, python):
        _create(spec, python, progress, log, uv, settings)
    uv = uv or _bootstrap_uv(spec, progress, log, bootstrap, settings)
    _install(spec, progress, log, uv, settings)
    (spec.path / STAMP).write_text(json.dumps({"digest": spec.digest(python), "python": python.version}) + "\n")


def installer_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings, also in the words of uv, which reads none of pip's."""
    settings = dict(environment)
    for pip, uv in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if settings.get(pip):
            settings.setdefault(uv, settings[pip])
    settings.setdefault(
        "UV_SYSTEM_CERTS", "true"
    )  # as pip of Debian: a company's own authority is in the system's store
    settings.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    settings.pop("VIRTUAL_ENV", None)
    return settings


def _same_version(spec: EnvironmentSpec, python: Interpreter) -> bool:
    """Whether an environment of this Python's version is there to be brought up to date."""
    query = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run([str(spec.python), "-c", query], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == python.version


def _create(
    spec: EnvironmentSpec,
    python: Interpreter,
    progress: Progress,
    log: Path,
    uv: str | None,
    settings: Mapping[str, str],
) -> None:
    title = f"{spec.path}: environment of Python {python.version} ({python.path})"
    if uv:
        progress.run(title, [uv, "venv", "--clear", "--python", python.path, str(spec.path)], log, settings)
        return
    if not python.has_venv:
        _install_venv_module(python, progress, log, settings)
    progress.run(title, [python.path, "-m", "venv", "--clear", str(spec.path)], log, settings)


def _install_venv_module(python: Interpreter, progress: Progress, log: Path, settings: Mapping[str, str]) -> None:
    """Debian keeps ``venv`` in a package of its own."""
    if not python.path.startswith("/usr/bin/"):
        raise StepError(f"{python.path} lacks the modules venv and ensurepip; set PYTHON to a complete Python >= 3.11.")
    if not can_install():
        raise StepError(f"{python.path} cannot make environments. Mend, as root: apt-get install python3-venv")
    apt = dict(settings, DEBIAN_FRONTEND="noninteractive")
    progress.run("System packages: reading apt's lists", ["apt-get", "update"], log, apt)
    package = f"python{'.'.join(map(str, python.numbers))}-venv"
    command = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    progress.run(f"System packages: {package}", command, log, apt)


def _bootstrap_uv(
    spec: EnvironmentSpec, progress: Progress, log: Path, bootstrap: Path, settings: Mapping[str, str]
) -> str | None:
    """Install uv (many times faster than pip) into the environment; None where it is not to be had."""
    command = [str(spec.python), "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"]
    try:
        progress.run(f"{spec.path}: installer", [*command, "-r", str(bootstrap)], log, settings)
    except StepError as error:
        progress.say(f"    {error}\n    going on with pip alone")
        return None
    return str(spec.path / "bin" / "uv")


def _install(spec: EnvironmentSpec, progress: Progress, log: Path, uv: str | None, settings: Mapping[str, str]) -> None:
    count = sum(1 for line in spec.lock.read_text().splitlines() if line[:1].isalnum())
    title = f"{spec.path}: {count} locked packages of {spec.lock.name}"
    pip = [str(spec.python), "-m", "pip"]
    options = ["--require-hashes", "--no-deps"]
    if uv is None:
        progress.run(title, [*pip, "install", *options, "-r", str(spec.lock)], log, settings)
    else:
        target = ["--python", str(spec.python)]
        try:
            progress.run(title, [uv, "pip", "sync", *target, "--require-hashes", str(spec.lock)], log, settings)
        except StepError as error:
            if not _has_pip(spec):
                raise
            progress.say(f"    {error}\n    trying again with pip")
            progress.run(title, [*pip, "install", *options, "-r", str(spec.lock)], log, settings)
    for project in spec.projects:
        options = ["--no-deps", "--no-build-isolation", "--editable", str(project)]
        installer = [*pip, "install"] if uv is None else [uv, "pip", "install", "--python", str(spec.python)]
        progress.run(f"{spec.path}: the project in {project}, editable", [*installer, *options], log, settings)


def _has_pip(spec: EnvironmentSpec) -> bool:
    return (
        subprocess.run([str(spec.python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    )
