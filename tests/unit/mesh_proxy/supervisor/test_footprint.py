"""What the processes take, and the version as a number."""

import os

import pytest

from mesh_proxy.supervisor.footprint import used_by, version_number

GONE = 2**22 + 1
"""No process has such a number (proc(5): pid_max)."""


def test_memory_of_several_processes_is_that_of_all_of_them() -> None:
    one, two = used_by([os.getpid()]), used_by([os.getpid(), os.getpid(), GONE])
    assert 0 < one["server.memory_allocated"] < one["server.memory_physical_size"]
    assert one["server.memory_heap_size"] > 0
    assert two["server.memory_physical_size"] >= 2 * one["server.memory_physical_size"] * 0.9
    assert set(used_by([GONE]).values()) == {0}


@pytest.mark.parametrize(
    ("version", "number"), [("1.2.3", 10203), ("0.1.0", 100), ("2.0", 20000), ("0", 0), ("1.2.dev3+a", 10200)]
)
def test_later_versions_are_larger_numbers(version: str, number: int) -> None:
    assert version_number(version) == number
