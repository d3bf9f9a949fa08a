"""Says what is being done and how long it took, the same with and without a terminal."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, TextIO

TAIL = 25
"""Lines of a failed program's output that are shown."""


class StepError(RuntimeError):
    """A step failed; the message says which, why and what mends it."""


class Progress:
    """Lines on a stream: a step begins, goes on (every ``every`` seconds), ends with its duration."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        every: float = 15.0,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._every = every
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """One line, at once."""
        with self._lock:
            print(text, file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step of more than a moment."""
        begun = self._clock()
        ended = threading.Event()
        self.say(f"==> {title}")

        def beat() -> None:
            while not ended.wait(self._every):
                self.say(f"    still at it: {title} ({self._clock() - begun:.0f} s)")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            ended.set()
            thread.join()
            self.say(f"    {outcome} {self._clock() - begun:.1f} s")

    def run(
        self,
        title: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Run a program as a step, its output in ``log``; raises :class:`StepError` with the output's end when it fails."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with self.step(title), log.open("w") as output:
            try:
                done = subprocess.run(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if environment is None else dict(environment),
                    cwd=directory,
                    check=False,
                )
            except OSError as error:
                raise StepError(f"{title}: {error}") from error
        if done.returncode:
            tail = "\n".join(f"    | {line}" for line in log.read_text(errors="replace").splitlines()[-TAIL:])
            raise StepError(f"{title}: {command[0]} ended with {done.returncode}; the end of {log}:\n{tail}")
