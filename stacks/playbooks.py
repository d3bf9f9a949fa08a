"""Runs the Ansible playbook for a part of an environment, and tells what it did.

Ansible runs as a process of its own; what happens comes back as JSON lines from :mod:`stacks.callbacks`. Secrets reach it
in a file of mode 0600 in a private directory that is gone when the run ends.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacks.machines.system import locked

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".meshwright"
PREFIX = "playbook-"
MESH, KUBERNETES, WORKLOADS = "mesh.yml", "kubernetes.yml", "cluster/workloads.yml"
"""The playbooks."""
Say = Callable[[str], None]
Event = Mapping[str, Any]
Hear = Callable[[Event], None]
"""Takes events of :mod:`stacks.callbacks`, and one of the name ``tick`` every now and then."""
TICK = 1.0


class PlaybookError(RuntimeError):
    """The run failed; the message names each host, task and reason."""


@dataclass(slots=True)
class Outcome:
    """What a run did (or, with ``check``, would do): ``changes`` are lines ``HOST: TASK``."""

    hosts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the callback."""
        if event["event"] == "stats":
            self.hosts = dict(event["hosts"])
        elif event["event"] != "result":
            return
        elif event["status"] in ("failed", "unreachable"):
            self.failures.append(f"{event['host']}: {event['task']}: {event['message']}")
        elif event["changed"]:
            self.changes.append(f"{event['host']}: {event['task']}")


def run(
    inventory: str,
    secrets: Mapping[str, str],
    tags: tuple[str, ...],
    *,
    check: bool = False,
    say: Say = lambda line: None,
    playbook: str = MESH,
) -> Outcome:
    """Run a playbook of the project, or of it the plays with these ``tags``, on an inventory given as JSON.

    Raises :class:`PlaybookError`.
    """
    with _place(secrets) as directory:
        (directory / "inventory.json").write_text(inventory)
        words = ["-i", str(directory / "inventory.json"), str(ROOT / playbook)]
        words += ["--tags", ",".join(tags)] if tags else []
        return _execute(directory, [*words, *(["--check"] if check else [])], _told(say))


def operate(
    inventory: Path, password_file: Path | None, variables: Mapping[str, str], playbook: str, *, check: bool, hear: Hear
) -> Outcome:
    """Run a playbook of the project as its operators do: on an inventory in files, whose vault the password opens.

    Raises :class:`PlaybookError`.
    """
    with _place(variables) as directory:
        words = ["-i", str(inventory), str(ROOT / playbook), *(["--check"] if check else [])]
        words += [] if password_file is None else [f"--vault-password-file={password_file}"]
        return _execute(directory, words, hear)


def _told(say: Say) -> Hear:
    def hear(event: Event) -> None:
        if event["event"] == "result" and (event["changed"] or event["status"] != "ok"):
            say(f"{event['host']}: {event['task']} ({event['status']}, {event['seconds']} s)")

    return hear


@contextlib.contextmanager
def _place(variables: Mapping[str, str]) -> Iterator[Path]:
    """A private directory for a run, gone afterwards, with variables that are in nobody's list of processes."""
    WORK.mkdir(mode=0o700, exist_ok=True)
    directory, lock = _directory(WORK)
    try:
        (directory / "secrets.json").touch(mode=0o600)
        (directory / "secrets.json").write_text(json.dumps(dict(variables)))
        (directory / "events").touch()
        # Connections of its own: machines of two environments may have the same address. The name of a socket must be short.
        (directory / "ssh").symlink_to(tempfile.mkdtemp(prefix="meshwright-ssh-"))
        yield directory
    finally:
        _remove(directory)
        os.close(lock)


def _directory(work: Path) -> tuple[Path, int]:
    """A private directory for a run, and the descriptor that holds its lock as long as this process lives."""
    with locked(work):
        remove_stale(work)
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=work))
        lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return directory, lock


def remove_stale(work: Path) -> None:
    """Remove what runs left, secrets among it, that were killed: nobody holds the lock of their directory."""
    for directory in work.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another run's, or just gone
            descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(directory)
            finally:
                os.close(descriptor)


def _remove(directory: Path) -> None:
    _end_connections(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _end_connections(directory: Path) -> None:
    """SSH keeps connections open for later commands; those of this run end with it."""
    if not (directory / "ssh").is_symlink():
        return
    for control in (directory / "ssh").resolve().glob("*"):
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={control}", "any"], capture_output=True, check=False)
    shutil.rmtree((directory / "ssh").resolve(), ignore_errors=True)


def _execute(directory: Path, words: list[str], hear: Hear) -> Outcome:
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", f"@{directory / 'secrets.json'}", *words]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "stacks" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "meshwright_events",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str((directory / "ssh").resolve()),
        "MESHWRIGHT_EVENTS": str(directory / "events"),
        "PYTHONWARNINGS": "ignore",
    }
    outcome = Outcome()
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            for event in _follow(directory / "events", process):
                outcome.add(event)
                hear(event)
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if process.returncode or outcome.failures:
        detail = outcome.failures or [_tail(directory / "output")]
        raise PlaybookError("\n".join(detail))
    return outcome


def _follow(path: Path, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """The events as they come, until the process has ended and all are read."""
    with path.open() as file:
        pending, ticked = "", time.monotonic()
        while True:
            ended = process.poll() is not None
            pending += file.read()
            *lines, pending = pending.split("\n")
            yield from map(json.loads, lines)
            if ended:
                return
            if time.monotonic() - ticked > TICK:
                ticked = time.monotonic()
                yield {"event": "tick"}
            time.sleep(0.1)


def _tail(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-15:]) or "ansible-playbook ended without a word"
