"""The processes that the host has started, so that a cancelled update ends all of them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Children:
    """Processes under way; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    @contextmanager
    def start(self, command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``command`` for the length of the block and end it there; options as of :class:`subprocess.Popen`."""
        with self._lock:
            if self._cancelled:
                raise InterruptedError("the update was cancelled")
            child = subprocess.Popen(command, **options)
            self._running.add(child)
        try:
            yield child
        finally:
            self._terminate(child)
            with self._lock:
                self._running.discard(child)

    def interrupt(self) -> None:
        """Ask every process to stop and refuse new ones: the user has cancelled the update."""
        with self._lock:
            self._cancelled = True
            running = list(self._running)
        for child in running:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)

    @staticmethod
    def stop(child: subprocess.Popen[bytes]) -> None:
        """Ask one process to end, without waiting for it."""
        if child.poll() is None:
            child.terminate()

    @staticmethod
    def _terminate(child: subprocess.Popen[bytes], grace: float = 5.0) -> None:
        """End a process that still runs; ``grace`` seconds after SIGTERM it is killed."""
        if child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
