"""The stack without machines: the same control plane, proxies and workloads as processes, and the four scenarios."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stacks import ROOT, Stack, leftovers, missing

from stacks import laptop_database

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]


@pytest.fixture(scope="module")
def laptop() -> Iterator[Stack]:
    stack = Stack("laptop")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
    assert leftovers("laptop") == []


@pytest.mark.parametrize("scenario", ["routing", "canary", "timeout", "circuit-breaker"])
def test_a_scenario_is_seen_through_the_gateway(laptop: Stack, scenario: str) -> None:
    shown = laptop.demo(scenario)
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.skipif(laptop_database.binaries() is None, reason="PostgreSQL is not installed here")
def test_a_purchase_passes_through_the_sidecars(laptop: Stack) -> None:
    path = "/api/v1/store/6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b/purchase"
    assert laptop.ask("POST", path, "store.services.local", {"model": "Lego 8070", "size": "M"}).status == 201


def test_a_second_up_changes_nothing(laptop: Stack) -> None:
    laptop.pulumi("preview", "--expect-no-changes")


def test_a_killed_process_comes_back_by_itself(laptop: Stack) -> None:
    state = ROOT / ".meshwright" / "laptop"
    keeper = int((state / "proxy-ingressgateway.pid").read_text().split()[0])
    child = int(Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        try:
            assert laptop.ask("GET", "/api/v1/ping", "book-store.local").status == 200
            return
        except AssertionError:
            assert time.monotonic() < deadline
