"""``tools/stack`` ends well after a killed update: its lock is released, half-made resources are looked at again."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from meshwright_tools import pulumi_cli, stack
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.stack import Pulumi

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent / "tiny_program"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout whose Pulumi program is the tiny one, with a stack ``try``."""
    real = here()
    pulumi_cli.ensure(real, Progress())
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    root = tmp_path / "checkout"
    shutil.copytree(PROGRAM, root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(real.root / "tools" / "pulumi-cli", root / "tools" / "pulumi-cli")
    shutil.copytree(
        real.root / "tools" / "pulumi-host",
        root / "tools" / "pulumi-host",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (root / "drawers").mkdir()
    checkout = Checkout(root, real.cache)
    pulumi = stack.open_stack(checkout, "try", Progress())
    assert pulumi.read("stack", "select", "--create", "try", of_stack=False).returncode == 0
    assert pulumi.run("config", "set", "directory", str(root / "drawers")) == 0
    assert pulumi.run("config", "set", "--secret", "password", "secret") == 0
    return checkout


def half_done_update(checkout: Checkout, how: signal.Signals) -> Pulumi:
    """Begin an update and send it a signal in the middle of the creation of ``second``."""
    gate = checkout.root / "gate"
    os.mkfifo(gate)
    pulumi = stack.open_stack(checkout, "try", Progress())
    assert pulumi.run("config", "set", "gate", str(gate)) == 0
    update = subprocess.Popen(
        [str(pulumi.program), "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "try"],
        cwd=pulumi.directory,
        env=dict(pulumi.environment),
        stdout=subprocess.DEVNULL,
        process_group=0,
    )
    with gate.open("w"):  # opens when the provider opens its end
        plugins = children(update.pid)
        assert len(plugins) >= 2, "language host and dynamic provider"
        update.send_signal(how)
        update.wait()
        for descriptor in plugins.values():
            select.select([descriptor], [], [])  # every plugin ends with its engine, the gate still closed
            os.close(descriptor)
        gate.unlink()
    return pulumi


def children(parent: int) -> dict[int, int]:
    """The processes that a process has started, each with a descriptor that becomes readable at its end."""
    found = Path(f"/proc/{parent}/task").glob("*/children")
    return {number: os.pidfd_open(number) for file in found for number in map(int, file.read_text().split())}


def drawers(checkout: Checkout) -> list[str]:
    return sorted(file.name for file in (checkout.root / "drawers").iterdir())


def test_up_after_a_killed_update_completes_it_and_down_leaves_nothing(
    checkout: Checkout, capfd: pytest.CaptureFixture[str]
) -> None:
    pulumi = half_done_update(checkout, signal.SIGKILL)
    assert stack.stack_locks(pulumi.environment["PULUMI_BACKEND_URL"], "try")
    exported = pulumi.read("stack", "export").stdout
    assert len(stack.pending_operations(json.loads(exported))) == 1
    capfd.readouterr()

    stack.up(checkout, "try", Progress())
    said = capfd.readouterr().err
    assert "was killed: releasing its lock" in said
    assert "was interrupted: looking at what is really there" in said
    assert drawers(checkout) == ["first", "second", "third"]
    assert pulumi.run("preview", "--expect-no-changes") == 0

    stack.down(checkout, "try", Progress())
    assert drawers(checkout) == []
    assert not pulumi.exists()
    stack.down(checkout, "try", Progress())  # a stack that is gone is no error


def test_an_update_that_is_really_under_way_is_left_alone(checkout: Checkout) -> None:
    gate = checkout.root / "gate"
    os.mkfifo(gate)
    pulumi = stack.open_stack(checkout, "try", Progress())
    assert pulumi.run("config", "set", "gate", str(gate)) == 0
    update = subprocess.Popen(
        [str(pulumi.program), "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "try"],
        cwd=pulumi.directory,
        env=dict(pulumi.environment),
        stdout=subprocess.DEVNULL,
    )
    with gate.open("w"), pytest.raises(StepError, match=rf"under way \(process {update.pid}\)"):
        stack.up(checkout, "try", Progress())
    assert update.wait() == 0


UP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from meshwright_tools import stack
from meshwright_tools.checkout import Checkout
from meshwright_tools.progress import Progress, StepError
try:
    stack.up(Checkout(Path(sys.argv[1]), Path(sys.argv[2])), "try", Progress())
except StepError as error:
    sys.exit(str(error))
"""


def test_an_interrupted_up_finishes_what_is_under_way_and_the_next_completes_it(checkout: Checkout) -> None:
    gate = checkout.root / "gate"
    os.mkfifo(gate)
    pulumi = stack.open_stack(checkout, "try", Progress())
    assert pulumi.run("config", "set", "gate", str(gate)) == 0
    command = [sys.executable, "-c", UP, str(checkout.root), str(checkout.cache), str(here().root / "tools")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = ""
    with gate.open("w"):
        process.send_signal(signal.SIGINT)
        for line in process.stdout:
            output += line
            if "cancelling" in line:
                break
    output += process.stdout.read()
    assert process.wait() == 1, output
    assert "did not end well" in output
    assert "Traceback" not in output
    assert drawers(checkout) == ["first", "second"], "what was under way is done, nothing new was begun"
    assert not stack.stack_locks(pulumi.environment["PULUMI_BACKEND_URL"], "try")
    gate.unlink()
    stack.up(checkout, "try", Progress())
    assert drawers(checkout) == ["first", "second", "third"]
