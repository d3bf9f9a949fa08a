"""The example programs run as a stranger runs them, and so do their tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh_cli.release_files import read
from mesh_policy import load_documents

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted((ROOT / "examples" / "policies").glob("*.py"))


def run(*arguments: object, folder: Path = ROOT) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_writes_policies_that_load(program: Path) -> None:
    assert load_documents(run(program.relative_to(ROOT)))


def test_every_scenario_has_a_program() -> None:
    scenarios = {"authentication", "canary", "circuit_breaker", "routing", "timeout"}
    assert {program.stem for program in PROGRAMS} == scenarios


def test_the_release_can_be_started() -> None:
    (rollout,) = read(ROOT / "examples" / "policies" / "canary.py")
    assert rollout.name == "book-store.default"


def test_the_tests_of_the_examples_pass() -> None:
    """With their own configuration and none of the project's: the plug-in alone brings the fixtures."""
    said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=ROOT / "examples" / "policies")
    assert " passed" in said
    assert "skipped" not in said
