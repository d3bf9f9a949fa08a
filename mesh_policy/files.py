"""Files and folders to texts: the one reader, whoever asks.

A *folder* stands for what its files named ``*.yaml``, ``*.yml`` and ``*.json`` hold, those in folders below it included, in
the order of their paths. Names that begin with a dot (of editors, of git, of Kubernetes' mounts) are left out, and so is what
is no file: a pipe would be waited for, perhaps for ever. Links to files are followed, links to folders are not, as by
``kubectl apply -R -f``. A *file* that is named is read whatever it is called, and may be a pipe, as in
``mesh analyze <(helm template .)``.
"""

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from mesh_policy.errors import PolicyError, Problem

SUFFIXES = (".yaml", ".yml", ".json")
"""How the names of files end that a folder contributes."""
_MENDS = {
    errno.ENOENT: "write the name of one that there is",
    errno.EACCES: "ask for the right to read it",
    errno.EISDIR: "name a file",
}


class OfFolder(NamedTuple):
    """A source and its text, as elsewhere in plain pairs; it is there because its folder was named.

    Nobody said that it holds objects: ``package.json`` and the values of a chart may stand beside them.
    """

    source: str
    text: str


def read_files(path: Path) -> list[tuple[str, str]]:
    """Names and texts of the file, or of the folder's files. Raises :class:`PolicyError` that names every unreadable one."""
    if not path.is_dir():
        return [(str(path), read_file(path))]
    found: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for file in _files(path, problems):
        try:
            found.append(OfFolder(str(file), read_file(file)))
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    return found


def read_file(path: Path) -> str:
    """The text of a file. Raises :class:`PolicyError` that says why it cannot be read, and how to mend it."""
    try:
        text = decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise PolicyError([unreadable(path, error)]) from None
    # JSON may be indented by tabs, and YAML, which reads it here, may not; in its strings there are none.
    return text.replace("\t", " ") if path.suffix == ".json" else text


def decoded(content: bytes, source: str) -> str:
    """The text of these bytes. Raises :class:`PolicyError` with the line that is no UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "is not UTF-8; save it in that encoding"
        raise PolicyError([Problem(source, line, "cannot be read", "", message)]) from None


def unreadable(path: Path, error: OSError) -> Problem:
    """Why a file or folder cannot be read, and how to mend it."""
    reason, mend = error.strerror or str(error), _MENDS.get(error.errno or 0)
    return Problem(str(path), 0, "cannot be read", "", f"{reason}; {mend}" if mend else reason)


def contributes(name: str) -> bool:
    """Whether a folder contributes a file of that name."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _files(folder: Path, problems: list[Problem]) -> list[Path]:
    """The files that a folder contributes; what cannot be listed is added to the problems."""
    found: list[Path] = []

    def told(error: OSError) -> None:
        problems.append(unreadable(Path(error.filename), error))

    for place, folders, names in os.walk(folder, onerror=told):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if contributes(name)]
    return sorted(file for file in found if not _is_something_else(file))


def _is_something_else(file: Path) -> bool:
    """Whether it is a pipe, socket or device. What is not there, as behind a broken link, is told when it is read."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False
