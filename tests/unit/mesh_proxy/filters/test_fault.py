"""Faults put in on purpose: for which requests, and what they do."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh_api.config import FaultPolicy
from mesh_api.config.routes import MILLION
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer, Delay, Verdict
from mesh_proxy.filters.fault import Fault
from tests.unit.mesh_proxy.making import access, answer, compiled, dice, head, route

ABORT = Answer(LocalReply(503, "FI", "fault_filter_abort", b"fault filter abort"))


def verdict(policy: FaultPolicy | None, random: Callable[[], float], *lines: str) -> Verdict:
    return Fault().on_request(head("/", *lines), compiled(route(fault=policy)), random, access())


def test_without_a_policy_nothing_happens() -> None:
    assert verdict(None, dice()) is None
    assert verdict(FaultPolicy(), dice()) is None


def abort(fraction: int) -> FaultPolicy:
    return FaultPolicy(abort_http_status=503, abort_fraction=fraction)


def delay(fraction: int) -> FaultPolicy:
    return FaultPolicy(delay=2.5, delay_fraction=fraction)


@pytest.mark.parametrize(
    ("fraction", "number", "happens"),
    [(MILLION, 0.999999, True), (500_000, 0.499999, True), (500_000, 0.5, False), (1, 0.0, True), (1, 0.000001, False)],
)
def test_a_fault_happens_to_its_share_of_the_requests(fraction: int, number: float, happens: bool) -> None:
    assert verdict(abort(fraction), dice(number)) == (ABORT if happens else None)
    assert verdict(delay(fraction), dice(number)) == (Delay(2.5, "DI") if happens else None)


def test_without_a_percentage_no_request_fails() -> None:
    assert verdict(abort(0), dice()) is None
    assert verdict(delay(0), dice()) is None


BOTH = FaultPolicy(delay=1.0, delay_fraction=500_000, abort_http_status=503, abort_fraction=500_000)


@pytest.mark.parametrize(
    ("of_abort", "of_delay", "expected"),
    [
        (0.0, 0.0, Delay(1.0, "DI", ABORT)),
        (0.9, 0.0, Delay(1.0, "DI")),
        (0.0, 0.9, ABORT),
        (0.9, 0.9, None),
    ],
)
def test_a_request_may_wait_and_then_fail(of_abort: float, of_delay: float, expected: Verdict) -> None:
    assert verdict(BOTH, dice(of_abort, of_delay)) == expected


GRPC = FaultPolicy(abort_grpc_status=14, abort_fraction=MILLION)


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto"])
def test_a_grpc_client_gets_a_grpc_status(kind: str) -> None:
    made = verdict(GRPC, dice(0.0), f"content-type: {kind}")
    assert isinstance(made, Answer)
    assert made.reply == LocalReply(200, "FI", "fault_filter_abort")
    assert dict(made.fields) == {
        b"grpc-status": b"14",
        b"grpc-message": b"fault filter abort",
        b"content-type": b"application/grpc",
    }


@pytest.mark.parametrize("lines", [[], ["content-type: text/plain"], ["content-type: application/grpc-web"]])
def test_another_client_gets_the_text(lines: list[str]) -> None:
    made = verdict(GRPC, dice(0.0), *lines)
    assert made == Answer(LocalReply(200, "FI", "fault_filter_abort", b"fault filter abort"))


def test_answers_stay_as_they_are() -> None:
    fields: list[Any] = answer("x: 1").fields
    assert Fault().on_response(head(), compiled(route(fault=BOTH)), fields) == fields
