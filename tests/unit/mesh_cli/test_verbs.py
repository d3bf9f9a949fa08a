"""The ``mesh`` command itself: what it answers without a verb, and that nobody waits for what is not used."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from mesh_cli.commands import app
from mesh_cli.verbs import VERBS, help_text

SLOW = {"aiohttp", "grpc", "google.protobuf", "pydantic", "yaml", "rich", "envoy", "mesh_proxy", "mesh_api"}
"""What costs more to import than a light command may take."""


def run(*arguments: str, **environment: str) -> tuple[int, str, str, set[str]]:
    """The command as a process: exit code, output, errors, and the modules that it imported."""
    program = (
        "import sys, atexit; from mesh_cli.__main__ import main;"
        "atexit.register(lambda: sys.stderr.write('\\nmodules ' + ' '.join(sys.modules)));"
        f"sys.argv = ['mesh', *{arguments!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    errors, _, modules = done.stderr.rpartition("\nmodules ")
    return done.returncode, done.stdout, errors, set(modules.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["analyse"]], ids=" ".join)
def test_what_needs_no_verb_imports_none(arguments: list[str]) -> None:
    _, _, _, modules = run(*arguments)
    assert modules & {*SLOW, "typer", "click", "asyncio", "mesh_cli.commands", "mesh_policy", "mesh_control"} == set()
    assert {name for name in modules if name.startswith("mesh_cli.")} == {"mesh_cli.__main__", "mesh_cli.verbs"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_imports_that_verb_and_nothing_slow(verb: str) -> None:
    code, out, _, modules = run(verb, "--help")
    assert (code, out.startswith(f"Usage: mesh {verb} ")) == (0, True)
    assert modules & SLOW == set()


@pytest.mark.parametrize("words", [["status"], ["policies", "apply"]], ids=" ".join)
def test_help_is_the_same_as_typer_shows(words: list[str]) -> None:
    """Which shows it itself when options stand before it."""
    assert run(*words, "--help")[:3] == run(*words, "--socket", "x", "--help")[:3]


@pytest.mark.parametrize("verb", VERBS)
def test_every_row_of_the_table_is_a_verb(verb: str) -> None:
    row = VERBS[verb]
    found = getattr(import_module(row.module), row.attribute)
    assert isinstance(found, typer.Typer) or found.__doc__
    assert row.help.endswith(".")
    assert "\n" not in row.help


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--help"], 0, help_text()),
        (["--version"], 0, "mesh "),
        ([], 2, help_text()),
        (["statsu"], 2, "there is no verb 'statsu'; did you mean status?"),
        (["qqq"], 2, "there is no verb 'qqq'; there are analyze, "),
        (["--qqq"], 2, "No such option: --qqq"),
        (["status", "--qqq"], 2, "No such option: --qqq"),
        (["policies"], 2, "Usage: mesh policies "),
        (["policies", "aply"], 2, "No such command 'aply'. Did you mean 'apply'?"),
    ],
)
def test_answers_without_a_verb(arguments: list[str], code: int, told: str) -> None:
    returned, out, errors, _ = run(*arguments)
    assert returned == code
    assert told in (errors if code else out)


def test_the_group_shows_the_same_help() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert (result.exit_code, result.stdout) == (0, help_text() + "\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mesh sta", {"status"}),
        ("mesh ", set(VERBS)),
        ("mesh --h", {"--help"}),
        ("mesh policies ", {"apply", "get", "delete"}),
        ("mesh status --s", {"--socket"}),
    ],
)
def test_a_shell_completes(words: str, offered: set[str]) -> None:
    """As the script that ``mesh --show-completion`` prints asks for it."""
    place = str(words.count(" "))
    _, out, _, modules = run(_MESH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=place)
    assert set(out.split()) == offered
    assert modules & (SLOW - {"pydantic"}) == set()  # typer's own, for the values of options


@pytest.mark.parametrize("arguments", [["--help"], ["analyze", "--help"], ["analyze", "--list"], ["analyze", "-"]])
@pytest.mark.parametrize(("shell", "told"), [
    ("exec {mesh} >&-", ""), ("exec {mesh} <&-", "standard input: cannot be read: is closed"),
    ("exec {mesh} >/dev/full", "mesh: the output: No space left on device"),
    ("exec 3>&1; {{ {mesh}; echo $? >&3; }} | true", ""),
])  # fmt: skip
def test_ends_of_pipes_and_full_disks_are_no_tracebacks(arguments: list[str], shell: str, told: str) -> None:
    mesh = f"{sys.executable} -m mesh_cli {' '.join(arguments)}"
    done = subprocess.run(
        ["/bin/sh", "-c", shell.format(mesh=mesh)], capture_output=True, text=True, input="", check=False
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() in ("", told, "nothing found in 0 objects of 1 file")
