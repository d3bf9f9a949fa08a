"""The compiled wheel: built by the hook of the build backend, kept below the cache by what it was made of.

Compiling takes minutes, so its libraries are kept by the hash of the proxy's sources and of the compiler's version; the wheel
around them takes seconds. ``tree`` is an unpacked wheel: with it before the checkout on the path of modules, the compiled
proxy runs in the same environment.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from meshwright_tools import build_hook
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.sources import source_files

TESTS = ("tests/unit/mesh_proxy", "tests/integration/mesh_proxy")
_KEPT = 3
"""Builds that are kept: of branches that one goes back and forth between."""


def wheel(checkout: Checkout, progress: Progress) -> Path:
    """The wheel for this Python and platform. Raises :class:`StepError` without a C compiler, or Python's headers."""
    with _guarded(checkout) as home:
        target = kept_wheel(checkout, home)
        if not target.is_dir():
            _make_wheel(checkout, progress, target, kept_libraries(checkout, home))
        os.utime(target)
        _prune(home)
        return sorted(target.glob("*.whl"))[0]


def tree(checkout: Checkout, progress: Progress) -> Path:
    """A folder with the modules of that wheel."""
    built = wheel(checkout, progress)
    target = built.parent / "tree"
    with _guarded(checkout):
        if not target.is_dir():
            fresh = target.with_name("tree.new")
            shutil.rmtree(fresh, ignore_errors=True)
            with zipfile.ZipFile(built) as archive:
                archive.extractall(fresh)
            fresh.rename(target)
    return target


def environment(tree_: Path) -> dict[str, str]:
    """Variables for a Python whose modules are those of the tree: without, ``python -m`` has those of its folder first."""
    return {"PYTHONPATH": str(tree_), "PYTHONSAFEPATH": "1"}


def test(checkout: Checkout, tree_: Path, arguments: Sequence[str]) -> int:
    """Run tests (none named: :data:`TESTS`) with the tree's modules, in this process's folder and all that it starts."""
    named = [word for word in arguments if word.partition("::")[0].startswith("tests/")]
    command = [str(checkout.venv / "bin" / "python"), "-m", "pytest", "-o", f"pythonpath={tree_} tests ."]
    # Those of the wheels make environments of their own, which the modules of a tree would get into.
    command += [*arguments, *([] if named else (*TESTS, "--ignore=tests/integration/mesh_proxy/packaging"))]
    settings = {**os.environ, **environment(tree_), "MESHWRIGHT_FORM": "compiled"}
    return subprocess.run(command, cwd=checkout.root, env=settings, check=False).returncode


def missing() -> str:
    """What is not there for a build, and how to have it; empty: nothing."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        return "a C compiler (Debian: apt-get install gcc libc6-dev)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        return "Python's headers (Debian: apt-get install python3-dev)"
    return ""


def foreign(python: str) -> str:
    """Why what is compiled here is not for hosts with that Python on x86-64 Linux; empty: it is."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own != python:
        return f"they have Python {python}, and the environment here has {own} (PYTHON={python} makes one that fits)"
    if sysconfig.get_platform() != "linux-x86_64":
        return f"they are linux-x86_64, and this machine is {sysconfig.get_platform()}"
    return ""


def newer_libc(wheel_: Path, oldest: str) -> str:
    """The version of glibc that the wheel's libraries need, where it is newer than that; else empty.

    Symbols carry the version that brought them (``GLIBC_2.34``), and libraries list those that they use.
    """
    most = tuple(map(int, oldest.split(".")))
    with zipfile.ZipFile(wheel_) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        found = {match for name in libraries for match in re.findall(rb"GLIBC_(\d+)\.(\d+)", archive.read(name))}
    newest = max((tuple(map(int, version)) for version in found), default=most)
    return ".".join(map(str, newest)) if newest > most else ""


@contextmanager
def _guarded(checkout: Checkout) -> Iterator[Path]:
    home = checkout.cache / "compiled"
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield home


def kept_wheel(checkout: Checkout, home: Path) -> Path:
    """The folder of the wheel of these sources, there or not."""
    return home / f"wheel-{_digest(checkout, source_files(checkout.root))}"


def kept_libraries(checkout: Checkout, home: Path) -> Path:
    """That of the libraries, which only the proxy's sources decide on."""
    files = [file for package in ("mesh_proxy", "mesh_api") for file in sorted((checkout.root / package).rglob("*.py"))]
    return home / f"libraries-{_digest(checkout, files)}"


def _digest(checkout: Checkout, files: Iterable[Path]) -> str:
    """Of files, and of what compiles them."""
    found = hashlib.sha256(f"{sys.version} {importlib.metadata.version('mypy')} {sysconfig.get_platform()}".encode())
    found.update(Path(build_hook.__file__).read_bytes())
    for file in files:
        found.update(f"{file.relative_to(checkout.root)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def _make_wheel(checkout: Checkout, progress: Progress, target: Path, libraries: Path) -> None:
    lacking = missing()
    if lacking:
        raise StepError(f"the compiled wheel needs {lacking}")
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(checkout.venv / "bin" / "python"), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--wheel-dir", str(fresh), str(checkout.root)]
    settings = {**os.environ, "HATCH_BUILD_HOOK_ENABLE_CUSTOM": "true", build_hook.LIBRARIES: str(libraries)}
    title = "Compiled wheel of meshwright (the first time takes some minutes)"
    progress.run(title, command, checkout.logs / "compiled-wheel.log", settings)
    fresh.rename(target)


def _prune(home: Path) -> None:
    for kind in ("wheel", "libraries"):
        found = sorted(home.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for stale in found[_KEPT:]:
            shutil.rmtree(stale)


def main() -> int:
    """``tools/compiled``: the wheel into ``dist/``, the path of its tree, or tests on it."""
    parser = argparse.ArgumentParser(prog="tools/compiled", description="The compiled wheel of the proxy.")
    parser.add_argument("wanted", choices=["wheel", "tree", "test"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of pytest")
    options = parser.parse_args()
    checkout, progress = here(), Progress()
    try:
        if options.wanted == "test":
            return test(checkout, tree(checkout, progress), options.arguments)
        made = tree(checkout, progress) if options.wanted == "tree" else wheel(checkout, progress)
    except StepError as error:
        print(f"tools/compiled: {error}", file=sys.stderr)
        return 1
    if options.wanted == "wheel":
        (checkout.root / "dist").mkdir(exist_ok=True)
        made = Path(shutil.copy(made, checkout.root / "dist" / made.name))
    print(made)
    return 0
