"""Keys: each verifies what it is for, and sets are as good as the keys in them that can be used."""

import json
from typing import Any

import pytest

from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.keys import key_set
from mesh_proxy.tokens.token import ALGORITHMS, read_token
from tests.support.authority import Authority
from tests.support.signed_tokens import USUAL, public, token, url64
from tests.support.signed_tokens import key_set as named_set

ALGORITHMS_OF = {
    "rsa": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    "ec256": {"ES256"},
    "ec384": {"ES384"},
    "ec521": {"ES512"},
    "ed": {"EdDSA"},
    "oct": {"HS256", "HS384", "HS512"},
}


def why(keys: str, **described: Any) -> str:
    return key_set(keys).verify(read_token(token(described).encode()))


@pytest.mark.parametrize(("name", "algorithm"), [(n, a) for n, those in ALGORITHMS_OF.items() for a in sorted(those)])
def test_every_algorithm(name: str, algorithm: str) -> None:
    assert why(named_set("rsa2 " + name), key=name, alg=algorithm) == ""
    assert why(named_set(name), key=name, alg=algorithm, signature="0" * 64) == statuses.WRONG_SIGNATURE


@pytest.mark.parametrize("name", sorted(ALGORITHMS_OF))
def test_no_key_verifies_what_it_is_not_for(name: str) -> None:
    """Confusion of keys: whatever algorithm the token names, the key decides."""
    for algorithm in sorted(ALGORITHMS - ALGORITHMS_OF[name]):
        assert why(named_set(name), key=name, header={"alg": algorithm}) != ""
    if name not in ("oct", "ed"):
        assert why(named_set(name), key=name, alg="HS256") == statuses.WRONG_SIGNATURE


def test_the_key_that_is_named_is_asked_and_without_a_name_all_are() -> None:
    keys = named_set("rsa rsa2 ec256")
    assert why(keys, key="rsa2") == ""
    assert why(keys, key="rsa2", header={"kid": None}) == ""
    assert why(keys, key="rsa2", header={"kid": "rsa"}) == statuses.WRONG_SIGNATURE
    assert why(keys, key="rsa2", header={"kid": "other"}) == statuses.NO_SUCH_KEY
    assert why(named_set("rsa:alg=RS512"), key="rsa") == statuses.NO_SUCH_KEY


@pytest.mark.parametrize(
    "keys",
    [
        "hello",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": [1, null, {}]}',
        '{"keys": [], "keys": []}',
        json.dumps({"keys": [{"kty": "RSA", "e": "AQAB"}]}),
        json.dumps({"keys": [{**public("rsa"), "n": 5}]}),
        json.dumps({"keys": [{**public("rsa"), "e": "BQ"}]}),
        json.dumps({"keys": [{**public("rsa"), "alg": "HS256"}]}),
        json.dumps({"keys": [{**public("ec256"), "crv": "P-384"}]}),
        json.dumps({"keys": [{**public("ec256"), "alg": "ES384"}]}),
        json.dumps({"keys": [{**public("ec256"), "x": "AA"}]}),
        json.dumps({"keys": [{**public("ed"), "crv": "X25519"}]}),
        json.dumps({"keys": [{**public("ed"), "x": "AAAA"}]}),
        json.dumps({"keys": [{**public("oct"), "k": ""}]}),
        json.dumps({"keys": [{**public("oct"), "alg": "RS256"}]}),
        '{"a": "b"}',
        '{"a": 1}',
    ],
)
def test_sets_without_a_key(keys: str) -> None:
    assert key_set(keys).empty


def test_what_cannot_be_used_is_left_out() -> None:
    keys = json.dumps({"keys": [{"kty": "XYZ"}, {**public("oct"), "k": ""}, public("rsa")]})
    assert why(keys) == ""


def test_keys_in_certificates() -> None:
    made = Authority().certificate("issuer.example")
    assert key_set(json.dumps({"one": made.chain.decode()})).empty, "they are of RSA, or none"


def test_a_curve_follows_from_the_algorithm() -> None:
    for name in ("ec256", "ec384", "ec521"):
        entry = {**public(name), "alg": USUAL[name]}
        del entry["crv"]
        assert why(json.dumps({"keys": [entry]}), key=name) == ""


def test_a_signature_of_another_length() -> None:
    assert why(named_set("ed"), key="ed", signature="abc") == statuses.WRONG_LENGTH
    assert why(named_set("ec256"), key="ec256", signature="abc") == statuses.WRONG_SIGNATURE
    assert url64(b"") == ""
