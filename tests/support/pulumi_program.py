"""A small program of its own under Pulumi's real CLI and engine, in a directory that goes with the test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
from meshwright_tools import pulumi_cli, pulumi_run  # noqa: E402
from meshwright_tools.checkout import Checkout, here  # noqa: E402
from meshwright_tools.progress import Progress  # noqa: E402


@dataclass
class Program:
    """The program's stack, ``try``. ``checkout`` is where Pulumi keeps things, ``programs`` where its CLI is."""

    directory: Path
    environment: dict[str, str]
    checkout: Checkout
    programs: Path
    stands: bool = False
    """Whether something may be left to destroy."""

    def run(self, *arguments: str, status: int | None = 0) -> str:
        """The CLI's output; it must end with that status, unless that is ``None``."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--stack", "try"],
            cwd=self.directory,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        said = done.stdout + done.stderr
        if arguments[0] in ("up", "destroy"):
            self.stands = arguments[0] == "up" or done.returncode != 0
        assert status is None or done.returncode == status, said
        return said

    def configure(self, values: Mapping[str, object]) -> None:
        """Settings of the stack, in plain text."""
        self.run(
            "config",
            "set-all",
            *(word for name, value in values.items() for word in ("--plaintext", f"{name}={value}")),
        )

    @property
    def state(self) -> str:
        """All that is kept of it."""
        backend = Path(self.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        return "".join(file.read_text(errors="replace") for file in backend.rglob("*") if file.is_file())


@contextmanager
def running(folder: Path, program: Path) -> Iterator[Program]:
    """A copy of a program below ``folder``, with a stack of its own, of which nothing is left."""
    checkout = here()
    programs = pulumi_cli.find(checkout) or pulumi_cli.ensure(checkout, Progress())
    own = Checkout(root=folder, cache=checkout.cache)
    for name in ("tools", "pyproject.toml"):
        (folder / name).symlink_to(checkout.root / name)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    outer |= {"PYTHONPATH": str(checkout.root)}
    environment = pulumi_run.environment(own, programs, outer)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    shutil.copytree(program, folder / "program", ignore=shutil.ignore_patterns("__pycache__"))
    made = Program(folder / "program", environment, own, programs)
    command = ["pulumi", "stack", "init", "try", "--non-interactive"]
    subprocess.run(command, cwd=made.directory, env=environment, check=True)
    try:
        yield made
    finally:
        if made.stands:
            made.run("destroy", "--yes", "--skip-preview", status=None)
