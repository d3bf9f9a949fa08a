"""The Pulumi program: one stack for each environment, from machines to policies."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The engine runs this folder as a script, with the folder itself first on the path, where its modules would shadow others.
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "stacks")]

from stacks.program import run  # noqa: E402 (the path comes first)

run(ROOT)
