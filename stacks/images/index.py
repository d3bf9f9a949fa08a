"""``index.json``: what has been made, for whoever brings it to nodes. Paths in it are relative to its own directory.

``images`` has of each ``name``, ``reference`` (by which it is asked for), ``digest`` (by which a registry would know it),
``file``, ``sha256`` of the file, and ``recipe`` (another one where it would be made of something else). ``programs`` has of
each ``name``, ``version``, ``place`` (``node`` or ``cni``), ``file`` and ``sha256``.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURE = "amd64"


@dataclass(frozen=True, slots=True)
class Image:
    """An archive of an image. Sums are hexadecimal; ``digest`` is ``sha256:...``."""

    name: str
    reference: str
    digest: str
    file: Path
    sha256: str
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """A program of nodes, or (``place`` is ``cni``) one that their container runtime calls."""

    name: str
    version: str
    place: str
    file: Path
    sha256: str


class Index:
    """What is known of a directory of archives. One that is not there, or of another form, knows nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            told = json.loads(path.read_text())
            self._images = {one["name"]: Image(**self._read(one)) for one in told["images"]}
            self._programs = {one["name"]: NodeProgram(**self._read(one)) for one in told["programs"]}
        except (OSError, ValueError, KeyError, TypeError):
            self._images, self._programs = {}, {}

    def image(self, name: str) -> Image | None:
        """What it says of an image."""
        return self._images.get(name)

    def add(self, *images: Image, programs: Iterable[NodeProgram] = ()) -> None:
        """Note what has been made, in the file as well; of what is no longer there it says nothing any more."""
        self._images |= {image.name: image for image in images}
        self._programs |= {program.name: program for program in programs}
        value = {
            "architecture": ARCHITECTURE,
            "images": [self._told(one) for _name, one in sorted(self._images.items()) if one.file.exists()],
            "programs": [self._told(one) for _name, one in sorted(self._programs.items()) if one.file.exists()],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.write_text(json.dumps(value, indent=2) + "\n")
        fresh.replace(self._path)

    def _read(self, value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "file": Path(os.path.normpath(self._path.parent / value["file"]))}

    def _told(self, one: Image | NodeProgram) -> dict[str, str]:
        values = {name: str(getattr(one, name)) for name in one.__slots__}
        return {**values, "file": os.path.relpath(one.file, self._path.parent)}


def digest_of(file: Path) -> str:
    """SHA-256 of a file's content; empty where there is none."""
    if not file.exists():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
