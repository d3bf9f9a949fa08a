"""Progress of long steps: lines on the provider's standard error, which the engine shows, each with its place and time."""

import sys
import time
from collections.abc import Callable


def speaker(part: str) -> Callable[[str], None]:
    """A function that says a line for ``part``, with the seconds since the speaker was made."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{part} +{time.monotonic() - began:.0f}s] {line}\n")
        sys.stderr.flush()

    return say
