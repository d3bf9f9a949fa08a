"""Go programs of pinned modules: built once for what they are made from, and kept in the cache with their licences.

The same module and the same Go make the same bytes. Whoever asks for a program that is being built waits for it.
"""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stacks.images import licences
from stacks.images.programs import SOURCES, GoModule, Program
from stacks.machines import image
from stacks.machines.driver import DriverError
from stacks.machines.system import locked
from stacks.providers import progress

_MEND = (
    "install Go >= 1.21 from the Go project (https://go.dev/dl; Debian 12's package is 1.19), which fetches the version that"
    " the modules ask for, or take the official images and programs"
)
_BEAT = 15.0
"""Seconds between two lines that say that a build goes on."""
_OURS = {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GOAMD64": "v1", "GOFLAGS": "-mod=readonly", "GOWORK": "off",
         "GOEXPERIMENT": "", "GODEBUG": ""}  # fmt: skip
"""Settings that decide what is made, whatever they are set to here."""
_WHOLE = "-linkmode=external '-extldflags=-static -Wl,--build-id=none'"
"""How the linker makes one file of Go's and C's parts, the C library's among them."""
_RECIPE = "1"
"""Another one when something else about a build changes."""


class UnavailableError(DriverError):
    """There is no Go here, or the modules are not to be had, or the machine is of another kind."""


@dataclass(frozen=True, slots=True)
class Built:
    """A program in the cache, and the licences of all that is in it, as one text."""

    program: Path
    licences: Path


def check_architecture(machine: str = platform.machine()) -> None:
    """Raises :class:`UnavailableError` where nothing can be made for a cluster."""
    if machine != "x86_64":
        raise UnavailableError(
            "images and programs of a cluster are made for x86_64 (amd64), and on such a machine; this one is"
            f" {machine}: take the official ones"
        )


def find_go(which: Callable[[str], str | None] = shutil.which) -> str:
    """The ``go`` command. Raises :class:`UnavailableError` with the mend."""
    command = which("go") or which("/usr/local/go/bin/go")
    if command is None:
        raise UnavailableError(f"there is no Go to build the programs of a cluster with: {_MEND}")
    return command


@functools.cache
def go() -> tuple[str, str]:
    """The ``go`` command and its version (``go1.26.8``). Raises :class:`UnavailableError`."""
    command = find_go()
    # Asked there, it tells the Go that it would fetch for these modules, where it is an older one itself.
    asked = [command, "env", "GOVERSION"]
    told = subprocess.run(asked, cwd=SOURCES, capture_output=True, text=True, check=False)
    if told.returncode or not told.stdout.strip():
        raise UnavailableError(f"{command} does not tell its version ({told.stderr.strip()[-300:]}): {_MEND}")
    return command, told.stdout.strip()


def folder(module: GoModule) -> Path:
    """Where the programs of a module are kept: another place for another content of it, Go, or way to build."""
    recipe = hashlib.sha256("\n".join((_RECIPE, go()[1], *_flags(module), *map("=".join, _OURS.items()))).encode())
    nested = module.source.glob("without/**/*.go")
    for file in (module.source / "go.mod", module.source / "go.sum", *sorted((*module.source.glob("*.go"), *nested))):
        recipe.update(file.read_bytes())
    return image.cache() / "programs" / f"{module.name}-{module.version}-{recipe.hexdigest()[:12]}"


def ensure(program: Program) -> Built:
    """A program, built when it is missing. Raises :class:`DriverError` with Go's own words."""
    check_architecture()
    place = folder(program.module)
    built = Built(place / program.name, place / f"{program.name}.licences")
    if not built.program.exists():
        with locked(place) as lock:
            if not built.program.exists():
                _build(program, built, lock)
    return built


def _build(program: Program, built: Built, lock: int) -> None:
    say = progress.speaker(f"{program.name} {program.version}")
    say("is being built (minutes for the first program of a module; later ones share what was compiled)")
    packages = _packages(program)
    fresh = built.program.with_name(f".{program.name}.new")
    # Go writes over programs alone, and what a build that was killed has left may be none.
    fresh.unlink(missing_ok=True)
    log = built.program.with_name(f"{program.name}.log")
    command = [go()[0], "build", *_flags(program.module), "-o", str(fresh), program.package]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=program.module.source,
            env=_environment(program.module),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # It holds the lock as well: where it outlives us, nobody writes beside it.
            pass_fds=(lock,),
        )
        try:
            _await(process, say)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise DriverError(f"{program.name} could not be built: {log.read_text(errors='replace').strip()[-1500:]}")
    log.unlink()
    built.licences.write_text(licences.text(packages, go()[0]), encoding="utf-8")
    fresh.replace(built.program)
    say(f"is built ({built.program.stat().st_size / 1e6:.0f} MB)")


def _await(process: "subprocess.Popen[bytes]", say: progress.Say) -> None:
    while True:
        try:
            process.wait(_BEAT)
            return
        except subprocess.TimeoutExpired:
            say("still at it")


def _packages(program: Program) -> list[licences.Package]:
    """Of which packages it is made: its modules are fetched for it, which says whether they can be had."""
    command = [
        go()[0],
        "list",
        "-deps",
        f"-tags={','.join(program.module.tags)}",
        f"-f={licences.FORMAT}",
        program.package,
    ]
    done = subprocess.run(
        command,
        cwd=program.module.source,
        env=_environment(program.module),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnavailableError(
            f"{program.name} cannot be built, as its modules are not to be had: {done.stderr.strip()[-600:]}"
        )
    return licences.read(done.stdout)


def _flags(module: GoModule) -> list[str]:
    stamped = " ".join(f"-X {name}={value}" for name, value in module.stamps)
    linked = " ".join(filter(None, ("-s -w", _WHOLE if module.with_c else "", stamped)))
    return ["-trimpath", "-buildvcs=false", f"-tags={','.join(module.tags)}", "-ldflags", linked]


def _environment(module: GoModule) -> dict[str, str]:
    return os.environ | _OURS | ({"CGO_ENABLED": "1"} if module.with_c else {})
