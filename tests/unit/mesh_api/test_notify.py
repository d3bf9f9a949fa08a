"""Messages to the service manager."""

import socket
from pathlib import Path

import pytest

from mesh_api.notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_arrive_as_one_message(tmp_path: Path, abstract: bool) -> None:
    name = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        assert notify("READY=1", "STATUS=fine", environment={"NOTIFY_SOCKET": name})
        assert manager.recv(100) == b"READY=1\nSTATUS=fine"


def test_nobody_wants_to_know() -> None:
    assert not notify("READY=1", environment={})


def test_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not notify("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "none")})
