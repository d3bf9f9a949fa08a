"""What a run of a playbook leaves behind when it was killed, and what its resource takes away."""

import fcntl
import os
from pathlib import Path

import pytest

from stacks import playbooks
from stacks.providers.playbook import PlaybookProvider


def test_what_a_killed_run_left_goes_and_what_another_uses_stays(tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    for name in ("playbook-killed", "playbook-used", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secrets.json").touch()
    sockets.mkdir()
    (tmp_path / "playbook-killed" / "ssh").symlink_to(sockets)
    used = os.open(tmp_path / "playbook-used", os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_EX)
    try:
        playbooks.remove_stale(tmp_path)
    finally:
        os.close(used)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "playbook-used"]


def test_what_a_playbook_left_for_the_operator_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbooks, "ROOT", tmp_path)
    for name in ("alone/login", "shared/login", "shared/other"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    provider = PlaybookProvider()
    provider.delete("x", {"leaves": ["alone/login", "shared/login", "missing/login"]})
    provider.delete("x", {})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["shared", "shared/other"]


def test_another_playbook_is_another_run() -> None:
    same = {"inventory": "{}", "digest": "a", "secrets": {}, "tags": ["hosts"], "playbook": playbooks.MESH}
    assert not PlaybookProvider().diff("x", same, same).changes
    assert PlaybookProvider().diff("x", same, same | {"playbook": playbooks.KUBERNETES}).changes
