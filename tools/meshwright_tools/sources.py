"""The files of a distribution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def source_files(project: Path) -> Iterator[Path]:
    """The files of a distribution that end up in its wheel, or decide on it."""
    packages = sorted(
        path for path in project.iterdir() if path.is_dir() and path.name.startswith(("mesh_", "meshwright_"))
    )
    for directory in packages:
        yield from sorted(file for file in directory.rglob("*") if file.is_file() and file.suffix != ".pyc")
    yield from (file for name in ("pyproject.toml", "README.md", "LICENSE") if (file := project / name).exists())
