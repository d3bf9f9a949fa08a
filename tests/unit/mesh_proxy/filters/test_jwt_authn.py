"""Tokens of end users: what a request must have, what becomes of it, and that a token is verified once."""

from dataclasses import replace
from typing import Any

import pytest

from mesh_api.config import (
    JwtAllOf,
    JwtAnyOf,
    JwtAuthnFilter,
    JwtHeader,
    JwtMayBeMissing,
    JwtMayFail,
    JwtProvider,
    JwtRequired,
    JwtRequirement,
    JwtRule,
)
from mesh_api.config.authorization import JWT_AUTHN
from mesh_proxy.authorization import Access
from mesh_proxy.filters.base import AGAIN, Answer, Verdict
from mesh_proxy.filters.jwt_authn import JwtAuthn
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.matchers import MatcherError
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.tokens.keys import KeySet
from tests.support.signed_tokens import ISSUER, key_set, token
from tests.unit.mesh_proxy.making import access, dice, head, match

NOW = 1_000_000.0
FIRST = JwtProvider("first", ISSUER, key_set("rsa"), payload_in_metadata="payload", space_delimited_claims=("scope",))
OTHER = JwtProvider("other", "other", key_set("ec256"), from_headers=(JwtHeader("x-token"),))
EITHER = JwtAnyOf((JwtRequired("first"), JwtMayBeMissing()))


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def made(requirement: JwtRequirement | None = EITHER, *providers: JwtProvider, **fields: Any) -> JwtAuthn:
    config = JwtAuthnFilter(providers or (FIRST, OTHER), (JwtRule(requirement),), **fields)
    return JwtAuthn(config, Counters("s"), lambda: NOW)


def bearer(target: str = "/", *lines: str, **described: Any) -> Head:
    described["claims"] = {"exp": NOW + 1, **described.get("claims", {})}
    return request(target, f"authorization: Bearer {token(described)}", *lines)


def request(target: str = "/", *lines: str) -> Head:
    found = head(target, *lines)
    found.path, _, found.query = found.target.partition(b"?")
    return found


def asked(one: JwtAuthn, made: Head) -> tuple[Verdict, Access]:
    who = access(made)
    return one.on_request(made, None, dice(), who), who


def told(one: JwtAuthn, made: Head) -> str:
    verdict, _ = asked(one, made)
    return verdict.reply.body.decode() if isinstance(verdict, Answer) else ""


def test_a_request_without_a_token_passes_where_it_may_be_missing() -> None:
    verdict, who = asked(made(), request())
    assert verdict is None
    assert dict(who.metadata) == {}
    assert told(made(JwtRequired("first")), request()) == "Jwt is missing"


def test_what_a_token_says_is_there_for_those_behind_and_the_token_is_not() -> None:
    found = bearer(claims={"scope": "read write", "groups": ["a"]})
    one = made()
    verdict, who = asked(one, found)
    assert verdict is None
    payload = {"iss": ISSUER, "sub": "tester", "exp": NOW + 1, "scope": ["read", "write"], "groups": ["a"]}
    assert who.metadata == {JWT_AUTHN: {"payload": payload}}
    assert found.get(b"authorization") is None
    assert one._stats.values == {"jwt_authn.allowed": 1}


def test_a_refusal_says_what_was_asked_for() -> None:
    verdict, _ = asked(made(), request("/a?b=c", "authorization: Bearer abc", "x-forwarded-proto: https"))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.flags) == (401, "")
    assert verdict.reply.details.startswith("jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header")
    assert verdict.fields == ((b"www-authenticate", b'Bearer realm="https://h/a?b=c", error="invalid_token"'),)
    quiet = made(strip_failure_response=True)
    verdict, _ = asked(quiet, request("/", "authorization: Bearer abc"))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.body, verdict.fields) == (b"", ())


def test_whose_audience_it_is_not_is_refused_with_403() -> None:
    one = made(JwtRequired("first"), replace(FIRST, audiences=("https://people/",)))
    verdict, _ = asked(one, bearer(claims={"aud": "others"}))
    assert isinstance(verdict, Answer)
    assert verdict.reply.status == 403
    for audience in ("people", "http://people", ["x", "people/"]):
        assert told(one, bearer(claims={"aud": audience})) == ""
    narrow = made(JwtRequired("first", ("admins",)), replace(FIRST, audiences=("people",)))
    assert told(narrow, bearer(claims={"aud": "people"})) == "Audiences in Jwt are not allowed"
    assert told(narrow, bearer(claims={"aud": "admins"})) == ""


@pytest.mark.parametrize(
    ("claims", "fields", "why"),
    [
        ({"exp": NOW - 60}, {}, ""),
        ({"exp": NOW - 61}, {}, "Jwt is expired"),
        ({"nbf": NOW + 60}, {}, ""),
        ({"nbf": NOW + 61}, {}, "Jwt not yet valid"),
        ({"exp": NOW - 61}, {"clock_skew": 61}, ""),
        ({"exp": None}, {}, ""),
        ({"exp": None}, {"require_expiration": True}, "Jwt verification fails"),
        ({"exp": NOW + 10}, {"max_lifetime": 10.0}, ""),
        ({"exp": NOW + 11}, {"max_lifetime": 10.0}, "Jwt verification fails"),
        ({"exp": None}, {"max_lifetime": 10.0}, "Jwt verification fails"),
    ],
)
def test_times(claims: dict[str, Any], fields: dict[str, Any], why: str) -> None:
    assert told(made(EITHER, replace(FIRST, **fields)), bearer(claims=claims)) == why


def without_keys(one: JwtAuthn) -> None:
    """From now on no signature can be verified."""
    one._providers._by_name["first"]._keys = KeySet([])


def test_a_token_that_was_verified_is_verified_once_and_expires_all_the_same() -> None:
    clock = Clock()
    one = JwtAuthn(JwtAuthnFilter((FIRST,), (JwtRule(EITHER),)), Counters("s"), clock)
    text = f"authorization: Bearer {token({'claims': {'exp': NOW + 1}})}"
    assert told(one, request("/", text)) == ""
    without_keys(one)
    assert told(one, request("/", text)) == ""
    assert told(one, bearer(claims={"sub": "other"})) == "Jwks remote fetch is failed"
    clock.now = NOW + 62
    assert told(one, request("/", text)) == "Jwt is expired"
    clock.now = NOW
    assert told(one, request("/", text)) == "Jwks remote fetch is failed", "what has expired is forgotten"


def test_a_bad_token_is_verified_once_for_one_request() -> None:
    one, bad = made(), bearer(signature="abc")
    text = f"authorization: {bad.values(b'authorization')[0].decode()}"
    assert told(one, bad) == "Jwt verification fails"
    without_keys(one)
    assert told(one, request("/", text)) == "Jwt verification fails"
    assert told(one, bearer(signature="abcd")) == "Jwks remote fetch is failed"


def test_claims_become_fields_that_no_client_writes() -> None:
    claims = (("x-sub", "sub"), ("x-deep", "a.b"), ("x-level", "level"), ("x-list", "list"), ("x-lines", "lines"))
    rich = replace(FIRST, claim_to_headers=claims, forward_payload_header="x-payload", pad_forward_payload_header=True)
    one = made(EITHER, rich)
    spoofed = request("/", *(f"{name}: root" for name, _ in claims), "x-payload: root")
    assert told(one, spoofed) == ""
    assert [field.name for field in spoofed.fields] == [b"host"]
    found = bearer("/", "x-deep: root", claims={"a": {"b": True}, "level": 1.5, "list": ["x"], "lines": "a\r\nb: c"})
    assert told(one, found) == ""
    values = {field.name: field.value for field in found.fields}
    assert values.pop(b"x-payload").rstrip(b"=")
    assert values == {
        b"host": b"h",
        b"x-sub": b"tester",
        b"x-deep": b"true",
        b"x-level": b"1.500000",
        b"x-list": b"WyJ4Il0=",
    }


def test_the_route_is_chosen_again_where_that_is_asked_for() -> None:
    one = made(EITHER, replace(FIRST, clear_route_cache=True))
    assert asked(one, bearer())[0] is AGAIN
    assert asked(one, request())[0] is None


def test_one_of_several_all_of_several_and_whatever_is_there() -> None:
    bad = request("/", "authorization: Bearer abc")
    good = f"x-token: {token({'key': 'ec256', 'claims': {'iss': 'other', 'exp': NOW}})}"
    either = made(JwtAnyOf((JwtRequired("first"), JwtRequired("other"))))
    assert told(either, request()) == "Jwt is missing"
    assert told(either, request("/", good)) == ""
    assert told(either, request("/", "authorization: Bearer abc", good)) == ""
    assert told(either, request("/", f"x-token: {token({})}")) == "Jwt issuer is not configured"
    both = made(JwtAllOf((JwtRequired("first"), JwtRequired("other"))))
    assert told(both, bearer("/", good)) == ""
    assert told(both, request("/", good)) == "Jwt is missing"
    lenient = made(JwtAnyOf((JwtRequired("first"), JwtMayBeMissing(), JwtMayFail())))
    assert told(lenient, bad) == ""
    assert told(made(None), bad) == ""


def test_all_tokens_that_are_there_must_be_valid() -> None:
    assert told(made(), bearer("/?access_token=abc")).startswith("Jwt is not in the form")


def test_the_first_rule_for_a_request_counts() -> None:
    rules = (JwtRule(None, match("/open")), JwtRule(JwtRequired("first")))
    one = JwtAuthn(JwtAuthnFilter((FIRST,), rules), Counters("s"), lambda: NOW)
    assert told(one, request("/open/x")) == ""
    assert told(one, request("/x")) == "Jwt is missing"


def test_preflights_pass() -> None:
    lines = ("origin: a", "access-control-request-method: PUT", "authorization: Bearer abc")
    found = request("/", *lines)
    found.method = b"OPTIONS"
    one = made(bypass_cors_preflight=True)
    assert told(one, found) == ""
    assert one._stats.values == {"jwt_authn.cors_preflight_bypassed": 1, "jwt_authn.allowed": 1}
    assert told(made(), found) != ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (JwtAuthnFilter((), (JwtRule(JwtRequired("x")),)), "there is no provider 'x'"),
        (JwtAuthnFilter((replace(FIRST, jwks="{}"),), ()), "Jwks doesn't have any valid public key"),
        (
            JwtAuthnFilter((replace(FIRST, claim_to_headers=(("Host", "a"),)),), ()),
            "no token may say what a request's Host",
        ),
        (JwtAuthnFilter((FIRST,), (JwtRule(None, match("/", grpc_only=True)),)), "rules about tokens look at"),
    ],
)
def test_what_cannot_be_run(config: JwtAuthnFilter, message: str) -> None:
    with pytest.raises(MatcherError, match=message):
        JwtAuthn(config, Counters("s"))
