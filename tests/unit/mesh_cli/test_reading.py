"""What verbs read: standard input, folders, and what is told of what is passed over."""

import io
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mesh_cli import reading
from mesh_cli.commands import app
from mesh_policy.errors import PolicyError


def test_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä: 1\n".encode())))
    assert reading.standard_input() == ("standard input", "ä: 1\n")
    assert reading.texts([]) == []


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        (None, "standard input: cannot be read: is closed"),
        (
            io.TextIOWrapper(io.BytesIO(b"a\n\xff")),
            "standard input:2: cannot be read: is not UTF-8; save it in that encoding",
        ),
    ],
    ids=["closed", "no text"],
)
def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch, stdin: io.TextIOWrapper | None, told: str) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(PolicyError, match=f"^{told}$"):
        reading.standard_input()


ENTRY = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\nspec: {address: 192.0.2.1}\n"
VERBS = [
    ["analyze", "FOLDER"],
    ["simulate", "FOLDER", "http://a/"],
    ["diff", "--behaviour", "FOLDER", "FOLDER"],
    ["authz", "why", "FOLDER", "--to", "a"],
    ["describe", "a", "-f", "FOLDER"],
    ["explain", "UH", "-f", "FOLDER"],
    ["policies", "apply", "FOLDER", "--socket", "none.sock"],
]


def mesh(words: list[str], folder: Path, stdin: str = "") -> tuple[int, str]:
    """Exit code and errors of a verb that reads that folder."""
    result = CliRunner().invoke(app, [str(folder) if word == "FOLDER" else word for word in words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_every_verb_reads_the_same(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "a.json").write_text(ENTRY)
    for name in ("package.json", "values.yaml"):
        (tmp_path / name).write_text('{"version": "1"}')
    places = f"{tmp_path}/package.json:1, {tmp_path}/values.yaml:1"
    told = f"2 documents were passed over, with neither apiVersion nor kind: {places}\n"
    assert mesh(words, tmp_path)[1].count(told) == 1
    unreadable = 1 if words[0] == "policies" else 2
    code, errors = mesh(words, tmp_path / "values.yaml")
    assert (code, "values.yaml:1: not an object" in errors) == (
        (1, False) if words[0] == "analyze" else (unreadable, True)  # there it is a finding
    )
    code, errors = mesh(words, tmp_path / "none")
    assert code == unreadable
    assert f"{tmp_path}/none: cannot be read: No such file or directory; write the name of one that there is" in errors
    assert "cannot be read" not in mesh(["-" if word == "FOLDER" else word for word in words], tmp_path, ENTRY)[1]


def test_many_that_are_passed_over_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    reading.say_passed_over([])
    reading.say_passed_over(["a"])
    reading.say_passed_over(list("abcdefg"))
    assert capsys.readouterr().err.splitlines() == [
        "1 document was passed over, with neither apiVersion nor kind: a",
        "7 documents were passed over, with neither apiVersion nor kind: a, b, c, d, e and 2 more",
    ]


@pytest.mark.parametrize("name", ["BAD NS", "", "a.b", "-a", "a" * 64, "a\n"])
@pytest.mark.parametrize(
    "words", [words for words in VERBS if words[0] not in ("explain", "policies")], ids=lambda w: w[0]
)
def test_a_namespace_that_cannot_be_is_a_mistake_of_usage(tmp_path: Path, words: list[str], name: str) -> None:
    code, errors = mesh([*words, "-n", name], tmp_path)
    assert code == 2
    assert "Invalid value for '--namespace' / '-n': " in errors
    assert "is no namespace: lower case letters, digits" in " ".join(errors.split())
