"""What a run of the playbook leaves behind when it was killed."""

import fcntl
import os
from pathlib import Path

from stacks import playbooks


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
