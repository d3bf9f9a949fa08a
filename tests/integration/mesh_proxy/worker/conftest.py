"""A worker for each test, which ends with it."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.worker_process import WorkerProcess


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def started() -> Iterator[list[WorkerProcess]]:
    """One worker in advance: it starts while a test runs."""
    workers = [WorkerProcess()]
    yield workers
    for worker in workers:
        worker.close()


@pytest.fixture
def proxy(stack: contextlib.ExitStack, started: list[WorkerProcess]) -> Proxy:
    worker = started.pop()
    started.append(WorkerProcess())
    return Proxy(stack.enter_context(worker), stack)


@pytest.fixture
def servers(stack: contextlib.ExitStack) -> Servers:
    return Servers(stack)
