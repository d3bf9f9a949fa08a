"""When an environment is made anew, and with which settings."""

import io
import json
from pathlib import Path

import pytest
from meshwright_tools import python_environment
from meshwright_tools.progress import Progress
from meshwright_tools.python_environment import STAMP, EnvironmentSpec, installer_settings
from meshwright_tools.pythons import Interpreter

PYTHON = Interpreter("/usr/bin/python3", "3.11.2", True)


@pytest.fixture
def spec(tmp_path: Path) -> EnvironmentSpec:
    """An environment that is up to date."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    lock = tmp_path / "all.txt"
    lock.write_text("a==1 \\\n    --hash=sha256:00\n")
    spec = EnvironmentSpec(tmp_path / "venv", lock, (tmp_path,))
    (spec.path / "bin").mkdir(parents=True)
    spec.python.write_text("#!/bin/sh\n")
    spec.python.chmod(0o755)
    (spec.path / STAMP).write_text(json.dumps({"digest": spec.digest(PYTHON)}))
    return spec


def test_an_environment_that_is_current_is_left_alone(spec: EnvironmentSpec) -> None:
    stream = io.StringIO()
    python_environment.ensure(spec, PYTHON, Progress(stream), spec.path / "logs", spec.lock, {"PATH": "/nonexistent"})
    assert "is up to date" in stream.getvalue()


def test_a_new_lock_makes_it_stale(spec: EnvironmentSpec) -> None:
    spec.lock.write_text("a==2\n")
    assert not python_environment.is_current(spec, PYTHON)


def test_a_changed_project_makes_it_stale(spec: EnvironmentSpec) -> None:
    (spec.projects[0] / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert not python_environment.is_current(spec, PYTHON)


def test_another_python_makes_it_stale(spec: EnvironmentSpec) -> None:
    assert not python_environment.is_current(spec, Interpreter("/usr/bin/python3", "3.13.0", True))


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_broken_stamp_is_no_stamp(spec: EnvironmentSpec, content: str) -> None:
    (spec.path / STAMP).write_text(content)
    assert not python_environment.is_current(spec, PYTHON)


def test_a_lost_interpreter_makes_it_stale(spec: EnvironmentSpec) -> None:
    spec.python.unlink()
    assert not python_environment.is_current(spec, PYTHON)


def test_settings_of_pip_reach_the_fast_installer_and_its_own_win() -> None:
    settings = installer_settings({"PIP_INDEX_URL": "index-of-pip", "PIP_FIND_LINKS": "/w", "UV_FIND_LINKS": "/mine"})
    assert settings["UV_DEFAULT_INDEX"] == "index-of-pip"
    assert settings["UV_FIND_LINKS"] == "/mine"
    assert "SSL_CERT_FILE" not in settings


def test_a_foreign_environment_is_not_written_to() -> None:
    assert "VIRTUAL_ENV" not in installer_settings({"VIRTUAL_ENV": "/elsewhere"})
