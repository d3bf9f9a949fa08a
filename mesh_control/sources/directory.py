"""Policies in a directory: ``OWNER/KIND.NAMESPACE.NAME.yaml``, one object a file.

A file that cannot be read keeps what it held the last time that it could; the problem is reported with file and line. A
set of an owner is replaced file by file, each atomically, so a crash halfway leaves whole files and the next write mends.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_policy import Policy, PolicyError, dump, load_documents


@dataclass(slots=True)
class PolicyDirectory:
    """The directory and what was last read from it."""

    path: Path
    problems: tuple[str, ...] = ()
    _last_good: dict[Path, tuple[str, list[Policy]]] = field(default_factory=dict)

    def read(self) -> tuple[Policy, ...]:
        """The policies of every owner. Never raises for a broken file; see :attr:`problems`."""
        problems: list[str] = []
        found: dict[Path, tuple[str, list[Policy]]] = {}
        for file in sorted(self.path.glob("*/*.yaml")):
            entry = self._read_file(file, problems)
            if entry is not None:
                found[file] = entry
        self._last_good = found
        self.problems = tuple(problems)
        return tuple(policy for _, policies in found.values() for policy in policies)

    def _read_file(self, file: Path, problems: list[str]) -> tuple[str, list[Policy]] | None:
        known = self._last_good.get(file)
        try:
            text = file.read_text()
            if known is not None and known[0] == text:
                return known
            return text, load_documents(text, str(file))
        except (PolicyError, OSError, UnicodeDecodeError) as error:
            problems += str(error).splitlines()
            return known

    def of_owner(self, owner: str) -> list[Policy]:
        """The policies of one owner, as last read."""
        folder = self.path / owner
        return [p for file, (_, policies) in sorted(self._last_good.items()) if file.parent == folder for p in policies]

    def owners(self) -> list[str]:
        """Everyone who has policies here."""
        return sorted({file.parent.name for file in self._last_good})

    def replace(self, owner: str, policies: Sequence[Policy]) -> None:
        """Make these the owner's whole set."""
        folder = self.path / owner
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {file_name(policy): dump([policy]) for policy in policies}
        for name, text in wanted.items():
            _write(folder / name, text)
        for file in folder.glob("*.yaml"):
            if file.name not in wanted:
                file.unlink()
        if not wanted:
            folder.rmdir()


def file_name(policy: Policy) -> str:
    """``KIND.NAMESPACE.NAME.yaml``."""
    return f"{policy.kind}.{policy.metadata.namespace}.{policy.metadata.name}.yaml"


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
