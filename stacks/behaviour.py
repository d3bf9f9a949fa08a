"""Which requests a change of policies treats differently, told while Pulumi previews it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.remote import mesh_here

SECONDS = 120.0
CHANGED, SAME = 1, 0
"""Exit codes of ``mesh diff``."""


def changes(before: str, after: str, inventory: Mapping[str, Any]) -> list[str]:
    """One line for each change from a set of policies to another (YAML both), among these services and workloads.

    Raises :class:`RuntimeError` where that cannot be told; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="meshwright-") as folder:
        files = {"before.yaml": before, "after.yaml": after, "inventory.yaml": json.dumps(inventory)}
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [
            mesh_here(),
            "diff",
            "--behaviour",
            "before.yaml",
            "after.yaml",
            "--inventory",
            "inventory.yaml",
            "-o",
            "json",
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(str(error)) from None
    if done.returncode not in (SAME, CHANGED):
        raise RuntimeError(done.stderr.strip())
    return [str(change["text"]) for change in json.loads(done.stdout)["changes"]]
