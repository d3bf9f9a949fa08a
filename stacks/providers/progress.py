"""Progress of long steps, line by line, each with its place and time.

Whoever runs Pulumi may name a pipe for them (``MESHWRIGHT_PROGRESS``), as ``tools/stack`` does: the engine would put its own
words before each line, and show all of them again at the end. Without one they go to the provider's standard error.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable

PIPE = "MESHWRIGHT_PROGRESS"
Say = Callable[[str], None]
"""Says a line."""


def speaker(part: str) -> Say:
    """A function that says a line for ``part``, with the seconds since the speaker was made."""
    began = time.monotonic()

    def say(text: str) -> None:
        line = f"[{part} +{time.monotonic() - began:.0f}s] {text}\n"
        if not _to_pipe(os.environ.get(PIPE, ""), line):
            sys.stderr.write(line)
            sys.stderr.flush()

    return say


def _to_pipe(path: str, line: str) -> bool:
    """Whether somebody reads the pipe and has been given the line (a short one is written whole, or not at all)."""
    if not path:
        return False
    with contextlib.suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            return os.write(pipe, line.encode()) > 0
        finally:
            os.close(pipe)
    return False
