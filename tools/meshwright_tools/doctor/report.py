"""The findings as a table or JSON, the verdict, and the exit status."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from meshwright_tools.doctor.judge import BLOCKS, EVERY, MISSING, OK, Finding

MARKS = {OK: "ok", MISSING: "--", BLOCKS: "NO"}
HEAD = ("", "check", "found", "needed for", "mend")
NARROWEST = 100


def possible_stacks(findings: Sequence[Finding]) -> list[str]:
    """The stacks that nothing blocks."""
    blocked = {stack for finding in findings for stack in finding.stacks}
    return [stack for stack in EVERY if stack not in blocked]


def exit_status(findings: Sequence[Finding]) -> int:
    """0: the stack local can come up; 1: laptop alone; 2: neither."""
    possible = possible_stacks(findings)
    if "local" in possible:
        return 0
    return 1 if "laptop" in possible else 2


def verdict(findings: Sequence[Finding]) -> str:
    """One line."""
    return (
        "The stack local can come up here: make up",
        "Machines cannot be made here (see NO); make up takes the stack laptop: plain processes on loopback",
        "No stack can come up here: mend what is marked NO and run make doctor again",
    )[exit_status(findings)]


def table(findings: Sequence[Finding], width: int | None = None) -> str:
    """All findings; long cells are wrapped, nothing is cut off."""
    width = max(width or shutil.get_terminal_size((140, 24)).columns, NARROWEST)
    rows = [(MARKS[item.state], item.check, item.found, item.needed_for, item.mend) for item in findings]
    fixed = [max(len(row[index]) for row in [HEAD, *rows]) for index in (0, 1)]
    share = (width - sum(fixed) - 2 * 4) // 3
    widths = [*fixed, *(min(share, max(len(row[index]) for row in [HEAD, *rows])) for index in (2, 3, 4))]
    lines: list[str] = []
    for row in [HEAD, tuple("-" * size for size in widths), *rows]:
        cells = [textwrap.wrap(text, size, break_on_hyphens=False) or [""] for text, size in zip(row, widths)]
        for index in range(max(map(len, cells))):
            parts = [cell[index] if index < len(cell) else "" for cell in cells]
            lines.append("  ".join(part.ljust(size) for part, size in zip(parts, widths)).rstrip())
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: ``{"stacks": [...], "findings": [...]}``."""
    content = {"stacks": possible_stacks(findings), "findings": [asdict(item) for item in findings]}
    return json.dumps(content, indent=2)
