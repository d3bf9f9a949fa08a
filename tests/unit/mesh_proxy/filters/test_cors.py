"""Cross-origin requests: who is answered here, and what answers of hosts say."""

from typing import Any

import pytest

from mesh_api.config import CorsPolicy, StringMatch, StringMatchKind
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer
from mesh_proxy.filters.cors import Cors
from mesh_proxy.routing.table import CompiledRoute
from tests.unit.mesh_proxy.making import access, answer, compiled, dice, head, route

GOOD = "http://good.example"
FULL = CorsPolicy(
    (StringMatch(StringMatchKind.EXACT, GOOD), StringMatch(StringMatchKind.REGEX, r"https://.*\.good\.example")),
    allow_methods="GET,PUT",
    allow_headers="x-a",
    expose_headers="x-b",
    max_age="600",
    allow_credentials=True,
)
PREFLIGHT = LocalReply(200, "", "cors_response")


def with_policy(policy: CorsPolicy | None) -> CompiledRoute:
    return compiled(route(cors=policy))


def preflight(policy: CorsPolicy | None, origin: str = GOOD, method: str = "OPTIONS", asks: bool = True) -> Any:
    lines = [f"Origin: {origin}"] if origin else []
    lines += ["Access-Control-Request-Method: PUT"] if asks else []
    return Cors().on_request(head("/", *lines, method=method), with_policy(policy), dice(), access())


def test_a_preflight_of_an_allowed_origin_is_answered_here() -> None:
    verdict = preflight(FULL)
    assert isinstance(verdict, Answer)
    assert verdict.reply == PREFLIGHT
    assert dict(verdict.fields) == {
        b"access-control-allow-origin": GOOD.encode(),
        b"access-control-allow-credentials": b"true",
        b"access-control-expose-headers": b"x-b",
        b"access-control-allow-methods": b"GET,PUT",
        b"access-control-allow-headers": b"x-a",
        b"access-control-max-age": b"600",
    }


def test_what_the_policy_does_not_say_is_not_answered() -> None:
    verdict = preflight(CorsPolicy((StringMatch(StringMatchKind.EXACT, "*"),), allow_credentials=False))
    assert verdict == Answer(PREFLIGHT, ((b"access-control-allow-origin", GOOD.encode()),))


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        (None, {}),
        (FULL, {"origin": ""}),
        (FULL, {"method": "GET"}),
        (FULL, {"asks": False}),
        (FULL, {"origin": "http://bad.example"}),
        (FULL, {"origin": "https://good.example"}),
        (CorsPolicy(), {}),
    ],
)
def test_everything_else_goes_on(policy: CorsPolicy | None, fields: dict[str, Any]) -> None:
    assert preflight(policy, **fields) is None


def test_a_preflight_of_another_origin_ends_here_where_the_policy_says_so() -> None:
    policy = CorsPolicy(FULL.allow_origins, forward_unmatched_preflights=False)
    assert preflight(policy, "http://bad.example") == Answer(PREFLIGHT)
    assert preflight(policy, "http://bad.example", method="GET") is None


def answered(policy: CorsPolicy | None, origin: str, *lines: str) -> dict[bytes, bytes]:
    request = head("/", *([f"Origin: {origin}"] if origin else []))
    fields = Cors().on_response(request, with_policy(policy), answer(*lines).fields)
    assert all(field.line == field.name + b": " + field.value + b"\r\n" for field in fields)
    return {field.name: field.value for field in fields}


def test_an_answer_to_an_allowed_origin_says_so() -> None:
    assert answered(FULL, "https://a.good.example", "x-c: 1") == {
        b"x-c": b"1",
        b"access-control-allow-origin": b"https://a.good.example",
        b"access-control-allow-credentials": b"true",
        b"access-control-expose-headers": b"x-b",
    }


def test_what_the_host_says_of_origins_is_replaced() -> None:
    fields = answered(FULL, GOOD, "Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: POST")
    assert fields[b"access-control-allow-origin"] == GOOD.encode()
    assert fields[b"access-control-allow-methods"] == b"POST"


@pytest.mark.parametrize(("policy", "origin"), [(None, GOOD), (FULL, ""), (FULL, "http://bad.example")])
def test_other_answers_stay_as_they_are(policy: CorsPolicy | None, origin: str) -> None:
    assert answered(policy, origin, "x-c: 1") == {b"x-c": b"1"}


def test_the_policy_of_the_virtual_host_counts_where_the_route_has_none() -> None:
    request = head("/", f"Origin: {GOOD}", "Access-Control-Request-Method: PUT", method="OPTIONS")
    assert Cors().on_request(request, compiled(route(), cors=FULL), dice(), access()) is not None
    assert Cors().on_request(request, compiled(route(cors=CorsPolicy()), cors=FULL), dice(), access()) is None
