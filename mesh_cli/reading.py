"""What verbs read: files, folders and standard input, and how they tell what was passed over."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mesh_cli import output
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.files import decoded, read_file, read_files

STANDARD_INPUT = "standard input"
"""What messages call it."""
SHOWN = 5
"""How many places are told of what was passed over."""


def texts(files: Iterable[str | Path]) -> list[tuple[str, str]]:
    """Names and texts of files and folders; ``-`` is standard input. Raises :class:`PolicyError`."""
    return [pair for file in files for pair in ([standard_input()] if str(file) == "-" else read_files(Path(file)))]


def text(file: Path) -> str:
    """The text of one file, or of standard input. Raises :class:`PolicyError`."""
    return standard_input()[1] if str(file) == "-" else read_file(file)


def standard_input() -> tuple[str, str]:
    """Its name and text. Raises :class:`PolicyError` when it is closed or is no UTF-8."""
    if sys.stdin is None:
        raise PolicyError([Problem(STANDARD_INPUT, 0, "cannot be read", "", "is closed")])
    return STANDARD_INPUT, decoded(sys.stdin.buffer.read(), STANDARD_INPUT)


def say_passed_over(places: Sequence[str]) -> None:
    """Tell which documents of folders are no objects (:func:`mesh_policy.load.objects`)."""
    if places:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        were = "document was" if len(places) == 1 else "documents were"
        listed = ", ".join(places[:SHOWN]) + more
        output.say(f"{len(places)} {were} passed over, with neither apiVersion nor kind: {listed}")
