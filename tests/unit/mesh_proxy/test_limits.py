"""Limits of time: which is the first for a head, and what a route and a call of gRPC make of them."""

from typing import Any

import pytest

from mesh_api.config import HttpConnectionManager, RouteAction, RouterFilter
from mesh_proxy.limits import Limits, longest_of
from mesh_proxy.protocol.http1 import written_grpc_timeout
from tests.unit.mesh_proxy.making import head


def limits(**settings: Any) -> Limits:
    return Limits(HttpConnectionManager("s", (RouterFilter(),), **settings))


def test_defaults_are_envoys() -> None:
    made = limits()
    assert (made.idle, made.whole, made.longest, made.connection_idle, made.connection, made.drain) == (
        *(300.0, 0.0, 0.0, 3600.0, 0.0, 5.0),
    )
    assert (made.requests, made.max_headers, made.timed) == (0, 100, True)


def test_as_istio_sends_it_nothing_is_timed() -> None:
    made = limits(stream_idle_timeout=0.0)
    assert (made.timed, made.head) == (False, 0.0)


@pytest.mark.parametrize(
    ("settings", "seconds", "details"),
    [
        ({}, 300.0, "stream_idle_timeout"),
        ({"request_headers_timeout": 5.0}, 5.0, "request_header_timeout"),
        ({"request_timeout": 4.0, "request_headers_timeout": 5.0}, 4.0, "request_overall_timeout"),
        ({"max_stream_duration": 3.0, "request_timeout": 4.0}, 3.0, "max_duration_timeout"),
    ],
)
def test_a_head_is_late_by_the_limit_that_comes_first(settings: dict[str, float], seconds: float, details: str) -> None:
    made = limits(**settings)
    assert (made.head, made.head_reply.details, made.head_reply.status) == (seconds, details, 408)


@pytest.mark.parametrize(
    ("idle", "until", "due"), [(10.0, 0.0, 110.0), (10.0, 105.0, 105.0), (0.0, 105.0, 105.0), (0.0, 0.0, 0.0)]
)
def test_when_a_connection_that_rests_is_looked_at(idle: float, until: float, due: float) -> None:
    assert limits(idle_timeout=idle).rest_until(100.0, until) == due


@pytest.mark.parametrize(
    ("action", "asked", "longest"),
    [
        ({}, "", 7.0),
        ({"max_stream_duration": 2.0}, "", 2.0),
        ({"max_stream_duration": 0.0}, "", 0.0),
        ({}, "3S", 7.0),
        ({"grpc_timeout_header_max": 0.0}, "", 7.0),
        ({"grpc_timeout_header_max": 0.0}, "3S", 3.0),
        ({"grpc_timeout_header_max": 2.0}, "3S", 2.0),
        ({"grpc_timeout_header_max": 2.0, "grpc_timeout_header_offset": 0.5}, "3S", 1.5),
        ({"max_stream_duration": 9.0, "grpc_timeout_header_max": 0.0}, "500m", 0.5),
    ],
)
def test_the_longest_time_of_a_request(action: dict[str, float], asked: str, longest: float) -> None:
    request = head("/", *((f"grpc-timeout: {asked}",) if asked else ()))
    assert longest_of(RouteAction("c", **action), request, 7.0) == pytest.approx(longest)  # type: ignore[arg-type]


def test_a_call_that_has_no_time_left_ends_at_once() -> None:
    action = RouteAction("c", grpc_timeout_header_max=0.0, grpc_timeout_header_offset=2.0)
    assert 0 < longest_of(action, head("/", "grpc-timeout: 1S"), 7.0) < 1e-6


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.15, b"150m"), (99999.999, b"99999999m"), (100000.0, b"100000S"), (1e8, b"1666666M"), (1e12, b"99999999H")],
)
def test_times_of_grpc_have_eight_digits(seconds: float, written: bytes) -> None:
    assert written_grpc_timeout(seconds) == written
