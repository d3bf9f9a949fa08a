"""How verbs speak: results on standard output, everything else on standard error, tables that need no terminal."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn

import typer

from mesh_control.log_lines import escaped


class Form(StrEnum):
    """Form of a result."""

    TEXT = "text"
    JSON = "json"


def result(value: object) -> None:
    """A result as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def tell(text: str, *, nl: bool = True) -> None:
    """A result as text. A terminal obeys nothing that a peer, a request or a file has put into it."""
    sys.stdout.write(_harmless(text) + ("\n" if nl else ""))


def _harmless(text: str) -> str:
    return "\n".join("\t".join(map(escaped, line.split("\t"))) for line in text.split("\n"))


def say(line: str) -> None:
    """A line about what is going on."""
    sys.stderr.write(_harmless(line) + "\n")
    sys.stderr.flush()


def fail(message: str, code: int = 1) -> NoReturn:
    """End with a message."""
    say(message)
    raise typer.Exit(code)


def moment(seconds: float) -> str:
    """A time (seconds since 1970), to the second, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, two blanks apart. A cell is one line, whatever is in it."""
    cells = [[*map(str, head)], *([escaped(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
