"""The licences of what a Go program is made of, as their authors ask to be kept with it: one text for each program."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FORMAT = (
    "{{if .Module}}{{.Module.Path}}\t"
    "{{if .Module.Replace}}{{.Module.Replace.Version}}{{else}}{{.Module.Version}}{{end}}\t"
    "{{.Module.Dir}}\t{{.Dir}}{{end}}"
)
"""What ``go list -deps -f`` is to say of each package; nothing of Go's own."""
_NAMES = re.compile(r"(licen[cs]e|copying|notice|patents|unlicense)([.-].*)?$", re.IGNORECASE)
_NO_TEXT = (".go", ".sh", ".py", ".json", ".yaml", ".yml")
_RULE = "-" * 80


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a module (``name@version``): the folders of both."""

    module: str
    root: Path
    folder: Path


def read(listed: str) -> list[Package]:
    """The packages of modules that ``go list`` has told. One of the module that is built from itself has no version."""
    found = []
    for line in listed.splitlines():
        if line:
            name, version, root, folder = line.split("\t")
            if version:
                found.append(Package(f"{name}@{version}", Path(root), Path(folder)))
    return found


def text(packages: Sequence[Package], go: str) -> str:
    """Every licence once, below the modules that are under it. Raises :class:`ValueError` for a module without one."""
    texts: dict[str, list[str]] = {}
    for module, files in (*_of_modules(packages), ("Go", [_root(go) / "LICENSE"])):
        if not files:
            raise ValueError(f"{module} has no licence that could be kept with the program")
        for file in files:
            texts.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(module)
    return "\n".join(
        "\n".join((_RULE, *sorted(set(modules)), _RULE, "", words, "")) for words, modules in texts.items()
    )


def _of_modules(packages: Sequence[Package]) -> Iterator[tuple[str, list[Path]]]:
    modules: dict[str, set[Path]] = {}
    for package in packages:
        files = modules.setdefault(package.module, set())
        # A module may hold packages of others, whose licence stands with them.
        for folder in (package.folder, *package.folder.parents):
            files |= {file for file in folder.iterdir() if _is_licence(file)}
            if folder == package.root:
                break
    for module in sorted(modules):
        yield module, sorted(modules[module])


def _is_licence(file: Path) -> bool:
    return bool(_NAMES.match(file.name)) and file.suffix not in _NO_TEXT and file.is_file()


def _root(go: str) -> Path:
    return Path(subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip())
