"""A stack of the project, brought up, spoken to and destroyed by a test, with the commands that people use."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stacks.images.go_build import UnavailableError, find_go

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import http.client, json, sys
host, port, method, path, fields, body = json.load(sys.stdin)
c = http.client.HTTPConnection(host, port, timeout=60)
c.request(method, path, body, fields)
r = c.getresponse()
print(json.dumps([r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read().decode()]))
"""


class Reply:
    """An answer from the mesh."""

    def __init__(self, status: int, fields: dict[str, str], body: str) -> None:
        self.status = status
        self.fields = fields
        self.body = body


class Stack:
    """One stack. Each command's output is kept for the failure's sake."""

    def __init__(self, name: str, enter: tuple[str, ...] = ()) -> None:
        self.name = name
        self.enter = enter
        """What to put before a command, where the stack is made from another network namespace."""

    def run(
        self, *command: str, check: bool = True, stdin: str = "", seconds: float = 900
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, input=stdin, timeout=seconds, check=False
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done

    def up(self) -> float:
        """Bring it up; returns the seconds that took."""
        began = time.monotonic()
        self.run(*self.enter, "tools/stack", "up", self.name)
        return time.monotonic() - began

    def interrupted_up(self, word: str, how: signal.Signals) -> str:
        """Begin to bring it up, and send the signal (a kill to all of its processes) when the word is said."""
        update = subprocess.Popen(
            ["tools/stack", "up", self.name],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert update.stdout is not None
        said = ""
        for line in update.stdout:
            said += line
            if word in line:
                break
        for process in descendants(update.pid) if how is signal.SIGKILL else [update.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, how)
        said += update.stdout.read()
        assert update.wait() != 0, said
        return said

    def down(self) -> None:
        self.run(*self.enter, "tools/stack", "down", self.name)

    def demo(self, scenario: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.enter, "tools/stack", "demo", self.name, "--scenario", scenario, check=False)

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*self.enter, "tools/pulumi", *arguments, "--stack", self.name, "--non-interactive"]
        return self.run(*command, check=check)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.pulumi("stack", "output", "--json").stdout))

    def ask(
        self, method: str, path: str, host: str, body: Any = None, *, at: str = "", fields: dict[str, str] | None = None
    ) -> Reply:
        """A request to the gateway (or to ``at``), made from where it can be reached."""
        outputs = self.outputs()
        address, _, port = (at or outputs["gateway"].removeprefix("http://")).rpartition(":")
        sent = {"Host": host, **(fields or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        question = [address, int(port), method, path, sent, None if body is None else json.dumps(body)]
        done = self.run(*self.enter, *outputs.get("enter", []), sys.executable, "-c", ASK, stdin=json.dumps(question))
        return Reply(*json.loads(done.stdout))

    def on(self, machine: str, *command: str, check: bool = True, stdin: str = "") -> str:
        """Run a command as root on a machine."""
        place = dict(self.outputs()["control"]["place"])
        number = machine.removeprefix("node")
        address = place["address"].rpartition(".")[0] + f".1{number}"
        arguments = [
            argument.replace(f"known_hosts.{place['name']}", f"known_hosts.{machine}")
            for argument in place["arguments"]
        ]
        ssh = ["ssh", "-o", "BatchMode=yes", *arguments, f"{place['user']}@{address}", "sudo", *command]
        return self.run(*ssh, check=check, stdin=stdin).stdout

    def apply(self, owner: str, policies: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Hand in an owner's policies on the control plane's machine, and wait until every proxy has taken them."""
        return self.mesh("policies", "apply", "--owner", owner, stdin=policies, check=check)

    def mesh(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """The ``mesh`` command on the control plane's machine."""
        control = self.outputs()["control"]
        command = [control["command"], *arguments, "--socket", control["socket"]]
        if control["place"]["kind"] == "here":
            return self.run(*command, stdin=stdin, check=check)
        place = control["place"]
        ssh = [
            "ssh",
            "-o",
            "BatchMode=yes",
            *place["arguments"],
            f"{place['user']}@{place['address']}",
            "sudo",
            *command,
        ]
        return self.run(*ssh, stdin=stdin, check=check)


def descendants(process: int) -> list[int]:
    """A process and everything that it started and that still is its descendant, from the top."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [process, *(found for child in children for found in descendants(child))]


@contextlib.contextmanager
def watched_processes(seen: set[str]) -> Iterator[None]:
    """Collects the command lines of all processes of this machine, twenty times a second."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        seen.add((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


PLACES = ("/machines", "/processes", "/.meshwright")
"""Folders in which an environment has one of its own; what runs for it names a file there."""


def leftovers(environment: str) -> list[str]:
    """What of an environment is still on this machine: processes, namespaces, mounts, control groups, files."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(f"{place}/{environment}/" in words for place in PLACES) and str(os.getpid()) != entry.name:
                found.append(f"process {entry.name}: {words[:120]}")
    namespaces = Path("/run/netns")
    if namespaces.exists():
        found += [f"network namespace {p.name}" for p in namespaces.iterdir() if p.name.startswith(f"mw-{environment}")]
    found += [
        f"mount {line.split()[1]}"
        for line in Path("/proc/mounts").read_text().splitlines()
        if f"machines/{environment}" in line
    ]
    groups = subprocess.run(
        ["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*meshwright/{environment}*"], capture_output=True, text=True
    )
    found += [f"control group {line}" for line in groups.stdout.splitlines()]
    places = [Path("/var/lib/meshwright") / kind / environment for kind in ("machines", "processes")]
    for directory in (*places, ROOT / ".meshwright" / environment):
        if directory.exists():
            found.append(f"directory {directory}")
    return found


def missing() -> str | None:
    """Why no stack can be brought up here, for a skip; None when one can."""
    if not (ROOT / ".venv" / "bin" / "mesh").exists():
        return "the project's environment is not made (make setup)"
    if shutil.which("ps") is None:
        return "ps is missing"
    return None


def not_compiled() -> str:
    """Why hosts get no compiled wheel from this machine; empty: they do."""
    asked = "from meshwright_tools import compiled; print(compiled.missing() or compiled.foreign('3.11'))"
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    return subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, env=settings, check=True
    ).stdout.strip()


def missing_machines() -> str | None:
    """Why no machines can be made here; None when they can."""
    if os.geteuid() != 0:
        return "machines made of namespaces need root"
    for tool in ("mmdebstrap", "ip", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is missing"
    return None


def missing_cluster() -> str | None:
    """Why no cluster of such machines can be made here; None when it can."""
    if reason := missing() or missing_machines():
        return reason
    try:
        find_go()
    except UnavailableError as error:
        return str(error)
    return None
