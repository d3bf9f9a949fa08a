"""The words of a release: what they mean, and what is told where they cannot be meant."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import ValidationError

from mesh_policy import CanaryRelease
from mesh_policy.releases import ABTest, BlueGreen, Cookie, ErrorRate, Header, Latency, Mirror, Weight

BOUNDS = [
    (ErrorRate("> 10%"), 10.0, "error rate > 10% within 30s"),
    (ErrorRate(">0.5 %", window="1m"), 0.5, "error rate >0.5 % within 60s"),
    (ErrorRate("> 0%"), 0.0, "error rate > 0% within 30s"),
    (Latency("> 500ms"), 500.0, "latency (p95) > 500ms within 30s"),
    (Latency("> 1.5s", window=timedelta(seconds=5), quantile=0.5), 1500.0, "latency (p50) > 1.5s within 5s"),
]


@pytest.mark.parametrize(("limit", "bound", "text"), BOUNDS, ids=[row[2] for row in BOUNDS])
def test_limits(limit: ErrorRate | Latency, bound: float, text: str) -> None:
    assert limit.bound == bound
    assert str(limit) == text


def canary(**fields: object) -> CanaryRelease:
    return CanaryRelease.model_validate({"service": "a", "stable": "v1", "candidate": "v2", **fields})


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: ErrorRate("10%"), 'limit\n.*"> 5%", below 100'),
    (lambda: ErrorRate("> 100%"), "limit\n.*below 100"),
    (lambda: ErrorRate("> -1%"), "limit\n.*no limit for a share"),
    (lambda: ErrorRate("> 500ms"), "limit\n.*no limit for a share"),
    (lambda: ErrorRate("> 5%", window="0s"), "window\n"),
    (lambda: ErrorRate("> 5%", window="999ms"), "window\n.*less than 1s"),
    (lambda: ErrorRate("> 5%", min_requests=0), "min_requests\n"),
    (lambda: ErrorRate("> 5%", windows="1s"), "windows\n.*[Ee]xtra"),
    (lambda: Latency("> 10%"), 'limit\n.*"> 500ms"'),
    (lambda: Latency("> 0ms"), "limit\n.*no limit for a time"),
    (lambda: Latency("> 1s", quantile=1.0), "quantile\n"),
    (lambda: Latency("> 1s", quantile=0.0), "quantile\n"),
    (lambda: Weight(0), "percent\n"),
    (lambda: Weight(101), "percent\n"),
    (lambda: Weight(5, hold="5"), "hold\n"),
    (lambda: Cookie("a b"), "name\n.*no name of a cookie"),
    (lambda: Cookie(""), "name\n.*no name of a cookie"),
    (lambda: Cookie("a=b"), "name\n.*no name of a cookie"),
    (lambda: Cookie("a;b"), "name\n.*no name of a cookie"),
    (lambda: Cookie("a", "x;y"), "value\n.*no value of a cookie"),
    (lambda: Cookie("a", ""), "value\n.*no value of a cookie"),
    (lambda: Cookie("a", ttl="999ms"), "ttl\n.*at least one"),
    (lambda: Cookie("a", path="x"), "path\n"),
    (lambda: Cookie("a", path="/;Domain=x"), "path\n"),
    (lambda: Cookie("a", path="/\r\nx: y"), "path\n"),
    (lambda: Cookie("a", path="/\n"), "path\n"),
    (lambda: Header(":path"), "as x-user-id"),
    (lambda: Header("@request.auth.claims.sub"), "as x-user-id"),
    (lambda: Header("a,b"), "as x-user-id"),
    (lambda: Header("a b"), "name\n"),
    (lambda: Header("Cookie"), "Cookie\\(...\\)"),
    (lambda: canary(), "weight or steps is required"),
    (lambda: canary(steps=[Weight(20), Weight(20)]), "does not grow"),
    (lambda: canary(steps=[Weight(20), Weight(5)]), "5 % after 20 %"),
    (lambda: canary(weight=5, sticky=Cookie("a", "b")), "sticky: .*ABTest chooses"),
    (lambda: canary(weight=5, sticky=Header("a", "b")), "sticky: .*ABTest chooses"),
    (lambda: BlueGreen(service="a", blue="v1", green="v1"), "blue and green are both 'v1'"),
    (lambda: Mirror(service="a", stable="v1", candidate="v2", percent=0), "percent\n"),
    (lambda: ABTest(service="a", a="v1", b="v2", by=Header("x")), "by: a value is required"),
    (lambda: ABTest(service="a", a="v1", b="v2", by=Cookie("x", "y", ttl="1h")), "leave ttl and path out"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[row[1][:30] + str(place) for place, row in enumerate(WRONG)])
def test_what_cannot_be_meant_is_told_by_its_field(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()
