"""The real CLI, engine and file backend run a Python program, through whichever language host this machine has."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from meshwright_tools import pulumi_cli, pulumi_run
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent / "tiny_program"
PASSWORD = "correct-horse-battery"
NO_CHANGE_EXPECTED = 7
"""Exit status of a preview or update that has changes in spite of --expect-no-changes."""


@dataclass(frozen=True)
class Stack:
    """The tiny program's stack in a directory of its own."""

    directory: Path
    environment: dict[str, str]
    drawers: Path

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["pulumi", *arguments, "--non-interactive", "--stack", "try"]
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        process = self.popen(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == status, output
        return output

    def state(self) -> dict:
        return json.loads(self.run("stack", "export"))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    checkout = here()
    programs = pulumi_cli.find(checkout) or pulumi_cli.ensure(checkout, Progress())
    own = Checkout(root=tmp_path, cache=checkout.cache)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment = pulumi_run.environment(own, programs, outer)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    shutil.copytree(PROGRAM, tmp_path / "program", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "drawers").mkdir()
    stack = Stack(tmp_path / "program", environment, tmp_path / "drawers")
    subprocess.run(
        ["pulumi", "stack", "init", "try", "--non-interactive"], cwd=stack.directory, env=environment, check=True
    )
    stack.run("config", "set", "directory", str(stack.drawers))
    stack.run("config", "set", "--secret", "password", PASSWORD)
    return stack


def test_a_program_lives_and_dies(stack: Stack) -> None:
    assert "+ 4 to create" in stack.run("preview")
    assert list(stack.drawers.iterdir()) == []
    stack.run("up", "--yes", "--skip-preview")
    assert (stack.drawers / "first").read_text() == PASSWORD
    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")
    stack.run("preview", "--expect-no-changes")

    (stack.drawers / "second").write_text("edited behind its back")
    stack.run("refresh", "--yes", "--skip-preview")
    assert "edited behind" in json.dumps(stack.state())
    stack.run("up", "--yes", "--skip-preview")
    assert (stack.drawers / "second").read_text() == "plain"

    stack.run("destroy", "--yes", "--skip-preview")
    assert list(stack.drawers.iterdir()) == []


def test_a_secret_is_encrypted_in_the_state_and_masked_in_the_output(stack: Stack) -> None:
    output = stack.run("up", "--yes", "--skip-preview")
    exported = stack.run("stack", "export")
    kept = "".join(
        file.read_text(errors="replace")
        for file in Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://")).rglob("*")
        if file.is_file()
    )
    assert "[secret]" in output
    assert PASSWORD not in output + exported + kept
    assert stack.run("stack", "output", "password", "--show-secrets").strip() == PASSWORD


def test_a_changed_input_is_a_change_for_preview(stack: Stack) -> None:
    stack.run("up", "--yes", "--skip-preview")
    stack.run("config", "set", "--secret", "password", "another")
    stack.run("preview", "--expect-no-changes", status=NO_CHANGE_EXPECTED)


def test_an_error_of_the_program_is_shown_once_with_its_line(stack: Stack) -> None:
    stack.run("config", "set", "broken", "true")
    output = stack.run("preview", status=1)
    assert output.count("ValueError: the program is broken on purpose") == 1
    assert "__main__.py" in output
    assert "program ended with status" not in output
    assert "run_program.py" not in output


def test_an_interrupted_update_is_completed_by_the_next(stack: Stack) -> None:
    gate = stack.drawers.parent / "gate"
    os.mkfifo(gate)
    stack.run("config", "set", "gate", str(gate))
    update = stack.popen("up", "--yes", "--skip-preview")
    assert update.stdout is not None
    with gate.open("w"):  # opens when the provider, in the middle of creating `second`, opens its end
        update.send_signal(signal.SIGINT)
        output = "".join(iter_until(update.stdout, "cancelling"))
    output += update.stdout.read()
    assert update.wait() != 0, output
    assert "Traceback" not in output
    assert (stack.drawers / "first").exists()
    assert not (stack.drawers / "third").exists()
    gate.unlink()

    stack.run("up", "--yes", "--skip-preview")
    assert sorted(file.name for file in stack.drawers.iterdir()) == ["first", "second", "third"]
    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")


def iter_until(stream: IO[str], text: str) -> Iterator[str]:
    """The lines of a stream up to the first that holds ``text``."""
    for line in stream:
        yield line
        if text in line:
            return
