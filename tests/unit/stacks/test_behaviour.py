"""What a preview tells of a change: requests, not lines of YAML."""

import pytest

from mesh_policy import CanaryRelease, Timeout, Traffic, dump
from mesh_policy.releases import Statement
from stacks import plan
from stacks.behaviour import changes
from stacks.environments import local

INVENTORY = plan.mesh_inventory(local.ENVIRONMENT)


def policies(*statements: Statement) -> str:
    return dump(Traffic(*statements).expand())


def canary(weight: int) -> CanaryRelease:
    return CanaryRelease(service="book-store", stable="v1", candidate="v2", weight=weight)


def test_a_weight_that_moves_is_told_with_its_destinations() -> None:
    found = changes(policies(canary(0)), policies(canary(50)), INVENTORY)
    assert any("book-store" in line and "50" in line and "->" in line for line in found), found


def test_nothing_is_told_where_nothing_changes() -> None:
    assert changes(policies(canary(10)), policies(canary(10)), INVENTORY) == []


def test_a_timeout_is_told_for_its_path() -> None:
    timeout = Timeout(service="book-store", path="/api/v1/books", after="15s")
    (line,) = changes(policies(canary(10)), policies(canary(10), timeout), INVENTORY)
    assert "/api/v1/books" in line
    assert "15" in line


def test_the_first_policies_of_all_are_compared_with_none() -> None:
    assert changes("", policies(canary(100)), INVENTORY)


def test_what_cannot_be_read_says_why() -> None:
    with pytest.raises(RuntimeError, match="there is no such field"):
        changes("", policies(canary(1)).replace("hosts:", "host:"), INVENTORY)
