"""What is shown has no key that nobody else may have."""

import json

import pytest

from mesh_control.redaction import KEPT_FORM, redacted
from mesh_policy.security.key_sets import check_key_set

KEYS = {
    "keys": [
        {"kty": "oct", "kid": "a", "k": "c2VjcmV0"},
        {"kty": "RSA", "n": "sXch", "e": "AQAB"} | dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), "c2VjcmV0"),
        {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB", "d": "c2VjcmV0"},
    ]
}


@pytest.mark.parametrize(
    "value",
    [
        KEYS,
        {"jwks": json.dumps(KEYS)},
        {"jwks": json.dumps(KEYS["keys"][0])},
        {"annotations": {"last-applied": json.dumps({"spec": [{"jwks": "\n " + json.dumps(KEYS)}]})}},
        {"kind": "Secret", "data": {"tls.key": "c2VjcmV0"}},
        {"kind": "Secret", "stringData": {"any": "c2VjcmV0"}},
        {"request_headers_to_add": [{"header": {"key": "Authorization", "value": "Bearer c2VjcmV0"}}]},
        {"private_key": {"inline_string": "c2VjcmV0"}},
    ],
    ids=str,
)
def test_no_secret_is_shown_and_that_there_is_one_is(value: object) -> None:
    shown = json.dumps(redacted(value))
    assert "c2VjcmV0" not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize(
    "value",
    [
        {"k": "v", "d": 1, "p": [2]},
        {"kty": "RSA", "n": "sXch", "e": "AQAB"},
        {"kind": "ConfigMap", "data": {"a": "b"}},
        {"jwks": "{not JSON"},
        {"jwks": '{"keys":  []}'},
        {"private_key": {"filename": "/etc/key"}, "privateKey": "/etc/key"},
        {"key": "x-user", "value": "a"},
    ],
    ids=str,
)
def test_everything_else_is_shown_as_it_is(value: object) -> None:
    assert redacted(value) == value


def test_a_set_of_keys_may_stay_one() -> None:
    shown = redacted(json.dumps(KEYS), KEPT_FORM)
    assert "c2VjcmV0" not in shown
    assert check_key_set(shown) == shown
