"""Trees of files of Debian's packages, of which no script has run: made once, and cached by what they are made of."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stacks.machines import image
from stacks.machines.driver import DriverError

SUITE = "bookworm"
BILLS = "usr/share/meshwright/debian-packages"
"""Folder in which an image says which packages it is made of: a file of each tree, with the checksum and the name of each."""
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = f"{LIBRARIES[0]}/ld-linux-x86-64.so.2"
_AUTHORITIES = "usr/share/ca-certificates"


@dataclass(frozen=True, slots=True)
class Tree:
    """What a tree is made of: ``select`` takes from the unpacked packages (its first argument) what belongs into the tree.
    ``recipe`` is what else decides on it: another one has another place in the cache."""

    name: str
    packages: tuple[str, ...]
    select: Callable[[Path, Path], None]
    recipe: tuple[str, ...]
    version: str = "2"

    @property
    def bill(self) -> str:
        """Where its file of packages is."""
        return f"{BILLS}/{self.name}"


def kept(tree: Tree, mirror: str = "") -> Path:
    """Where the tree is kept, made or not.

    ``mirror``: where packages come from; else this host's own source, else Debian's.
    """
    recipe = "\n".join((tree.version, SUITE, _source(mirror), *tree.packages, *tree.recipe))
    return image.images() / f"{tree.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(tree: Tree, mirror: str = "") -> Path:
    """The tree, made when it is missing and kept in the cache. Raises :class:`DriverError`."""
    source = _source(mirror)
    return image.kept(kept(tree, mirror).name, source, lambda made, lock: _make(tree, source, made, lock))


def _source(mirror: str) -> str:
    return mirror or image.host_mirror(SUITE) or image.OFFICIAL


def _make(tree: Tree, source: str, made: Path, lock: int) -> None:
    unpacked = made.with_name(f".unpacked-{made.name}")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        # As they are: no script of theirs runs, and apt has checked their signatures.
        bill = f'mkdir -p "$1/{BILLS}" && cd "$1/var/cache/apt/archives" && sha256sum *.deb > "$1/{tree.bill}"'
        image.unpack(SUITE, source, tree.packages, unpacked, lock, "extract", f"--extract-hook={bill}")
        tree.select(unpacked, made)
        copy(unpacked, made, tree.bill)
        for licence in sorted((unpacked / "usr/share/doc").glob("*/copyright")):
            copy(unpacked, made, str(licence.relative_to(unpacked)))
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def libraries(unpacked: Path, made: Path) -> None:
    """All libraries, and the loader."""
    for directory in LIBRARIES:
        for library in sorted((unpacked / directory).glob("*.so*")):
            copy(unpacked, made, str(library.relative_to(unpacked)))
    copy(unpacked, made, "lib64")


def linked(unpacked: Path, made: Path, *programs: str) -> None:
    """The libraries that programs (or modules of theirs) are linked with, the loader among them. Raises
    :class:`DriverError` where one is missing."""
    paths = ":".join(str(unpacked / directory) for directory in LIBRARIES)
    found: set[Path] = set()
    for program in programs:
        # The loader only lists them: nothing of the program runs.
        command = [str(unpacked / LOADER), "--library-path", paths, "--list", str(unpacked / program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        places = [Path(place) for place in re.findall(r"=> (.*?)(?: \(0x\w+\))?$", done.stdout, re.MULTILINE)]
        if done.returncode or not all(place.is_relative_to(unpacked) for place in places):
            raise DriverError(f"libraries of {program} are missing: {(done.stderr or done.stdout).strip()[-1500:]}")
        found.update(places)
    # By all of their names: what a program asks for is a link to the file.
    for library in sorted(found | {place.resolve() for place in found}):
        copy(unpacked, made, str(library.relative_to(unpacked)))
    copy(unpacked, made, "lib64")


def authorities(unpacked: Path, made: Path) -> None:
    """The authorities of TLS that Debian trusts, in one file."""
    found = sorted((unpacked / _AUTHORITIES).rglob("*.crt"))
    write(made / "etc/ssl/certs/ca-certificates.crt", "".join(file.read_text() for file in found))


def copy(unpacked: Path, made: Path, name: str, *unused: str) -> None:
    """A file or directory, but what is named so in it."""
    source, target = unpacked / name, made / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "test", *unused))
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def write(path: Path, text: str) -> None:
    """A file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
