"""Which stack is meant, and what an interrupted update has left."""

import io
import json
import os
from pathlib import Path

import pytest
from meshwright_tools import machine, stack
from meshwright_tools.progress import Progress

HERE = os.uname().nodename


@pytest.mark.parametrize(
    ("asked", "variable", "reason", "taken"),
    [
        ("static", "laptop", None, "static"),
        (None, "laptop", None, "laptop"),
        (None, "", None, "local"),
        (None, None, "not root", "laptop"),
        ("local", None, "not root", "local"),
    ],
)
def test_the_stack_is_what_was_asked_for_or_what_is_possible(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, variable: str | None, reason: str | None, taken: str
) -> None:
    monkeypatch.setattr(machine, "why_no_namespaces", lambda: reason)
    stream = io.StringIO()
    environment = {} if variable is None else {"STACK": variable}
    assert stack.chosen(environment, asked, Progress(stream)) == taken
    fell_back = taken == "laptop" and not variable
    assert ("No machines can be made here (not root)" in stream.getvalue()) is fell_back
    assert stream.getvalue().count("\n") == int(fell_back), "in one line"


def test_a_lock_of_a_process_that_is_gone_is_stale() -> None:
    done = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(done, 0)
    assert stack.running_update([{"pid": done, "hostname": HERE}], HERE) is None


def test_a_number_that_another_program_has_now_is_stale() -> None:
    assert stack.running_update([{"pid": os.getpid(), "hostname": HERE}], HERE) is None


def test_a_lock_from_another_machine_is_never_stale() -> None:
    assert stack.running_update([{"pid": 1, "hostname": "elsewhere"}], HERE) == 0


def test_locks_are_those_of_the_stack_alone(tmp_path: Path) -> None:
    for name in ("local", "laptop"):
        directory = tmp_path / ".pulumi" / "locks" / "organization" / "meshwright" / name
        directory.mkdir(parents=True)
        (directory / "x.json").write_text(json.dumps({"pid": 1, "stack": name}))
    assert stack.stack_locks(f"file://{tmp_path}", "local") == [{"pid": 1, "stack": "local"}]
    assert stack.stack_locks("s3://bucket", "local") == []


@pytest.mark.parametrize(
    ("state", "count"),
    [
        ({}, 0),
        ({"deployment": None}, 0),
        ({"deployment": {"pending_operations": None}}, 0),
        ({"deployment": {"pending_operations": [{"type": "creating"}]}}, 1),
    ],
)
def test_pending_operations_of_an_exported_state(state: dict, count: int) -> None:
    assert len(stack.pending_operations(state)) == count


def test_progress_of_several_writers_is_shown_line_by_line(tmp_path: Path) -> None:
    shown = io.StringIO()
    with stack.progress_pipe(tmp_path, shown) as pipe:
        for number in range(3):
            with open(pipe, "w") as writer:
                writer.write(f"line {number}\n")
    assert shown.getvalue() == "line 0\nline 1\nline 2\n"
    assert list(tmp_path.iterdir()) == []
