"""What files held is remembered, and a file of SQLite that cannot be used is told and costs nothing else."""

import os
import sqlite3
from pathlib import Path

import pytest

from mesh_control.sources.accepted import Accepted

ODD = Path("demo", os.fsdecode(b"\xff.yaml"))


def test_what_is_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "accepted.sqlite"
    first = Accepted(path, Path())
    first.remember({Path("demo/a.yaml"): "a", Path("demo/b.yaml"): "b", ODD: "odd"})
    first.remember({Path("demo/a.yaml"): "a", Path("demo/b.yaml"): "new", ODD: "odd"})
    first.remember({Path("demo/b.yaml"): "new", ODD: "odd", Path("other/c.yaml"): "c"})
    for process in (first, Accepted(path, Path())):
        assert process.get(Path("demo/a.yaml")) is None
        assert process.get(Path("demo/b.yaml")) == "new"
        assert process.get(ODD) == "odd"
        assert sorted(process.of_owner("demo")) == sorted(["b.yaml", ODD.name])
        assert process.problem == ""


def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "accepted.sqlite"
    Accepted(path, Path()).remember({Path("demo/a.yaml"): "a"})
    with sqlite3.connect(path) as watching:
        before = watching.execute("PRAGMA data_version").fetchone()
        Accepted(path, Path()).remember({Path("demo/a.yaml"): "a"})
        assert watching.execute("PRAGMA data_version").fetchone() == before
        Accepted(path, Path()).remember({Path("demo/a.yaml"): "b"})
        assert watching.execute("PRAGMA data_version").fetchone() != before


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + bytes(200)])
def test_a_file_that_is_none_is_told_and_used_again_when_it_is_gone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "accepted.sqlite"
    path.write_bytes(content)
    accepted = Accepted(path, Path())
    accepted.remember({Path("demo/a.yaml"): "a"})
    assert accepted.problem.startswith(f"{path}: ")
    assert accepted.problem.endswith("cannot be kept for a restart; remove the file")
    path.unlink()
    accepted.remember({Path("demo/a.yaml"): "a"})
    assert accepted.problem == ""
    assert Accepted(path, Path()).get(Path("demo/a.yaml")) == "a"


def test_a_table_of_somebody_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "accepted.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE accepted (path TEXT)")
    assert "no such column" in Accepted(path, Path()).problem


def test_a_lock_of_somebody_else_is_told_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "accepted.sqlite"
    accepted = Accepted(path, Path())
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        accepted.remember({Path("demo/a.yaml"): "a"})
        assert "locked" in accepted.problem
        other.execute("ROLLBACK")
    accepted.remember({Path("demo/a.yaml"): "a"})
    assert accepted.problem == ""
    assert Accepted(path, Path()).get(Path("demo/a.yaml")) == "a"
