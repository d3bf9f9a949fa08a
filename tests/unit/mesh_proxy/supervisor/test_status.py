"""No policy, an invalid one and an unreachable control plane are three different states."""

import pytest

from mesh_api.xds.type_urls import CLUSTER, LISTENER
from mesh_proxy.supervisor.status import Facts, Standing, Status, status_of

GOOD = {"controlled": True, "connected": True, "informed": True, "has_policy": True, "in_force": True}

CASES = [
    ({"controlled": False, "in_force": True}, Status(Standing.STATIC, "", True)),
    ({"controlled": False, "refused": "no", "in_force": False}, Status(Standing.INVALID, "no")),
    ({"connected": False, "lost": "gone"}, Status(Standing.UNREACHABLE, "gone", True)),
    ({"connected": False, "lost": "gone", "errors": {CLUSTER: "x"}}, Status(Standing.UNREACHABLE, "gone", True)),
    ({"errors": {CLUSTER: "x", LISTENER: "y"}}, Status(Standing.INVALID, "CDS: x; LDS: y", True)),
    ({"refused": "z"}, Status(Standing.INVALID, "z", True)),
    ({"missing": ("endpoints a", "endpoints b")}, Status(Standing.WAITING, "endpoints a, endpoints b", True)),
    ({"informed": False, "in_force": False}, Status(Standing.WAITING)),
    ({"has_policy": False}, Status(Standing.NO_POLICY, "", True)),
    ({}, Status(Standing.CURRENT, "", True)),
]


@pytest.mark.parametrize(("facts", "status"), CASES)
def test_status_follows_from_the_facts(facts: dict[str, object], status: Status) -> None:
    assert status_of(Facts(**{**GOOD, **facts})) == status  # type: ignore[arg-type]


def test_text_says_when_nothing_is_in_force() -> None:
    assert str(Status(Standing.UNREACHABLE, "gone")) == "unreachable: gone (no configuration in force)"
    assert str(Status(Standing.CURRENT, in_force=True)) == "current"
