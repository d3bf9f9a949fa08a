"""``mesh policies`` and ``mesh status``: what is told before the control plane is asked, and when it is not there."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mesh_cli.commands import app
from mesh_control.client import ControlClient

ENTRY = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: %s}\nspec: {address: 192.0.2.1}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the control plane would be sent: owner and text."""
    sent: list[tuple[str, str]] = []

    async def apply(_client: ControlClient, owner: str, text: str, _seconds: float) -> dict[str, Any]:
        sent.append((owner, text))
        return {"version": "1", "proxies": {}, "missing": [], "warnings": []}

    monkeypatch.setattr(ControlClient, "apply", apply)
    return sent


def mesh(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_files_and_folders_are_one_set(tmp_path: Path, sets: list[tuple[str, str]]) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yml").write_text(f"%YAML 1.1\n---\n{ENTRY % 'b'}...\n")
    (tmp_path / "a.yaml").write_text(ENTRY % "a" + f"---\n{SERVICE}")
    code, out, err = mesh("policies", "apply", tmp_path / "a.yaml", tmp_path / "more", "--owner", "shop")
    assert (code, out) == (0, "in force as 1, taken by 0 proxies\n")
    assert err == "Service s is no policy and was passed over\n"
    ((owner, text),) = sets
    assert (owner, text.count("---"), text.count("name: b")) == ("shop", 1, 1)


def test_every_problem_names_its_own_file_and_line(tmp_path: Path, sets: list[tuple[str, str]]) -> None:
    (tmp_path / "good.yaml").write_text(ENTRY % "a")
    (tmp_path / "bad.yaml").write_text(ENTRY.replace("address", "adress") % "b")
    code, _, err = mesh("policies", "apply", tmp_path / "good.yaml", tmp_path / "bad.yaml")
    assert code == 1
    assert f"{tmp_path}/bad.yaml:4: WorkloadEntry b: spec.adress: there is no such field; did you mean address?" in err
    assert sets == []


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "No such file"), (b"", "there is no policy in"), (b"\xff", ":1: cannot be read: is not UTF-8")],
)
def test_files_that_hold_nothing(tmp_path: Path, sets: list[tuple[str, str]], content: bytes | None, told: str) -> None:
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)
    code, _, err = mesh("policies", "apply", file)
    assert (code, sets) == (1, [])
    assert told in err
    assert str(file) in err


def test_nothing_on_standard_input_takes_nothing_away(sets: list[tuple[str, str]]) -> None:
    code, _, err = mesh("policies", "apply")
    assert (code, sets) == (1, [])
    assert "no policy in standard input; to take a set away use: mesh policies delete" in err
    assert mesh("policies", "apply", stdin=b"\xff")[2] == (
        "standard input:1: cannot be read: is not UTF-8; save it in that encoding\n"
    )
    assert mesh("policies", "apply", "--output", "json")[0] == 0  # a program's set may become empty
    assert mesh("policies", "apply", stdin=(ENTRY % "a").encode())[0] == 0
    assert [bool(text) for _, text in sets] == [False, True]


@pytest.mark.parametrize("verb", [("status",), ("wait",), ("policies", "get"), ("policies", "delete")])
def test_without_a_control_plane(tmp_path: Path, verb: tuple[str, ...]) -> None:
    code, out, err = mesh(*verb, "--socket", tmp_path / "no.sock")
    assert (code, out) == (1, "")
    assert "no.sock" in err
    assert "does mesh-control run, and may you open it?" in err
