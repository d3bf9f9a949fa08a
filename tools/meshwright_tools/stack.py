"""``tools/stack up|down``: the main job on one stack, and again after whatever interrupted it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from meshwright_tools import machine, pulumi_cli, pulumi_run, times
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError

LOCAL, LAPTOP = "local", "laptop"
PIPE = "MESHWRIGHT_PROGRESS"
"""Names to what runs below Pulumi the pipe for its progress (``stacks/providers/progress.py``)."""


@contextmanager
def progress_pipe(place: Path, output: TextIO) -> Iterator[str]:
    """The path of a pipe below ``place`` whose lines are written to ``output`` as they come."""
    with tempfile.TemporaryDirectory(prefix="progress-", dir=place) as directory:
        path = os.path.join(directory, "pipe")
        os.mkfifo(path, 0o600)
        # Open for both, so that it does not end with the first who has written to it.
        pipe = os.open(path, os.O_RDWR)

        def copy() -> None:
            with os.fdopen(pipe, errors="replace") as lines:
                for line in lines:
                    if line == "\n":  # nobody says an empty line; it is our own end
                        return
                    output.write(line)
                    output.flush()

        reader = threading.Thread(target=copy, daemon=True)
        reader.start()
        try:
            yield path
        finally:
            os.write(pipe, b"\n")
            reader.join()


@dataclass(frozen=True)
class Pulumi:
    """Pulumi commands on one stack, their output on our own."""

    program: Path
    environment: Mapping[str, str]
    directory: Path
    stack: str

    def run(self, *arguments: str) -> int:
        """Run a command with its output streaming; returns its status. Our signals are passed on, each once."""
        sys.stdout.flush()
        with progress_pipe(self.directory / ".meshwright", sys.stdout) as pipe:
            return self._run({**self.environment, PIPE: pipe}, *arguments)

    def _run(self, environment: Mapping[str, str], *arguments: str) -> int:
        # Among the options that Pulumi has for whoever looks into it is the log of its events.
        environment = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
        # In a session of its own: a Ctrl-C that reached it from the terminal and from us would count as the second, by which
        # Pulumi gives up at once instead of finishing what is under way.
        command = [str(self.program), *arguments, "--stack", self.stack, "--non-interactive"]
        process = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        signals = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, lambda *_: process.send_signal(signal.SIGINT)) for number in signals]
        try:
            return process.wait()
        finally:
            for number, handler in zip(signals, previous):
                signal.signal(number, handler)

    def read(self, *arguments: str, of_stack: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command and return what it says."""
        command = [str(self.program), *arguments, *(["--stack", self.stack] if of_stack else []), "--non-interactive"]
        return subprocess.run(
            command, cwd=self.directory, env=self.environment, check=False, capture_output=True, text=True
        )

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        done = self.read("stack", "ls", "--json", of_stack=False)
        if done.returncode:
            raise StepError(f"pulumi stack ls: {done.stderr.strip()}")
        return any(item["name"].split("/")[-1] == self.stack for item in json.loads(done.stdout or "[]"))


def chosen(environment: Mapping[str, str], asked: str | None, progress: Progress) -> str:
    """The stack: the one asked for (argument, or ``STACK``), else ``local`` where its machines can be made."""
    name = asked or environment.get("STACK")
    if name:
        return name
    reason = machine.why_no_namespaces()
    if reason is None:
        return LOCAL
    progress.say(f"==> No machines can be made here ({reason}): taking the stack {LAPTOP}, plain processes on loopback")
    return LAPTOP


def ensure_secrets(checkout: Checkout, name: str) -> None:
    """Make the vault's password, the vault of the environment and the SSH key where they are missing."""
    command = [str(checkout.venv / "bin" / "python"), "-m", "stacks.vault", name]
    done = subprocess.run(command, cwd=checkout.root, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise StepError(f"the secrets of {name} cannot be made: {done.stderr.strip()}")


def open_stack(checkout: Checkout, name: str, progress: Progress) -> Pulumi:
    """Pulumi on the stack ``name``."""
    programs = pulumi_cli.find(checkout) or pulumi_cli.ensure(checkout, progress)
    environment = pulumi_run.environment(checkout, programs)
    return Pulumi(programs / "pulumi", environment, checkout.root, name)


def running_update(locks: Sequence[dict[str, Any]], hostname: str) -> int | None:
    """The process that holds one of the stack's locks and still runs; a lock from another machine counts as running (0)."""
    for lock in locks:
        if lock.get("hostname") != hostname:
            return 0
        process = int(lock.get("pid", 0))
        if process > 0 and _is_alive(process):
            return process
    return None


def _is_alive(process: int) -> bool:
    """Whether the process is a pulumi that runs: numbers are used again, and a zombie holds nothing."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return False
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    name = fields[fields.index("(") + 1 : fields.rindex(")")]
    return name.startswith("pulumi") and fields[fields.rindex(")") + 2] != "Z"


def stack_locks(backend: str, stack: str) -> list[dict[str, Any]]:
    """The locks of a stack in a file backend; none for other backends, which keep order themselves."""
    if not backend.startswith("file://"):
        return []
    directory = Path(backend[len("file://") :]) / ".pulumi" / "locks"
    return [json.loads(file.read_text()) for file in sorted(directory.glob(f"**/{stack}/*.json"))]


def recover(pulumi: Pulumi, progress: Progress) -> None:
    """Clear what an interrupted update left: the lock of a process that is gone, and operations that never ended."""
    locks = stack_locks(pulumi.environment["PULUMI_BACKEND_URL"], pulumi.stack)
    if locks:
        holder = running_update(locks, os.uname().nodename)
        if holder is not None:
            who = f"process {holder}" if holder else "a process on another machine"
            raise StepError(f"an update of the stack {pulumi.stack} is under way ({who}); wait for it, or end it")
        progress.say(f"==> An earlier update of {pulumi.stack} was killed: releasing its lock")
        done = pulumi.read("cancel", "--yes")
        if done.returncode:
            raise StepError(f"pulumi cancel: {done.stderr.strip()}")
    exported = pulumi.read("stack", "export")
    if exported.returncode:
        raise StepError(f"the state of {pulumi.stack} cannot be read: {exported.stderr.strip()}")
    if pending_operations(json.loads(exported.stdout)):
        progress.say(f"==> An earlier update of {pulumi.stack} was interrupted: looking at what is really there")
        if pulumi.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--suppress-outputs"):
            raise StepError(f"the stack {pulumi.stack} could not be refreshed after its interrupted update (see above)")


def pending_operations(state: Mapping[str, Any]) -> list[Any]:
    """Operations of an exported state that had begun and not ended."""
    deployment = state.get("deployment") or {}
    return list(deployment.get("pending_operations") or [])


def up(checkout: Checkout, name: str, progress: Progress) -> None:
    """Bring the stack up; raises :class:`StepError` when Pulumi fails or is interrupted."""
    pulumi = open_stack(checkout, name, progress)
    selected = pulumi.read("stack", "select", "--create", name, of_stack=False)
    if selected.returncode:
        raise StepError(f"pulumi stack select {name}: {selected.stderr.strip()}")
    recover(pulumi, progress)
    with tempfile.TemporaryDirectory(prefix="events-", dir=checkout.root / ".meshwright") as directory:
        events = Path(directory) / "events"
        _must(
            pulumi,
            progress,
            *("up", "--yes", "--skip-preview", "--suppress-outputs", "--suppress-progress"),
            f"--event-log={events}",
        )
        if told := times.table(*times.read(events.read_text(errors="replace").splitlines())):
            progress.say(told)
    outputs = json.loads(pulumi.read("stack", "output", "--json").stdout or "{}")
    if "gateway" in outputs:
        progress.say(outlook(outputs, name))
    elif "kubeconfig" in outputs:
        progress.say(f"==> The cluster {name} stands:\n    kubectl --kubeconfig {outputs['kubeconfig']} get nodes")


def outlook(outputs: Mapping[str, Any], name: str) -> str:
    """What people can do with a stack that stands and has a gateway."""
    enter = "".join(f"{word} " for word in outputs.get("enter", []))
    return "\n".join(
        (
            f"==> The stack {name} stands. Ask the book store through the gateway:",
            f"    {enter}curl -i -H 'Host: book-store.local' {outputs['gateway']}/api/v1/ping",
            f"    make demo STACK={name} SCENARIO=timeout    (or routing, canary, circuit-breaker, authentication)",
        )
    )


def down(checkout: Checkout, name: str, progress: Progress) -> None:
    """Destroy the stack and forget it; a stack that does not exist is no error."""
    pulumi = open_stack(checkout, name, progress)
    if not pulumi.exists():
        progress.say(f"==> There is no stack {name}")
        return
    recover(pulumi, progress)
    _must(pulumi, progress, "destroy", "--yes", "--skip-preview", "--suppress-progress")
    _must(pulumi, progress, "stack", "rm", "--yes", "--preserve-config")


def _must(pulumi: Pulumi, progress: Progress, *arguments: str) -> None:
    """Run a command that changes the stack, as a step."""
    title = f"pulumi {' '.join(word for word in arguments if not word.startswith('-'))}: stack {pulumi.stack}"
    with progress.step(title):
        if pulumi.run(*arguments):
            raise StepError(
                f"{title} did not end well (see above); once that is mended, run it again: it goes on from here"
            )


def existing(checkout: Checkout, progress: Progress) -> list[str]:
    """Which of the stacks of this machine exist, for ``down`` without a name."""
    return [name for name in (LOCAL, LAPTOP) if open_stack(checkout, name, progress).exists()]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tools/stack", description="Bring a stack up, show it, or destroy it.")
    parser.add_argument("command", choices=("up", "demo", "down"))
    parser.add_argument(
        "stack", nargs="?", help="default: $STACK, else local where namespaces can be made, else laptop"
    )
    parser.add_argument("--scenario", default="timeout", help="what demo shows")
    arguments = parser.parse_args()
    checkout, progress = here(), Progress()
    asked = arguments.stack or os.environ.get("STACK")
    try:
        if arguments.command == "up":
            name = chosen(os.environ, asked, progress)
            ensure_secrets(checkout, name)
            up(checkout, name, progress)
            return 0
        names = [asked] if asked else existing(checkout, progress)
        if arguments.command == "demo":
            from meshwright_tools.demo import demo

            if not names:
                raise StepError("there is no stack to show; run `make up` first")
            return demo(checkout, names[0], arguments.scenario, progress)
        if not names:
            progress.say("==> Neither of the stacks local and laptop exists")
        for name in names:
            down(checkout, name, progress)
    except (StepError, OSError) as error:
        print(f"tools/stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tools/stack: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0
