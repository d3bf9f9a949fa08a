"""The program that keeps a pod's namespaces open: a few KB of C without a library, built once and kept in the cache."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from stacks.images import versions
from stacks.images.go_build import Built, check_architecture
from stacks.images.programs import SOURCES
from stacks.machines import image
from stacks.machines.driver import DriverError
from stacks.machines.system import locked

SOURCE = SOURCES / "pause" / "pause.c"
_LICENCE = Path(__file__).resolve().parents[2] / "LICENSE"
_FLAGS = (
    "-static", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-Os", "-s", "-Wall", "-Wextra", "-Werror",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,noseparate-code", f'-DVERSION="{versions.PAUSE}"',
)  # fmt: skip


def folder() -> Path:
    """Where it is kept: another place for another source, compiler or way to build."""
    compiler = subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    recipe = "\n".join((*_FLAGS, compiler.splitlines()[0], SOURCE.read_text()))
    return image.cache() / "programs" / f"pause-{versions.PAUSE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure() -> Built:
    """The program, built when it is missing. Raises :class:`DriverError` with the compiler's own words."""
    check_architecture()
    place = folder()
    built = Built(place / "pause", _LICENCE)
    if not built.program.exists():
        with locked(place):
            fresh = place / ".pause.new"
            command = [_compiler(), *_FLAGS, "-o", str(fresh), str(SOURCE)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise DriverError(f"pause could not be built: {done.stderr.strip()[-1500:]}")
            fresh.replace(built.program)
    return built


def _compiler() -> str:
    command = shutil.which("gcc")
    if command is None:
        raise DriverError("there is no gcc to build pause with: apt-get install gcc")
    return command
