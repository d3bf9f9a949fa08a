"""Releases out of files: what programs declare, what documents say, and what is told of files without one."""

import json
from pathlib import Path

import pytest
import yaml

from mesh_cli.release_files import ReleaseFileError, read
from mesh_policy import CanaryRelease
from mesh_policy.releases import Weight
from mesh_policy.releases.machine import Rollout

ROLLOUT = Rollout(
    release=CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5, hold="2m"), Weight(50)])
)
HEAD = "from mesh_policy import CanaryRelease, Timeout, Traffic\nfrom mesh_policy.releases import Weight\n"
RELEASE = 'CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5, hold="2m"), Weight(50)])'
TIMEOUT = 'Timeout(service="books", after="15s")'


def program(folder: Path, text: str) -> Path:
    file = folder / "release.py"
    file.write_text(HEAD + text + "\n")
    return file


@pytest.mark.parametrize("value", [RELEASE, f"[{RELEASE}]", f"Traffic({RELEASE})"])
def test_a_program_declares_a_release(tmp_path: Path, value: str) -> None:
    assert read(program(tmp_path, f"R = {value}")) == [ROLLOUT]


def test_a_release_and_its_statements_are_one(tmp_path: Path) -> None:
    (found,) = read(program(tmp_path, f"RELEASE = {RELEASE}\nALL = [RELEASE, {TIMEOUT}]"))
    assert [type(statement).__name__ for statement in found.statements] == ["Timeout"]


@pytest.mark.parametrize(("name", "dump"), [("r.json", json.dumps), ("r.yaml", yaml.safe_dump)])
def test_a_document_says_what_a_program_does(tmp_path: Path, name: str, dump: object) -> None:
    (tmp_path / name).write_text(dump(ROLLOUT.to_document()))  # type: ignore[operator]
    assert read(tmp_path / name) == [ROLLOUT]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("r.py", "X = 1", "declares no release with steps"),
        ("r.py", f"_R = {RELEASE}", "declares no release with steps"),
        ("r.py", RELEASE.replace('"v2"', '"v1"'), "release: stable and candidate are both 'v1'"),
        ("r.py", "1 / 0", "the program failed: ZeroDivisionError"),
        ("r.py", "import nowhere_at_all", "the program failed: ModuleNotFoundError"),
        ("r.yaml", "kind: Service", "document 0: is no release; it must be a map with `release`"),
        ("r.yaml", "release: {kind: Canary}", "release.kind: 'Canary' is unknown; allowed are BlueGreen"),
        ("r.yaml", "a: [", "while parsing"),
        ("r.json", "{", "Expecting property name"),
        ("r.yaml", "", "declares no release with steps"),
    ],
)
def test_a_file_without_a_release_names_the_mend_once(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = tmp_path / name
    file.write_text(HEAD + text + "\n" if name.endswith(".py") else text)
    with pytest.raises(ReleaseFileError) as error:
        read(file)
    assert told in str(error.value)
    assert str(error.value).startswith(f"{file}: ")
    assert str(error.value).count(str(file)) == 1 or "while parsing" in told


@pytest.mark.parametrize("name", ["nothing.py", "nothing.yaml"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReleaseFileError, match=r"(?i)no such file"):
        read(tmp_path / name)
