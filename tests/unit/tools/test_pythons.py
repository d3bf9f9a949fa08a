"""Which Python becomes the environment's."""

from pathlib import Path

import pytest
from meshwright_tools import pythons
from meshwright_tools.progress import StepError


def fake_python(directory: Path, name: str, version: str, has_venv: bool = True) -> Path:
    """A program that answers the probe as a Python of that version does."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho {path}\necho {version}\necho {has_venv}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine without any Python of its own."""
    monkeypatch.setattr(pythons, "candidates", lambda env: ["python3", *(f"python{v}" for v in pythons.PREFERRED)])
    return {"PATH": str(tmp_path / "bin")}


def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path, environment: dict[str, str]) -> None:
    fake_python(tmp_path / "bin", "python3", "3.9.2")
    wanted = fake_python(tmp_path / "bin", "python3.12", "3.12.1")
    fake_python(tmp_path / "bin", "python3.13", "3.13.0")
    assert pythons.find(environment) == pythons.Interpreter(str(wanted), "3.12.1", True)


def test_an_exact_version_can_be_asked_for(tmp_path: Path, environment: dict[str, str]) -> None:
    fake_python(tmp_path / "bin", "python3", "3.11.2")
    fake_python(tmp_path / "bin", "python3.13", "3.13.0")
    assert pythons.find(environment, exactly="3.13").version == "3.13.0"


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path, environment: dict[str, str]) -> None:
    broken = fake_python(tmp_path / "bin", "python3", "3.11.2")
    broken.write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
    fake_python(tmp_path / "bin", "python3.11", "3.11.9", has_venv=False)
    assert not pythons.find(environment).has_venv


@pytest.mark.parametrize(("version", "says"), [("3.10.13", "is Python 3.10.13"), (None, "does not run")])
def test_an_unsuitable_choice_of_the_user_is_an_error_not_a_hint(
    tmp_path: Path, environment: dict[str, str], version: str | None, says: str
) -> None:
    fake_python(tmp_path / "bin", "python3", "3.12.0")
    chosen = fake_python(tmp_path / "bin", "mine", version) if version else tmp_path / "bin" / "absent"
    with pytest.raises(StepError, match=says):
        pythons.find({**environment, "PYTHON": str(chosen)})


def test_without_any_the_error_names_the_mend(environment: dict[str, str]) -> None:
    with pytest.raises(StepError, match=r"No Python >= 3\.11 was found.*apt-get install python3"):
        pythons.find(environment)
