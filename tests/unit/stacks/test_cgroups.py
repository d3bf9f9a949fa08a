"""A machine's control groups are found again, whoever made them and from wherever."""

from pathlib import Path

from stacks.machines.namespaces import cgroups


def _groups(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).mkdir(parents=True)


def test_groups_that_another_session_made_are_removed(tmp_path: Path) -> None:
    """The memory group lies below the session's own, and a session that ended is not asked for it."""
    _groups(
        tmp_path,
        "cpu/meshwright/local/node1/system.slice/ssh.service",
        "memory/user.slice/session-3.scope/meshwright/local/node1/init.scope",
        "memory/user.slice/session-4.scope/meshwright/local/node1",
    )
    cgroups.remove("local", "node1", root=tmp_path)
    assert not list(tmp_path.rglob("meshwright"))
    assert (tmp_path / "memory/user.slice/session-3.scope").is_dir()


def test_other_machines_and_environments_keep_theirs(tmp_path: Path) -> None:
    kept = ["cpu/meshwright/local/node2", "cpu/meshwright/static/node1"]
    _groups(tmp_path, *kept, "cpu/meshwright/local/node1")
    cgroups.remove("local", "node1", root=tmp_path)
    assert [path for path in kept if (tmp_path / path).is_dir()] == kept
    assert not (tmp_path / "cpu/meshwright/local/node1").exists()


def test_a_machine_inside_a_machine_keeps_its_own(tmp_path: Path) -> None:
    inner = "cpu/meshwright/outer/node1/meshwright/local/node1"
    _groups(tmp_path, inner)
    assert cgroups.standing("local", "node1", tmp_path) == []
    cgroups.remove("local", "node1", root=tmp_path)
    assert (tmp_path / inner).is_dir()
