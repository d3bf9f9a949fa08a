"""Go programs are built once, whoever asks, and again when what they are made from is another; by a real Go."""

import threading
from pathlib import Path

import pytest

from stacks.images import go_build
from stacks.images.go_build import UnavailableError, ensure, folder
from stacks.images.programs import GoModule, Program
from stacks.machines.driver import DriverError


def unavailable() -> str | None:
    try:
        go_build.check_architecture()
        go_build.find_go()
    except UnavailableError as reason:
        return str(reason)
    return None


REASON = unavailable()
pytestmark = [pytest.mark.integration, pytest.mark.skipif(REASON is not None, reason=REASON or "")]
MAIN = 'package main\n\nvar version = "none"\n\nfunc main() { println(version) }\n'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A program of a module of its own, in a cache of its own."""
    monkeypatch.setenv("MESHWRIGHT_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module example.com/small\n\ngo 1.21\n")
    (source / "go.sum").write_text("")
    (source / "main.go").write_text(MAIN)
    module = GoModule("small", str(source), "v1", stamps=(("main.version", "v1"),))
    return Program("small", module, ".", "v1", "image")


def test_several_who_ask_at_once_have_it_built_once(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    found: list[go_build.Built] = []
    askers = [threading.Thread(target=lambda: found.append(ensure(program))) for _ in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("] ")[2][:10] for line in told] == ["is being b", "is built ("], told
    assert "Redistribution" in found[0].licences.read_text()


def test_another_content_is_another_program_and_the_same_has_the_same_bytes(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ensure(program).program
    monkeypatch.setenv("MESHWRIGHT_CACHE", str(tmp_path / "other"))
    second = ensure(program).program
    assert second != first
    assert second.read_bytes() == first.read_bytes()
    (program.module.source / "main.go").write_text(MAIN.replace("none", "another"))
    assert folder(program.module) != second.parent


def test_what_a_killed_build_has_left_is_written_over(program: Program) -> None:
    place = folder(program.module)
    place.mkdir(parents=True)
    (place / ".small.new").write_text("half of a program")
    assert ensure(program).program.stat().st_size > 100_000


def test_what_does_not_compile_is_told_in_gos_words(program: Program) -> None:
    (program.module.source / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(DriverError, match=r"small could not be built: (?s:.*)undefined: missing"):
        ensure(program)
    assert not (folder(program.module) / "small").exists()


def test_modules_that_are_not_to_be_had_are_told_apart(program: Program) -> None:
    (program.module.source / "main.go").write_text('package main\n\nimport _ "example.com/gone"\n\nfunc main() {}\n')
    with pytest.raises(UnavailableError, match=r"small cannot be built, as its modules are not to be had: (?s:.*)gone"):
        ensure(program)
