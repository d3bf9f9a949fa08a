"""Workers that do not behave, each a real process."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from mesh_api.config import ProxyConfig
from mesh_proxy.supervisor.workers import Workers

pytestmark = pytest.mark.integration

FAKE = str(Path(__file__).with_name("fake_worker.py"))


class Pools:
    """Makes pools of workers whose changes can be awaited."""

    def __init__(self) -> None:
        self.made: list[Workers] = []
        self.changed = asyncio.Event()

    def make(self, count: int, *command: str) -> Workers:
        workers = Workers(count, self.changed.set, command)
        self.made.append(workers)
        workers.start("info")
        return workers

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@pytest_asyncio.fixture
async def pools() -> AsyncIterator[Pools]:
    found = Pools()
    yield found
    for workers in found.made:
        await workers.stop()


def worker_that(program: str) -> tuple[str, ...]:
    """A worker that runs ``program`` with its end of the socket pair as ``sock``."""
    return (sys.executable, "-c", f"import socket, sys; sock = socket.socket(fileno=int(sys.argv[2]))\n{program}")


async def test_worker_that_ends_at_once_is_tried_again(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    workers = pools.make(1, *worker_that("sys.exit(3)"))
    await pools.until(lambda: workers.restarts >= 2)
    assert "exit status 3" in caplog.text
    assert workers.up == []


async def test_worker_that_talks_nonsense_is_killed(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    workers = pools.make(1, *worker_that("sock.sendall(b'\\xff' * 8); sock.recv(1); sock.recv(1)"))
    await pools.until(lambda: workers.restarts >= 1)
    assert "is killed: a message of 4294967295 bytes" in caplog.text


async def test_program_that_is_not_there(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    workers = pools.make(1, "/nonexistent/program")
    await pools.until(lambda: workers.restarts >= 1)
    assert "cannot be started" in caplog.text


async def test_one_that_does_not_come_up_does_not_hold_up_the_others(pools: Pools) -> None:
    # Whoever has index 1 ends; index 0 is a sound one.
    go_on = f"runpy.run_path({FAKE!r}, run_name='__main__')"
    command = (sys.executable, "-c", f"import runpy, sys; sys.argv[4] == '1' and sys.exit(1); {go_on}")
    workers = pools.make(2, *command)
    assert await workers.apply(1, ProxyConfig()) is None
    assert (len(workers.up), workers.running) == (1, 1)


async def test_worker_that_hangs_at_the_end_is_killed(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    program = (
        "import os, signal; from mesh_proxy import ipc\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sock.sendall(ipc.encode(ipc.Ready(os.getpid())))\n"
        "signal.pause()"
    )
    workers = pools.make(1, *worker_that(program))
    await pools.until(lambda: bool(workers.up))
    await workers.stop()
    assert "does not end and is killed" in caplog.text
