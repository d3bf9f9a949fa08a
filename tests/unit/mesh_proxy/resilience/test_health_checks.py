"""When hosts are asked again, and what answers of gRPC mean."""

from typing import Any

import pytest

from mesh_api.config.health_checks import HealthCheck, TcpCheck
from mesh_proxy.balancing.host import ACTIVE_UNHEALTHY, PENDING_FIRST, Host
from mesh_proxy.resilience.health_checks import (
    CHANGED,
    FAILED,
    PASSED,
    PENDING,
    TIMED_OUT,
    UNCHANGED,
    UNREACHABLE,
    HostHealth,
    grpc_question,
    grpc_result,
)
from tests.unit.mesh_proxy.making import hosts


def health(**fields: Any) -> HostHealth:
    (host,) = hosts(1)
    host.flags |= ACTIVE_UNHEALTHY
    return HostHealth(HealthCheck(TcpCheck(), 1.0, 10.0, **fields), host)


EDGES = {"unhealthy_interval": 20.0, "unhealthy_edge_interval": 2.0, "healthy_edge_interval": 3.0}
WAITS: list[tuple[dict[str, Any], int, int, bool, float]] = [
    ({}, PASSED, UNCHANGED, True, 10.0),
    ({}, FAILED, UNCHANGED, True, 10.0),
    ({}, PASSED, UNCHANGED, False, 60.0),
    ({"no_traffic_interval": 30.0}, PASSED, UNCHANGED, False, 30.0),
    ({"no_traffic_interval": 30.0, "no_traffic_healthy_interval": 45.0}, PASSED, UNCHANGED, False, 45.0),
    ({"no_traffic_interval": 30.0, "no_traffic_healthy_interval": 45.0}, FAILED, UNCHANGED, False, 30.0),
    (EDGES, PASSED, PENDING, True, 3.0),
    (EDGES, PASSED, CHANGED, True, 10.0),
    (EDGES, UNREACHABLE, PENDING, True, 2.0),
    (EDGES, UNREACHABLE, CHANGED, True, 20.0),
    ({"interval_jitter": 4.0, "interval_jitter_percent": 20}, PASSED, UNCHANGED, True, 13.0),
]


@pytest.mark.parametrize(("fields", "result", "changed", "traffic", "expected"), WAITS)
def test_the_pause_depends_on_health_and_traffic(
    fields: dict[str, Any], result: int, changed: int, traffic: bool, expected: float
) -> None:
    assert health(**fields).wait(result, changed, traffic, lambda: 0.5) == expected


def test_the_first_check_is_enough_and_later_ones_count() -> None:
    made = health(healthy_threshold=3, unhealthy_threshold=3)
    assert made.on_result(PASSED, 7.0) == CHANGED
    assert (made.host.available, made.host.healthy_since) == (True, 7.0)
    assert [made.on_result(TIMED_OUT, 8.0) for _ in range(3)] == [PENDING, PENDING, CHANGED]
    assert [made.on_result(PASSED, 9.0) for _ in range(3)] == [PENDING, PENDING, CHANGED]
    assert made.on_result(FAILED, 9.0) == CHANGED


def test_a_new_host_counts_from_its_first_check_on() -> None:
    made = health()
    made.host.flags |= PENDING_FIRST
    assert made.on_result(FAILED, 1.0) == CHANGED
    assert made.host.flags == ACTIVE_UNHEALTHY


@pytest.mark.parametrize(("service", "size"), [("", 0), ("a", 3), ("x" * 127, 129), ("x" * 128, 131), ("x" * 300, 303)])
def test_a_question_of_grpc_is_one_message(service: str, size: int) -> None:
    found = grpc_question(service)
    assert (found[:1], int.from_bytes(found[1:5], "big"), len(found)) == (b"\0", size, size + 5)


@pytest.mark.parametrize(
    ("status", "grpc_status", "content", "result"),
    [
        (200, 0, b"\0\0\0\0\x02\x08\x01", PASSED),
        (200, 0, b"\0\0\0\0\x02\x08\x02", FAILED),
        (200, 0, b"\0\0\0\0\0", FAILED),
        (200, 5, b"", FAILED),
        (503, 0, b"\0\0\0\0\x02\x08\x01", FAILED),
    ],
)
def test_only_serving_is_well(status: int, grpc_status: int, content: bytes, result: int) -> None:
    assert grpc_result(status, grpc_status, content) == result


def test_a_host_knows_why_it_is_ill() -> None:
    host = Host("a", ("10.0.0.1", 1))
    assert host.available
    host.flags |= ACTIVE_UNHEALTHY
    assert not host.available
