"""The demo's workloads as processes of a test's own, on free loopback ports."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
PATIENCE = 30.0
"""Seconds that a process may take for anything before a test gives up."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program: nothing of ours but what Python needs."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(DEMO), "PYTHONUNBUFFERED": "1", **settings}


class DemoProgram:
    """A running program; its log is read as it comes."""

    def __init__(self, program: str, settings: Mapping[str, str]) -> None:
        self.name = program
        self.events: list[dict[str, Any]] = []
        """Every log line so far that was waited for or passed by."""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meshwright_demo", program, "--port", "0"],
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def listening(self) -> DemoProgram:
        """Wait until it serves; from then on ``url`` is set."""
        self.url = f"http://127.0.0.1:{self.event('listening')['port']}"
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def event(self, message: str, **fields: object) -> dict[str, Any]:
        """The next log line with this message and these fields."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError(f"{self.name} ended before {message!r}; its log: {self.events}")
            self.events.append(_parsed(line))
            found = self.events[-1]
            if found.get("message") == message and fields.items() <= found.items():
                return found

    def ended(self) -> int:
        """Wait for its end; the exit code. ``events`` is then the whole log."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                self.events.append(_parsed(line))
        return code

    def terminate(self) -> int:
        """SIGTERM, then its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def destroy(self) -> None:
        """For the end of a test, however it went."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"text": line}
    return entry


class Shop:
    """Store, order, warehouse and warranty on one database."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self.programs: dict[str, DemoProgram] = {}

    def start(self) -> None:
        """Start the four, callees first, and wait until each has its database."""
        for name in ("warranty", "warehouse", "order", "store"):
            self.launch(name)
        for program in self.programs.values():
            program.event("ready")

    def launch(self, name: str, **settings: str) -> DemoProgram:
        """Start one, calling those that run now; wait until it listens, not for its database."""
        urls = {f"{callee.upper()}_URL": program.url for callee, program in self.programs.items()}
        program = DemoProgram(name, {"DATABASE_URL": self._database_url, **urls, **settings})
        self.programs[name] = program
        return program.listening()

    def destroy(self) -> None:
        """End them all."""
        for program in self.programs.values():
            program.destroy()
