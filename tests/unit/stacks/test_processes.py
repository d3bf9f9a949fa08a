"""Processes that outlive their starter: started, kept, ended, without leftovers."""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stacks import processes
from tests.support.ports import free_port


@pytest.fixture
def spec(tmp_path: Path) -> Any:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    value = {"name": "web", "command": command, "environment": {}, "files": {str(tmp_path / "f.yml"): "a: 1\n"}}
    yield value | {"ready": f"http://127.0.0.1:{port}/", "ports": [port]}
    processes.stop(tmp_path / "state", "web")


def until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def child(state: Path) -> int | None:
    keeper = int((state / "web.pid").read_text().split()[0])
    found = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(found[0]) if found else None


def test_start_stop_and_start_again_change_nothing_twice(tmp_path: Path, spec: dict[str, Any]) -> None:
    state = tmp_path / "state"
    processes.start(state, spec)
    first = (state / "web.pid").read_text()
    processes.start(state, spec)
    assert (state / "web.pid").read_text() == first
    assert (tmp_path / "f.yml").read_text() == "a: 1\n"
    process = child(state)
    processes.stop(state, "web")
    assert not processes.running(state, "web")
    assert process is not None
    until(lambda: not Path(f"/proc/{process}").exists())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the child")
def test_a_dead_process_is_started_again(tmp_path: Path, spec: dict[str, Any]) -> None:
    state = tmp_path / "state"
    processes.start(state, spec)
    first = child(state)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: child(state) not in (None, first))


def test_one_that_never_gets_ready_is_told_with_its_log(tmp_path: Path, spec: dict[str, Any]) -> None:
    broken = spec | {"command": [sys.executable, "-c", "raise SystemExit('no port for me')"]}
    with pytest.raises(processes.ProcessError, match="no port for me"):
        processes.start(tmp_path / "state", broken, seconds=1.5)


def test_a_port_that_another_program_holds_is_told_before_anything_is_written(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    with (
        socket.create_server(("127.0.0.1", spec["ports"][0])),
        pytest.raises(processes.ProcessError, match=f"web needs port {spec['ports'][0]} of 127.0.0.1, which another"),
    ):
        processes.start(tmp_path / "state", spec)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "f.yml").exists()
